import MartletCore

/// A safetensors file: a JSON header with names, types, shapes and offsets, then the bytes of all tensors.
///
/// The file is mapped, so opening a large one costs little and its bytes are read when they are used. The checks are
/// those of the reference implementation: offsets within the file, without overlap and without holes.
public struct Safetensors: Sendable {
  /// The path as given.
  public let path: String
  /// The tensors in the order of their bytes.
  public let tensors: [RawTensor]
  /// The strings under `__metadata__`.
  public let metadata: [String: String]
  private let indices: [String: Int]

  /// Opens a file; throws when it is not a well-formed safetensors file.
  public init(contentsOf path: String) throws(FileError) {
    self.path = path
    let file = try FileBytes(path: path)
    let header = try file.withBytes { bytes throws(FileError) in try Header(bytes, path: path) }
    metadata = header.metadata
    tensors = header.entries.map {
      RawTensor(name: $0.name, dtype: $0.dtype, shape: $0.shape, file: file, range: $0.range)
    }
    // The header's names are unique as bytes; of two canonically equal ones the first is found by name.
    indices = Dictionary(tensors.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// The tensor of a name, or nil.
  public subscript(name: String) -> RawTensor? { indices[name].map { tensors[$0] } }

  /// The tensor of a name; throws with the nearest name when there is none.
  public func tensor(named name: String) throws(FileError) -> RawTensor {
    if let tensor = self[name] { return tensor }
    let hint = Spelling.nearest(to: name, in: tensors.lazy.map(\.name)).map { "; did you mean \"\($0)\"?" } ?? ""
    throw FileError(path, "has no tensor \"\(name)\"\(hint)")
  }

  /// The bits of one element of a type, or nil for an unknown type.
  public static func bits(of dtype: String) -> Int? { widths[dtype] }

  private static let widths: [String: Int] = [
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
  ]

  static let metadataKey = "__metadata__"

  /// The number of bytes that a type and shape need, or the reason why there is none.
  static func byteCount(dtype: String, shape: [Int]) -> Result<Int, HeaderJSON.Failure> {
    guard let width = widths[dtype] else {
      let hint = Spelling.nearest(to: dtype, in: widths.keys.sorted()).map { "; did you mean \($0)?" } ?? ""
      return .failure(.init(reason: "has the unknown type \"\(dtype.shortened)\"\(hint)"))
    }
    var bits = width
    for size in shape {
      guard size >= 0 else { return .failure(.init(reason: "has a negative size in its shape \(shape.shown)")) }
      let (product, overflow) = bits.multipliedReportingOverflow(by: size)
      // Also before a later 0: the reference multiplies from left to right too.
      guard !overflow else { return .failure(.init(reason: "has a shape \(shape.shown) too large for 64 bits")) }
      bits = product
    }
    guard bits % 8 == 0 else {
      return .failure(.init(reason: "has type \(dtype) and shape \(shape.shown), which is no whole number of bytes"))
    }
    return .success(bits / 8)
  }
}

extension [Int] {
  /// The sizes as a message shows them, cut when there are many.
  fileprivate var shown: String {
    count <= 16 ? "\(self)" : "[\(prefix(16).map(String.init).joined(separator: ", ")), ...]"
  }
}

/// What a header says, after all checks.
private struct Header {
  struct Entry {
    var name: String
    var dtype: String
    var shape: [Int]
    /// Within the file.
    var range: Range<Int>
  }

  var metadata: [String: String] = [:]
  var entries: [Entry] = []

  /// As in the reference implementation.
  static let greatestLength = 100_000_000

  init(_ bytes: UnsafeRawBufferPointer, path: String) throws(FileError) {
    func bad(_ reason: String) -> FileError { FileError(path, reason) }
    guard bytes.count >= 8 else {
      throw bad(
        "is cut off, or not safetensors: it has \(ErrorText.counted(bytes.count, "byte")), and 8 are needed for the header's "
          + "length")
    }
    let stated = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard stated <= UInt64(bytes.count - 8) else {
      throw bad(
        "is cut off, damaged or not safetensors: it states a header of \(stated) bytes, but only \(bytes.count - 8) follow"
      )
    }
    guard stated <= UInt64(Self.greatestLength) else {
      throw bad(
        "is damaged, or not safetensors: it states a header of \(stated) bytes; at most \(Self.greatestLength) are allowed"
      )
    }
    let length = Int(stated)
    let json: HeaderJSON
    do {
      json = try HeaderJSON(parsing: UnsafeRawBufferPointer(rebasing: bytes[8..<8 + length]))
    } catch {
      throw bad("is damaged, or not safetensors: its header is not readable: \(error.reason)")
    }
    guard case .object(let members) = json else {
      throw bad("is damaged, or not safetensors: its header is \(json.kind), not an object")
    }
    let dataStart = 8 + length
    let dataCount = bytes.count - dataStart
    entries.reserveCapacity(members.count)
    for member in members {
      if member.key == Safetensors.metadataKey {
        metadata = try Self.metadata(member.value, path: path)
        continue
      }
      do throws(HeaderJSON.Failure) {
        entries.append(try Self.entry(member, dataStart: dataStart, dataCount: dataCount))
      } catch {
        throw bad("tensor \"\(member.key.shortened)\" \(error.reason)")
      }
    }
    entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
    var end = dataStart
    for (i, entry) in entries.enumerated() {
      let start = entry.range.lowerBound
      let name = entry.name.shortened
      if start < end {
        let other = entries[i - 1].name.shortened
        throw bad("is damaged: tensors \"\(other)\" and \"\(name)\" overlap at byte \(start - dataStart) of the data")
      }
      guard start == end else {
        throw bad(
          "is damaged: it has \(ErrorText.counted(start - end, "byte")) before tensor \"\(name)\" that belong to none")
      }
      end = entry.range.upperBound
    }
    guard end == bytes.count else {
      throw bad("is damaged: it has \(ErrorText.counted(bytes.count - end, "byte")) after its last tensor")
    }
  }

  static func metadata(_ json: HeaderJSON, path: String) throws(FileError) -> [String: String] {
    guard case .object(let members) = json else {
      throw FileError(path, "\(Safetensors.metadataKey) is \(json.kind), not an object")
    }
    var metadata: [String: String] = [:]
    for member in members {
      guard case .string(let text) = member.value else {
        let reason = "\"\(member.key.shortened)\" in \(Safetensors.metadataKey) is \(member.value.kind), not a string"
        throw FileError(path, reason)
      }
      metadata[member.key] = text
    }
    return metadata
  }

  static func entry(_ member: HeaderJSON.Member, dataStart: Int, dataCount: Int) throws(HeaderJSON.Failure) -> Entry {
    func bad(_ reason: String) -> HeaderJSON.Failure { .init(reason: reason) }
    guard case .object(let fields) = member.value else { throw bad("is \(member.value.kind), not an object") }
    func field(_ key: String) throws(HeaderJSON.Failure) -> HeaderJSON {
      guard let found = fields.first(where: { $0.key == key }) else { throw bad("has no \"\(key)\"") }
      return found.value
    }
    func integers(_ key: String) throws(HeaderJSON.Failure) -> [Int] {
      guard case .array(let items) = try field(key) else { throw bad("has a \"\(key)\" that is no array") }
      var numbers: [Int] = []
      for item in items {
        guard case .integer(let number) = item else { throw bad("has a \"\(key)\" that holds \(item.kind)") }
        numbers.append(number)
      }
      return numbers
    }
    if let extra = fields.first(where: { !["dtype", "shape", "data_offsets"].contains($0.key) }) {
      throw bad("has the unknown field \"\(extra.key.shortened)\"")
    }
    guard case .string(let dtype) = try field("dtype") else { throw bad("has a \"dtype\" that is no string") }
    let shape = try integers("shape")
    let offsets = try integers("data_offsets")
    guard offsets.count == 2 else { throw bad("has \(offsets.count) data offsets, not 2") }
    guard 0 <= offsets[0], offsets[0] <= offsets[1], offsets[1] <= dataCount else {
      let cut =
        offsets[0] >= 0 && offsets[0] <= offsets[1] ? "; the file is cut off, or damaged" : "; the file is damaged"
      throw bad("has data offsets \(offsets), outside of the \(dataCount) bytes present\(cut)")
    }
    let needed = try Safetensors.byteCount(dtype: dtype, shape: shape).get()
    guard needed == offsets[1] - offsets[0] else {
      throw bad("has \(offsets[1] - offsets[0]) bytes, but \(dtype) \(shape.shown) needs \(needed)")
    }
    return Entry(name: member.key, dtype: dtype, shape: shape, range: dataStart + offsets[0]..<dataStart + offsets[1])
  }
}
