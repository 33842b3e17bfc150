import MartletCore

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
    if let base { MappedFiles.letGo { munmap(UnsafeMutableRawPointer(mutating: base), count) } }
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

/// Makes a folder and those above it, each on the disk before the next; whether it was not there.
@discardableResult
func makeFolder(_ path: String) throws(FileError) -> Bool {
  var made = path.hasPrefix("/") ? "/" : ""
  var isNew = false
  for part in path.split(separator: "/") {
    made = joined(made, String(part))
    isNew = mkdir(made, 0o777) == 0
    if isNew {
      let above = made.lastIndex(of: "/").map { String(made[...$0]) } ?? "."
      try syncFolder(above)
    } else if errno != EEXIST {
      throw FileError(path, "cannot be made: \(String(cString: strerror(errno)))")
    }
  }
  var info = stat()
  guard stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else {
    throw FileError(path, "is not a folder")
  }
  return isNew
}

/// Brings a folder's names to the disk.
func syncFolder(_ path: String) throws(FileError) {
  let opened = open(path, O_RDONLY | O_CLOEXEC)
  guard opened >= 0 else { throw FileError(path, systemReason(errno)) }
  defer { close(opened) }
  // Some file systems cannot do this for folders, and have nothing to report then.
  guard fsync(opened) == 0 || errno == EINVAL else {
    throw FileError(path, "cannot be written: \(systemReason(errno))")
  }
}
