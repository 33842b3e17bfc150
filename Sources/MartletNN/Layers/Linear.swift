public import MartletCore
public import MartletOps

/// `x · weightᵀ + bias`.
///
/// **Shapes** `[…, inFeatures]` → `[…, outFeatures]`; `weight` is `[outFeatures, inFeatures]`, `bias` `[outFeatures]`.
/// Both start uniform in ±1/√inFeatures. Source: PyTorch `Linear`.
public final class Linear: Module {
  public let weight: Parameter
  public let bias: Parameter?

  public init(
    _ inFeatures: Int, _ outFeatures: Int, bias: Bool = true, dtype: DType = .float32,
    generator: Generator = Random.generator
  ) {
    if inFeatures < 0 || outFeatures < 0 {
      fail(
        OpError(.misuse("the sizes are \(inFeatures) and \(outFeatures)", rule: "sizes are 0 or more"), op: "Linear"))
    }
    let bound = inFeatures > 0 ? 1 / Double(inFeatures).squareRoot() : 0
    weight = Parameter(
      .uniform([outFeatures, inFeatures], low: -bound, high: bound, dtype: dtype, generator: generator))
    self.bias =
      bias ? Parameter(.uniform([outFeatures], low: -bound, high: bound, dtype: dtype, generator: generator)) : nil
  }

  public var settings: String {
    let shape = weight.read()!.shape
    return "inFeatures: \(shape[1]), outFeatures: \(shape[0])" + (bias == nil ? ", bias: false" : "")
  }

  public func forward(_ x: Tensor) -> Tensor {
    let weight = weight.value
    guard x.rank > 0, x.shape[x.rank - 1] == weight.shape[1] else {
      return misfit(x, layer: "Linear", features: weight.shape[1], to: weight.shape[0])
    }
    let product = matmul(x, weight.transposed())
    guard let bias else { return product }
    return product + (Autocast.isOn ? bias.value.cast(to: product.dtype) : bias.value)
  }
}
