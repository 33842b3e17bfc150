import MartletCore

extension HeaderJSON {
  /// A value as a tree in which every number is a whole one, without loss: floats as the shortest text that gives their bits
  /// (else the bits), words of 64 bits as hexadecimal text, integers as they are. Keys are sorted.
  package init(encoding value: some Encodable) throws {
    let encoder = TreeEncoder()
    try value.encode(to: encoder)
    self = encoder.node.tree
  }

  /// The value as text, the shortest possible.
  package var text: String {
    var text = ""
    write(to: &text)
    return text
  }

  private func write(to text: inout String) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .integer(let value): text += "\(value)"
    case .string(let value): text += quotedJSON(value)
    case .array(let items):
      text += "["
      for (position, item) in items.enumerated() {
        if position > 0 { text += "," }
        item.write(to: &text)
      }
      text += "]"
    case .object(let members):
      text += "{"
      for (position, member) in members.enumerated() {
        if position > 0 { text += "," }
        text += quotedJSON(member.key) + ":"
        member.value.write(to: &text)
      }
      text += "}"
    }
  }
}

/// A float as text: its shortest decimal, or the bits of those that have none of their own.
func text(of value: Double) -> String {
  let text = value.description
  return Double(text)?.bitPattern == value.bitPattern ? text : word(value.bitPattern)
}

/// 64 bits as text.
func word(_ bits: UInt64) -> String { "0x" + String(bits, radix: 16) }

/// Builds one value of a tree.
private final class TreeEncoder: Encoder {
  /// What has been said of the value so far.
  final class Node {
    var value: HeaderJSON?
    var items: [Node]?
    var members: [(key: String, node: Node)] = []

    var tree: HeaderJSON {
      if let value { return value }
      if let items { return .array(items.map { $0.tree }) }
      let sorted = members.sorted { $0.key < $1.key }
      return .object(sorted.map { HeaderJSON.Member(key: $0.key, value: $0.node.tree) })
    }
    func member(_ key: any CodingKey) -> Node {
      let node = Node()
      members.append((key.stringValue, node))
      return node
    }
    func item() -> Node {
      let node = Node()
      if items == nil { items = [] }
      items!.append(node)
      return node
    }

    func set<T: Encodable>(_ new: T) throws {
      switch new {
      case let new as Bool: value = .bool(new)
      case let new as String: value = .string(new)
      case let new as Double: value = .string(text(of: new))
      case let new as Float: value = .string(text(of: Double(new)))
      case let new as UInt64: value = .string(word(new))
      case let new as any FixedWidthInteger:
        guard let small = Int(exactly: new) else { throw ProgramFault("a number beyond 64 bits") }
        value = .integer(small)
      default:
        let encoder = TreeEncoder(self)
        try new.encode(to: encoder)
      }
    }
  }

  let node: Node
  init(_ node: Node = Node()) { self.node = node }
  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    KeyedEncodingContainer(Fields<Key>(node: node))
  }
  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    node.items = node.items ?? []
    return Items(node: node)
  }
  func singleValueContainer() -> any SingleValueEncodingContainer { Single(node: node) }

  private struct Fields<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: Node
    var codingPath: [any CodingKey] { [] }
    mutating func encodeNil(forKey key: Key) throws { node.member(key).value = .null }
    mutating func encode<T: Encodable>(_ value: T, forKey key: Key) throws { try node.member(key).set(value) }
    mutating func nestedContainer<K: CodingKey>(keyedBy type: K.Type, forKey key: Key) -> KeyedEncodingContainer<K> {
      TreeEncoder(node.member(key)).container(keyedBy: type)
    }
    mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
      TreeEncoder(node.member(key)).unkeyedContainer()
    }
    mutating func superEncoder() -> any Encoder { TreeEncoder(node) }
    mutating func superEncoder(forKey key: Key) -> any Encoder { TreeEncoder(node.member(key)) }
  }

  private struct Items: UnkeyedEncodingContainer {
    let node: Node
    var codingPath: [any CodingKey] { [] }
    var count: Int { node.items?.count ?? 0 }
    mutating func encodeNil() throws { node.item().value = .null }
    mutating func encode<T: Encodable>(_ value: T) throws { try node.item().set(value) }
    mutating func nestedContainer<K: CodingKey>(keyedBy type: K.Type) -> KeyedEncodingContainer<K> {
      TreeEncoder(node.item()).container(keyedBy: type)
    }
    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
      TreeEncoder(node.item()).unkeyedContainer()
    }
    mutating func superEncoder() -> any Encoder { TreeEncoder(node.item()) }
  }

  private struct Single: SingleValueEncodingContainer {
    let node: Node
    var codingPath: [any CodingKey] { [] }
    mutating func encodeNil() throws { node.value = .null }
    mutating func encode<T: Encodable>(_ value: T) throws { try node.set(value) }
  }
}
