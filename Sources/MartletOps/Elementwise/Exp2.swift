public import MartletCore

/// 2 to the power `x`.
public struct Exp2: ElementwiseFunction {
  public static var id: OpID { OpTable.exp2.id }
  public static var name: String { "exp2" }
  public static var slopeOf: SlopeSource { .output }
  public init() {}
  public func slope(_ y: Tensor) -> Tensor { y * 0.6931471805599453 }
}
