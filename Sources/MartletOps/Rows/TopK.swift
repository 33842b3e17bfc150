public import MartletCore

/// The `k` largest (or smallest) elements of the last axis, in order, and their positions.
public struct TopK: Op {
  public static var id: OpID { OpTable.topK.id }
  public static var name: String { "topK" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public let k: Int
  public let largest: Bool
  public init(k: Int, largest: Bool) {
    self.k = k
    self.largest = largest
  }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 1 else { throw OpError(.numberOfInputs(inputs.count, expected: "1")) }
    let x = inputs[0]
    guard x.rank >= 1 else { throw OpError(.rank(argument: 0, expected: "1 or more")) }
    guard k >= 0, k <= x.shape[x.rank - 1] else {
      throw OpError(.count(name: "k", k, allowed: "0 … \(x.shape[x.rank - 1]), the size of the axis"))
    }
    guard Domain.numeric.contains(x.dtype) else {
      throw OpError(.dtype(argument: 0, expected: Domain.numeric.rawValue))
    }
    var shape = x.shape
    shape[x.rank - 1] = k
    return [x.with(shape: shape), TensorSpec(shape, .int64, device: x.device)]
  }
  public var outputCount: Int { 2 }
  public func saves(needs: Positions) -> Saves { Saves(outputs: [1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    guard let ct = ct[0] else { return [nil] }
    let zeros = Tensor(repeating: 0, saved.spec(0))
    return [.dense(zeros.scatterAdding(axis: -1, saved.output(1), ct))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { $0.gather(axis: -1, outputs[1]) }, nil]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { apply(self, inputs) }
}

extension Tensor {
  /// The `k` largest (or smallest) elements along an axis, in order, and their positions (`int64`).
  ///
  /// Of equal elements the one at the lower position comes first; NaN counts as the largest.
  public func topK(_ k: Int, axis: Int = -1, largest: Bool = true) -> (values: Tensor, indices: Tensor) {
    guard let position = position(of: axis, op: TopK.name) else { return (afterFailure, afterFailure) }
    let last = position == rank - 1
    let results = apply(TopK(k: k, largest: largest), [last ? self : movingAxis(position, to: -1)])
    if last { return (results[0], results[1]) }
    return (results[0].movingAxis(-1, to: position), results[1].movingAxis(-1, to: position))
  }
}
