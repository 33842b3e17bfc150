/// In which order results lie in memory.
///
/// What is computed element by element from a transposed or channels-last tensor lies like it, so that nothing is copied
/// on the way; other results are in row-major order.
package enum Order {
  /// The strides of a result of `shape` whose axes follow each other as those of `node` do, without its gaps: nil for
  /// row-major order, and when `node` repeats or reverses elements or has another number of axes.
  @inline(never)
  package static func strides(of shape: Shape, like node: TensorNode) -> Shape? {
    guard let given = node.strides, node.spec.shape.rank == shape.rank else { return nil }
    for axis in 0..<shape.rank where given[axis] <= 0 && node.spec.shape[axis] != 1 { return nil }
    let axes = (0..<shape.rank).sorted { given[$0] != given[$1] ? given[$0] > given[$1] : $0 < $1 }
    var strides = shape
    var step = 1
    var isRowMajor = true
    for (place, axis) in axes.enumerated().reversed() {
      strides[axis] = step
      step *= shape[axis]
      if axis != place { isRowMajor = false }
    }
    return isRowMajor ? nil : strides
  }

  /// Whether `[N, C, spatial…]` lies with its channels next to each other; also true when row-major order is the same.
  package static func isChannelsLast(_ shape: Shape, _ strides: Shape) -> Bool {
    var step = 1
    for axis in [1] + Array((2..<shape.rank).reversed()) + [0] where shape[axis] != 1 {
      guard strides[axis] == step else { return false }
      step *= shape[axis]
    }
    return true
  }

  /// The strides of a result `[N, C, spatial…]` that lies with its channels next to each other, as `input` does; nil for
  /// an input in another order.
  package static func channelsLast(_ spec: TensorSpec, like input: Tensor) -> Shape? {
    guard spec.device != .reference, let strides = input.node.strides, input.rank == spec.rank, spec.rank > 2,
      isChannelsLast(input.shape, strides)
    else { return nil }
    return channelsLast(spec)
  }

  /// The strides of `[N, C, spatial…]` with its channels next to each other.
  package static func channelsLast(_ spec: TensorSpec) -> Shape {
    var result = spec.shape
    var step = 1
    for axis in [1] + Array((2..<spec.rank).reversed()) + [0] {
      result[axis] = step
      step *= spec.shape[axis]
    }
    return result
  }

  /// The strides of the result of an operation of one or two tensors.
  @inline(__always)
  static func strides<O: Op>(_: O.Type, _ spec: TensorSpec, _ a: TensorNode, _ b: TensorNode? = nil) -> Shape? {
    if a.strides == nil, b == nil || b.unsafelyUnwrapped.strides == nil { return nil }
    return kept(O.self, spec, a, b)
  }

  @inline(never)
  private static func kept<O: Op>(_: O.Type, _ spec: TensorSpec, _ a: TensorNode, _ b: TensorNode?) -> Shape? {
    guard O.keepsOrder, spec.device != .reference, spec.count > 1 else { return nil }
    // The larger operand decides; of two equal ones the first that is in an order of its own other than row-major.
    if let b, b.spec.count > a.spec.count || b.spec.count == a.spec.count && a.strides == nil {
      return strides(of: spec.shape, like: b)
    }
    if let strides = strides(of: spec.shape, like: a) { return strides }
    // An operand that repeats its elements, as the gradient of a sum does, has no order of its own.
    guard let b, b.spec.count == a.spec.count else { return nil }
    return strides(of: spec.shape, like: b)
  }

  /// The strides of the result of an operation of any number of tensors: of two as above, of more those of the first that
  /// is in another order.
  static func strides<O: Op>(_: O.Type, _ spec: TensorSpec, _ inputs: [Tensor]) -> Shape? {
    if inputs.count <= 2, let first = inputs.first {
      return strides(O.self, spec, first.node, inputs.count == 2 ? inputs[1].node : nil)
    }
    guard O.keepsOrder, spec.device != .reference, spec.count > 1 else { return nil }
    for input in inputs where input.node.strides != nil && input.rank == spec.rank {
      if let strides = strides(of: spec.shape, like: input.node) { return strides }
    }
    return nil
  }
}
