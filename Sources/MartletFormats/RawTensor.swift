/// A named array of bytes with the type and shape that a file states for it; no arithmetic.
public struct RawTensor: Sendable {
  /// The name in the file.
  public let name: String
  /// The element type as the file spells it, such as "F32", "I64" or "BOOL".
  public let dtype: String
  /// The sizes along the axes; empty for a scalar.
  public let shape: [Int]
  private let storage: Storage

  private enum Storage: Sendable {
    case owned([UInt8])
    case mapped(FileBytes, Range<Int>)
  }

  /// Makes one of bytes in memory, elements little-endian and row by row.
  public init(name: String, dtype: String, shape: [Int], bytes: [UInt8]) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    storage = .owned(bytes)
  }

  init(name: String, dtype: String, shape: [Int], file: FileBytes, range: Range<Int>) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    storage = .mapped(file, range)
  }

  /// The number of bytes.
  public var byteCount: Int {
    switch storage {
    case .owned(let bytes): bytes.count
    case .mapped(_, let range): range.count
    }
  }

  /// The number of elements; the reader has checked that it fits `Int`.
  public var elementCount: Int { shape.reduce(1, *) }

  /// Calls a function with the bytes, not copied, and valid only during the call.
  ///
  /// They need not be aligned for the element type: the format does not promise it.
  public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    switch storage {
    case .owned(let bytes):
      return try bytes.withBytes(body)
    case .mapped(let file, let range):
      return try file.withBytes { bytes throws(E) in try body(UnsafeRawBufferPointer(rebasing: bytes[range])) }
    }
  }

  /// A copy of the bytes.
  public var bytes: [UInt8] { withUnsafeBytes { Array($0) } }

  /// A copy as an array of a trivial type, such as `Float` or `Int64`, or nil when the bytes are no whole number of it.
  public func array<T: BitwiseCopyable>(of type: T.Type = T.self) -> [T]? {
    withUnsafeBytes { bytes in
      guard bytes.count % MemoryLayout<T>.stride == 0 else { return nil }
      return Array(unsafeUninitializedCapacity: bytes.count / MemoryLayout<T>.stride) { buffer, count in
        UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
        count = bytes.count / MemoryLayout<T>.stride
      }
    }
  }
}
