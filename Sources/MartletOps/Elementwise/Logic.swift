public import MartletCore

/// Elementwise and, or, exclusive or of bool tensors.
public struct Logic: BinaryOp, Elementwise {
  public enum Kind: Int, Sendable, CaseIterable, Codable { case and, or, xor }
  public static var id: OpID { OpTable.logic.id }
  public static var name: String { "logic" }
  public static var keepsOrder: Bool { true }
  public static var rules: Rules { [.constant, .batched] }
  public static var argumentNames: [String] { ["a", "b"] }
  public let kind: Kind
  public init(kind: Kind) { self.kind = kind }
  public func output(for a: TensorSpec, _ b: TensorSpec) throws(OpError) -> TensorSpec {
    for (position, spec) in [a, b].enumerated() where spec.dtype != .bool {
      throw OpError(.dtype(argument: position, expected: "bool"))
    }
    guard let shape = a.shape.broadcast(with: b.shape) else { throw OpError(.broadcast) }
    return a.with(shape: shape)
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let inputs = aligned(inputs, mapped)
    return [apply(self, inputs[0], inputs[1])]
  }
}
