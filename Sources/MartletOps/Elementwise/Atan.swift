public import MartletCore

/// The angle in -π/2 … π/2 whose tangent is `x`.
public struct Atan: ElementwiseFunction {
  public static var id: OpID { OpTable.atan.id }
  public static var name: String { "atan" }
  public static var slopeOf: SlopeSource { .input }
  public init() {}
  public func slope(_ x: Tensor) -> Tensor { 1 / (x * x + 1) }
}
