#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The bytes of a file, mapped read-only and unmapped with the last reference.
///
/// A file that another program cuts short while it is mapped ends the process at the next access; programs that write
/// files should therefore write a new one and rename it, as `AtomicFile` does.
package final class FileBytes: Sendable {
  package let path: String
  package let count: Int
  // Never written after init, and the mapping itself is read-only.
  private nonisolated(unsafe) let base: UnsafeRawPointer?

  /// Maps a regular file; a directory, a pipe or a device is an error.
  package init(path: String) throws(FileError) {
    self.path = path
    // Without O_NONBLOCK, opening a pipe would wait for a writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw FileError(path, systemReason(errno)) }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0 else { throw FileError(path, systemReason(errno)) }
    guard info.st_mode & S_IFMT == S_IFREG else {
      throw FileError(path, info.st_mode & S_IFMT == S_IFDIR ? "is a folder, not a file" : "is not a regular file")
    }
    count = Int(info.st_size)
    guard count > 0 else {
      base = nil
      return
    }
    guard let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
      throw FileError(path, "cannot be mapped: \(systemReason(errno))")
    }
    base = UnsafeRawPointer(address)
  }

  deinit {
    if let base { munmap(UnsafeMutableRawPointer(mutating: base), count) }
  }

  /// The bytes; valid only while this object lives.
  package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// Calls a function with the bytes while the mapping is kept.
  package func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    defer { withExtendedLifetime(self) {} }
    return try body(bytes)
  }
}

/// The text of a system error number.
package func systemReason(_ code: Int32) -> String {
  switch code {
  case ENOENT: "does not exist"
  case EACCES: "permission denied"
  case ENOSPC: "no space left on the device"
  default: String(cString: strerror(code))
  }
}

/// Whether something is at a path.
package func fileExists(_ path: String) -> Bool { access(path, F_OK) == 0 }

/// A folder's path with a name appended.
package func joined(_ folder: String, _ name: String) -> String {
  folder.isEmpty ? name : folder.hasSuffix("/") ? folder + name : folder + "/" + name
}

/// Writes a file under a temporary name beside its place and renames it when all is on the disk.
///
/// Readers see the old file or the new one, never a part; without `commit` nothing is left behind.
package struct AtomicFile: ~Copyable {
  private let path: String
  private let temporary: String
  private var descriptor: Int32

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
  package func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
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

  /// Brings the bytes to the disk and the file to its name.
  package consuming func commit() throws(FileError) {
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
  }
}
