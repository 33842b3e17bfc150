public import MartletCore

/// `x` as it is, when all elements of a condition are true; else an error.
///
/// Inputs: x, the condition.
public struct Assert: PassThrough {
  public static var id: OpID { OpTable.assert.id }
  public static var name: String { "asserted" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public static var argumentNames: [String] { ["x", "condition"] }
  public var effect: Effect { .ordered }
  public var canFault: Bool { true }
  public let message: String
  public init(message: String) { self.message = message }

  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 2 else { throw OpError(.numberOfInputs(inputs.count, expected: "2")) }
    guard inputs[1].dtype == .bool else { throw OpError(.dtype(argument: 1, expected: "bool")) }
    return [inputs[0]]
  }
  public func takeover(output: Int) -> Int? { 0 }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [ct[0].map { .dense($0) }, nil]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] { [t[0]] }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    var inputs = inputs
    if !mapped[0] { inputs[0] = TransformOps.current.expand(inputs[0], inputs[1].shape[0]) }
    return apply(self, inputs)
  }
  public func fault(_ status: KernelStatus, _ inputs: [TensorSpec]) -> Fact {
    fact(status, inputs[1].shape, value: "")
  }
  /// With the value of `x`: the only one, or that in the place of the condition's.
  public func fault(_ status: KernelStatus, of inputs: [Tensor]) -> Fact {
    let (x, condition) = (inputs[0], inputs[1])
    var value = ""
    if x.count == 1 {
      value = ", and x is \(Assert.text(x, 0))"
    } else if x.shape == condition.shape {
      value = ", where x is \(Assert.text(x, Int(status.value)))"
    } else if x.count <= 8, x.rank == 1 {
      value = ", and x is \(x)"
    }
    return fact(status, condition.shape, value: value)
  }
  /// An element of `x`.
  private static func text(_ x: Tensor, _ position: Int) -> String {
    switch x.dtype {
    case .float64: "\(x.array(as: Double.self)[position])"
    case .float32, .float16, .bfloat16: "\(x.floats[position])"
    default: x.shortValue(at: position)
    }
  }
  private func fact(_ status: KernelStatus, _ condition: Shape, value: String) -> Fact {
    guard status.code == Assert.failed else { return .message("its kernel reported fault \(status.code)") }
    let place = condition.rank == 0 ? "" : " at \(condition.index(of: Int(status.value)))"
    let said = message.isEmpty ? "" : "\(message): "
    return .misuse("\(said)the condition is false\(place)\(value)", rule: "all its elements are true")
  }
  private static let failed: Int32 = 100

  /// What a kernel reports of a condition, whose elements lie in this order: the first that is false.
  package static func status(of elements: UnsafeRawBufferPointer) -> KernelStatus {
    elements.firstIndex(of: 0).map { KernelStatus(code: failed, value: Int64($0)) } ?? .ok
  }
}

extension Shape {
  /// The index of an element of a row-major tensor.
  fileprivate func index(of position: Int) -> Shape {
    var (index, rest) = (self, position)
    for axis in stride(from: rank - 1, through: 0, by: -1) {
      index[axis] = rest % self[axis]
      rest /= self[axis]
    }
    return index
  }
}

/// `x` as it is, when all elements of `condition` (bool, of any shape) are true; else an error with `message`, at the latest where
/// a value is read.
///
/// Inside `compile` it is a part of the program, also where nothing reads the result, and a call that fails writes no state; in a
/// `Graph` it is checked in the runs that need the result. Gradients pass through. Source: TensorFlow `tf.Assert`, PyTorch
/// `torch._assert_async`.
///
/// **Shapes**: [...], [any] → [...]
@discardableResult
public func asserted(_ x: Tensor, _ condition: Tensor, _ message: String = "") -> Tensor {
  applyNow(Assert(message: message), [x, condition])
}
