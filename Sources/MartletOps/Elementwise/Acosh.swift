public import MartletCore

/// The inverse of the hyperbolic cosine; NaN below 1.
public struct Acosh: ElementwiseFunction {
  public static var id: OpID { OpTable.acosh.id }
  public static var name: String { "acosh" }
  public static var slopeOf: SlopeSource { .input }
  public init() {}
  public func slope(_ x: Tensor) -> Tensor { 1 / MartletOps.sqrt((x - 1) * (x + 1)) }
}
