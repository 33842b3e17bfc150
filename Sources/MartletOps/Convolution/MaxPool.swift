public import MartletCore

/// The largest element of each window of `x: [N, C, spatial…]`, and its place (`int32`) within the plane in row-major
/// order: the first of equal ones; of a NaN if there is one.
public struct MaxPool: PoolingOp {
  public static var id: OpID { OpTable.maxPool.id }
  public static var name: String { "maxPool" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public let window: PoolingWindow
  public init(_ window: PoolingWindow) { self.window = window }
  public var outputCount: Int { 2 }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 1 else { throw OpError(.numberOfInputs(inputs.count, expected: "1")) }
    let y = try pooled(inputs[0])
    guard Shape(inputs[0].shape[2...]).elementCount <= Int(Int32.max) else {
      throw OpError(.tooLarge(inputs[0].shape))
    }
    return [y, y.with(.int32)]
  }
  public func strides(of result: TensorSpec, for inputs: [Tensor]) -> Shape? {
    Order.channelsLast(result, like: inputs[0])
  }
  public func saves(needs: Positions) -> Saves { Saves(outputs: [1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    guard let ct = ct[0] else { return [nil] }
    return [.dense(apply(Unpool(size: Shape(saved.spec(0).shape[2...])), [ct, saved.output(1)])[0])]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0]?.gatheredInPlanes(outputs[1]), nil]
  }
}

/// The adjoint of taking elements of planes: zero but for `values: [N, C, out…]` added at `indices` (`int32`, the places
/// within the planes) in `[N, C, size…]`.
public struct Unpool: Op {
  public static var id: OpID { OpTable.unpool.id }
  public static var name: String { "unpool" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public static var argumentNames: [String] { ["values", "indices"] }
  public let size: Shape
  public init(size: Shape) { self.size = size }
  public var canFault: Bool { true }
  public func fault(_ status: KernelStatus, _ inputs: [TensorSpec]) -> Fact {
    .index(Int(status.value), size: size.elementCount, axis: 2)
  }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 2 else { throw OpError(.numberOfInputs(inputs.count, expected: "2")) }
    let (values, indices) = (inputs[0], inputs[1])
    guard values.rank == size.rank + 2 else {
      throw OpError(.rank(argument: 0, expected: "\(size.rank + 2): two and \(size.rank) spatial ones"))
    }
    guard values.dtype.isFloating else { throw OpError(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
    guard indices.dtype == .int32 else { throw OpError(.dtype(argument: 1, expected: "int32")) }
    guard indices.shape == values.shape else {
      throw OpError(.argumentShape(argument: 1, expected: "\(values.shape), that of values"))
    }
    guard !size.contains(where: { $0 < 0 }) else { throw OpError(.negativeSize(size)) }
    guard let plane = size.checkedElementCount, plane <= Int(Int32.max) else { throw OpError(.tooLarge(size)) }
    return [values.with(shape: Shape(Array(values.shape[..<2]) + Array(size)))]
  }
  public func strides(of result: TensorSpec, for inputs: [Tensor]) -> Shape? {
    // As what was pooled lies, and what the gradient is joined with there.
    Order.channelsLast(result, like: inputs[1])
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let (values, indices) = (inputs[0], inputs[1])
    let planes = Shape(values.shape[..<2])
    let zeros = Tensor(
      repeating: 0, TensorSpec(Shape(Array(planes) + [size.elementCount]), values.dtype, device: values.device))
    let flat = Shape(Array(planes) + [values.shape[2...].reduce(1, *)])
    return [
      zeros.scatterAdding(axis: 2, indices.reshaped(flat), values.reshaped(flat))
        .reshaped(Shape(Array(planes) + Array(size)))
    ]
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(ct[0]!.gatheredInPlanes(saved.input(1))), nil]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, [$0, inputs[1]])[0] }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let inputs = allMapped(inputs, mapped)
    return apply(self, inputs.map { $0.examplesAsRows() }).map { $0.rowsAsExamples(inputs[0].shape[0]) }
  }
}

extension Tensor {
  /// The elements of the planes `[N, C, spatial…]` at places within them.
  func gatheredInPlanes(_ indices: Tensor) -> Tensor {
    let planes = Array(shape[..<2])
    let flat = reshaped(Shape(planes + [shape[2...].reduce(1, *)]))
    return flat.gather(axis: 2, indices.reshaped(Shape(planes + [indices.shape[2...].reduce(1, *)])))
      .reshaped(indices.shape)
  }
}
