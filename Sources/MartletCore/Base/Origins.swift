internal import CKernels

/// The calls that led to a tensor.
package final class Origin: Sendable {
  let op: String
  #if canImport(Runtime) && canImport(Glibc)
    private let calls = Calls()
    init(op: String) { self.op = op }

    /// The innermost line of a function that is not Martlet's: `App/main.swift:12`. Where the compiler has merged the code of
    /// several lines, the function and the line that called it: `App/main.swift, in Net.forward, from App/main.swift:30`.
    /// Nil where the program was built without line numbers.
    var line: String? {
      if let known = Origins.known(calls) { return known }
      let line = find()
      Origins.remember(calls, line)
      return line
    }

    private func find() -> String? {
      var merged: String?
      for frame in calls.frames {
        guard let symbol = frame.symbol else { continue }
        guard let place = symbol.sourceLocation, Origins.isCaller(place.path) else {
          // Merged code may also be taken for the compiler's own.
          let isMerged = symbol.sourceLocation.map { $0.path.contains("<") } ?? true
          if merged == nil, isMerged, !frame.isSwiftThunk, Origins.isCaller(symbol: symbol.rawName) {
            merged = Origins.part(symbol.name, rawName: symbol.rawName)
          }
          continue
        }
        let name = place.path.split(separator: "/").suffix(2).joined(separator: "/")
        let isMacro = name.contains("@__swiftmacro")
        if place.line > 0, !isMacro {
          return merged.map { $0 == name ? "\(name):\(place.line)" : "\($0), from \(name):\(place.line)" }
            ?? "\(name):\(place.line)"
        }
        if merged == nil {
          let function = isMacro ? nil : Origins.function(symbol.name)
          merged = function.map { "\(name), in \($0)" } ?? name
        }
      }
      return merged
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

  #if canImport(Runtime) && canImport(Glibc)
    // Errors of one place come again and again, and a line takes long to find.
    private static let lock = Lock()
    nonisolated(unsafe) private static var lines: [Calls: String?] = [:]  // guarded by the lock
    static func known(_ calls: Calls) -> String?? { lock.holding { lines[calls] } }
    static func remember(_ calls: Calls, _ line: String?) {
      lock.holding {
        if lines.count >= 1000 { lines = [:] }
        lines[calls] = .some(line)
      }
    }
  #endif

  /// The short name of a function: `Net.forward` of `closure #1 in Net.forward(_:)`. Nil for a program's top level.
  package static func function(_ symbol: String) -> String? {
    // A closure or a specialisation is named after the function that it is of.
    let whole = symbol.split(separator: " in ").last?.split(separator: " of ").last ?? ""
    let name = whole.prefix { $0 != "(" && $0 != "<" }.split(separator: " ").last ?? ""
    return name.isEmpty || name == "main" || name == "top-level" ? nil : String(name)
  }

  /// Merged code, of which no line is known: `a line of Net.forward`. The name of a closure at a program's top level is cut to
  /// its number; then the module says more.
  package static func part(_ symbol: String, rawName: String) -> String? {
    guard let name = function(symbol) else { return nil }
    guard name.hasPrefix("#") else { return "a line of \(name)" }
    return module(of: rawName).map { "a line in a closure of \($0)" }
  }

  static func note(_ tensor: Tensor, _ op: String) {
    if tensor.node.origin == nil { tensor.node.origin = Origin(op: op) }
  }

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

  /// Whether a function belongs to the program: by the module that its mangled name begins with.
  package static func isCaller(symbol: String) -> Bool {
    module(of: symbol).map { !modules.contains($0) } ?? false
  }

  /// The module that a mangled name begins with.
  private static func module(of symbol: String) -> Substring? {
    guard symbol.hasPrefix("$s") else { return nil }
    let rest = symbol.dropFirst(2)
    guard let count = Int(rest.prefix { $0.isNumber }), count > 0 else { return nil }
    return rest.drop { $0.isNumber }.prefix(count)
  }

  /// Whether a source file belongs to the program that uses Martlet: not to Martlet's own modules, nor to Swift's library.
  ///
  /// By the folder and not by the names of functions: those that a program adds to `Tensor` begin like Martlet's own.
  package static func isCaller(_ path: String) -> Bool {
    let parts = path.split(separator: "/")
    if parts.last?.hasPrefix("<") != false || path.contains("/stdlib/public/") { return false }
    return !zip(parts, parts.dropFirst()).contains { $0 == "Sources" && modules.contains($1) }
  }
}
