public import MartletCore

/// `a + b`.
public struct Add: ElementwiseBinary {
  public static var id: OpID { OpTable.add.id }
  public static var name: String { "add" }
  public static var domain: Domain { .any }
  public init() {}
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [needs[0] ? .dense(ct[0]!) : nil, needs[1] ? .dense(ct[0]!) : nil]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [plus(t[0], t[1])?.like(outputs[0])]
  }
}
