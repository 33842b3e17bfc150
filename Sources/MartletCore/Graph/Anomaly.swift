internal import CKernels
import Synchronization

/// The first operation whose result held a NaN or an infinity that its inputs did not.
public struct AnomalyError: Error, Sendable, CustomStringConvertible {
  /// The operation, as in `OpTable`.
  public let op: String
  /// The path of the layer that was being called, outermost first; empty in the backward pass.
  public let layers: [String]
  public let arguments: [TensorSpec]
  /// "NaN" or "an infinity".
  public let what: String

  public var description: String {
    let place =
      layers.isEmpty
      ? "outside of any layer (in the backward pass, the loss or the update)"
      : "in layer \(layers.joined(separator: " › "))"
    let list = arguments.map { "\($0)" }.joined(separator: ", ")
    return "\(op) made the first \(what), \(place), from finite \(list)"
  }
}

/// Runs `body` and throws when an operation in it made a NaN, or an infinity, from inputs without: the error names the first.
///
/// Every result is read, so this is slow; the operations run one by one, also those of a compiled function called in it.
public func withAnomalyDetection<R>(_ body: () throws -> R) throws -> R {
  let slot = Anomalies.Slot()
  let result = try Anomalies.$slot.withValue(slot) {
    try Context.with({ $0.pointee.flags |= UInt32(CK_ANOMALY) }, body)
  }
  if let first = slot.first.withLock({ $0 }) { throw first }
  return result
}

package enum Anomalies {
  final class Slot: Sendable { let first = Mutex<AnomalyError?>(nil) }
  @TaskLocal static var slot: Slot?

  /// Looks at the results of an operation on plain tensors.
  static func inspect(_ op: String, _ inputs: [Tensor], _ results: [Tensor]) {
    guard ck_flags() & UInt32(CK_ANOMALY) != 0, let slot, slot.first.withLock({ $0 == nil }) else { return }
    for result in results {
      guard result.isPlain, let found = fault(result), inputs.allSatisfy({ !$0.isPlain || fault($0) == nil }) else {
        continue
      }
      let error = AnomalyError(op: op, layers: Context.layerPath, arguments: inputs.map { $0.spec }, what: found)
      slot.first.withLock { if $0 == nil { $0 = error } }
      return
    }
  }

  /// What a tensor holds that is not finite.
  private static func fault(_ tensor: Tensor) -> String? {
    guard tensor.dtype.isInexact else { return nil }
    if tensor.dtype == .float32 || tensor.dtype == .complex64 {
      // All bits of the exponent are set in what is not finite; the loop has no branch, so that it is vectorised.
      let worst =
        tensor.withUnsafeBytes { bytes -> UInt32 in
          bytes.bindMemory(to: UInt32.self).reduce(0) { max($0, $1 & 0x7fff_ffff) }
        } ?? 0
      return worst > 0x7f80_0000 ? "NaN" : worst == 0x7f80_0000 ? "infinity" : nil
    }
    let numbers: [Double] =
      tensor.dtype.isComplex
      ? tensor.array(as: Complex<Double>.self).flatMap { [$0.real, $0.imaginary] } : tensor.array()
    if numbers.contains(where: { $0.isNaN }) { return "NaN" }
    return numbers.contains(where: { $0.isInfinite }) ? "infinity" : nil
  }
}
