public import MartletCore

/// `x` with slices replaced by those of `values` at indices along an axis; of repeated indices the last counts.
public struct TakeUpdate: IndexingOp {
  public static var id: OpID { OpTable.takeUpdate.id }
  public static var name: String { "takeUpdate" }
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
  /// For each slice the number of the write that stays there, to tell writes that a later one covers.
  private func survivors(_ indices: Tensor, _ shape: Shape, _ dtype: DType) -> Tensor {
    let numbers = Tensor(Array(0..<indices.count)).to(indices.device).reshaped(indices.shape)
    let table = Tensor(repeating: -1, TensorSpec([shape[axis]], .int64, device: indices.device))
    let last = apply(TakeUpdate(axis: 0), [table, indices, numbers])[0]
    let stays = (apply(Take(axis: 0), [last, indices])[0] .== numbers).cast(to: dtype)
    var aligned = stays.shape
    for _ in 0..<(shape.rank - 1 - axis) { aligned.append(1) }
    return stays.reshaped(aligned)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let indices = saved.input(1)
    let ct = ct[0]!
    let zeros = Tensor(repeating: 0, ct.spec.with(shape: takenShape(ct.shape, indices.shape, axis)))
    return [
      needs[0] ? .dense(apply(self, [ct, indices, zeros])[0]) : nil, nil,
      needs[2]
        ? .dense(apply(Take(axis: axis), [ct, indices])[0] * survivors(indices, ct.shape, ct.dtype)) : nil,
    ]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    guard t[0] != nil || t[2] != nil else { return [nil] }
    return apply(
      self,
      [t[0] ?? Tensor(repeating: 0, inputs[0].spec), inputs[1], t[2] ?? Tensor(repeating: 0, inputs[2].spec)])
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    batchedTakeWrite(axis, code, inputs, mapped) { apply(TakeUpdate(axis: 0, code: $1), $0)[0] }
  }
}
