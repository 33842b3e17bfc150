#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The environment of the process.
package enum Environment {
  package static subscript(name: String) -> String? {
    guard let value = getenv(name) else { return nil }
    return String(cString: value)
  }

  /// True when the variable is set to anything but the empty string or `0`.
  package static func isOn(_ name: String) -> Bool {
    guard let value = self[name] else { return false }
    return !value.isEmpty && value != "0"
  }
}
