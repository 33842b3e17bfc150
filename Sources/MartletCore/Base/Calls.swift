#if canImport(Runtime) && canImport(Glibc)
  import Glibc
  import Runtime

  /// The calls that led here, innermost first.
  ///
  /// `Backtrace.capture` follows frame pointers, and crashes below `main` and in thread pools, where C libraries use that
  /// register for something else. Libc's `backtrace` does not need it; its addresses become a `Backtrace`, which knows the
  /// names and lines, by way of the form in which one is stored.
  struct Calls: Sendable, Hashable {
    private let addresses: [UInt]

    init() {
      addresses = withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer?.self, capacity: 96) { frames in
        guard let unwind = Calls.unwind else { return [] }
        let count = unwind(frames.baseAddress!, Int32(frames.count))
        return frames.prefix(Int(count)).map { UInt(bitPattern: $0) }
      }
    }

    private typealias Unwind = @convention(c) (UnsafeMutablePointer<UnsafeMutableRawPointer?>, Int32) -> Int32
    private static let unwind = dlsym(nil, "backtrace").map { unsafeBitCast($0, to: Unwind.self) }

    /// Their names and lines; empty where these are not known.
    var frames: [SymbolicatedBacktrace.Frame] {
      guard !addresses.isEmpty, let backtrace = try? Backtrace(from: Stored(addresses)) else { return [] }
      return backtrace.symbolicated(with: Calls.images)?.frames ?? []
    }

    /// The program and its libraries. Taken once: `capture` reads the beginning of every file that is mapped, and must not
    /// meet one that another thread is letting go.
    private static let images = MappedFiles.whileAllStay { ImageMap.capture() }
  }

  /// Addresses as `Backtrace` stores them: a byte for words of 64 bits, then for each return address its code and the
  /// difference from the one before, all in base 64.
  private struct Stored: Decoder {
    let values: [String: String]
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    init(_ addresses: [UInt]) {
      var bytes: [UInt8] = [2]
      var last: UInt = 0
      for address in addresses {
        let difference = UInt64(address &- last)
        bytes.append(0x27)
        for shift in stride(from: 56, through: 0, by: -8) {
          bytes.append(UInt8(truncatingIfNeeded: difference >> shift))
        }
        last = address
      }
      #if arch(x86_64)
        let architecture = "x86_64"
      #else
        let architecture = "arm64"
      #endif
      values = ["architecture": architecture, "backtrace": Stored.base64(bytes)]
    }

    private static func base64(_ bytes: [UInt8]) -> String {
      let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
      var text: [UInt8] = []
      var (bits, count) = (0, 0)
      for byte in bytes {
        bits = bits << 8 | Int(byte)
        count += 8
        while count >= 6 {
          count -= 6
          text.append(digits[bits >> count & 63])
        }
        bits &= 1 << count - 1
      }
      if count > 0 { text.append(digits[bits << (6 - count) & 63]) }
      return String(decoding: text, as: UTF8.self)
    }

    private struct Absent: Error {}
    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
      KeyedDecodingContainer(Fields<Key>(values: values))
    }
    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { throw Absent() }
    func singleValueContainer() throws -> any SingleValueDecodingContainer { throw Absent() }

    /// Two texts; nothing else is there.
    private struct Fields<Key: CodingKey>: KeyedDecodingContainerProtocol {
      let values: [String: String]
      var codingPath: [any CodingKey] { [] }
      var allKeys: [Key] { values.keys.compactMap { Key(stringValue: $0) } }
      func contains(_ key: Key) -> Bool { values[key.stringValue] != nil }
      func decodeNil(forKey key: Key) -> Bool { !contains(key) }
      func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
        guard let value = values[key.stringValue] as? T else { throw Absent() }
        return value
      }
      func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { throw Absent() }
      func decode(_ type: String.Type, forKey key: Key) throws -> String {
        guard let value = values[key.stringValue] else { throw Absent() }
        return value
      }
      func decode(_ type: Double.Type, forKey key: Key) throws -> Double { throw Absent() }
      func decode(_ type: Float.Type, forKey key: Key) throws -> Float { throw Absent() }
      func decode(_ type: Int.Type, forKey key: Key) throws -> Int { throw Absent() }
      func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { throw Absent() }
      func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { throw Absent() }
      func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { throw Absent() }
      func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { throw Absent() }
      func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { throw Absent() }
      func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { throw Absent() }
      func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { throw Absent() }
      func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { throw Absent() }
      func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { throw Absent() }
      func nestedContainer<K: CodingKey>(keyedBy type: K.Type, forKey key: Key) throws -> KeyedDecodingContainer<K> {
        throw Absent()
      }
      func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { throw Absent() }
      func superDecoder() throws -> any Decoder { throw Absent() }
      func superDecoder(forKey key: Key) throws -> any Decoder { throw Absent() }
    }
  }
#endif
