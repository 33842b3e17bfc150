public import MartletCore

/// `a * b`.
public struct Multiply: ElementwiseBinary {
  public static var id: OpID { OpTable.multiply.id }
  public static var name: String { "multiply" }
  public static var domain: Domain { .any }
  public init() {}
  public func saves(needs: Positions) -> Saves {
    var inputs = Positions()
    if needs[0] { inputs[1] = true }
    if needs[1] { inputs[0] = true }
    return Saves(inputs: inputs)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [
      needs[0] ? .dense(ct[0]! * saved.input(1).conjugated()) : nil,
      needs[1] ? .dense(ct[0]! * saved.input(0).conjugated()) : nil,
    ]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [plus(t[0].map { $0 * inputs[1] }, t[1].map { inputs[0] * $0 })?.like(outputs[0])]
  }
}
