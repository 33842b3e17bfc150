public import MartletCore
public import MartletOps

/// While training, sets each element to zero with a probability and scales the others by `1 / (1 - probability)`; else the
/// identity. Source: PyTorch `Dropout`.
public final class Dropout: Module {
  public let probability: Double
  public let mode = Mode()
  public let generator: Generator

  /// - Parameter probability: of an element to become zero, in 0 … 1.
  public init(_ probability: Double = 0.5, generator: Generator = Random.generator) {
    if !(probability >= 0 && probability <= 1) {
      fail(OpError(.misuse("the probability is \(probability)", rule: "0 ≤ probability ≤ 1"), op: "Dropout"))
    }
    self.probability = probability
    self.generator = generator
  }

  public func forward(_ x: Tensor) -> Tensor {
    mode.isTraining ? dropout(x, probability: probability, key: generator.next()) : x
  }
}

/// Sets each element to zero with a probability and scales the others by `1 / (1 - probability)`; a pure function of the key.
public func dropout(_ x: Tensor, probability: Double, key: Tensor) -> Tensor {
  if probability == 0 { return x }
  if probability == 1 { return x * 0 }
  let kept = Tensor.bernoulli(x.shape, probability: 1 - probability, key: key)
  return x * (kept.cast(to: x.dtype) * (1 / (1 - probability)))
}
