public import MartletCore

/// `y = x; y[i, indices[i, j, k], k] += values[i, j, k]` for axis 1. Repeated indices add up.
public struct ScatterAdd: IndexingOp {
  public static var id: OpID { OpTable.scatterAdd.id }
  public static var name: String { "scatterAdd" }
  public static var argumentNames: [String] { ["x", "indices", "values"] }
  public let axis: Int
  public init(axis: Int) { self.axis = axis }
  public func takeover(output: Int) -> Int? { output == 0 ? 0 : nil }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 3 else { throw OpError(.numberOfInputs(inputs.count, expected: "3")) }
    try Indexing.checkAlong(axis, inputs[0], inputs[1])
    guard inputs[2].shape == inputs[1].shape else {
      throw OpError(.argumentShape(argument: 2, expected: "\(inputs[1].shape), as that of indices"))
    }
    guard inputs[2].dtype == inputs[0].dtype else { throw OpError(.dtypesDiffer) }
    return [inputs[0]]
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [
      needs[0] ? .dense(ct[0]!) : nil, nil,
      needs[2] ? .dense(apply(Gather(axis: axis), [ct[0]!, saved.input(1)])[0]) : nil,
    ]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    guard let values = t[2] else { return [t[0]] }
    return apply(self, [t[0] ?? Tensor(repeating: 0, inputs[0].spec), inputs[1], values])
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    apply(ScatterAdd(axis: axis + 1), allMapped(inputs, mapped))
  }
}

extension Tensor {
  /// This tensor with `values` added at `indices` along an axis; repeated indices add up.
  public func scatterAdding(axis: Int, _ indices: Tensor, _ values: Tensor) -> Tensor {
    guard let position = position(of: axis, op: ScatterAdd.name) else { return afterFailure }
    return apply(ScatterAdd(axis: position), [self, indices, values])[0]
  }
}
