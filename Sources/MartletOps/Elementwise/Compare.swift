public import MartletCore

/// Elementwise comparison; the result is bool.
public struct Compare: BinaryOp, Elementwise {
  public enum Kind: Int, Sendable, CaseIterable, Codable, CustomStringConvertible {
    case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual
    public var description: String { ["==", "!=", "<", "<=", ">", ">="][rawValue] }
  }
  public static var id: OpID { OpTable.compare.id }
  public static var name: String { "compare" }
  public static var keepsOrder: Bool { true }
  public static var rules: Rules { [.constant, .batched] }
  public static var argumentNames: [String] { ["a", "b"] }
  public let kind: Kind
  public init(kind: Kind) { self.kind = kind }
  public func output(for a: TensorSpec, _ b: TensorSpec) throws(OpError) -> TensorSpec {
    guard a.dtype == b.dtype else { throw OpError(.dtypesDiffer) }
    guard !a.dtype.isComplex || kind == .equal || kind == .notEqual else {
      throw OpError(.dtype(argument: 0, expected: Domain.real.rawValue))
    }
    guard let shape = a.shape.broadcast(with: b.shape) else { throw OpError(.broadcast) }
    return a.with(shape: shape).with(.bool)
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let inputs = aligned(inputs, mapped)
    return [apply(self, inputs[0], inputs[1])]
  }
}
