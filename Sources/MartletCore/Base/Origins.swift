internal import CKernels

#if canImport(Runtime) && os(Linux)
  import Runtime
#endif

/// The calls that led to a tensor.
package final class Origin: Sendable {
  let op: String
  #if canImport(Runtime) && os(Linux)
    private let backtrace: Backtrace?
    init(op: String) {
      self.op = op
      backtrace = try? Backtrace.capture(limit: 48)
    }

    /// The innermost line outside of Martlet's own sources: `main.swift:12`.
    var line: String? {
      guard let frames = backtrace?.symbolicated()?.frames else { return nil }
      for frame in frames {
        guard let place = frame.symbol?.sourceLocation, place.line > 0, !place.path.contains("/Sources/Martlet") else {
          continue
        }
        return "\(place.path.split(separator: "/").suffix(2).joined(separator: "/")):\(place.line)"
      }
      return nil
    }
  #else
    init(op: String) { self.op = op }
    var line: String? { nil }
  #endif
}

/// Where tensors were made, for error texts: `MARTLET_ORIGINS=1`. Costs about a millisecond for each operation.
package enum Origins {
  @inline(__always)
  package static var areOn: Bool { ck_flags() & UInt32(CK_ORIGINS) != 0 }

  static func note(_ tensor: Tensor, _ op: String) {
    if tensor.node.origin == nil { tensor.node.origin = Origin(op: op) }
  }

  /// Lines for an error text: where it was called, and where each argument was made.
  static func lines(_ tensors: [Tensor], _ names: [String]) -> [String] {
    var lines: [String] = []
    if let line = Origin(op: "").line { lines.append("called at \(line)") }
    for (position, tensor) in tensors.enumerated() {
      guard let origin = tensor.node.origin ?? tensor.node.inner?.node.origin, let line = origin.line else { continue }
      let name = position < names.count ? names[position] : "input \(position)"
      lines.append("\(name) was made by \(origin.op) at \(line)")
    }
    return lines
  }
}
