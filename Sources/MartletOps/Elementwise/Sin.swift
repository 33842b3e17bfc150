public import MartletCore

/// The sine of an angle in radians.
public struct Sin: ElementwiseUnary {
  public static var id: OpID { OpTable.sin.id }
  public static var name: String { "sin" }
  public static var domain: Domain { .inexact }
  public init() {}
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(ct[0]! * MartletOps.cos(saved.input(0).conjugated()))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { $0 * MartletOps.cos(inputs[0]) }]
  }
}
