/// A set of argument positions, stored in one word. The positions from 63 on are one: setting any of them sets all.
public struct Positions: Sendable, Hashable, ExpressibleByArrayLiteral {
  @usableFromInline package var bits: UInt64

  @inlinable
  package init(bits: UInt64) { self.bits = bits }
  @inlinable
  public init(arrayLiteral elements: Int...) {
    bits = 0
    for position in elements { bits |= 1 << UInt64(Swift.min(position, 63)) }
  }

  /// Positions 0 ..< count.
  public static func first(_ count: Int) -> Positions {
    Positions(bits: count >= 64 ? .max : (1 << UInt64(count)) &- 1)
  }

  @inlinable
  public subscript(position: Int) -> Bool {
    get { bits >> UInt64(Swift.min(position, 63)) & 1 == 1 }
    set {
      let bit: UInt64 = 1 << UInt64(Swift.min(position, 63))
      if newValue { bits |= bit } else { bits &= ~bit }
    }
  }
  @inlinable
  public var isEmpty: Bool { bits == 0 }
  public func union(_ other: Positions) -> Positions { Positions(bits: bits | other.bits) }
}
