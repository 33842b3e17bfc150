public import MartletCore

/// `a - b · ⌊a / b⌋`: the remainder with the sign of the divisor, as Python's `%`. An integer by 0 gives 0, a float NaN.
public struct Remainder: ElementwiseBinary {
  public static var id: OpID { OpTable.remainder.id }
  public static var name: String { "remainder" }
  public static var domain: Domain { .numeric }
  public init() {}
  public func saves(needs: Positions) -> Saves { needs[1] ? Saves(inputs: [0, 1]) : .nothing }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [
      needs[0] ? .dense(ct[0]!) : nil,
      needs[1] ? .dense(-(ct[0]! * apply(FloorDivide(), saved.input(0), saved.input(1)))) : nil,
    ]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [plus(t[0], t[1].map { -($0 * apply(FloorDivide(), inputs[0], inputs[1])) })?.like(outputs[0])]
  }
}
