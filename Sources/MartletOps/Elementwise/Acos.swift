public import MartletCore

/// The angle in 0 … π whose cosine is `x`; NaN outside of -1 … 1.
public struct Acos: ElementwiseFunction {
  public static var id: OpID { OpTable.acos.id }
  public static var name: String { "acos" }
  public static var slopeOf: SlopeSource { .input }
  public init() {}
  public func slope(_ x: Tensor) -> Tensor { -1 / MartletOps.sqrt((1 - x) * (1 + x)) }
}
