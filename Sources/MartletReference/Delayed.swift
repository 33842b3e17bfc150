import CKernels
import MartletCore
import MartletOps

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The CPU behind a queue, a stand-in for a GPU: an operation returns at once, and runs later on another thread.
///
/// The queue holds the memory that its operations use, so freed memory comes back in the order of the operations. A
/// fault goes to the error scope of its operation, or is kept until somebody waits. `MARTLET_DELAY` is the longest of the delays, in microseconds, that are put
/// before some operations; 0 means none.
final class DelayedExecutor: Executor, @unchecked Sendable {
  // Sendable: the fields below are guarded by `mutex`.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var waiting: [Work] = []
  private var isRunning = false
  private var fault: OpError?

  /// One operation: its kernel on the CPU, and what it reports.
  private struct Work {
    let threads: Int32
    let receiver: FaultReceiver
    let run: () -> OpError?
  }

  /// The host stops this far ahead, so that its memory does not grow without bound.
  private static let longestQueue = 4096

  static func install() {
    let executor = DelayedExecutor()
    Executors.register(executor, for: .delayed)
    func wrap<O: Op>(_ type: O.Type) {
      guard Kernels.hasKernel(type, .cpu) else { return }
      Kernels.register(type, .delayed) { op, arguments in
        executor.enqueue(op, arguments)
        return .ok
      }
    }
    for row in OpTable.allCases { wrap(row.type) }
  }

  private init() {
    mutex.initialize(to: pthread_mutex_t())
    changed.initialize(to: pthread_cond_t())
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
    startThread()
  }

  /// The executor and its thread live as long as the process.
  private func startThread() {
    let unmanaged = Unmanaged.passRetained(self).toOpaque()
    #if canImport(Darwin)
      var thread: pthread_t?
      pthread_create(&thread, nil, { drainQueue($0) }, unmanaged)
    #else
      var thread = pthread_t()
      pthread_create(&thread, nil, { drainQueue($0!) }, unmanaged)
    #endif
  }

  private func locked<R>(_ body: () -> R) -> R {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }

  private func enqueue<O: Op>(_ op: O, _ arguments: borrowing KernelArguments) {
    // Inputs may be overwritten by this operation only if it took them over, so that holding them is enough.
    let inputs = (0..<arguments.inputCount).map { arguments.tensor($0) }
    let outputs = (0..<arguments.outputCount).map { arguments.outputTensor($0) }
    let work = Work(threads: ck_here().pointee.threads, receiver: FaultReceiver()) {
      runOnCPU(op, inputs, outputs)
    }
    locked {
      while waiting.count >= DelayedExecutor.longestQueue { pthread_cond_wait(changed, mutex) }
      waiting.append(work)
      pthread_cond_broadcast(changed)
    }
  }

  func synchronize() throws(DeviceError) {
    let late: OpError? = locked {
      while isRunning || !waiting.isEmpty { pthread_cond_wait(changed, mutex) }
      defer { fault = nil }
      return fault
    }
    if let late { throw late }
  }

  func copy(_ tensor: Tensor, to device: Device) throws(DeviceError) -> Tensor {
    try synchronize()
    return try Executors.hostCopy(tensor, to: device)
  }

  /// The life of the queue's thread.
  fileprivate func drain() {
    let longest = UInt32(Environment["MARTLET_DELAY"] ?? "50") ?? 50
    var state: UInt64 = 1
    while true {
      var batch: [Work] = locked {
        while waiting.isEmpty {
          isRunning = false
          pthread_cond_broadcast(changed)
          pthread_cond_wait(changed, mutex)
        }
        isRunning = true
        defer { waiting.removeAll() }
        pthread_cond_broadcast(changed)
        return waiting
      }
      batch.reverse()
      while let work = batch.popLast() {
        // A linear congruential generator: delays that are the same in each run.
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        if longest > 0, state >> 60 == 0 { usleep(UInt32(truncatingIfNeeded: state >> 32) % longest) }
        ck_here().pointee.threads = work.threads
        if let error = work.run(), !work.receiver.receive(error) {
          locked { if fault == nil { fault = error } }
        }
      }
    }
  }
}

private func drainQueue(_ executor: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
  Unmanaged<DelayedExecutor>.fromOpaque(executor).takeUnretainedValue().drain()
  return nil
}

/// Calls the CPU's kernel on memory that exists already.
private func runOnCPU<O: Op>(_ op: O, _ inputs: [Tensor], _ outputs: [Tensor]) -> OpError? {
  let nodes = (inputs + outputs).map { Unmanaged.passUnretained($0.node) }
  let status = withExtendedLifetime((inputs, outputs)) {
    nodes.withUnsafeBufferPointer { nodes in
      let base = nodes.baseAddress.unsafelyUnwrapped
      return Kernels.call(
        op, .cpu,
        KernelArguments(inputs: base, inputs.count, outputs: base + inputs.count, outputs.count))
    }
  }
  defer { for node in nodes { ck_let_go(node.toOpaque()) } }
  guard let status, status.code != 0 else { return nil }
  if status.code == KernelStatus.unsupported.code { return runDecomposition(op, inputs, outputs) }
  var error = OpError(op.fault(status, of: onCPU(inputs)), op: O.name, arguments: inputs.map { $0.spec })
  error.argumentNames = O.argumentNames
  return error
}

/// Tensors of the CPU over the same memory.
private func onCPU(_ inputs: [Tensor]) -> [Tensor] {
  inputs.map { input in
    Tensor(
      node: TensorNode(
        spec: TensorSpec(input.shape, input.dtype, device: .cpu), strides: input.node.strides,
        offset: input.node.offset, storage: input.node.storage!))
  }
}

/// For dtypes that the kernel does not take: the decomposition on the CPU, over the same memory.
private func runDecomposition<O: Op>(_ op: O, _ inputs: [Tensor], _ outputs: [Tensor]) -> OpError? {
  do {
    let results = try catchingErrors { op.decomposed(onCPU(inputs)) }
    guard let results else { return OpError(.noKernel(.delayed), op: O.name, arguments: inputs.map { $0.spec }) }
    for (result, output) in zip(results, outputs) {
      // Element by element: the output may lie in another order.
      let places = positions(of: output.shape, output.shape, output.node.elementStrides)
      let size = output.dtype.size
      result.withUnsafeBytes { bytes in
        for (index, place) in places.enumerated() {
          (output.node.pointer + place * size).copyMemory(from: bytes.baseAddress! + index * size, byteCount: size)
        }
      }
    }
    return nil
  } catch {
    return error as? OpError ?? OpError(.message("\(error)"), op: O.name)
  }
}
