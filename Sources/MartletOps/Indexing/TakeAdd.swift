public import MartletCore

/// The adjoint of `take`: `x` with slices of `values` added at indices along an axis. Repeated indices add up.
public struct TakeAdd: IndexingOp {
  public static var id: OpID { OpTable.takeAdd.id }
  public static var name: String { "takeAdd" }
  public static var argumentNames: [String] { ["x", "indices", "values"] }
  public let axis: Int
  private let code: IndexCode?
  public init(axis: Int) { self.init(axis: axis, code: nil) }
  package init(axis: Int, code: IndexCode?) {
    self.axis = axis
    self.code = code
  }
  public func fact(of code: Int) -> Fact? { self.code?.fact(code) }
  public var attributes: String { "axis=\(axis)" }
  public func takeover(output: Int) -> Int? { output == 0 ? 0 : nil }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try checkTakeWrite(axis, inputs)
    return [inputs[0]]
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [
      needs[0] ? .dense(ct[0]!) : nil, nil,
      needs[2] ? .dense(apply(Take(axis: axis), [ct[0]!, saved.input(1)])[0]) : nil,
    ]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    guard let values = t[2] else { return [t[0]] }
    return apply(self, [t[0] ?? Tensor(repeating: 0, inputs[0].spec), inputs[1], values])
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    batchedTakeWrite(axis, code, inputs, mapped) { apply(TakeAdd(axis: 0, code: $1), $0)[0] }
  }
}

func checkTakeWrite(_ axis: Int, _ inputs: [TensorSpec]) throws(OpError) {
  guard inputs.count == 3 else { throw OpError(.numberOfInputs(inputs.count, expected: "3")) }
  try Indexing.checkAxis(axis, inputs[0])
  try Indexing.checkIndices(inputs[1])
  guard inputs[0].rank - 1 + inputs[1].rank <= Shape.maxRank else {
    throw OpError(.ranksExceeded(inputs[0].rank - 1 + inputs[1].rank))
  }
  let shape = takenShape(inputs[0].shape, inputs[1].shape, axis)
  guard inputs[2].shape == shape else { throw OpError(.argumentShape(argument: 2, expected: "\(shape)")) }
  guard inputs[2].dtype == inputs[0].dtype else { throw OpError(.dtypesDiffer) }
}

/// Each example writes into its own x: the examples become part of the index.
func batchedTakeWrite(
  _ axis: Int, _ code: IndexCode?, _ inputs: [Tensor], _ mapped: [Bool], _ write: ([Tensor], IndexCode) -> Tensor
) -> [Tensor] {
  let inputs = allMapped(inputs, mapped)
  let (x, indices, values) = (inputs[0], inputs[1], inputs[2])
  let examples = x.shape[0]
  let size = x.shape[axis + 1]
  let front = x.movingAxis(axis + 1, to: 1)
  let merged = front.reshaped(Shape([examples * size] + Array(front.shape[2...])))
  let moved = movingBlock(values, from: axis + 1, count: indices.rank - 1, to: 1)
  let (flat, code) = flatIndices(indices, examples: examples, size: size, axis: axis, code)
  let written = write([merged, flat, moved], code)
  return [written.reshaped(front.shape).movingAxis(1, to: axis + 1)]
}
