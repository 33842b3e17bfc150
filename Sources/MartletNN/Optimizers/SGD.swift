public import MartletCore
import MartletOps

private struct SGDRule: UpdateRule {
  var momentum: Double
  var dampening: Double
  var weightDecay: Double
  var nesterov: Bool

  var slots: [Slot] { momentum == 0 ? [] : [Slot("momentum", .empty)] }
  /// Momentum moves rows without a gradient too, and so does a weight decay, which PyTorch refuses.
  var rows: RowGradients {
    if weightDecay != 0 { return .refused("weightDecay: 0, or an embedding without sparse: true") }
    return momentum == 0 ? .alone : .spread
  }
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    apply(
      SGDUpdate(momentum: momentum, dampening: dampening, weightDecay: weightDecay, nesterov: nesterov), taking: &inputs
    )
  }
}

/// Stochastic gradient descent with momentum. Source: PyTorch `SGD`.
///
/// `g ← g + weightDecay · p`, `b ← momentum · b + (1 - dampening) · g` (the first time `b ← g`),
/// `p ← p - rate · b`, or with Nesterov `p ← p - rate · (g + momentum · b)`.
///
/// Of a gradient that is kept as rows (`Embedding(…, sparse: true)`) it changes these rows alone, unless there is a momentum,
/// which moves all; with a weight decay such a gradient is an error.
public final class SGD: ParameterOptimizer {
  /// - Parameters:
  ///   - learningRate: 0 or more, like `weightDecay`; what is out of its range, or no number, is an error.
  ///   - momentum: 0 … 1.
  ///   - nesterov: takes a momentum above 0 and no dampening.
  public init(
    _ parameters: [Parameter], learningRate: Double, momentum: Double = 0, dampening: Double = 0,
    weightDecay: Double = 0, nesterov: Bool = false
  ) {
    super.init(
      "SGD", parameters, learningRate: learningRate,
      SGDRule(momentum: momentum, dampening: dampening, weightDecay: weightDecay, nesterov: nesterov),
      [
        ("momentum", momentum, .share), ("dampening", dampening, .finite), ("weightDecay", weightDecay, .rate),
      ])
    if nesterov, momentum <= 0 || dampening != 0 {
      fail(
        OpError(
          .misuse(
            "nesterov with momentum \(momentum) and dampening \(dampening)",
            rule: "Nesterov's momentum is more than 0, without dampening"), op: "SGD"))
    }
  }
}
