public import MartletCore

/// The hyperbolic sine.
public struct Sinh: ElementwiseFunction {
  public static var id: OpID { OpTable.sinh.id }
  public static var name: String { "sinh" }
  public static var slopeOf: SlopeSource { .input }
  public static var domain: Domain { .inexact }
  public init() {}
  public func slope(_ x: Tensor) -> Tensor { MartletOps.cosh(x) }
}
