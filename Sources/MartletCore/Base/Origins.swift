internal import CKernels

/// The calls that led to a tensor.
package final class Origin: Sendable {
  let op: String
  #if canImport(Runtime) && canImport(Glibc)
    private let calls = Calls()
    init(op: String) { self.op = op }

    /// The innermost line of a function that is not Martlet's: `App/main.swift:12`. Nil where the program was built without
    /// line numbers.
    var line: String? {
      var file: String?  // where the compiler has merged the code of several lines, or made it by a macro
      for frame in calls.frames {
        guard let place = frame.symbol?.sourceLocation, Origins.isCaller(place.path) else { continue }
        let name = place.path.split(separator: "/").suffix(2).joined(separator: "/")
        if place.line > 0, !name.contains("@__swiftmacro") { return "\(name):\(place.line)" }
        if file == nil { file = name }
      }
      return file
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

  /// As if the process had been started with `MARTLET_ORIGINS=1`.
  package static func turnOn() { ck_set_process_flags(UInt32(CK_ORIGINS)) }

  static func note(_ tensor: Tensor, _ op: String) {
    if tensor.node.origin == nil { tensor.node.origin = Origin(op: op) }
  }

  /// The line that called Martlet: `called at App/main.swift:12`.
  static var caller: [String] { Origin(op: "").line.map { ["called at \($0)"] } ?? [] }

  /// Lines for an error text: where each argument was made.
  static func lines(_ tensors: [Tensor], _ names: [String]) -> [String] {
    tensors.enumerated().compactMap { position, tensor in
      guard let origin = tensor.node.origin ?? tensor.node.inner?.node.origin, let line = origin.line else {
        return nil
      }
      let name = position < names.count ? names[position] : "input \(position)"
      return "\(name) was made by \(origin.op) at \(line)"
    }
  }

  private static let modules: Set<Substring> = [
    "Martlet", "MartletCore", "MartletOps", "MartletCPU", "MartletReference", "MartletNN", "MartletFormats",
    "MartletData", "MartletTrain", "CKernels", "COneDNN",
  ]

  /// Whether a source file belongs to the program that uses Martlet: not to Martlet's own modules, nor to Swift's library.
  ///
  /// By the folder and not by the names of functions: those that a program adds to `Tensor` begin like Martlet's own.
  package static func isCaller(_ path: String) -> Bool {
    let parts = path.split(separator: "/")
    if parts.last == "<compiler-generated>" || path.contains("/stdlib/public/") { return false }
    return !zip(parts, parts.dropFirst()).contains { $0 == "Sources" && modules.contains($1) }
  }
}
