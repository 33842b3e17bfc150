public import MartletCore

/// The hyperbolic tangent.
public struct Tanh: ElementwiseUnary {
  public static var id: OpID { OpTable.tanh.id }
  public static var name: String { "tanh" }
  public static var domain: Domain { .inexact }
  public init() {}
  public func saves(needs: Positions) -> Saves { Saves(outputs: [0]) }
  private func slope(_ y: Tensor) -> Tensor { 1 - y * y }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(ct[0]! * slope(saved.output(0).conjugated()))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { $0 * slope(outputs[0]) }]
  }
}
