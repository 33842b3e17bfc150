public import MartletCore

/// The axes in another order, without a copy.
public struct Permute: ViewOp {
  public static var id: OpID { OpTable.permute.id }
  public static var name: String { "permute" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  /// Axis `i` of the result is axis `order[i]` of the input.
  public let order: Shape
  public init(order: Shape) { self.order = order }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard order.rank == x.rank else { throw OpError(.permutation(Array(order), rank: x.rank)) }
    var seen = Positions()
    var shape = x.shape
    for position in 0..<order.rank {
      let axis = order[position]
      guard axis >= 0, axis < x.rank, !seen[axis] else { throw OpError(.permutation(Array(order), rank: x.rank)) }
      seen[axis] = true
      shape[position] = x.shape[axis]
    }
    return x.with(shape: shape)
  }
  public func view(of source: borrowing ViewSource, as spec: TensorSpec) -> (strides: Shape?, offset: Int)? {
    var strides = order
    for axis in 0..<order.rank { strides[axis] = source.strides[order[axis]] }
    return (strides == spec.shape.contiguousStrides ? nil : strides, source.offset)
  }
  private var inverse: Permute {
    var inverse = order
    for axis in 0..<order.rank { inverse[order[axis]] = axis }
    return Permute(order: inverse)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(apply(view: inverse, ct[0]!))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(view: self, $0) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    [apply(view: Permute(order: Shape([0] + order.map { $0 + 1 })), inputs[0])]
  }
}

extension Tensor {
  /// The axes in another order: axis `i` of the result is axis `order[i]`.
  public func permuted(_ order: Int...) -> Tensor { permuted(order) }
  /// The axes in another order: axis `i` of the result is axis `order[i]`.
  public func permuted(_ order: [Int]) -> Tensor {
    guard order.count == rank else { return failure(.permutation(order, rank: rank), op: Permute.name, [self]) }
    return apply(view: Permute(order: Shape(order.map { $0 < 0 ? $0 + rank : $0 })), self)
  }
  /// Two axes exchanged; the last two by default.
  public func transposed(_ a: Int = -2, _ b: Int = -1) -> Tensor {
    guard let first = position(of: a, op: "transposed"), let second = position(of: b, op: "transposed") else {
      return afterFailure
    }
    var order = Shape()
    for axis in 0..<rank { order.append(axis) }
    order[first] = second
    order[second] = first
    return apply(view: Permute(order: order), self)
  }
  /// One axis moved to another place, the others in their order.
  public func movingAxis(_ source: Int, to destination: Int) -> Tensor {
    guard let from = position(of: source, op: "movingAxis"), let to = position(of: destination, op: "movingAxis") else {
      return afterFailure
    }
    if from == to { return self }
    var order = Array(0..<rank)
    order.remove(at: from)
    order.insert(from, at: to)
    return apply(view: Permute(order: Shape(order)), self)
  }
}
