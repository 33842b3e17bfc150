public import MartletCore

/// The inverse of the hyperbolic tangent; NaN outside of -1 … 1.
public struct Atanh: ElementwiseFunction {
  public static var id: OpID { OpTable.atanh.id }
  public static var name: String { "atanh" }
  public static var slopeOf: SlopeSource { .input }
  public init() {}
  public func slope(_ x: Tensor) -> Tensor { 1 / ((1 - x) * (1 + x)) }
}
