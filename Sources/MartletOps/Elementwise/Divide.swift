public import MartletCore

/// `a / b` of floating or complex tensors.
public struct Divide: ElementwiseBinary {
  public static var id: OpID { OpTable.divide.id }
  public static var name: String { "divide" }
  public static var domain: Domain { .inexact }
  public init() {}
  public func saves(needs: Positions) -> Saves { Saves(inputs: [1], outputs: needs[1] ? [0] : []) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let quotient = ct[0]! / saved.input(1).conjugated()
    return [needs[0] ? .dense(quotient) : nil, needs[1] ? .dense(-(quotient * saved.output(0).conjugated())) : nil]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [plus(t[0].map { $0 / inputs[1] }, t[1].map { -(outputs[0] * $0 / inputs[1]) })?.like(outputs[0])]
  }
}
