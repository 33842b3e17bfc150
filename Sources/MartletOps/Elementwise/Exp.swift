public import MartletCore

/// `e` to the power `x`.
public struct Exp: ElementwiseUnary {
  public static var id: OpID { OpTable.exp.id }
  public static var name: String { "exp" }
  public static var domain: Domain { .inexact }
  public init() {}
  public func saves(needs: Positions) -> Saves { Saves(outputs: [0]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(ct[0]! * saved.output(0).conjugated())]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { $0 * outputs[0] }]
  }
}
