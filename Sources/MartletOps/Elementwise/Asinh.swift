public import MartletCore

/// The inverse of the hyperbolic sine.
public struct Asinh: ElementwiseFunction {
  public static var id: OpID { OpTable.asinh.id }
  public static var name: String { "asinh" }
  public static var slopeOf: SlopeSource { .input }
  public init() {}
  public func slope(_ x: Tensor) -> Tensor { 1 / MartletOps.sqrt(x * x + 1) }
}
