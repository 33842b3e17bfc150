import MartletCore

extension HeaderJSON {
  /// The value that this tree is the encoding of; another tree than that encoding, be it by a key too many or a number in
  /// another form, is an error. Integers are at most `limit` in size.
  package func decoded<T: Codable>(
    _ type: T.Type = T.self, limit: Int = Program.greatestInteger, userInfo: [CodingUserInfoKey: any Sendable] = [:]
  ) throws(ProgramFault) -> T {
    do {
      let value = try T(from: TreeDecoder(tree: self, place: "", limit: limit, userInfo: userInfo))
      let canonical = try HeaderJSON(encoding: value)
      guard canonical == sorted else {
        throw ProgramFault(HeaderJSON.difference(canonical, sorted, "") ?? "not canonical")
      }
      return value
    } catch let fault as ProgramFault {
      throw fault
    } catch DecodingError.dataCorrupted(let context) {
      throw ProgramFault(context.debugDescription)
    } catch { throw ProgramFault("\(error)") }
  }

  /// With the keys of all objects in order.
  private var sorted: HeaderJSON {
    switch self {
    case .array(let items): .array(items.map { $0.sorted })
    case .object(let members):
      .object(members.map { Member(key: $0.key, value: $0.value.sorted) }.sorted { $0.key < $1.key })
    default: self
    }
  }

  /// The first place where a tree is not what it should be.
  private static func difference(_ wanted: HeaderJSON, _ found: HeaderJSON, _ place: String) -> String? {
    switch (wanted, found) {
    case (.object(let a), .object(let b)):
      if let extra = b.first(where: { member in !a.contains { $0.key == member.key } }) {
        return "\(place)has the unknown field \"\(extra.key.shortened)\""
      }
      for (x, y) in zip(a, b) { if let text = difference(x.value, y.value, "\(place)\(x.key): ") { return text } }
    case (.array(let a), .array(let b)):
      for (i, (x, y)) in zip(a, b).enumerated() { if let text = difference(x, y, "\(place)\(i): ") { return text } }
    default: if wanted != found { return "\(place)\(found.text.shortened) is written \(wanted.text.shortened)" }
    }
    return nil
  }
}

/// Reads one value of a tree.
private struct TreeDecoder: Decoder {
  let tree: HeaderJSON
  /// Where in the tree, for messages: `window.stride`.
  let place: String
  let limit: Int
  let sendableInfo: [CodingUserInfoKey: any Sendable]
  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { sendableInfo }

  init(tree: HeaderJSON, place: String, limit: Int, userInfo: [CodingUserInfoKey: any Sendable]) {
    (self.tree, self.place, self.limit, sendableInfo) = (tree, place, limit, userInfo)
  }

  func at(_ tree: HeaderJSON, _ key: String) -> TreeDecoder {
    TreeDecoder(tree: tree, place: place.isEmpty ? key : "\(place).\(key)", limit: limit, userInfo: sendableInfo)
  }
  func wrong(_ expected: String) -> ProgramFault {
    ProgramFault("\(place.isEmpty ? "it" : place) is \(tree.kind), and is to be \(expected)")
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    guard case .object(let members) = tree else { throw wrong("an object") }
    return KeyedDecodingContainer(Fields<Key>(decoder: self, members: members))
  }
  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    guard case .array(let items) = tree else { throw wrong("an array") }
    return Items(decoder: self, items: items)
  }
  func singleValueContainer() throws -> any SingleValueDecodingContainer { Single(decoder: self) }

  func value<T: Decodable>(_ type: T.Type) throws -> T {
    switch type {
    case is Bool.Type:
      guard case .bool(let value) = tree else { throw wrong("true or false") }
      return value as! T
    case is String.Type: return try string() as! T
    case is Double.Type:
      guard let value = HeaderJSON.number(try string()) else { throw wrong("the text of a number") }
      return value as! T
    case is Float.Type:
      guard let value = HeaderJSON.number(try string()) else { throw wrong("the text of a number") }
      return Float(value) as! T
    case is UInt64.Type:
      let text = try string()
      guard text.hasPrefix("0x"), let bits = UInt64(text.dropFirst(2), radix: 16) else { throw wrong("0x and bits") }
      return bits as! T
    case let integer as any FixedWidthInteger.Type:
      guard case .integer(let value) = tree else { throw wrong("a whole number") }
      guard value.magnitude <= UInt(limit), let result = exactly(integer, value) else {
        throw ProgramFault("\(place.isEmpty ? "it" : place) is \(value), which is too large")
      }
      return result as! T
    default: return try T(from: self)
    }
  }
  private func string() throws -> String {
    guard case .string(let value) = tree else { throw wrong("a string") }
    return value
  }
  private func exactly<I: FixedWidthInteger>(_: I.Type, _ value: Int) -> I? { I(exactly: value) }

  private struct Fields<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let decoder: TreeDecoder
    let members: [HeaderJSON.Member]
    var codingPath: [any CodingKey] { [] }
    var allKeys: [Key] { members.compactMap { Key(stringValue: $0.key) } }
    func contains(_ key: Key) -> Bool { members.contains { $0.key == key.stringValue } }
    func member(_ key: Key) throws -> TreeDecoder {
      guard let found = members.first(where: { $0.key == key.stringValue }) else {
        throw ProgramFault("\(decoder.place.isEmpty ? "it" : decoder.place) has no \"\(key.stringValue)\"")
      }
      return decoder.at(found.value, key.stringValue)
    }
    func decodeNil(forKey key: Key) throws -> Bool { try member(key).tree == .null }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try member(key).value(type) }
    func nestedContainer<K: CodingKey>(keyedBy type: K.Type, forKey key: Key) throws -> KeyedDecodingContainer<K> {
      try member(key).container(keyedBy: type)
    }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
      try member(key).unkeyedContainer()
    }
    func superDecoder() throws -> any Decoder { decoder }
    func superDecoder(forKey key: Key) throws -> any Decoder { try member(key) }
  }

  private struct Items: UnkeyedDecodingContainer {
    let decoder: TreeDecoder
    let items: [HeaderJSON]
    var currentIndex = 0
    var codingPath: [any CodingKey] { [] }
    var count: Int? { items.count }
    var isAtEnd: Bool { currentIndex == items.count }
    init(decoder: TreeDecoder, items: [HeaderJSON]) { (self.decoder, self.items) = (decoder, items) }
    mutating func next() throws -> TreeDecoder {
      guard !isAtEnd else { throw ProgramFault("\(decoder.place) has \(items.count) parts, and is to have more") }
      currentIndex += 1
      return decoder.at(items[currentIndex - 1], "\(currentIndex - 1)")
    }
    mutating func decodeNil() throws -> Bool {
      guard !isAtEnd, items[currentIndex] == .null else { return false }
      currentIndex += 1
      return true
    }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T { try next().value(type) }
    mutating func nestedContainer<K: CodingKey>(keyedBy type: K.Type) throws -> KeyedDecodingContainer<K> {
      try next().container(keyedBy: type)
    }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try next().unkeyedContainer() }
    mutating func superDecoder() throws -> any Decoder { try next() }
  }

  private struct Single: SingleValueDecodingContainer {
    let decoder: TreeDecoder
    var codingPath: [any CodingKey] { [] }
    func decodeNil() -> Bool { decoder.tree == .null }
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try decoder.value(type) }
  }
}

extension HeaderJSON {
  /// A float from its text.
  fileprivate static func number(_ text: String) -> Double? {
    text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16).map(Double.init(bitPattern:)) : Double(text)
  }
}
