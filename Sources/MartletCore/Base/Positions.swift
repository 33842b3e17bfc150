/// A set of argument positions below 64, stored in one word.
public struct Positions: Sendable, Hashable, ExpressibleByArrayLiteral {
  @usableFromInline package var bits: UInt64

  @inlinable
  package init(bits: UInt64) { self.bits = bits }
  @inlinable
  public init(arrayLiteral elements: Int...) {
    bits = 0
    for position in elements { bits |= 1 << UInt64(position) }
  }

  /// Positions 0 ..< count.
  public static func first(_ count: Int) -> Positions {
    Positions(bits: count >= 64 ? .max : (1 << UInt64(count)) &- 1)
  }

  @inlinable
  public subscript(position: Int) -> Bool {
    get { position < 64 ? bits >> UInt64(position) & 1 == 1 : bits == .max }
    set { if newValue { bits |= 1 << UInt64(position) } else { bits &= ~(1 << UInt64(position)) } }
  }
  @inlinable
  public var isEmpty: Bool { bits == 0 }
  public func union(_ other: Positions) -> Positions { Positions(bits: bits | other.bits) }
}
