// The attributes of operations as files have them: names where a number would say nothing, lists where the memory is packed.

/// What is wrong with a program in a file, or why one cannot be written there.
package struct ProgramFault: Error, CustomStringConvertible {
  package let reason: String
  package init(_ reason: String) { self.reason = reason }
  package var description: String { reason }
}

extension DType: Codable {
  public init(from decoder: any Decoder) throws {
    let name = try decoder.singleValueContainer().decode(String.self)
    guard let known = DType.allCases.first(where: { $0.description == name }) else {
      throw ProgramFault("there is no dtype \"\(name)\"")
    }
    self = known
  }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension Device: Codable {
  public init(from decoder: any Decoder) throws {
    let name = try decoder.singleValueContainer().decode(String.self)
    guard let known = [Device.cpu, .reference, .delayed].first(where: { $0.description == name }) else {
      throw ProgramFault("there is no device \"\(name)\"")
    }
    self = known
  }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension Shape: Codable {
  public init(from decoder: any Decoder) throws {
    var container = try decoder.unkeyedContainer()
    self.init()
    while !container.isAtEnd {
      guard rank < Shape.maxRank else { throw ProgramFault("a shape has more than \(Shape.maxRank) axes") }
      append(try container.decode(Int.self))
    }
  }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.unkeyedContainer()
    for size in self { try container.encode(size) }
  }
}

extension Positions: Codable {
  public init(from decoder: any Decoder) throws {
    var container = try decoder.unkeyedContainer()
    self.init()
    while !container.isAtEnd {
      let position = try container.decode(Int.self)
      guard (0..<64).contains(position) else { throw ProgramFault("there is no position \(position)") }
      self[position] = true
    }
  }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.unkeyedContainer()
    for position in 0..<64 where self[position] { try container.encode(position) }
  }
}
