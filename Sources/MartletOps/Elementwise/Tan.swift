public import MartletCore

/// The tangent of an angle in radians.
public struct Tan: ElementwiseFunction {
  public static var id: OpID { OpTable.tan.id }
  public static var name: String { "tan" }
  public static var slopeOf: SlopeSource { .output }
  public static var domain: Domain { .inexact }
  public init() {}
  public func slope(_ y: Tensor) -> Tensor { y * y + 1 }
}
