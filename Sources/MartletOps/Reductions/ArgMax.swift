public import MartletCore

/// The position of the largest or smallest element along an axis: the first of equal ones; of a NaN if there is one.
public struct ArgMax: UnaryOp {
  public static var id: OpID { OpTable.argMax.id }
  public static var name: String { "argMax" }
  public static var rules: Rules { [.constant, .batched] }
  public let axis: Int
  public let keepDims: Bool
  public let largest: Bool
  public init(axis: Int, keepDims: Bool, largest: Bool = true) {
    self.axis = axis
    self.keepDims = keepDims
    self.largest = largest
  }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard axis >= 0, axis < x.rank else { throw OpError(.axis(axis, rank: x.rank)) }
    guard !x.dtype.isComplex else { throw OpError(.dtype(argument: 0, expected: Domain.real.rawValue)) }
    guard x.shape[axis] > 0 else { throw OpError(.emptyReduction(axis: axis)) }
    return TensorSpec(reducedShape(x.shape, [axis], keepDims: keepDims), .int64, device: x.device)
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    [apply(ArgMax(axis: axis + 1, keepDims: keepDims, largest: largest), inputs[0])]
  }
}

extension Tensor {
  /// The position (`int64`) of the largest element along an axis, or in row-major order over all axes.
  public func argMax(axis: Int? = nil, keepDims: Bool = false) -> Tensor { extreme(axis, keepDims, largest: true) }
  /// The position (`int64`) of the smallest element along an axis, or in row-major order over all axes.
  public func argMin(axis: Int? = nil, keepDims: Bool = false) -> Tensor { extreme(axis, keepDims, largest: false) }

  private func extreme(_ axis: Int?, _ keepDims: Bool, largest: Bool) -> Tensor {
    guard let axis else { return apply(ArgMax(axis: 0, keepDims: false, largest: largest), reshaped([count])) }
    guard let position = position(of: axis, op: largest ? ArgMax.name : "argMin") else { return afterFailure }
    return apply(ArgMax(axis: position, keepDims: keepDims, largest: largest), self)
  }
}
