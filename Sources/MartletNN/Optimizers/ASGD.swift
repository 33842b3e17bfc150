public import MartletCore
import MartletOps

private struct ASGDRule: UpdateRule {
  var decay: Double
  var alpha: Double
  var start: Double
  var weightDecay: Double

  let slots = [Slot("mean"), Slot("eta", .scalar(0)), Slot("mu", .scalar(1)), Slot("step", .scalar(0))]
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    let (rate, mu, step) = (inputs[2], inputs[5], inputs[6] + 1)
    let dtype = inputs[0].dtype
    let eta = select(step .== 1, rate, inputs[4])
    let g = penalized(inputs[1], inputs[0], weightDecay)
    let p = inputs[0] * (1 - eta * decay).cast(to: dtype) - g * eta.cast(to: dtype)
    let mean = inputs[3] + (p - inputs[3]) * mu.cast(to: dtype)
    // What the next step takes.
    let nextEta = rate / pow(1 + rate * step * decay, alpha)
    return [p, mean, nextEta, 1 / maximum(step - start, 1), step]
  }
}

/// Stochastic gradient descent that keeps the mean of the parameters over its steps: `p ← (1 - λη)p - ηg`, with a rate that
/// falls, `η = rate / (1 + λ · rate · t)^α` after step `t`.
///
/// `means` is what the method is for; the parameters themselves are those of the last step. Source: Polyak and Juditsky 1992;
/// PyTorch `ASGD`, which keeps the means as `ax`.
public final class ASGD: ParameterOptimizer {
  /// - Parameters:
  ///   - learningRate: 0 or more, like the others; what is out of its range, or no number, is an error.
  ///   - decay: λ, PyTorch's `lambd`.
  ///   - alpha: the power with which the rate falls.
  ///   - start: PyTorch's `t0`: means begin after this many steps; before they are the parameters.
  public init(
    _ parameters: [Parameter], learningRate: Double = 0.01, decay: Double = 1e-4, alpha: Double = 0.75,
    start: Double = 1e6, weightDecay: Double = 0
  ) {
    super.init(
      "ASGD", parameters, learningRate: learningRate,
      ASGDRule(decay: decay, alpha: alpha, start: start, weightDecay: weightDecay),
      [
        ("decay", decay, .rate), ("alpha", alpha, .finite), ("start", start, .finite),
        ("weightDecay", weightDecay, .rate),
      ])
  }

  /// The mean of each parameter, in their order; zeros before the first step.
  public var means: [Tensor] { cells.filter { $0.name.hasPrefix("mean.") }.map { $0.cell.read()! } }
}
