public import MartletCore

/// The next integer in one direction, or the nearest; the derivative is 0. Integers stay as they are.
public struct Round: ElementwiseUnary {
  public enum Kind: Int, Sendable, CaseIterable, Codable, CustomStringConvertible {
    /// Downward, upward, to the nearest with halves to even, toward zero.
    case down, up, nearest, towardZero
    public var description: String { ["down", "up", "nearest", "toward zero"][rawValue] }
  }
  public static var id: OpID { OpTable.round.id }
  public static var name: String { "round" }
  public static var rules: Rules { [.constant, .batched] }
  public static var domain: Domain { .numeric }
  public let kind: Kind
  public init(kind: Kind) { self.kind = kind }
}
