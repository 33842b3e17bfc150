internal import CKernels
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The errors of a `withErrors` scope.
final class ErrorSlot: Sendable {
  /// The first error.
  let first = Mutex<OpError?>(nil)
  /// The first fault that a device found when the operation had returned: whoever waits in the scope fails by it.
  let late = Mutex<OpError?>(nil)
  func keep(_ error: OpError) { first.withLock { if $0 == nil { $0 = error } } }
  func keepLate(_ error: OpError) {
    late.withLock { if $0 == nil { $0 = error } }
    keep(error)
  }
}

/// Who is told of a fault that a device finds when the operation has long returned: the `withErrors` in which it was asked
/// for. A device that queues its work takes one along with each operation that can fault.
package struct FaultReceiver: Sendable {
  private let slot: ErrorSlot?
  /// That of the current scope.
  package init() { slot = ErrorScope.slot }
  /// Tells the scope of the fault; false when there was none around the operation, and whoever waits next is to fail by it.
  package func receive(_ fault: OpError) -> Bool {
    slot?.keepLate(fault)
    return slot != nil
  }
}

enum ErrorScope {
  // A task-local, so that it crosses suspension and child tasks; it is read only when something failed.
  @TaskLocal static var slot: ErrorSlot?
}

/// Runs `body` and throws the first wrong use of an operation in it, instead of ending the program.
///
/// After the error the operations of `body` go on with error tensors: `item()` of one is NaN (0 for integers), a `grad` that is
/// not there is one too, and nothing can be written into a cell or a file. So loops in `body` that wait for a value must end
/// on NaN.
///
/// At its end the scope waits for devices that queue their work, whose faults (an index out of range in a tensor) come late.
public func withErrors<R>(_ body: () throws -> R) throws -> R {
  try catchingErrors {
    defer { Executors.synchronizeAll() }
    return try body()
  }
}

/// `withErrors` without waiting for devices at its end.
package func catchingErrors<R>(_ body: () throws -> R) throws -> R {
  let slot = ErrorSlot()
  let result: R
  do { result = try ErrorScope.$slot.withValue(slot) { try body() } } catch {
    throw slot.first.withLock { $0 } ?? error
  }
  if let error = slot.first.withLock({ $0 }) { throw error }
  return result
}

/// Runs `body` and throws the first wrong use of an operation in it, instead of ending the program.
public func withErrors<R>(
  isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> R
) async throws -> R {
  let slot = ErrorSlot()
  let result: R
  do {
    result = try await ErrorScope.$slot.withValue(slot) {
      defer { Executors.synchronizeAll() }
      return try await body()
    }
  } catch {
    throw slot.first.withLock { $0 } ?? error
  }
  if let error = slot.first.withLock({ $0 }) { throw error }
  return result
}

/// The trace of error tensors: above every level, so that operations on them yield error tensors, silently.
package final class Failed: Trace {
  let error: OpError
  init(_ error: OpError) {
    self.error = error
    super.init(level: .max)
  }
  package override func apply<O: Op>(_ op: O, _ inputs: [Tensor]) -> [Tensor] {
    endIfEscaped()
    guard let specs = try? op.outputs(for: inputs.map { $0.spec }) else {
      return errorTensors(error, like: inputs, count: op.outputCount)
    }
    return specs.map { Tensor(node: TensorNode(spec: $0, trace: self)) }
  }
  /// An error tensor that has left its `withErrors` would spread silently: the program ends with the error's text.
  func endIfEscaped() {
    guard ErrorScope.slot == nil else { return }
    let line = Origin(op: "").line.map { "\n  called at \($0)" } ?? ""
    fatalError("Martlet: an error tensor is used outside of its withErrors; \(error)\(line)")
  }
}

private func errorTensors(_ error: OpError, like inputs: [Tensor], count: Int) -> [Tensor] {
  let spec = inputs.map { $0.spec }.max { $0.rank < $1.rank } ?? TensorSpec([])
  return (0..<count).map { _ in Tensor(node: TensorNode(spec: spec, trace: Failed(error))) }
}

extension ErrorScope {
  /// What `grad` reads where no gradient is, inside a `withErrors` in which something has failed: perhaps the backward pass,
  /// and a trap on nil would hide the first error.
  static func gradient(_ spec: @autoclosure () -> TensorSpec?) -> Tensor? {
    guard let error = slot?.first.withLock({ $0 }), let spec = spec() else { return nil }
    return Tensor(node: TensorNode(spec: spec, trace: Failed(error)))
  }
}

extension Tensor {
  /// True for what operations yield after an error.
  package var isError: Bool { node.trace is Failed }
}

/// Reports a failed operation: ends the program with the text, or, inside `withErrors`, keeps the error and yields error
/// tensors.
@inline(never)
package func failed<O: Op>(_ op: O, _ error: OpError, _ inputs: [Tensor]) -> [Tensor] {
  var error = error
  if error.op.isEmpty {
    error.op = O.name
    error.arguments = inputs.map { $0.spec }
    error.argumentNames = O.argumentNames
  }
  return fail(error, inputs, count: op.outputCount)
}

@inline(never)
func failed<O: Op>(_ op: O, _ error: OpError, _ inputs: [Tensor]) -> Tensor { failed(op, error, inputs)[0] }

@inline(never)
func failed<O: Op>(_ op: O, _ status: KernelStatus, _ inputs: [Tensor]) -> Tensor {
  if status.code == KernelStatus.unsupported.code, let outputs = op.decomposed(inputs) { return outputs[0] }
  return failed(op, OpError(status.fact(op, inputs)), inputs)[0]
}

/// Ends the program with an error's text and the line that asked for the operation.
func endProgram(_ error: OpError) -> Never {
  fflush(nil)  // what the program has printed, before the text that ends it
  var error = error
  if error.origin == nil { error.origin = Origin(op: "") }
  fatalError("Martlet: \(error)")
}

/// Reports an error and yields `count` error tensors.
@inline(never)
@discardableResult
package func fail(_ error: OpError, _ inputs: [Tensor] = [], count: Int = 1) -> [Tensor] {
  if let earlier = inputs.lazy.compactMap({ $0.node.trace as? Failed }).first {
    earlier.endIfEscaped()
    return errorTensors(earlier.error, like: inputs, count: count)
  }
  var error = error
  if error.layers.isEmpty { error.layers = Context.layerPath }
  if error.origin == nil {
    error.origin = Origin(op: "")
    let here = Context.here
    if let call = here.pointee.call { error.call = String(cString: call) }
    if case .now = error.moment, let name = ProgramTitle.current { error.moment = .program(of: name) }
    if case .now = error.moment, here.pointee.flags & UInt32(CK_FORCED) != 0 { error.moment = .forced }
    if Origins.areOn { error.argumentOrigins = Origins.lines(inputs, error.argumentNames) }
  }
  guard let slot = ErrorScope.slot else { endProgram(error) }
  slot.keep(error)
  return errorTensors(error, like: inputs, count: count)
}

/// Reports an error and yields one error tensor.
@inline(never)
package func failure(_ fact: Fact, op: String, _ inputs: [Tensor] = [], names: [String] = []) -> Tensor {
  var error = OpError(fact, op: op, arguments: inputs.map { $0.spec })
  error.argumentNames = names
  return fail(error, inputs)[0]
}
