import MartletCore

extension Safetensors {
  /// What the header says of one tensor to be written.
  public struct Entry: Hashable, Sendable {
    public var name: String
    public var dtype: String
    public var shape: [Int]

    public init(name: String, dtype: String, shape: [Int]) {
      self.name = name
      self.dtype = dtype
      self.shape = shape
    }
  }

  /// Writes tensors to a file, which appears whole or not at all.
  ///
  /// Equal arguments give equal bytes. Throws on names that are used twice, unknown types, and bytes that do not fit a
  /// shape, before anything is written.
  public static func write(
    _ tensors: [RawTensor], metadata: [String: String] = [:], to path: String
  ) throws(FileError) {
    let entries = tensors.map { Entry(name: $0.name, dtype: $0.dtype, shape: $0.shape) }
    let counts = try check(entries, path: path)
    for (tensor, count) in zip(tensors, counts) where tensor.byteCount != count {
      throw mismatch(tensor.name, has: tensor.byteCount, needs: count, path: path)
    }
    try write(entries, metadata: metadata, to: path) { index, write throws(FileError) in
      try tensors[index].withUnsafeBytes { bytes throws(FileError) in try write(bytes) }
    }
  }

  /// Writes tensors whose bytes are asked for one after the other, so that not all need lie in memory.
  ///
  /// `bytes` is called once per entry with its index, and must hand exactly the entry's bytes to the function that it is
  /// given, in one or more parts. The calls come in the order of the file, which need not be that of `entries`.
  public static func write(
    _ entries: [Entry], metadata: [String: String] = [:], to path: String,
    bytes: (Int, (UnsafeRawBufferPointer) throws(FileError) -> Void) throws(FileError) -> Void
  ) throws(FileError) {
    _ = try save(entries, metadata: metadata, to: path, bytes: bytes)
  }

  /// The same, and says what was to be written.
  ///
  /// - Parameter seal: The offset of eight digits of the file that become its checksum, computed over the file as it is before.
  package static func save(
    _ entries: [Entry], metadata: [String: String], to path: String, seal: Int? = nil,
    bytes: (Int, (UnsafeRawBufferPointer) throws(FileError) -> Void) throws(FileError) -> Void
  ) throws(FileError) -> FileMark {
    let counts = try check(entries, path: path)
    // Widest types first, as the reference writes them: then every tensor is aligned.
    let order = entries.indices.sorted { a, b in
      let (widthA, widthB) = (Safetensors.bits(of: entries[a].dtype) ?? 0, Safetensors.bits(of: entries[b].dtype) ?? 0)
      return widthA != widthB ? widthA > widthB : entries[a].name.utf8.lexicographicallyPrecedes(entries[b].name.utf8)
    }
    var members: [String] = []
    if !metadata.isEmpty {
      let texts = metadata.sorted { $0.key < $1.key }.map { quotedJSON($0.key) + ":" + quotedJSON($0.value) }
      members.append("\(quotedJSON(metadataKey)):{\(texts.joined(separator: ","))}")
    }
    var offset = 0
    for index in order {
      let entry = entries[index]
      let (end, overflow) = offset.addingReportingOverflow(counts[index])
      guard !overflow else { throw FileError(path, "tensors are too large together for 64 bits") }
      let shape = entry.shape.map(String.init).joined(separator: ",")
      let fields = "\"dtype\":\"\(entry.dtype)\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]"
      members.append("\(quotedJSON(entry.name)):{\(fields)}")
      offset = end
    }
    var header = Array("{\(members.joined(separator: ","))}".utf8)
    while header.count % 8 != 0 { header.append(UInt8(ascii: " ")) }
    var file = try AtomicFile(path: path)
    try withUnsafeBytes(of: UInt64(header.count).littleEndian) { raw throws(FileError) in try file.write(raw) }
    try file.write(header)
    for index in order {
      var written = 0
      try bytes(index) { raw throws(FileError) in
        written += raw.count
        guard written <= counts[index] else {
          throw mismatch(entries[index].name, has: written, needs: counts[index], path: path)
        }
        try file.write(raw)
      }
      guard written == counts[index] else {
        throw mismatch(entries[index].name, has: written, needs: counts[index], path: path)
      }
    }
    if let seal {
      let digits = String(file.written, radix: 16)
      try file.overwrite(Array((String(repeating: "0", count: 8 - digits.count) + digits).utf8), at: seal)
    }
    return try file.commit()
  }

  /// The byte counts of the entries, when all can be written.
  private static func check(_ entries: [Entry], path: String) throws(FileError) -> [Int] {
    var names: Set<[UInt8]> = []
    var counts: [Int] = []
    for entry in entries {
      guard entry.name != metadataKey else { throw FileError(path, "a tensor cannot be named \(metadataKey)") }
      guard names.insert(Array(entry.name.utf8)).inserted else {
        throw FileError(path, "two tensors have the name \"\(entry.name)\"")
      }
      switch byteCount(dtype: entry.dtype, shape: entry.shape) {
      case .success(let count): counts.append(count)
      case .failure(let failure): throw FileError(path, "tensor \"\(entry.name)\" \(failure.reason)")
      }
    }
    return counts
  }

  private static func mismatch(_ name: String, has: Int, needs: Int, path: String) -> FileError {
    FileError(path, "tensor \"\(name)\" has \(has) bytes to write, but its type and shape need \(needs)")
  }
}
