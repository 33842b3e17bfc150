internal import CKernels

/// What a kernel reports: zero, or a fault with a value (a bad index, say). Kernels never trap.
public struct KernelStatus: Sendable {
  public let code: Int32
  public let value: Int64
  public init(code: Int32, value: Int64) {
    self.code = code
    self.value = value
  }
  public static let ok = KernelStatus(code: 0, value: 0)
  /// An index was out of range; the value is the index.
  public static func badIndex(_ value: Int64) -> KernelStatus { KernelStatus(code: 1, value: value) }
  /// The kernel does not take these dtypes; the decomposition runs instead.
  public static let unsupported = KernelStatus(code: 3, value: 0)
  /// A library refused; the value is its status.
  public static func library(_ value: Int64) -> KernelStatus { KernelStatus(code: 2, value: value) }
}

extension KernelStatus {
  /// The error that a kernel reported.
  func error<O: Op>(_ op: O, _ inputs: [Tensor]) -> OpError { innerError ?? OpError(fact(op, inputs)) }

  func fact<O: Op>(_ op: O, _ inputs: [Tensor]) -> Fact {
    if code == KernelStatus.unsupported.code {
      return .message("no kernel takes \(inputs.map { "\($0.dtype)" }.joined(separator: ", "))")
    }
    return op.fault(self, of: inputs)
  }
}

/// The inputs and outputs of a kernel, borrowed for the call.
@usableFromInline package struct KernelArguments: ~Copyable {
  @usableFromInline let inputs: UnsafePointer<Unmanaged<TensorNode>>
  @usableFromInline let outputs: UnsafePointer<Unmanaged<TensorNode>>
  @usableFromInline package let inputCount: Int
  @usableFromInline package let outputCount: Int

  @inline(__always)
  package init(
    inputs: UnsafePointer<Unmanaged<TensorNode>>, _ inputCount: Int, outputs: UnsafePointer<Unmanaged<TensorNode>>,
    _ outputCount: Int
  ) {
    self.inputs = inputs
    self.outputs = outputs
    self.inputCount = inputCount
    self.outputCount = outputCount
  }

  /// A view of an input, valid during the call.
  @inlinable
  package func input<R>(_ index: Int, _ body: (TensorNode) -> R) -> R { inputs[index]._withUnsafeGuaranteedRef(body) }
  /// A view of an output, valid during the call.
  @inlinable
  package func output<R>(_ index: Int, _ body: (TensorNode) -> R) -> R { outputs[index]._withUnsafeGuaranteedRef(body) }

  @inlinable
  package func spec(_ index: Int) -> TensorSpec { inputs[index]._withUnsafeGuaranteedRef { $0.spec } }
  @inlinable
  package func outputSpec(_ index: Int = 0) -> TensorSpec { outputs[index]._withUnsafeGuaranteedRef { $0.spec } }
  @inlinable
  package func pointer(_ index: Int) -> UnsafeMutableRawPointer {
    inputs[index]._withUnsafeGuaranteedRef { $0.pointer }
  }
  @inlinable
  package func outputPointer(_ index: Int = 0) -> UnsafeMutableRawPointer {
    outputs[index]._withUnsafeGuaranteedRef { $0.pointer }
  }
  @inlinable
  package func strides(_ index: Int) -> Shape { inputs[index]._withUnsafeGuaranteedRef { $0.elementStrides } }
  @inlinable
  package func outputStrides(_ index: Int = 0) -> Shape {
    outputs[index]._withUnsafeGuaranteedRef { $0.elementStrides }
  }
  /// True when an input and the output have their elements at the same places, counted from their first.
  @inlinable
  package func isLikeOutput(_ index: Int) -> Bool {
    inputs[index]._withUnsafeGuaranteedRef { input in
      outputs[0]._withUnsafeGuaranteedRef { output in
        guard let strides = input.strides else { return output.strides == nil }
        return output.strides == strides && output.spec.shape == input.spec.shape
      }
    }
  }
  @inlinable
  package func isContiguous(_ index: Int) -> Bool { inputs[index]._withUnsafeGuaranteedRef { $0.strides == nil } }
  @inlinable
  package func elementCount(_ index: Int) -> Int { inputs[index]._withUnsafeGuaranteedRef { $0.spec.count } }
  @inlinable
  package func outputElementCount(_ index: Int = 0) -> Int {
    outputs[index]._withUnsafeGuaranteedRef { $0.spec.count }
  }
  @inlinable
  package func dtype(_ index: Int) -> DType { inputs[index]._withUnsafeGuaranteedRef { $0.spec.dtype } }
  @inlinable
  package func shape(_ index: Int) -> Shape { inputs[index]._withUnsafeGuaranteedRef { $0.spec.shape } }
  /// The input as a tensor that lives on.
  package func tensor(_ index: Int) -> Tensor { Tensor(node: inputs[index].takeUnretainedValue()) }
  package func outputTensor(_ index: Int = 0) -> Tensor { Tensor(node: outputs[index].takeUnretainedValue()) }
}

/// A kernel: one virtual call by the operation's number.
package class AnyKernel {
  package init() {}
  package func run(_ op: UnsafeRawPointer, _ arguments: borrowing KernelArguments) -> KernelStatus { .ok }
}

package final class KernelOf<O: Op>: AnyKernel, @unchecked Sendable {
  package let body: @Sendable (O, borrowing KernelArguments) -> KernelStatus
  package init(_ body: @escaping @Sendable (O, borrowing KernelArguments) -> KernelStatus) { self.body = body }
  package override func run(_ op: UnsafeRawPointer, _ arguments: borrowing KernelArguments) -> KernelStatus {
    body(op.assumingMemoryBound(to: O.self).pointee, arguments)
  }
}

