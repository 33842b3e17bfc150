import CZlib

/// Reads and writes gzip streams (RFC 1952), whole and in memory.
public enum Gzip {
  /// More than this many bytes cannot come out of one byte of deflate.
  private static let greatestRatio = 1032

  /// Inflates a gzip file.
  ///
  /// Throws when the file cannot be read, does not begin as gzip, ends early, has other bytes after its end, fails its
  /// check sum, or would yield more than `limit` bytes.
  public static func inflate(contentsOf path: String, limit: Int) throws(FileError) -> [UInt8] {
    let file = try FileBytes(path: path)
    return try file.withBytes { bytes throws(FileError) in try inflate(bytes, limit: limit, name: path) }
  }

  /// Inflates gzip bytes; `name` stands for the file in errors.
  public static func inflate(
    _ bytes: UnsafeRawBufferPointer, limit: Int, name: String = "gzip data"
  ) throws(FileError) -> [UInt8] {
    try inflate(bytes, limit: limit, stopping: false, name: name)
  }

  /// Inflates gzip bytes; `name` stands for the file in errors.
  public static func inflate(
    _ bytes: [UInt8], limit: Int, name: String = "gzip data"
  ) throws(FileError) -> [UInt8] {
    try bytes.withBytes { raw throws(FileError) in try inflate(raw, limit: limit, name: name) }
  }

  /// The first `count` inflated bytes, or all when there are fewer; what follows is not looked at.
  package static func start(
    of bytes: UnsafeRawBufferPointer, count: Int, name: String
  ) throws(FileError) -> [UInt8] {
    try inflate(bytes, limit: count, stopping: true, name: name)
  }

  /// Whether bytes begin as a gzip stream.
  package static func isGzip(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.count >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b
  }

  private static func inflate(
    _ bytes: UnsafeRawBufferPointer, limit: Int, stopping: Bool, name: String
  ) throws(FileError) -> [UInt8] {
    guard !bytes.isEmpty else { throw FileError(name, "is empty; a gzip stream was expected") }
    guard bytes[0] == 0x1f, bytes.count < 2 || bytes[1] == 0x8b else {
      throw FileError(name, "is not gzip: it does not begin with the bytes 1f 8b")
    }
    guard let stream = cz_inflater() else { throw FileError(name, "no memory to inflate it") }
    defer { cz_free(stream) }
    let limit = max(0, limit)
    var result: [UInt8] = []
    // The last four bytes state the length modulo 2³². They are a hint only, so the input's length bounds it.
    if bytes.count >= 18, !stopping {
      let stated = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: bytes.count - 4, as: UInt32.self)))
      let (greatest, overflow) = bytes.count.multipliedReportingOverflow(by: greatestRatio)
      result.reserveCapacity(min(stated, limit, overflow ? .max : greatest))
    }
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: stopping ? max(1, limit) : 1 << 18, alignment: 64)
    defer { block.deallocate() }
    var position = 0
    while true {
      var used = 0
      var made = 0
      let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
      let status = cz_inflate(stream, rest.baseAddress, rest.count, block.baseAddress, block.count, &used, &made)
      position += used
      if made > limit - result.count {
        if stopping {
          result += block[..<(limit - result.count)]
          return result
        }
        throw FileError(name, "inflates to more than the allowed \(limit) bytes")
      }
      result.append(contentsOf: block[..<made])
      if stopping && result.count == limit { return result }
      switch status {
      case CZ_END:
        if position == bytes.count { return result }
        let next = UnsafeRawBufferPointer(rebasing: bytes[position...])
        // Gzip files may be joined end to end; then the inflated parts follow each other.
        guard isGzip(next), cz_restart(stream) != 0 else {
          throw FileError(name, "has \(next.count) bytes after the end of its gzip stream")
        }
      case CZ_MORE:
        if used == 0 && made == 0 {
          throw FileError(name, "ends early: the gzip stream is cut off after \(bytes.count) bytes")
        }
      case CZ_NO_MEMORY:
        throw FileError(name, "no memory to inflate it")
      default:
        let text = cz_message(stream).map { String(cString: $0) } ?? "unknown reason"
        let meaning = text == "incorrect data check" || text == "incorrect length check" ? "check sum is wrong" : text
        throw FileError(name, "gzip stream is damaged near byte \(position): \(meaning)")
      }
    }
  }

  /// Makes a gzip stream of bytes; `level` goes from 0, stored, to 9, smallest.
  public static func deflate(_ bytes: [UInt8], level: Int = 6) -> [UInt8] {
    precondition((0...9).contains(level), "Gzip.deflate: level is \(level), but must lie in 0...9")
    guard let stream = cz_deflater(Int32(level)) else { fatalError("Gzip.deflate: no memory") }
    defer { cz_free(stream) }
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
    defer { block.deallocate() }
    var result: [UInt8] = []
    bytes.withUnsafeBytes { raw in
      var position = 0
      var status = CZ_MORE
      while status == CZ_MORE {
        var used = 0
        var made = 0
        let rest = UnsafeRawBufferPointer(rebasing: raw[position...])
        status = cz_deflate(stream, rest.baseAddress, rest.count, 1, block.baseAddress, block.count, &used, &made)
        position += used
        result.append(contentsOf: block[..<made])
      }
      precondition(status == CZ_END, "Gzip.deflate: no memory")
    }
    return result
  }
}

extension [UInt8] {
  /// `withUnsafeBytes` with the type of the error kept.
  package func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try withUnsafeBufferPointer { buffer throws(E) in try body(UnsafeRawBufferPointer(buffer)) }
  }
}
