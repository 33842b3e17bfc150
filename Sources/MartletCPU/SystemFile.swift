#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Small text files, as those by which Linux describes itself.
package enum SystemFile {
  /// The lines of a file's first bytes; none, when it cannot be read.
  package static func lines(of path: String, limit: Int = 1 << 16) -> [Substring] {
    guard let file = fopen(path, "re") else { return [] }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: limit)
    let count = fread(&bytes, 1, limit, file)
    return String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n")
  }

  /// What stands behind the colon of the first line that begins with a name.
  package static func field(_ name: String, in path: String) -> String? {
    for line in lines(of: path) where line.hasPrefix(name) {
      guard let colon = line.firstIndex(of: ":") else { continue }
      return line[line.index(after: colon)...].split(separator: " ").joined(separator: " ")
    }
    return nil
  }
}
