public import MartletCore

/// The hyperbolic cosine.
public struct Cosh: ElementwiseFunction {
  public static var id: OpID { OpTable.cosh.id }
  public static var name: String { "cosh" }
  public static var slopeOf: SlopeSource { .input }
  public static var domain: Domain { .inexact }
  public init() {}
  public func slope(_ x: Tensor) -> Tensor { MartletOps.sinh(x) }
}
