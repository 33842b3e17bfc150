public import MartletCore

/// The same elements in row-major order under another shape.
public struct Reshape: ViewOp {
  public static var id: OpID { OpTable.reshape.id }
  public static var name: String { "reshape" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public let shape: Shape
  public init(shape: Shape) { self.shape = shape }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    for size in shape where size < 0 { throw OpError(.negativeSize(shape)) }
    guard let count = shape.checkedElementCount, count == x.count else { throw OpError(.reshape(to: shape)) }
    return x.with(shape: shape)
  }
  public func view(of source: borrowing ViewSource, as spec: TensorSpec) -> (strides: Shape?, offset: Int)? {
    if source.isContiguous { return (nil, source.offset) }
    // Each run of new axes must cover a run of old axes that are contiguous among themselves.
    var strides = shape
    var old = source.shape.rank - 1
    var new = shape.rank - 1
    while new >= 0 {
      while old >= 0, source.shape[old] == 1 { old -= 1 }
      if shape[new] == 1 {
        strides[new] = 1
        new -= 1
        continue
      }
      guard old >= 0 else { return nil }
      var oldSize = source.shape[old]
      let base = source.strides[old]
      var newSize = 1
      var step = base
      while new >= 0, newSize < oldSize || shape[new] == 1 {
        strides[new] = step
        step *= shape[new]
        newSize *= shape[new]
        new -= 1
        while newSize > oldSize, old > 0 {
          old -= 1
          if source.shape[old] == 1 { continue }
          guard source.strides[old] == base * oldSize else { return nil }
          oldSize *= source.shape[old]
        }
      }
      guard newSize == oldSize else { return nil }
      old -= 1
    }
    return (strides, source.offset)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(ct[0]!.reshaped(saved.spec(0).shape))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { $0.reshaped(shape) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    [inputs[0].reshaped(shape.inserting(inputs[0].shape[0], at: 0))]
  }
}

extension Tensor {
  /// The same elements in row-major order under another shape; one size may be -1 and is then derived.
  public func reshaped(_ shape: Shape) -> Tensor {
    if shape == self.shape { return self }
    var shape = shape
    let unknown = shape.filter { $0 == -1 }.count
    if unknown > 0 {
      let known = shape.reduce(1) { $1 == -1 ? $0 : $0 &* $1 }
      guard unknown == 1, known > 0, count % known == 0 else {
        return failure(unknown == 1 ? .reshape(to: shape) : .unknownSize(to: shape), op: Reshape.name, [self])
      }
      for axis in 0..<shape.rank where shape[axis] == -1 { shape[axis] = count / known }
    }
    return apply(view: Reshape(shape: shape), self)
  }
  /// The same elements in row-major order under another shape.
  public func reshaped(_ sizes: Int...) -> Tensor { reshaped(Shape(sizes)) }

  /// The axes from `start` to `end` (inclusive) merged into one.
  public func flattened(from start: Int = 0, to end: Int = -1) -> Tensor {
    if rank == 0 { return reshaped([1]) }
    guard let first = position(of: start, op: "flattened"), let last = position(of: end, op: "flattened") else {
      return afterFailure
    }
    guard first <= last else { return failure(.axis(end, rank: rank), op: "flattened", [self]) }
    let merged = (first...last).reduce(1) { $0 * shape[$1] }
    return reshaped(Shape(Array(shape[..<first]) + [merged] + Array(shape[(last + 1)...])))
  }

  /// A new axis of size 1 before `axis` (counted from the end when negative: -1 is a new last axis).
  public func expandedDims(axis: Int) -> Tensor {
    let position = axis < 0 ? axis + rank + 1 : axis
    guard position >= 0, position <= rank else {
      return failure(.axis(axis, rank: rank + 1), op: "expandedDims", [self])
    }
    guard rank < Shape.maxRank else { return failure(.ranksExceeded(rank + 1), op: "expandedDims", [self]) }
    return reshaped(shape.inserting(1, at: position))
  }

  /// Without an axis of size 1, or without all such axes.
  public func squeezed(axis: Int? = nil) -> Tensor {
    guard let axis else { return reshaped(Shape(shape.filter { $0 != 1 })) }
    guard let position = position(of: axis, op: "squeezed") else { return afterFailure }
    return shape[position] == 1 ? reshaped(shape.removing(at: position)) : self
  }
}
