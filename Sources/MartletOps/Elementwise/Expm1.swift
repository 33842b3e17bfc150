public import MartletCore

/// `e` to the power `x`, minus 1, precise near 0.
public struct Expm1: ElementwiseFunction {
  public static var id: OpID { OpTable.expm1.id }
  public static var name: String { "expm1" }
  public static var slopeOf: SlopeSource { .output }
  public init() {}
  public func slope(_ y: Tensor) -> Tensor { y + 1 }
}
