public import MartletCore

/// The sum over axes; bool and integers give `int64`. Floats add up in `float32` or wider.
public struct Sum: Reduction {
  public static var id: OpID { OpTable.sum.id }
  public static var name: String { "sum" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public let over: ReducedAxes
  public init(over: ReducedAxes) { self.over = over }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    TensorSpec(
      reducedShape(x.shape, axes, keepDims: keepDims), x.dtype.isInexact ? x.dtype : .int64, device: x.device)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let shape = saved.spec(0).shape
    return [.dense(restored(ct[0]!, shape).expanded(to: shape))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, $0) }]
  }
}

extension Tensor {
  /// The sum over `axes`, all by default; bool and integers give `int64`.
  public func sum(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
    guard let axes = positions(of: axes, op: Sum.name) else { return afterFailure }
    return apply(Sum(axes: axes, keepDims: keepDims), self)
  }
  /// The sum over one axis.
  public func sum(axis: Int, keepDims: Bool = false) -> Tensor { sum(axes: [axis], keepDims: keepDims) }

  /// Sums the axes along which `shape` was broadcast to this tensor's.
  package func summed(to shape: Shape) -> Tensor {
    if shape == self.shape { return self }
    var axes = Positions()
    let extra = rank - shape.rank
    for axis in 0..<rank where axis < extra || shape[axis - extra] == 1 && self.shape[axis] != 1 { axes[axis] = true }
    return apply(Sum(axes: axes, keepDims: false), self).reshaped(shape)
  }
}
