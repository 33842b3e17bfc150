public import MartletCore

/// A matrix product and what follows it in one operation: `f(a · b + bias + added)`, with `a: [… M, K]`, `b: [K, N]`, then a
/// bias `[N]` if it has one, then, if it `adds`, a tensor like the result. It may `widen` the result of 16-bit floats, which is
/// then never rounded to them. Made by the pass `matmulEpilogues`.
public struct FusedMatmul: PassMade {
  public static var id: OpID { OpTable.fusedMatmul.id }
  public static var name: String { "fusedMatmul" }
  public static var rules: Rules { [.decomposed] }
  public static var argumentNames: [String] { ["a", "b", "bias", "added"] }

  /// What is applied to the sum.
  package enum Function: String, Sendable {
    case relu, gelu, geluTanh, silu

    /// Nil for an operation that no product is joined with.
    init?(_ op: any Op) {
      switch op {
      case is Relu: self = .relu
      case let op as Gelu: self = op.approximate ? .geluTanh : .gelu
      case is Silu: self = .silu
      default: return nil
      }
    }

    var op: any Op {
      switch self {
      case .relu: Relu()
      case .gelu: Gelu(approximate: false)
      case .geluTanh: Gelu(approximate: true)
      case .silu: Silu()
      }
    }
  }
  package let hasBias: Bool
  package let adds: Bool
  package let function: Function?
  /// Whether the result is float32, of operands of 16 bits; not with a tensor that is added.
  package let widens: Bool

  package init(hasBias: Bool, adds: Bool, function: Function?, widens: Bool = false) {
    self.hasBias = hasBias
    self.adds = adds
    self.function = function
    self.widens = widens
  }

  /// Whether a device computes a product of `a` and `b` with all that follows as fast as the product alone. Written once, when
  /// its kernels are registered.
  nonisolated(unsafe) package static var isFast: (@Sendable (FusedMatmul, _ a: TensorSpec, _ b: TensorSpec) -> Bool)?

  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    let count = 2 + (hasBias ? 1 : 0) + (adds ? 1 : 0)
    guard inputs.count == count else { throw OpError(.numberOfInputs(inputs.count, expected: "\(count)")) }
    guard inputs[1].rank == 2 else { throw OpError(.rank(argument: 1, expected: "2")) }
    let result = try Matmul().output(for: inputs[0], inputs[1])
    let bias = result.with(shape: [inputs[1].shape[1]])
    if hasBias, inputs[2] != bias { throw OpError(.argumentShape(argument: 2, expected: "\(bias)")) }
    if adds, inputs[count - 1] != result {
      throw OpError(.argumentShape(argument: count - 1, expected: "\(result), like the result"))
    }
    guard widens else { return [result] }
    guard result.dtype.isHalf, !adds else {
      throw OpError(.dtype(argument: 0, expected: "bfloat16 or float16"))
    }
    return [result.with(dtype: .float32)]
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let inputs = widens ? inputs.map { $0.cast(to: .float32) } : inputs
    var y = apply(Matmul(), inputs[0], inputs[1])
    for term in inputs[2...] { y = y + term }
    return [function.map { apply(any: $0.op, [y])[0] } ?? y]
  }

  public var attributes: String {
    [hasBias ? "bias" : nil, adds ? "add" : nil, function?.rawValue, widens ? "float32" : nil].compactMap { $0 }
      .joined(separator: ", ")
  }
}
