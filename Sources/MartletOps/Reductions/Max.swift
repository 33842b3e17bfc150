public import MartletCore

/// The largest element over axes; NaN if one is NaN. Equal largest elements share the gradient.
public struct Max: ExtremeReduction {
  public static var id: OpID { OpTable.max.id }
  public static var name: String { "max" }
  public let over: ReducedAxes
  public init(over: ReducedAxes) { self.over = over }
}

extension Tensor {
  /// The largest element over `axes`, all by default; NaN if one is NaN.
  public func max(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
    guard let axes = positions(of: axes, op: Max.name) else { return afterFailure }
    return apply(Max(axes: axes, keepDims: keepDims), self)
  }
  /// The largest element along one axis.
  public func max(axis: Int, keepDims: Bool = false) -> Tensor { max(axes: [axis], keepDims: keepDims) }
}
