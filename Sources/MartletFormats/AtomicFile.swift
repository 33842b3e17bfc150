import CZlib

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// CRC-32 of bytes.
package func checksum(_ bytes: UnsafeRawBufferPointer, after before: UInt32 = 0) -> UInt32 {
  guard let base = bytes.baseAddress else { return before }
  return cz_crc32(before, base, bytes.count)
}

/// The length and the checksum of a file.
package struct FileMark: Codable, Hashable, Sendable {
  package let bytes: Int
  package let crc32: UInt32
}

/// Writes a file under a temporary name beside its place and renames it when all is on the disk.
///
/// Readers see the old file or the new one, never a part; without `commit` nothing is left behind.
package struct AtomicFile: ~Copyable {
  private let path: String
  private let temporary: String
  private var descriptor: Int32
  private var mark = FileMark(bytes: 0, crc32: 0)

  package init(path: String) throws(FileError) {
    self.path = path
    var made: Int32 = -1
    var name = ""
    // A leftover of a killed program may have the name; another random one will not.
    for _ in 0..<8 {
      name = "\(path).\(getpid())-\(String(UInt32.random(in: 0...(.max)), radix: 16)).tmp"
      made = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      if made >= 0 || errno != EEXIST { break }
    }
    guard made >= 0 else {
      throw FileError(path, "cannot be written: \(errno == ENOENT ? "its folder does not exist" : systemReason(errno))")
    }
    temporary = name
    descriptor = made
  }

  deinit {
    if descriptor >= 0 {
      close(descriptor)
      unlink(temporary)
    }
  }

  /// Appends bytes.
  package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    mark = FileMark(bytes: mark.bytes + bytes.count, crc32: checksum(bytes, after: mark.crc32))
    var rest = bytes[...]
    while !rest.isEmpty {
      let part = UnsafeRawBufferPointer(rebasing: rest)
      // Some systems refuse more than 2 GiB at once.
      #if canImport(Glibc)
        let done = Glibc.write(descriptor, part.baseAddress, min(part.count, 1 << 30))
      #elseif canImport(Musl)
        let done = Musl.write(descriptor, part.baseAddress, min(part.count, 1 << 30))
      #else
        let done = Darwin.write(descriptor, part.baseAddress, min(part.count, 1 << 30))
      #endif
      if done < 0 {
        if errno == EINTR { continue }
        throw FileError(path, "cannot be written: \(systemReason(errno))")
      }
      rest = rest.dropFirst(done)
    }
  }

  /// Appends bytes.
  package mutating func write(_ bytes: [UInt8]) throws(FileError) {
    try bytes.withBytes { raw throws(FileError) in try write(raw) }
  }

  /// The checksum of what was written so far.
  package var written: UInt32 { mark.crc32 }

  /// Replaces bytes that were written; the checksum stays that of the first ones.
  package mutating func overwrite(_ bytes: [UInt8], at offset: Int) throws(FileError) {
    guard pwrite(descriptor, bytes, bytes.count, off_t(offset)) == bytes.count else {
      throw FileError(path, "cannot be written: \(systemReason(errno))")
    }
  }

  /// Brings the bytes to the disk and the file to its name. Says what was to be written, whatever the disk made of it.
  @discardableResult
  package consuming func commit() throws(FileError) -> FileMark {
    guard fsync(descriptor) == 0 else { throw FileError(path, "cannot be written: \(systemReason(errno))") }
    guard rename(temporary, path) == 0 else { throw FileError(path, "cannot be written: \(systemReason(errno))") }
    close(descriptor)
    descriptor = -1
    // The new name itself must survive a power cut too; file systems that cannot do this have nothing to report.
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    let opened = open(folder, O_RDONLY | O_CLOEXEC)
    if opened >= 0 {
      fsync(opened)
      close(opened)
    }
    return mark
  }
}
