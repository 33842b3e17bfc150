public import MartletCore

/// The smallest element over axes; NaN if one is NaN. Equal smallest elements share the gradient.
public struct Min: ExtremeReduction {
  public static var id: OpID { OpTable.min.id }
  public static var name: String { "min" }
  public let over: ReducedAxes
  public init(over: ReducedAxes) { self.over = over }
}

extension Tensor {
  /// The smallest element over `axes`, all by default; NaN if one is NaN.
  public func min(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
    guard let axes = positions(of: axes, op: Min.name) else { return afterFailure }
    return apply(Min(axes: axes, keepDims: keepDims), self)
  }
  /// The smallest element along one axis.
  public func min(axis: Int, keepDims: Bool = false) -> Tensor { min(axes: [axis], keepDims: keepDims) }
}
