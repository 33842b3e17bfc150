internal import CKernels

/// One device: memory and the time at which its operations have run. Kernels are registered by operation.
package protocol Executor: AnyObject, Sendable {
  /// Copies a tensor of this device to another, or one of another device to this.
  func copy(_ tensor: Tensor, to device: Device) throws(DeviceError) -> Tensor
  /// Waits until everything asked for has run. Faults found late go to the `FaultReceiver` of their operation; those that
  /// none took are thrown here.
  func synchronize() throws(DeviceError)
}

package enum Executors {
  // A `Lock` and not a `Mutex`, whose futex the thread sanitizer does not see.
  private static let lock = Lock()
  nonisolated(unsafe) private static var all: [UInt8: any Executor] = [:]

  /// Called once for each device, by the room that brings it.
  package static func register(_ executor: any Executor, for device: Device) {
    lock.holding { all[device.raw] = executor }
  }

  /// Waits until everything asked of a device has run; a fault found late, of the current error scope or of nobody's, is
  /// thrown.
  package static func synchronize(_ device: Device) throws(OpError) {
    guard let executor = executor(for: device) else { return }
    try executor.synchronize()
    if let late = ErrorScope.slot?.late.withLock({ $0 }) { throw late }
  }

  /// Whether a fault on a device is to be thrown by a `withErrors` around, and is known only after waiting.
  package static func faultsComeLate(_ device: Device) -> Bool { device != .cpu && ErrorScope.slot != nil }

  /// Waits for all devices that have been used, and reports what they found late.
  static func synchronizeAll() {
    for executor in lock.holding({ Array(all.values) }) {
      do throws(OpError) { try executor.synchronize() } catch { fail(error) }
    }
  }

  /// A plain tensor on another device: the executor of the side that is not the program's own memory copies.
  package static func copy(_ tensor: Tensor, to device: Device) throws(OpError) -> Tensor {
    if let executor = executor(for: tensor.device) ?? executor(for: device) {
      return try executor.copy(tensor, to: device)
    }
    return try hostCopy(tensor, to: device)
  }

  /// A copy between devices whose memory is the program's.
  package static func hostCopy(_ tensor: Tensor, to device: Device) throws(OpError) -> Tensor {
    let spec = TensorSpec(tensor.shape, tensor.dtype, device: device)
    let copy = tensor.withUnsafeBytes { bytes in Tensor.make(spec) { $0.copyMemory(from: bytes) } }
    guard let copy else { throw OpError(.message("the elements cannot be read")) }
    return copy
  }

  /// The executor of a device; nil for one that needs none because its memory is the program's and it never waits.
  static func executor(for device: Device) -> (any Executor)? {
    if device == .cpu { return nil }
    Rooms.require(device)
    return lock.holding { all[device.raw] }
  }
}

extension Device {
  /// Waits until every operation asked of this device has run, and reports a fault found late.
  public func synchronize() {
    do throws(OpError) { try Executors.synchronize(self) } catch { fail(error) }
  }
}
