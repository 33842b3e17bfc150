public import MartletCore

/// The logarithm to base 10.
public struct Log10: ElementwiseFunction {
  public static var id: OpID { OpTable.log10.id }
  public static var name: String { "log10" }
  public static var slopeOf: SlopeSource { .input }
  public init() {}
  public func slope(_ x: Tensor) -> Tensor { 0.4342944819032518 / x }
}
