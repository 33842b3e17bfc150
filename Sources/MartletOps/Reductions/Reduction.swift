public import MartletCore

/// What a reduction runs over.
public struct ReducedAxes: Sendable, Hashable, Codable {
  /// The reduced axes.
  public let axes: Positions
  /// Whether reduced axes stay, with size 1.
  public let keepDims: Bool
  public init(axes: Positions, keepDims: Bool) {
    self.axes = axes
    self.keepDims = keepDims
  }
}

/// A reduction over some axes.
public protocol Reduction: UnaryOp {
  var over: ReducedAxes { get }
  init(over: ReducedAxes)
}

extension Reduction {
  public init(axes: Positions, keepDims: Bool) { self.init(over: ReducedAxes(axes: axes, keepDims: keepDims)) }
  public var axes: Positions { over.axes }
  public var keepDims: Bool { over.keepDims }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    [apply(Self(axes: Positions(bits: axes.bits << 1), keepDims: keepDims), inputs[0])]
  }
  public var attributes: String {
    "axes=\((0..<Shape.maxRank).filter { axes[$0] })" + (keepDims ? ", keepDims" : "")
  }
  /// A reduced tensor with its axes of size 1 put back.
  package func restored(_ x: Tensor, _ shape: Shape) -> Tensor {
    if keepDims { return x }
    var kept = shape
    for axis in 0..<shape.rank where axes[axis] { kept[axis] = 1 }
    return x.reshaped(kept)
  }
}

/// The shape that a reduction leaves.
package func reducedShape(_ shape: Shape, _ axes: Positions, keepDims: Bool) -> Shape {
  var result = Shape()
  for axis in 0..<shape.rank {
    if !axes[axis] { result.append(shape[axis]) } else if keepDims { result.append(1) }
  }
  return result
}

extension Tensor {
  /// Axes as positions, counted from the end when negative; all when nil. Nil after an error.
  package func positions(of axes: [Int]?, op: String) -> Positions? {
    guard let axes else { return .first(rank) }
    var result = Positions()
    for axis in axes {
      let position = axis < 0 ? axis + rank : axis
      guard position >= 0, position < rank else {
        _ = failure(.axis(axis, rank: rank), op: op, [self])
        return nil
      }
      guard !result[position] else {
        _ = failure(.repeatedAxis(axis), op: op, [self])
        return nil
      }
      result[position] = true
    }
    return result
  }

  /// One axis as a position; nil after an error.
  package func position(of axis: Int, op: String) -> Int? {
    let position = axis < 0 ? axis + rank : axis
    guard position >= 0, position < rank else {
      _ = failure(.axis(axis, rank: rank), op: op, [self])
      return nil
    }
    return position
  }

  /// What functions return after a failure that was reported already.
  package var afterFailure: Tensor { failure(.message("an earlier error"), op: "", [self]) }
}
