public import MartletCore

/// The square root.
public struct Sqrt: ElementwiseUnary {
  public static var id: OpID { OpTable.sqrt.id }
  public static var name: String { "sqrt" }
  public static var domain: Domain { .inexact }
  public init() {}
  public func saves(needs: Positions) -> Saves { Saves(outputs: [0]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(ct[0]! * 0.5 / saved.output(0).conjugated())]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { $0 * 0.5 / outputs[0] }]
  }
}
