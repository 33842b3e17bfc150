public import MartletCore
import MartletOps

private struct RMSpropRule: UpdateRule {
  var alpha: Double
  var epsilon: Double
  var weightDecay: Double
  var momentum: Double
  var centered: Bool

  var slots: [Slot] { [Slot("v")] + (centered ? [Slot("mean")] : []) + (momentum > 0 ? [Slot("momentum")] : []) }
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    let p = inputs[0]
    let rate = inputs[2].cast(to: p.dtype)
    let g = penalized(inputs[1], p, weightDecay)
    let v = blended(inputs[3], g * g, alpha)
    let mean = centered ? [blended(inputs[4], g, alpha)] : []
    let root = sqrt(mean.first.map { v - $0 * $0 } ?? v) + epsilon
    guard momentum > 0 else { return [p - rate * (g / root), v] + mean }
    let b = inputs[inputs.count - 1] * momentum + g / root
    return [p - rate * b, v] + mean + [b]
  }
}

/// Gradients divided by the root of their running mean square. Source: Hinton's lecture; PyTorch `RMSprop`.
public final class RMSprop: ParameterOptimizer {
  /// - Parameters:
  ///   - learningRate: 0 or more, like `epsilon` and `weightDecay`; what is out of its range, or no number, is an error.
  ///   - alpha: the weight of the past, 0 … 1.
  ///   - momentum: 0 … 1.
  ///   - centered: takes the running variance in place of the mean square.
  public init(
    _ parameters: [Parameter], learningRate: Double = 0.01, alpha: Double = 0.99, epsilon: Double = 1e-8,
    weightDecay: Double = 0, momentum: Double = 0, centered: Bool = false
  ) {
    super.init(
      "RMSprop", parameters, learningRate: learningRate,
      RMSpropRule(alpha: alpha, epsilon: epsilon, weightDecay: weightDecay, momentum: momentum, centered: centered),
      [
        ("alpha", alpha, .share), ("epsilon", epsilon, .rate), ("weightDecay", weightDecay, .rate),
        ("momentum", momentum, .share),
      ])
  }
}

private struct AdagradRule: UpdateRule {
  var rateDecay: Double
  var weightDecay: Double
  var initialAccumulator: Double
  var epsilon: Double

  var slots: [Slot] { [Slot("sum", .filled(initialAccumulator)), Slot("step", .scalar(0))] }
  var rows: RowGradients {
    weightDecay == 0 ? .alone : .refused("weightDecay: 0, or an embedding without sparse: true")
  }
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    let (p, step) = (inputs[0], inputs[4] + 1)
    let g = penalized(inputs[1], p, weightDecay)
    let rate = (inputs[2] / (1 + (step - 1) * rateDecay)).cast(to: p.dtype)
    let sum = inputs[3] + g * g
    return [p - rate * (g / (sqrt(sum) + epsilon)), sum, step]
  }
}

/// Gradients divided by the root of the sum of all squares so far. Source: Duchi and others 2011; PyTorch `Adagrad`.
///
/// Of a gradient that is kept as rows (`Embedding(…, sparse: true)`) it changes these rows alone; with a weight decay such a
/// gradient is an error.
public final class Adagrad: ParameterOptimizer {
  /// - Parameters:
  ///   - learningRate: 0 or more, like the others; what is out of its range, or no number, is an error.
  ///   - rateDecay: the rate of step `t` is `learningRate / (1 + (t - 1) · rateDecay)`.
  ///   - initialAccumulator: what the sums start with.
  public init(
    _ parameters: [Parameter], learningRate: Double = 0.01, rateDecay: Double = 0, weightDecay: Double = 0,
    initialAccumulator: Double = 0, epsilon: Double = 1e-10
  ) {
    super.init(
      "Adagrad", parameters, learningRate: learningRate,
      AdagradRule(
        rateDecay: rateDecay, weightDecay: weightDecay, initialAccumulator: initialAccumulator, epsilon: epsilon),
      [
        ("rateDecay", rateDecay, .rate), ("weightDecay", weightDecay, .rate),
        ("initialAccumulator", initialAccumulator, .rate), ("epsilon", epsilon, .rate),
      ])
  }
}

private struct AdadeltaRule: UpdateRule {
  var rho: Double
  var epsilon: Double
  var weightDecay: Double

  let slots = [Slot("v"), Slot("delta")]
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    let p = inputs[0]
    let g = penalized(inputs[1], p, weightDecay)
    let v = blended(inputs[3], g * g, rho)
    let change = g * sqrt(inputs[4] + epsilon) / sqrt(v + epsilon)
    return [p - inputs[2].cast(to: p.dtype) * change, v, blended(inputs[4], change * change, rho)]
  }
}

/// Gradients in the ratio of past changes to past gradients. Source: Zeiler 2012; PyTorch `Adadelta`.
public final class Adadelta: ParameterOptimizer {
  /// - Parameters:
  ///   - learningRate: 0 or more, like `epsilon` and `weightDecay`; what is out of its range, or no number, is an error.
  ///   - rho: the weight of the past, 0 … 1.
  public init(
    _ parameters: [Parameter], learningRate: Double = 1, rho: Double = 0.9, epsilon: Double = 1e-6,
    weightDecay: Double = 0
  ) {
    super.init(
      "Adadelta", parameters, learningRate: learningRate,
      AdadeltaRule(rho: rho, epsilon: epsilon, weightDecay: weightDecay),
      [("rho", rho, .share), ("epsilon", epsilon, .rate), ("weightDecay", weightDecay, .rate)])
  }
}
