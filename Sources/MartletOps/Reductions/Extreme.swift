public import MartletCore

/// The largest or the smallest element over axes; NaN if one is NaN. Equal extreme elements share the gradient.
public protocol ExtremeReduction: Reduction {}

extension ExtremeReduction {
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard !x.dtype.isComplex else { throw OpError(.dtype(argument: 0, expected: Domain.real.rawValue)) }
    for axis in 0..<x.rank where axes[axis] && x.shape[axis] == 0 { throw OpError(.emptyReduction(axis: axis)) }
    return x.with(shape: reducedShape(x.shape, axes, keepDims: keepDims))
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0], outputs: [0]) }
  /// 1 / n at each of the n largest elements, else 0.
  private func shares(_ x: Tensor, _ y: Tensor) -> Tensor {
    let hits = (x .== restored(y, x.shape)).cast(to: x.dtype)
    return hits / apply(Sum(axes: axes, keepDims: true), hits)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let x = saved.input(0)
    return [.dense(restored(ct[0]!, x.shape) * shares(x, saved.output(0)))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(Sum(axes: axes, keepDims: keepDims), $0 * shares(inputs[0], outputs[0])) }]
  }
}
