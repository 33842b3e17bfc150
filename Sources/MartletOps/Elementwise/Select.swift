public import MartletCore

/// `a` where the condition holds, else `b`.
public struct Select: Elementwise {
  public static var id: OpID { OpTable.select.id }
  public static var name: String { "select" }
  public static var keepsOrder: Bool { true }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public static var argumentNames: [String] { ["condition", "a", "b"] }
  public init() {}
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 3 else { throw OpError(.numberOfInputs(inputs.count, expected: "3")) }
    let (condition, a, b) = (inputs[0], inputs[1], inputs[2])
    guard condition.dtype == .bool else { throw OpError(.dtype(argument: 0, expected: "bool")) }
    guard a.dtype == b.dtype else { throw OpError(.dtypesDiffer) }
    guard let both = a.shape.broadcast(with: b.shape), let shape = both.broadcast(with: condition.shape) else {
      throw OpError(.broadcast)
    }
    return [a.with(shape: shape)]
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let condition = saved.input(0)
    let zero = ct[0]!.zeroScalar
    return [
      nil, needs[1] ? .dense(select(condition, ct[0]!, zero)) : nil,
      needs[2] ? .dense(select(condition, zero, ct[0]!)) : nil,
    ]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    guard t[1] != nil || t[2] != nil else { return [nil] }
    let zero = (t[1] ?? t[2]!).zeroScalar
    return [select(inputs[0], t[1] ?? zero, t[2] ?? zero).like(outputs[0])]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { apply(self, aligned(inputs, mapped)) }
}
