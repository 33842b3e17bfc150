/// A value of the small part of JSON that file headers use: whole numbers only.
///
/// Foundation's reader drops duplicate keys silently and turns numbers into floats; a header must not be read loosely.
package enum HeaderJSON: Hashable, Sendable {
  case null
  case bool(Bool)
  case integer(Int)
  case string(String)
  case array([HeaderJSON])
  /// Keys in the order of the text; no key occurs twice.
  case object([Member])

  package struct Member: Hashable, Sendable {
    package let key: String
    package let value: HeaderJSON

    package init(key: String, value: HeaderJSON) {
      self.key = key
      self.value = value
    }
  }

  package struct Failure: Error {
    package let reason: String
  }

  /// Reads one value that fills the bytes, but for space around it.
  package init(parsing bytes: UnsafeRawBufferPointer) throws(Failure) {
    var reader = Reader(bytes: bytes)
    self = try reader.value(depth: 0)
    reader.skipSpace()
    guard reader.position == bytes.count else { throw reader.failure("text after the end of the value") }
  }

  /// What the value is, for messages.
  package var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a truth value"
    case .integer: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

private struct Reader {
  let bytes: UnsafeRawBufferPointer
  var position = 0

  func failure(_ reason: String) -> HeaderJSON.Failure { .init(reason: "\(reason) at byte \(position)") }

  var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d { position += 1 }
  }

  mutating func take(_ byte: UInt8) -> Bool {
    guard next == byte else { return false }
    position += 1
    return true
  }

  mutating func expect(_ character: Unicode.Scalar) throws(HeaderJSON.Failure) {
    guard take(UInt8(ascii: character)) else { throw failure("missing '\(character)'") }
  }

  mutating func word(_ text: StaticString) throws(HeaderJSON.Failure) {
    for i in 0..<text.utf8CodeUnitCount {
      guard take(text.utf8Start[i]) else { throw failure("an unknown word") }
    }
  }

  mutating func value(depth: Int) throws(HeaderJSON.Failure) -> HeaderJSON {
    // The recursion must not be able to exhaust the stack.
    guard depth < 64 else { throw failure("more than 64 levels of nesting") }
    skipSpace()
    switch next {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"):
      try word("true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try word("false")
      return .bool(false)
    case UInt8(ascii: "n"):
      try word("null")
      return .null
    case .some(UInt8(ascii: "-")), .some(UInt8(ascii: "0")...UInt8(ascii: "9")): return .integer(try integer())
    case nil: throw failure("the text ends early")
    default: throw failure("an unexpected character")
    }
  }

  mutating func object(depth: Int) throws(HeaderJSON.Failure) -> HeaderJSON {
    position += 1
    var members: [HeaderJSON.Member] = []
    // Comparison by bytes: two names may be canonically equal as Swift strings and still be different keys.
    var seen: Set<[UInt8]> = []
    skipSpace()
    if take(UInt8(ascii: "}")) { return .object([]) }
    repeat {
      skipSpace()
      guard next == UInt8(ascii: "\"") else { throw failure("missing name") }
      let key = try string()
      guard seen.insert(Array(key.utf8)).inserted else { throw failure("the name \"\(key.shortened)\" occurs twice,") }
      skipSpace()
      try expect(":")
      members.append(.init(key: key, value: try value(depth: depth + 1)))
      skipSpace()
    } while take(UInt8(ascii: ","))
    try expect("}")
    return .object(members)
  }

  mutating func array(depth: Int) throws(HeaderJSON.Failure) -> HeaderJSON {
    position += 1
    var items: [HeaderJSON] = []
    skipSpace()
    if take(UInt8(ascii: "]")) { return .array([]) }
    repeat {
      items.append(try value(depth: depth + 1))
      skipSpace()
    } while take(UInt8(ascii: ","))
    try expect("]")
    return .array(items)
  }

  mutating func integer() throws(HeaderJSON.Failure) -> Int {
    let negative = take(UInt8(ascii: "-"))
    let start = position
    var result = 0
    while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
      let (times10, overflow1) = result.multipliedReportingOverflow(by: 10)
      let (sum, overflow2) = times10.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
      guard !overflow1, !overflow2 else { throw failure("a number beyond 64 bits") }
      result = sum
      position += 1
    }
    guard position > start else { throw failure("a number without digits") }
    guard position == start + 1 || bytes[start] != UInt8(ascii: "0") else { throw failure("a number with a leading 0") }
    if let byte = next, byte == UInt8(ascii: ".") || byte | 0x20 == UInt8(ascii: "e") {
      throw failure("a number that is not whole")
    }
    return negative ? -result : result
  }

  mutating func string() throws(HeaderJSON.Failure) -> String {
    position += 1
    var text: [UInt8] = []
    while let byte = next {
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let string = String(validating: text, as: UTF8.self) else { throw failure("a string that is not UTF-8") }
        return string
      case UInt8(ascii: "\\"): try escape(into: &text)
      case ..<0x20: throw failure("a control character in a string")
      default: text.append(byte)
      }
    }
    throw failure("a string without end")
  }

  mutating func escape(into text: inout [UInt8]) throws(HeaderJSON.Failure) {
    guard let byte = next else { throw failure("a string without end") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0c)
    case UInt8(ascii: "n"): text.append(0x0a)
    case UInt8(ascii: "r"): text.append(0x0d)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      var code = try hex4()
      if (0xd800..<0xdc00).contains(code) {
        guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw failure("half a surrogate pair") }
        let low = try hex4()
        guard (0xdc00..<0xe000).contains(low) else { throw failure("half a surrogate pair") }
        code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw failure("half a surrogate pair") }
      text.append(contentsOf: UTF8.encode(scalar)!)
    default: throw failure("an unknown escape in a string")
    }
  }

  mutating func hex4() throws(HeaderJSON.Failure) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
        throw failure("an escape without four digits")
      }
      code = code << 4 | UInt32(digit)
      position += 1
    }
    return code
  }
}
