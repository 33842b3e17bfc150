public import MartletCore

/// The position of the largest element along an axis: the first of equal ones; of a NaN if there is one.
public struct ArgMax: UnaryOp {
  public static var id: OpID { OpTable.argMax.id }
  public static var name: String { "argMax" }
  public static var rules: Rules { [.constant, .batched] }
  public let axis: Int
  public let keepDims: Bool
  public init(axis: Int, keepDims: Bool) {
    self.axis = axis
    self.keepDims = keepDims
  }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard axis >= 0, axis < x.rank else { throw OpError(.axis(axis, rank: x.rank)) }
    guard x.shape[axis] > 0 else { throw OpError(.emptyReduction(axis: axis)) }
    return TensorSpec(reducedShape(x.shape, [axis], keepDims: keepDims), .int64, device: x.device)
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    [apply(ArgMax(axis: axis + 1, keepDims: keepDims), inputs[0])]
  }
}

extension Tensor {
  /// The position (`int64`) of the largest element along an axis, or in row-major order over all axes.
  public func argMax(axis: Int? = nil, keepDims: Bool = false) -> Tensor {
    guard let axis else { return apply(ArgMax(axis: 0, keepDims: false), reshaped([count])) }
    guard let position = position(of: axis, op: ArgMax.name) else { return afterFailure }
    return apply(ArgMax(axis: position, keepDims: keepDims), self)
  }
}
