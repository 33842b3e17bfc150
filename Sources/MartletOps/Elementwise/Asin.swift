public import MartletCore

/// The angle in -π/2 … π/2 whose sine is `x`; NaN outside of -1 … 1.
public struct Asin: ElementwiseFunction {
  public static var id: OpID { OpTable.asin.id }
  public static var name: String { "asin" }
  public static var slopeOf: SlopeSource { .input }
  public init() {}
  public func slope(_ x: Tensor) -> Tensor { 1 / MartletOps.sqrt((1 - x) * (1 + x)) }
}
