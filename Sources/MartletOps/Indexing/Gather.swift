public import MartletCore

/// What the rules of indexing operations share.
enum Indexing {
  static func checkIndices(_ spec: TensorSpec, argument: Int = 1) throws(OpError) {
    guard spec.dtype == .int64 || spec.dtype == .int32 else {
      throw OpError(.dtype(argument: argument, expected: "int64 or int32"))
    }
  }
  static func checkAxis(_ axis: Int, _ x: TensorSpec) throws(OpError) {
    guard axis >= 0, axis < x.rank else { throw OpError(.axis(axis, rank: x.rank)) }
  }
  /// `indices` must have `x`'s rank and, along other axes than `axis`, at most its sizes.
  static func checkAlong(_ axis: Int, _ x: TensorSpec, _ indices: TensorSpec) throws(OpError) {
    try checkAxis(axis, x)
    try checkIndices(indices)
    guard indices.rank == x.rank else { throw OpError(.rank(argument: 1, expected: "\(x.rank), as that of x")) }
    for other in 0..<x.rank where other != axis && indices.shape[other] != x.shape[other] {
      throw OpError(.argumentShape(argument: 1, expected: "\(x.shape) except along axis \(axis)"))
    }
  }
}

/// `y[i, j, k] = x[i, indices[i, j, k], k]` for axis 1: one element for each index.
public struct Gather: IndexingOp {
  public static var id: OpID { OpTable.gather.id }
  public static var name: String { "gather" }
  public static var argumentNames: [String] { ["x", "indices"] }
  public let axis: Int
  public init(axis: Int) { self.axis = axis }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 2 else { throw OpError(.numberOfInputs(inputs.count, expected: "2")) }
    try Indexing.checkAlong(axis, inputs[0], inputs[1])
    return [inputs[0].with(shape: inputs[1].shape)]
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let zeros = Tensor(repeating: 0, saved.spec(0))
    return [.dense(apply(ScatterAdd(axis: axis), [zeros, saved.input(1), ct[0]!])[0]), nil]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, [$0, inputs[1]])[0] }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    apply(Gather(axis: axis + 1), allMapped(inputs, mapped))
  }
}

extension Tensor {
  /// One element for each index along an axis: `y[i, j] = self[i, indices[i, j]]` for axis 1.
  ///
  /// `indices` is integer, of this tensor's rank and of its sizes but along `axis`. An index out of range is an error.
  public func gather(axis: Int, _ indices: Tensor) -> Tensor {
    guard let position = position(of: axis, op: Gather.name) else { return afterFailure }
    return apply(Gather(axis: position), [self, indices])[0]
  }
}
