public import MartletCore

/// Whole slices at indices along an axis: the axis is replaced by the axes of `indices`.
public struct Take: IndexingOp {
  public static var id: OpID { OpTable.take.id }
  public static var name: String { "take" }
  public static var argumentNames: [String] { ["x", "indices"] }
  public let axis: Int
  private let code: IndexCode?
  public init(axis: Int) { self.init(axis: axis, code: nil) }
  package init(axis: Int, code: IndexCode?) {
    self.axis = axis
    self.code = code
  }
  public func fact(of code: Int) -> Fact? { self.code?.fact(code) }
  public var attributes: String { "axis=\(axis)" }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 2 else { throw OpError(.numberOfInputs(inputs.count, expected: "2")) }
    try Indexing.checkAxis(axis, inputs[0])
    try Indexing.checkIndices(inputs[1])
    guard inputs[0].rank - 1 + inputs[1].rank <= Shape.maxRank else {
      throw OpError(.ranksExceeded(inputs[0].rank - 1 + inputs[1].rank))
    }
    return [inputs[0].with(shape: takenShape(inputs[0].shape, inputs[1].shape, axis))]
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.rows(ct[0]!, indices: saved.input(1), axis: axis), nil]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, [$0, inputs[1]])[0] }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let (x, indices) = (inputs[0], inputs[1])
    if !mapped[1] { return apply(Take(axis: axis + 1, code: code), inputs) }
    if !mapped[0] {
      return [apply(self, inputs)[0].movingAxis(axis, to: 0)]
    }
    // Each example takes from its own x: the examples become part of the index.
    let size = x.shape[axis + 1]
    let examples = x.shape[0]
    let front = x.movingAxis(axis + 1, to: 1)
    let merged = front.reshaped(Shape([examples * size] + Array(front.shape[2...])))
    let (flat, code) = flatIndices(indices, examples: examples, size: size, axis: axis, code)
    let taken = apply(Take(axis: 0, code: code), [merged, flat])[0]
    return [movingBlock(taken, from: 1, count: indices.rank - 1, to: axis + 1)]
  }
}

/// Indices into examples laid one behind the other. An index out of range becomes a code, if it is none yet.
func flatIndices(_ indices: Tensor, examples: Int, size: Int, axis: Int, _ code: IndexCode?) -> (Tensor, IndexCode) {
  var shape = Shape(repeating: 1, count: indices.rank)
  shape[0] = examples
  let starts = (Tensor(Array(0..<examples)) * size).to(indices.device).reshaped(shape)
  let wide = indices.cast(to: .int64)
  let inside = (wide .>= 0) .& (wide .< size)
  if let code { return (select(inside, wide + starts, wide), code) }
  let code = IndexCode(axes: [axis], sizes: [size])
  return (select(inside, wide + starts, code.code(0, wide)), code)
}

/// `count` axes from `from` moved as a block to `to`.
func movingBlock(_ x: Tensor, from: Int, count: Int, to: Int) -> Tensor {
  var order = Array(0..<x.rank)
  let block = Array(order[from..<(from + count)])
  order.removeSubrange(from..<(from + count))
  order.insert(contentsOf: block, at: to)
  return x.permuted(order)
}

func takenShape(_ x: Shape, _ indices: Shape, _ axis: Int) -> Shape {
  Shape(Array(x[..<axis]) + Array(indices) + Array(x[(axis + 1)...]))
}

extension Tensor {
  /// Whole slices at integer indices along an axis, which is replaced by the axes of `indices`.
  ///
  /// `x.take(axis: 0, i)` of a table `[rows, D]` at indices `[B, T]` is `[B, T, D]`. An index out of range is an error.
  public func take(axis: Int = 0, _ indices: Tensor) -> Tensor {
    guard let position = position(of: axis, op: Take.name) else { return afterFailure }
    return apply(Take(axis: position), [self, indices])[0]
  }
}
