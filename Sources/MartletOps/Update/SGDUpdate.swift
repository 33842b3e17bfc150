public import MartletCore

/// One step of gradient descent with momentum for one parameter, in one pass: new parameter and momentum from parameter,
/// gradient, rate and, but for the first step, the momentum.
///
/// `g ← g + weightDecay · p`, `b ← momentum · b + (1 - dampening) · g` (the first time `b ← g`),
/// `p ← p - rate · b`, or with Nesterov `p ← p - rate · (g + momentum · b)`. Of a float32 parameter the
/// gradient may have 16 bits. Source: PyTorch `SGD`.
public struct SGDUpdate: Op {
  public static var id: OpID { OpTable.sgdUpdate.id }
  public static var name: String { "sgdUpdate" }
  public static var rules: Rules { [.decomposed] }
  public static var argumentNames: [String] { ["p", "g", "rate", "momentum"] }
  private let bits: InlineBits
  public let nesterov: Bool
  /// Floating attributes, compared by bits.
  struct InlineBits: Hashable, Sendable, Codable { var momentum, dampening, weightDecay: UInt64 }
  public var momentum: Double { Double(bitPattern: bits.momentum) }
  public var dampening: Double { Double(bitPattern: bits.dampening) }
  public var weightDecay: Double { Double(bitPattern: bits.weightDecay) }

  public init(momentum: Double, dampening: Double, weightDecay: Double, nesterov: Bool) {
    bits = InlineBits(
      momentum: momentum.bitPattern, dampening: dampening.bitPattern, weightDecay: weightDecay.bitPattern)
    self.nesterov = nesterov
  }

  /// Without momentum there is no second result.
  public var outputCount: Int { momentum == 0 ? 1 : 2 }
  public func takeover(output: Int) -> Int? { [0, 3][output] }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 3 || inputs.count == 4 && momentum != 0 else {
      throw OpError(.numberOfInputs(inputs.count, expected: momentum == 0 ? "3" : "3 or 4"))
    }
    let p = inputs[0]
    guard p.dtype.isFloating else { throw OpError(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
    try checkGradient(inputs[1], of: p)
    if inputs.count == 4, inputs[3] != p {
      throw OpError(.argumentShape(argument: 3, expected: "\(p), as that of p"))
    }
    guard inputs[2].rank == 0 else { throw OpError(.argumentShape(argument: 2, expected: "[], a scalar")) }
    guard inputs[2].dtype == .float32 || inputs[2].dtype == .float64 else {
      throw OpError(.dtype(argument: 2, expected: "float32 or float64"))
    }
    return momentum == 0 ? [p] : [p, p]
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let p = inputs[0]
    let rate = inputs[2].cast(to: p.dtype)
    let gradient = inputs[1].cast(to: p.dtype)
    let g = weightDecay == 0 ? gradient : gradient + p * weightDecay
    guard momentum != 0 else { return [p - rate * g] }
    let b = inputs.count == 4 ? inputs[3] * momentum + g * (1 - dampening) : g
    return [p - rate * (nesterov ? g + b * momentum : b), b]
  }
  public var attributes: String {
    "momentum=\(momentum), dampening=\(dampening), weightDecay=\(weightDecay)" + (nesterov ? ", nesterov" : "")
  }
}
