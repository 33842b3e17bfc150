#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Lines on standard error that `MARTLET_LOG` asks for: a list of subjects, of which there is `compile`.
enum Log {
  private static let subjects = Set((Environment["MARTLET_LOG"] ?? "").split(separator: ",").map { String($0) })

  static func compile(_ text: @autoclosure () -> String) {
    guard subjects.contains("compile") else { return }
    let line = Array("martlet: \(text())\n".utf8)
    _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
  }
}
