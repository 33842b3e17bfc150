public import MartletCore

/// Tensors one behind the other along an axis.
public struct Concat: Op {
  public static var id: OpID { OpTable.concat.id }
  public static var name: String { "concat" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  /// The result lies as its inputs do.
  public static var keepsOrder: Bool { true }
  public let axis: Int
  /// The size of each input along the axis; what a vjp cuts by.
  public let sizes: [Int]
  public init(axis: Int, sizes: [Int]) {
    self.axis = axis
    self.sizes = sizes
  }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard let first = inputs.first else { throw OpError(.noInputs) }
    guard axis >= 0, axis < first.rank else { throw OpError(.axis(axis, rank: first.rank)) }
    var shape = first.shape
    shape[axis] = 0
    for (position, input) in inputs.enumerated() {
      guard input.dtype == first.dtype else { throw OpError(.dtypesDiffer) }
      guard input.rank == first.rank else {
        throw OpError(.rank(argument: position, expected: "\(first.rank), as the first"))
      }
      for other in 0..<first.rank where other != axis && input.shape[other] != first.shape[other] {
        throw OpError(.concatSizes(input: position, axis: other, input.shape[other], first.shape[other]))
      }
      guard position < sizes.count, sizes[position] == input.shape[axis] else { throw sizesDiffer }
      shape[axis] += input.shape[axis]
    }
    guard sizes.count == inputs.count else { throw sizesDiffer }
    return [first.with(shape: shape)]
  }
  private var sizesDiffer: OpError {
    OpError(.misuse("the sizes that are stated are \(sizes)", rule: "they are those of the inputs along the axis"))
  }
  private func part(_ position: Int, of ct: Tensor) -> Tensor {
    var region = Region(whole: ct.shape)
    region.starts[axis] = sizes[..<position].reduce(0, +)
    region.sizes[axis] = sizes[position]
    return apply(view: Slice(region: region), ct)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    sizes.indices.map { needs[$0] ? .dense(part($0, of: ct[0]!)) : nil }
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    apply(self, zip(t, inputs).map { $0 ?? Tensor(repeating: 0, $1.spec) })
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    apply(Concat(axis: axis + 1, sizes: sizes), allMapped(inputs, mapped))
  }
  public var attributes: String { "axis=\(axis)" }
}

/// Tensors of one rank one behind the other along an axis; dtypes promote.
public func concat(_ tensors: [Tensor], axis: Int = 0) -> Tensor {
  guard let first = tensors.first else { return failure(.noInputs, op: Concat.name) }
  guard let position = first.position(of: axis, op: Concat.name) else { return first.afterFailure }
  let dtype = tensors.dropFirst().reduce(first.dtype) { $0.promoted(with: $1.dtype) }
  let inputs = tensors.map { $0.cast(to: dtype) }
  return apply(Concat(axis: position, sizes: inputs.map { position < $0.rank ? $0.shape[position] : 0 }), inputs)[0]
}

/// Tensors of one shape along a new axis.
public func stack(_ tensors: [Tensor], axis: Int = 0) -> Tensor {
  guard let first = tensors.first else { return failure(.noInputs, op: "stack") }
  let position = axis < 0 ? axis + first.rank + 1 : axis
  guard position >= 0, position <= first.rank else {
    return failure(.axis(axis, rank: first.rank + 1), op: "stack", tensors)
  }
  for (index, tensor) in tensors.enumerated() where tensor.shape != first.shape {
    return failure(.argumentShape(argument: index, expected: "\(first.shape), as the first"), op: "stack", tensors)
  }
  return concat(tensors.map { $0.expandedDims(axis: position) }, axis: position)
}