package enum Kernels {
  @inline(__always)
  static func index(_ device: Device, _ id: OpID) -> Int64 {
    Int64(device.raw) &* Int64(CK_OPS) &+ Int64(id.raw)
  }

  /// Makes `body` the kernel of an operation on a device, for the life of the process.
  package static func register<O: Op>(
    _: O.Type, _ device: Device, _ body: @escaping @Sendable (O, borrowing KernelArguments) -> KernelStatus
  ) {
    precondition(O.id != .custom && O.id.raw < Int(CK_OPS), "\(O.name) has no row in OpTable")
    let kernel = KernelOf<O>(body) as AnyKernel
    ck_set_kernel(index(device, O.id), Unmanaged.passRetained(kernel).toOpaque())
  }

  package static func hasKernel<O: Op>(_: O.Type, _ device: Device) -> Bool { ck_kernel(index(device, O.id)) != nil }

  /// The kernel of `O` on a device; links the devices in at first use.
  @inline(__always)
  static func find<O: Op>(_: O.Type, _ device: Device) -> UnsafeMutableRawPointer? {
    let index = index(device, O.id)
    if let kernel = ck_kernel(index) { return kernel }
    Rooms.require(device)
    return ck_kernel(index)
  }

  @inline(__always)
  static func run<O: Op>(
    _ kernel: UnsafeMutableRawPointer, _ op: O, _ arguments: borrowing KernelArguments
  ) -> KernelStatus {
    withUnsafePointer(to: op) { pointer in
      Unmanaged<AnyKernel>.fromOpaque(kernel)._withUnsafeGuaranteedRef {
        $0.run(UnsafeRawPointer(pointer), arguments)
      }
    }
  }

  /// Calls the kernel of `O` on a device; nil when there is none.
  package static func call<O: Op>(_ op: O, _ device: Device, _ arguments: borrowing KernelArguments) -> KernelStatus? {
    guard let kernel = find(O.self, device) else { return nil }
    return run(kernel, op, arguments)
  }

  /// Runs a kernel on one input.
  @inline(__always)
  static func launch<O: Op>(
    _ kernel: UnsafeMutableRawPointer, _ op: O, _ x: TensorNode, _ result: TensorNode
  ) -> KernelStatus {
    let nodes: InlineArray<2, Unmanaged<TensorNode>> = [.passUnretained(x), .passUnretained(result)]
    return withUnsafePointer(to: nodes) { pointer in
      let base = UnsafeRawPointer(pointer).assumingMemoryBound(to: Unmanaged<TensorNode>.self)
      return run(kernel, op, KernelArguments(inputs: base, 1, outputs: base + 1, 1))
    }
  }

  /// Runs a kernel on two inputs.
  @inline(__always)
  static func launch<O: Op>(
    _ kernel: UnsafeMutableRawPointer, _ op: O, _ a: TensorNode, _ b: TensorNode, _ result: TensorNode
  ) -> KernelStatus {
    let nodes: InlineArray<3, Unmanaged<TensorNode>> = [
      .passUnretained(a), .passUnretained(b), .passUnretained(result),
    ]
    return withUnsafePointer(to: nodes) { pointer in
      let base = UnsafeRawPointer(pointer).assumingMemoryBound(to: Unmanaged<TensorNode>.self)
      return run(kernel, op, KernelArguments(inputs: base, 2, outputs: base + 2, 1))
    }
  }

  /// Allocates the outputs and runs the kernel, or the decomposition where the device has no kernel.
  package static func run<O: Op>(
    _ op: O, _ inputs: [Tensor], _ specs: [TensorSpec], reusable: Positions
  ) throws(OpError) -> [Tensor] {
    let device = specs.first?.device ?? .cpu
    for input in inputs where input.device != device { throw OpError(.devicesDiffer) }
    guard let kernel = find(O.self, device) else {
      if let outputs = op.decomposed(inputs) { return outputs }
      throw OpError(.noKernel(device))
    }
    var outputs: [Tensor] = []
    outputs.reserveCapacity(specs.count)
    for (position, spec) in specs.enumerated() {
      let strides = op.strides(of: spec, for: inputs)
      if !reusable.isEmpty, let source = op.takeover(output: position), reusable[source],
        inputs[source].spec == spec, inputs[source].node.strides == strides
      {
        outputs.append(inputs[source])
      } else {
        outputs.append(try Tensor.uninitialized(spec, strides: strides))
      }
    }
    let status: KernelStatus = withExtendedLifetime((inputs, outputs)) {
      withUnsafeTemporaryAllocation(of: Unmanaged<TensorNode>.self, capacity: inputs.count + outputs.count) { nodes in
        for (position, tensor) in inputs.enumerated() { nodes[position] = .passUnretained(tensor.node) }
        for (position, tensor) in outputs.enumerated() {
          nodes[inputs.count + position] = .passUnretained(tensor.node)
        }
        let base = UnsafePointer(nodes.baseAddress.unsafelyUnwrapped)
        return run(
          kernel, op, KernelArguments(inputs: base, inputs.count, outputs: base + inputs.count, outputs.count))
      }
    }
    guard status.code != 0 else { return outputs }
    if status.code == KernelStatus.unsupported.code, let outputs = op.decomposed(inputs) { return outputs }
    throw status.error(op, inputs)
  }
}
