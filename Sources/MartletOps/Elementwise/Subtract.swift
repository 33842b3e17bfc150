public import MartletCore

/// `a - b`.
public struct Subtract: ElementwiseBinary {
  public static var id: OpID { OpTable.subtract.id }
  public static var name: String { "subtract" }
  public static var domain: Domain { .numericOrComplex }
  public init() {}
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [needs[0] ? .dense(ct[0]!) : nil, needs[1] ? .dense((-ct[0]!).summed(to: saved.spec(1).shape)) : nil]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [plus(t[0], t[1].map { -$0 })?.like(outputs[0])]
  }
}
