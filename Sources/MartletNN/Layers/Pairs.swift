public import MartletCore
import MartletOps

/// A product with two vectors for each output, as in `bilinear`: `layer(a, b)`.
///
/// **Shapes** `[…, inFeatures1]`, `[…, inFeatures2]` → `[…, outFeatures]`; `weight` is
/// `[outFeatures, inFeatures1, inFeatures2]`, `bias` `[outFeatures]`. Both start uniform in ±1/√inFeatures1.
/// Source: PyTorch `Bilinear`.
public final class Bilinear: Module {
  public let weight: Parameter
  public let bias: Parameter?

  public init(
    _ inFeatures1: Int, _ inFeatures2: Int, _ outFeatures: Int, bias: Bool = true, dtype: DType = .float32,
    generator: Generator = Random.generator
  ) {
    if inFeatures1 < 1 || inFeatures2 < 0 || outFeatures < 0 {
      fail(
        OpError(
          .misuse(
            "the sizes are \(inFeatures1), \(inFeatures2) and \(outFeatures)",
            rule: "sizes are 0 or more, the first 1 or more"), op: "Bilinear"))
    }
    let bound = 1 / Double(Swift.max(1, inFeatures1)).squareRoot()
    weight = Parameter(
      .uniform(
        [outFeatures, inFeatures1, inFeatures2], low: -bound, high: bound, dtype: dtype, generator: generator))
    self.bias =
      bias ? Parameter(.uniform([outFeatures], low: -bound, high: bound, dtype: dtype, generator: generator)) : nil
  }
  public var settings: String {
    let shape = weight.read()!.shape
    return "\(shape[1]), \(shape[2]), \(shape[0])" + (bias == nil ? ", bias: false" : "")
  }
  public func forward(_ input: (Tensor, Tensor)) -> Tensor {
    bilinear(input.0, input.1, weight.value, bias: bias?.value)
  }
}

/// The cosine of the angle between vectors along an axis, as in `cosineSimilarity`: `layer(a, b)`.
/// Source: PyTorch `CosineSimilarity`.
public final class CosineSimilarity: Module {
  public let axis: Int
  public let epsilon: Double
  public init(axis: Int = 1, epsilon: Double = 1e-8) { (self.axis, self.epsilon) = (axis, epsilon) }
  public func forward(_ input: (Tensor, Tensor)) -> Tensor {
    cosineSimilarity(input.0, input.1, axis: axis, epsilon: epsilon)
  }
}

/// The distance of vectors along the last axis, as in `pairwiseDistance`: `layer(a, b)`. Source: PyTorch `PairwiseDistance`.
public final class PairwiseDistance: Module {
  public let order: Double
  public let epsilon: Double
  public let keepDims: Bool
  public init(order: Double = 2, epsilon: Double = 1e-6, keepDims: Bool = false) {
    (self.order, self.epsilon, self.keepDims) = (order, epsilon, keepDims)
  }
  public func forward(_ input: (Tensor, Tensor)) -> Tensor {
    pairwiseDistance(input.0, input.1, order: order, epsilon: epsilon, keepDims: keepDims)
  }
}
