public import MartletCore

/// Axes of size 1 repeated to a larger size, and axes added in front, without a copy.
public struct Expand: ViewOp {
  public static var id: OpID { OpTable.expand.id }
  public static var name: String { "expand" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public let shape: Shape
  public init(shape: Shape) { self.shape = shape }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard x.with(shape: shape).checkedByteCount != nil else { throw OpError(.tooLarge(shape)) }
    let extra = shape.rank - x.rank
    guard extra >= 0 else { throw OpError(.notBroadcastable(to: shape)) }
    for axis in 0..<x.rank where x.shape[axis] != shape[axis + extra] && x.shape[axis] != 1 {
      throw OpError(.notBroadcastable(to: shape))
    }
    return x.with(shape: shape)
  }
  public func view(of source: borrowing ViewSource, as spec: TensorSpec) -> (strides: Shape?, offset: Int)? {
    var strides = Shape(repeating: 0, count: shape.rank)
    let extra = shape.rank - source.shape.rank
    for axis in 0..<source.shape.rank where source.shape[axis] == shape[axis + extra] {
      strides[axis + extra] = source.strides[axis]
    }
    return (strides == spec.shape.contiguousStrides ? nil : strides, source.offset)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] { [.dense(ct[0]!)] }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { $0.expanded(to: shape) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let x = inputs[0]
    var source = x.shape
    for _ in 0..<(shape.rank + 1 - x.rank) { source.insert(1, at: 1) }
    return [x.reshaped(source).expanded(to: shape.inserting(x.shape[0], at: 0))]
  }
}

extension Tensor {
  /// Broadcast to a shape, without a copy.
  public func expanded(to shape: Shape) -> Tensor {
    shape == self.shape ? self : apply(view: Expand(shape: shape), self)
  }
}
