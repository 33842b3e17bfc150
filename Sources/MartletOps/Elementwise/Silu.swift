public import MartletCore

/// `x · sigmoid(x)`.
public struct Silu: ElementwiseFunction {
  public static var id: OpID { OpTable.silu.id }
  public static var name: String { "silu" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public init() {}
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? { [inputs[0] * MartletOps.sigmoid(inputs[0])] }
  public func slope(_ x: Tensor) -> Tensor {
    let s = MartletOps.sigmoid(x)
    return s * (x * (1 - s) + 1)
  }
}
