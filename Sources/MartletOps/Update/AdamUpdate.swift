public import MartletCore

/// One step of Adam for one parameter: new parameter and moments from parameter, gradient, rate, moments and step; with
/// AMSGrad also the largest second moment so far.
///
/// `m ← β₁m + (1 - β₁)g`, `v ← β₂v + (1 - β₂)g²`, `p ← p - rate · (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε)`, with `g`
/// increased by `weightDecay · p`, or, when decoupled (AdamW), `p` first multiplied by `1 - rate · weightDecay`. With AMSGrad
/// the largest `v` so far stands in its place in the last formula. Of a float32 parameter the gradient may have 16 bits.
/// Source: Kingma and Ba 2015; Loshchilov and Hutter 2019; Reddi and others 2018; PyTorch `Adam`, `AdamW`.
public struct AdamUpdate: Op {
  public static var id: OpID { OpTable.adamUpdate.id }
  public static var name: String { "adamUpdate" }
  public static var rules: Rules { [.decomposed] }
  public static var argumentNames: [String] { ["p", "g", "rate", "m", "v", "step", "top"] }
  private let bits: InlineBits
  public let decoupled: Bool
  public let amsgrad: Bool
  /// Floating attributes, compared by bits.
  struct InlineBits: Hashable, Sendable, Codable { var beta1, beta2, epsilon, weightDecay: UInt64 }
  public var beta1: Double { Double(bitPattern: bits.beta1) }
  public var beta2: Double { Double(bitPattern: bits.beta2) }
  public var epsilon: Double { Double(bitPattern: bits.epsilon) }
  public var weightDecay: Double { Double(bitPattern: bits.weightDecay) }

  public init(
    beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double, decoupled: Bool, amsgrad: Bool = false
  ) {
    bits = InlineBits(
      beta1: beta1.bitPattern, beta2: beta2.bitPattern, epsilon: epsilon.bitPattern, weightDecay: weightDecay.bitPattern
    )
    self.decoupled = decoupled
    self.amsgrad = amsgrad
  }

  public var outputCount: Int { amsgrad ? 4 : 3 }
  public func takeover(output: Int) -> Int? { [0, 3, 4, 6][output] }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == (amsgrad ? 7 : 6) else {
      throw OpError(.numberOfInputs(inputs.count, expected: amsgrad ? "7" : "6"))
    }
    let p = inputs[0]
    guard p.dtype.isFloating else { throw OpError(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
    try checkGradient(inputs[1], of: p)
    for position in [3, 4, 6] where position < inputs.count && inputs[position] != p {
      throw OpError(.argumentShape(argument: position, expected: "\(p), as that of p"))
    }
    for position in [2, 5] {
      guard inputs[position].rank == 0 else {
        throw OpError(.argumentShape(argument: position, expected: "[], a scalar"))
      }
      guard inputs[position].dtype == .float32 || inputs[position].dtype == .float64 else {
        throw OpError(.dtype(argument: position, expected: "float32 or float64"))
      }
    }
    return [TensorSpec](repeating: p, count: outputCount)
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let dtype = inputs[0].dtype
    var p = inputs[0]
    var g = inputs[1].cast(to: dtype)
    let rate = inputs[2].cast(to: dtype)
    // Powers of β in float64: a float32 β₂ = 0.999 is off by 1e-8, which 1 - β₂ᵗ magnifies.
    let step = inputs[5].cast(to: .float64)
    let correction1 = (1 - exp(step * _log(beta1))).cast(to: dtype)
    let correction2 = (1 - exp(step * _log(beta2))).cast(to: dtype)
    if decoupled {
      p = p * (1 - rate * weightDecay)
    } else if weightDecay != 0 {
      g = g + p * weightDecay
    }
    let m = inputs[3] * beta1 + g * (1 - beta1)
    let v = inputs[4] * beta2 + g * g * (1 - beta2)
    let top = amsgrad ? [maximum(inputs[6], v)] : []
    let denominator = sqrt(top.first ?? v) / sqrt(correction2) + epsilon
    return [p - rate / correction1 * (m / denominator), m, v] + top
  }
  public var attributes: String {
    "beta1=\(beta1), beta2=\(beta2), epsilon=\(epsilon), weightDecay=\(weightDecay)" + (decoupled ? ", decoupled" : "")
      + (amsgrad ? ", amsgrad" : "")
  }
}
