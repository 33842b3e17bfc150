import MartletFormats

/// An array in the IDX format, the one of MNIST: a magic number, sizes as big-endian numbers, then the elements.
public struct IDX: Sendable, Hashable {
  /// The element types of the format.
  public enum Element: UInt8, Sendable {
    case uint8 = 0x08
    case int8 = 0x09
    case int16 = 0x0b
    case int32 = 0x0c
    case float32 = 0x0d
    case float64 = 0x0e

    /// Bytes of one element.
    public var size: Int {
      switch self {
      case .uint8, .int8: 1
      case .int16: 2
      case .int32, .float32: 4
      case .float64: 8
      }
    }
  }

  public let element: Element
  public let shape: [Int]
  /// The elements as in the file, big-endian, row by row.
  public let bytes: [UInt8]

  /// Reads a file, plain or gzip.
  ///
  /// Throws when it is no IDX file, when its bytes are fewer or more than its sizes say, or when these need more than
  /// `limit` bytes.
  public init(contentsOf path: String, limit: Int = 1 << 32) throws(FileError) {
    let file = try FileBytes(path: path)
    self = try file.withBytes { raw throws(FileError) in try IDX(raw, limit: limit, name: path) }
  }

  /// Reads bytes, plain or gzip; `name` stands for the file in errors.
  public init(_ bytes: [UInt8], limit: Int = 1 << 32, name: String = "IDX data") throws(FileError) {
    self = try bytes.withBytes { raw throws(FileError) in try IDX(raw, limit: limit, name: name) }
  }

  /// Reads bytes, plain or gzip; `name` stands for the file in errors.
  public init(_ raw: UnsafeRawBufferPointer, limit: Int = 1 << 32, name: String = "IDX data") throws(FileError) {
    if Gzip.isGzip(raw) {
      // The sizes are read first: they bound what the rest may inflate to.
      let start = try Gzip.start(of: raw, count: Header.greatestLength, name: name)
      let header = try start.withBytes { start throws(FileError) in try Header(start, limit: limit, name: name) }
      let all: [UInt8]
      do throws(FileError) {
        all = try Gzip.inflate(raw, limit: header.length + header.dataCount + 1, name: name)
      } catch let error {
        // One byte too many is said below, with the sizes; a great many more end here.
        guard error.reason.hasPrefix("inflates to more") else { throw error }
        throw FileError(name, "has more than the \(header.dataCount) bytes of data that \(header.text) needs")
      }
      try header.check(count: all.count, name: name)
      self.init(header, bytes: Array(all[header.length...]))
    } else {
      let header = try Header(raw, limit: limit, name: name)
      try header.check(count: raw.count, name: name)
      self.init(header, bytes: Array(raw[header.length...]))
    }
  }

  private init(_ header: Header, bytes: [UInt8]) {
    element = header.element
    shape = header.shape
    self.bytes = bytes
  }

  private struct Header {
    var element: Element
    var shape: [Int] = []
    var dataCount: Int
    var length: Int { 4 + 4 * shape.count }
    var text: String { "\(element) \(shape)" }

    static let greatestLength = 4 + 4 * 255

    init(_ bytes: UnsafeRawBufferPointer, limit: Int, name: String) throws(FileError) {
      guard bytes.count >= 4 else { throw FileError(name, "is too short for IDX: \(bytes.count) bytes") }
      guard bytes[0] == 0, bytes[1] == 0, let element = Element(rawValue: bytes[2]) else {
        let magic = bytes[..<4].map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined(separator: " ")
        throw FileError(name, "is not IDX: it begins with the bytes \(magic)")
      }
      self.element = element
      let axes = Int(bytes[3])
      guard bytes.count >= 4 + 4 * axes else {
        throw FileError(name, "ends early: \(bytes.count) bytes do not hold the sizes of \(axes) axes")
      }
      var product = element.size
      for axis in 0..<axes {
        let size = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4 + 4 * axis, as: UInt32.self))
        shape.append(Int(size))
        let (next, overflow) = product.multipliedReportingOverflow(by: Int(size))
        guard !overflow else { throw FileError(name, "has sizes too large for 64 bits") }
        product = next
      }
      dataCount = product
      guard product <= limit else {
        throw FileError(name, "needs \(product) bytes for \(element) \(shape), more than the allowed \(limit)")
      }
      // No caller allows so many; this keeps the sums below from overflowing whatever the limit.
      guard product <= Int.max / 2 else { throw FileError(name, "has sizes too large for memory") }
    }

    /// Compares the length of the whole with the sizes.
    func check(count: Int, name: String) throws(FileError) {
      let present = count - length
      guard present >= dataCount else {
        throw FileError(name, "ends early: \(text) needs \(dataCount) bytes of data, but \(present) are present")
      }
      guard present == dataCount else {
        throw FileError(name, "has more than the \(dataCount) bytes of data that \(text) needs")
      }
    }
  }

  /// The array as images; throws unless it has bytes along three axes.
  public func images(name: String = "IDX data") throws(FileError) -> RawImages {
    guard element == .uint8, shape.count == 3 else {
      throw FileError(name, "holds \(element) \(shape), not images: uint8 with 3 axes")
    }
    return RawImages(count: shape[0], rows: shape[1], columns: shape[2], pixels: bytes)
  }

  /// The array as labels; throws unless it has bytes along one axis, all below `classes`.
  public func labels(classes: Int, name: String = "IDX data") throws(FileError) -> [UInt8] {
    guard element == .uint8, shape.count == 1 else {
      throw FileError(name, "holds \(element) \(shape), not labels: uint8 with 1 axis")
    }
    try checkLabels(bytes, classes: classes, name: name)
    return bytes
  }
}

/// Throws with the place of the first label that is not below the number of classes.
public func checkLabels(_ labels: [UInt8], classes: Int, name: String = "labels") throws(FileError) {
  if let index = labels.firstIndex(where: { Int($0) >= classes }) {
    throw FileError(name, "label \(labels[index]) at index \(index) is outside of 0..<\(classes)")
  }
}
