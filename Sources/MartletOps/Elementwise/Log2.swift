public import MartletCore

/// The logarithm to base 2.
public struct Log2: ElementwiseFunction {
  public static var id: OpID { OpTable.log2.id }
  public static var name: String { "log2" }
  public static var slopeOf: SlopeSource { .input }
  public init() {}
  public func slope(_ x: Tensor) -> Tensor { 1.4426950408889634 / x }
}
