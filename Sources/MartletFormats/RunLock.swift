#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Keeps other processes out of a run's folder while it lives: an advisory lock on a file `lock` in it.
///
/// The system lets go of it when the process ends, however that happens.
package final class RunLock: Sendable {
  private let path: String
  private let descriptor: Int32
  /// The folder, if it was made for this.
  private let made: String?

  /// Takes the lock of a run's folder, which is made if need be.
  ///
  /// Throws when another process, or this one, holds it already. File systems that know no locks grant it to everybody.
  package init(_ run: String) throws(FileError) {
    made = try makeFolder(run) ? run : nil
    path = joined(run, "lock")
    var held: Int32 = -1
    // The tries are bounded for file systems that tell of one file in two ways.
    for attempt in 1... {
      let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
      guard opened >= 0 else { throw FileError(run, "cannot be written: \(systemReason(errno))") }
      if flock(opened, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
        let holder = RunLock.number(in: opened)
        close(opened)
        throw FileError(run, "is in use\(holder.map { " by process \($0)" } ?? ""), which trains into it")
      }
      // Who held it before may have removed the file between the two calls; then it locks nobody out.
      var (own, there) = (stat(), stat())
      if fstat(opened, &own) == 0 && stat(path, &there) == 0 && own.st_ino == there.st_ino && own.st_dev == there.st_dev
        || attempt == 100
      {
        held = opened
        break
      }
      close(opened)
    }
    descriptor = held
    // Only for the error of others, so it does not matter if there is no space for it.
    ftruncate(descriptor, 0)
    let text = Array("\(getpid())\n".utf8)
    pwrite(descriptor, text, text.count, 0)
  }

  deinit {
    unlink(path)
    // A run that did not begin leaves no folder; one with files in it stays.
    if let made { rmdir(made) }
    close(descriptor)
  }

  private static func number(in file: Int32) -> Int? {
    var bytes = [UInt8](repeating: 0, count: 32)
    let count = pread(file, &bytes, bytes.count, 0)
    return Int(String(decoding: bytes.prefix(max(0, count)).prefix { $0 != 10 }, as: UTF8.self))
  }
}
