public import MartletCore

/// The error function `2/√π ∫₀ˣ exp(-t²) dt`.
public struct Erf: ElementwiseFunction {
  public static var id: OpID { OpTable.erf.id }
  public static var name: String { "erf" }
  public static var slopeOf: SlopeSource { .input }
  public init() {}
  public func slope(_ x: Tensor) -> Tensor { MartletOps.exp(-(x * x)) * 1.1283791670955126 }
}
