public import MartletCore

/// The natural logarithm of `1 + x`, precise near 0.
public struct Log1p: ElementwiseFunction {
  public static var id: OpID { OpTable.log1p.id }
  public static var name: String { "log1p" }
  public static var slopeOf: SlopeSource { .input }
  public init() {}
  public func slope(_ x: Tensor) -> Tensor { 1 / (x + 1) }
}
