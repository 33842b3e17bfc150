public import MartletCore
public import MartletOps

/// What the layers of dropout share: while training each element, or each channel, is dropped with a probability; else they
/// are the identity.
public class DropoutLayer {
  /// Of an element, or channel, to be dropped, in 0 … 1.
  public final let probability: Double
  public final let mode = Mode()
  public final let generator: Generator

  /// - Parameter probability: of an element, or channel, to be dropped, in 0 … 1.
  public init(_ probability: Double = 0.5, generator: Generator = Random.generator) {
    if !(probability >= 0 && probability <= 1) {
      fail(
        OpError(
          .misuse("the probability is \(probability)", rule: "0 ≤ probability ≤ 1"), op: "\(type(of: self))"))
    }
    self.probability = probability
    self.generator = generator
  }
  public final var settings: String { "probability: \(probability)" }
}

/// While training, sets each element to zero with a probability and scales the others by `1 / (1 - probability)`; else the
/// identity. Source: PyTorch `Dropout`.
public final class Dropout: DropoutLayer, Module {
  public func forward(_ x: Tensor) -> Tensor {
    mode.isTraining ? dropout(x, probability: probability, key: generator.next()) : x
  }
}

/// What the layers share that drop whole channels.
public class ChannelDropout: DropoutLayer, Module {
  class var axes: Int { 2 }

  public final func forward(_ x: Tensor) -> Tensor {
    let axes = Self.axes
    guard x.rank == axes + 2 || x.rank == axes + 1 else {
      let spatial = ["L", "H, W", "D, H, W"][axes - 1]
      return failure(
        .rank(argument: 0, expected: "\(axes + 2): [N, C, \(spatial)], or \(axes + 1): [C, \(spatial)]"),
        op: "\(type(of: self))", [x])
    }
    guard mode.isTraining else { return x }
    return dropout(x, probability: probability, key: generator.next(), spatialAxes: axes)
  }
}

/// While training, sets whole channels of sequences `[N, C, L]` or `[C, L]` to zero with a probability and scales the
/// others by `1 / (1 - probability)`. Source: Tompson et al. 2015; PyTorch `Dropout1d`.
public final class Dropout1d: ChannelDropout { override class var axes: Int { 1 } }
/// The same for images `[N, C, H, W]` or `[C, H, W]`. Source: PyTorch `Dropout2d`, which takes three axes for `[N, C, L]`.
public final class Dropout2d: ChannelDropout { override class var axes: Int { 2 } }
/// The same for volumes `[N, C, D, H, W]` or `[C, D, H, W]`. Source: PyTorch `Dropout3d`.
public final class Dropout3d: ChannelDropout { override class var axes: Int { 3 } }

/// While training, sets each element with a probability to what `selu` goes to at -∞, and keeps mean 0 and variance 1.
/// Source: Klambauer et al. 2017; PyTorch `AlphaDropout`.
public final class AlphaDropout: DropoutLayer, Module {
  public func forward(_ x: Tensor) -> Tensor {
    mode.isTraining ? alphaDropout(x, probability: probability, key: generator.next()) : x
  }
}

/// `AlphaDropout` of whole channels of `[N, C, …]`. Source: PyTorch `FeatureAlphaDropout`.
public final class FeatureAlphaDropout: DropoutLayer, Module {
  public func forward(_ x: Tensor) -> Tensor {
    guard x.rank >= 2 else {
      return failure(.rank(argument: 0, expected: "2 or more: [N, C, …]"), op: "FeatureAlphaDropout", [x])
    }
    guard mode.isTraining else { return x }
    return alphaDropout(x, probability: probability, key: generator.next(), spatialAxes: x.rank - 2)
  }
}

/// Sets each element to zero with a probability and scales the others by `1 / (1 - probability)`; a pure function of the key.
///
/// - Parameter spatialAxes: how many of the last axes are dropped together: 2 for channels of images. Source: PyTorch
///   `dropout`, `dropout2d`.
public func dropout(_ x: Tensor, probability: Double, key: Tensor, spatialAxes: Int = 0) -> Tensor {
  if let error = misuse("dropout", x, probability, spatialAxes) { return error }
  if probability == 0 { return x }
  if probability == 1 { return x * 0 }
  let kept = Tensor.bernoulli(maskShape(x, spatialAxes), probability: 1 - probability, key: key)
  return x * (kept.cast(to: x.dtype) * (1 / (1 - probability)))
}

/// Sets each element with a probability to what `selu` goes to at -∞, then scales and moves all so that mean 0 and variance
/// 1 stay; a pure function of the key. With probability 1 all become 0.
///
/// - Parameter spatialAxes: how many of the last axes are dropped together.
///
/// Source: Klambauer et al. 2017; PyTorch `alpha_dropout`, `feature_alpha_dropout`.
public func alphaDropout(_ x: Tensor, probability: Double, key: Tensor, spatialAxes: Int = 0) -> Tensor {
  if let error = misuse("alphaDropout", x, probability, spatialAxes) { return error }
  if probability == 0 { return x }
  if probability == 1 { return x * 0 }
  let kept = Tensor.bernoulli(maskShape(x, spatialAxes), probability: 1 - probability, key: key)
  // selu(-∞) = -scale · α
  let low = -1.7580993408473766
  let scale = 1 / ((low * low * probability + 1) * (1 - probability)).squareRoot()
  return select(kept, x, low) * scale - scale * low * probability
}

private func maskShape(_ x: Tensor, _ spatialAxes: Int) -> Shape {
  Shape(x.shape.enumerated().map { $0.offset < x.rank - spatialAxes ? $0.element : 1 })
}

private func misuse(_ op: String, _ x: Tensor, _ probability: Double, _ spatialAxes: Int) -> Tensor? {
  guard probability >= 0, probability <= 1 else {
    return failure(.misuse("the probability is \(probability)", rule: "0 ≤ probability ≤ 1"), op: op, [x])
  }
  guard spatialAxes >= 0, spatialAxes <= x.rank else {
    return failure(.count(name: "spatialAxes", spatialAxes, allowed: "0 … \(x.rank), the axes of x"), op: op, [x])
  }
  return nil
}
