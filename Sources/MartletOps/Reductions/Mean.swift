public import MartletCore

/// The arithmetic mean over axes of a floating or complex tensor; NaN when there is nothing to average.
public struct Mean: Reduction {
  public static var id: OpID { OpTable.mean.id }
  public static var name: String { "mean" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public let over: ReducedAxes
  public init(over: ReducedAxes) { self.over = over }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard x.dtype.isInexact else { throw OpError(.dtype(argument: 0, expected: Domain.inexact.rawValue)) }
    return x.with(shape: reducedShape(x.shape, axes, keepDims: keepDims))
  }
  private func number(_ shape: Shape) -> Double {
    (0..<shape.rank).filter { axes[$0] }.reduce(1.0) { $0 * Double(shape[$1]) }
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    [apply(Sum(axes: axes, keepDims: keepDims), inputs[0]) / number(inputs[0].shape)]
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let shape = saved.spec(0).shape
    return [.dense((restored(ct[0]!, shape) / number(shape)).expanded(to: shape))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, $0) }]
  }
}

extension Tensor {
  /// The mean over `axes`, all by default; integers give `float32`.
  public func mean(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
    guard let axes = positions(of: axes, op: Mean.name) else { return afterFailure }
    return apply(Mean(axes: axes, keepDims: keepDims), dtype.isInexact ? self : cast(to: .float32))
  }
  /// The mean over one axis.
  public func mean(axis: Int, keepDims: Bool = false) -> Tensor { mean(axes: [axis], keepDims: keepDims) }
}
