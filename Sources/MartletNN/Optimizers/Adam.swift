public import MartletCore
import MartletOps

private struct AdamRule: UpdateRule {
  var betas: (Double, Double)
  var epsilon: Double
  var weightDecay: Double
  var decoupled: Bool
  var amsgrad: Bool

  /// The steps are those of the parameter: one without a gradient is left out of a step.
  var slots: [Slot] { [Slot("m"), Slot("v"), Slot("step", .scalar(0))] + (amsgrad ? [Slot("top")] : []) }
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    let step = inputs[5] + 1
    inputs[5] = step
    var outputs = apply(
      AdamUpdate(
        beta1: betas.0, beta2: betas.1, epsilon: epsilon, weightDecay: weightDecay, decoupled: decoupled,
        amsgrad: amsgrad), taking: &inputs)
    outputs.insert(step, at: 3)
    return outputs
  }
}

/// Adam, with an L2 penalty, or with decoupled weight decay (see `AdamW`). Source: Kingma and Ba 2015; Loshchilov and
/// Hutter 2019; Reddi and others 2018 (AMSGrad); PyTorch `Adam`, `AdamW`.
public class Adam: ParameterOptimizer {
  /// - Parameters:
  ///   - learningRate: 0 or more, like `epsilon` and `weightDecay`; what is out of its range, or no number, is an error.
  ///   - betas: each at least 0 and below 1.
  ///   - weightDecay: the L2 penalty; with `decoupled` the parameter shrinks by `rate · weightDecay` instead.
  ///   - amsgrad: divides by the largest second moment so far.
  public init(
    _ parameters: [Parameter], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999),
    epsilon: Double = 1e-8, weightDecay: Double = 0, decoupled: Bool = false, amsgrad: Bool = false
  ) {
    super.init(
      decoupled ? "AdamW" : "Adam", parameters, learningRate: learningRate,
      AdamRule(betas: betas, epsilon: epsilon, weightDecay: weightDecay, decoupled: decoupled, amsgrad: amsgrad),
      checks(betas, epsilon, weightDecay))
  }
}

/// Adam with decoupled weight decay: the parameter shrinks by `rate · weightDecay`, whatever its gradient.
/// Source: Loshchilov and Hutter 2019; PyTorch `AdamW`, with its defaults.
public final class AdamW: Adam {
  public init(
    _ parameters: [Parameter], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999),
    epsilon: Double = 1e-8, weightDecay: Double = 0.01, amsgrad: Bool = false
  ) {
    super.init(
      parameters, learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay, decoupled: true,
      amsgrad: amsgrad)
  }
}

/// The ranges of what the relatives of Adam share.
func checks(
  _ betas: (Double, Double), _ epsilon: Double, _ weightDecay: Double
) -> [(name: String, value: Double, allowed: Allowed)] {
  [
    ("betas.0", betas.0, .decay), ("betas.1", betas.1, .decay), ("epsilon", epsilon, .rate),
    ("weightDecay", weightDecay, .rate),
  ]
}

private struct AdamaxRule: UpdateRule {
  var betas: (Double, Double)
  var epsilon: Double
  var weightDecay: Double

  let slots = [Slot("m"), Slot("u"), Slot("step", .scalar(0))]
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    let (p, step) = (inputs[0], inputs[5] + 1)
    let g = penalized(inputs[1], p, weightDecay)
    let m = blended(inputs[3], g, betas.0)
    let u = maximum(inputs[4] * betas.1, abs(g) + epsilon)
    let rate = (inputs[2] / correction(betas.0, step)).cast(to: p.dtype)
    return [p - rate * m / u, m, u, step]
  }
}

/// Adam with the largest decaying gradient in place of the second moment. Source: Kingma and Ba 2015; PyTorch `Adamax`.
public final class Adamax: ParameterOptimizer {
  /// - Parameters: as those of `Adam`.
  public init(
    _ parameters: [Parameter], learningRate: Double = 2e-3, betas: (Double, Double) = (0.9, 0.999),
    epsilon: Double = 1e-8, weightDecay: Double = 0
  ) {
    super.init(
      "Adamax", parameters, learningRate: learningRate,
      AdamaxRule(betas: betas, epsilon: epsilon, weightDecay: weightDecay), checks(betas, epsilon, weightDecay))
  }
}

private struct NAdamRule: UpdateRule {
  var betas: (Double, Double)
  var epsilon: Double
  var weightDecay: Double
  var momentumDecay: Double
  var decoupled: Bool

  let slots = [Slot("m"), Slot("v"), Slot("step", .scalar(0)), Slot("product", .scalar(1))]
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    let step = inputs[5] + 1
    /// The momentum of a step.
    func momentum(_ step: Tensor) -> Tensor { (1 - exp(step * (momentumDecay * _log(0.96))) * 0.5) * betas.0 }
    let (now, next) = (momentum(step), momentum(step + 1))
    let product = inputs[6] * now
    let dtype = inputs[0].dtype
    let rate = inputs[2]
    let p = decoupled ? shrunk(inputs[0], rate.cast(to: dtype), weightDecay) : inputs[0]
    let g = decoupled ? inputs[1] : penalized(inputs[1], p, weightDecay)
    let m = blended(inputs[3], g, betas.0)
    let v = blended(inputs[4], g * g, betas.1)
    let root = sqrt(v / correction(betas.1, step).cast(to: dtype)) + epsilon
    let gShare = (rate * (1 - now) / (1 - product)).cast(to: dtype)
    let mShare = (rate * next / (1 - product * next)).cast(to: dtype)
    return [p - (g * gShare + m * mShare) / root, m, v, step, product]
  }
}

/// Adam with Nesterov's momentum. Source: Dozat 2016; PyTorch `NAdam`.
public final class NAdam: ParameterOptimizer {
  /// - Parameters: as those of `Adam`.
  ///   - momentumDecay: 0 or more; how fast the momentum rises to `betas.0`.
  public init(
    _ parameters: [Parameter], learningRate: Double = 2e-3, betas: (Double, Double) = (0.9, 0.999),
    epsilon: Double = 1e-8, weightDecay: Double = 0, momentumDecay: Double = 4e-3, decoupled: Bool = false
  ) {
    super.init(
      "NAdam", parameters, learningRate: learningRate,
      NAdamRule(
        betas: betas, epsilon: epsilon, weightDecay: weightDecay, momentumDecay: momentumDecay, decoupled: decoupled),
      checks(betas, epsilon, weightDecay) + [("momentumDecay", momentumDecay, .rate)])
  }
}

private struct RAdamRule: UpdateRule {
  var betas: (Double, Double)
  var epsilon: Double
  var weightDecay: Double
  var decoupled: Bool

  let slots = [Slot("m"), Slot("v"), Slot("step", .scalar(0))]
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    let (dtype, rate, step) = (inputs[0].dtype, inputs[2], inputs[5] + 1)
    let p = decoupled ? shrunk(inputs[0], rate.cast(to: dtype), weightDecay) : inputs[0]
    let g = decoupled ? inputs[1] : penalized(inputs[1], p, weightDecay)
    let m = blended(inputs[3], g, betas.0)
    let v = blended(inputs[4], g * g, betas.1)
    let (bias1, bias2) = (correction(betas.0, step), correction(betas.1, step))
    // How many steps the second moment is worth; it counts when there are more than 5.
    let most = 2 / (1 - betas.1) - 1
    let length = most - step * 2 * (1 - bias2) / bias2
    let counts = length .> 5
    let safe = select(counts, length, 6)
    let ratio = (safe - 4) * (safe - 2) * most / (safe * ((most - 4) * (most - 2)))
    let adaptive = (sqrt(ratio) * sqrt(bias2)).cast(to: dtype) / (sqrt(v) + epsilon)
    return [p - m * (rate / bias1).cast(to: dtype) * select(counts, adaptive, 1), m, v, step]
  }
}

/// Adam whose first steps, while the second moment is uncertain, do without it. Source: Liu and others 2020; PyTorch
/// `RAdam`.
public final class RAdam: ParameterOptimizer {
  /// - Parameters: as those of `Adam`.
  public init(
    _ parameters: [Parameter], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999),
    epsilon: Double = 1e-8, weightDecay: Double = 0, decoupled: Bool = false
  ) {
    super.init(
      "RAdam", parameters, learningRate: learningRate,
      RAdamRule(betas: betas, epsilon: epsilon, weightDecay: weightDecay, decoupled: decoupled),
      checks(betas, epsilon, weightDecay))
  }
}

private struct LAMBRule: UpdateRule {
  var betas: (Double, Double)
  var epsilon: Double
  var weightDecay: Double

  let slots = [Slot("m"), Slot("v"), Slot("step", .scalar(0))]
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    let (p, g, step) = (inputs[0], inputs[1], inputs[5] + 1)
    let m = blended(inputs[3], g, betas.0)
    let v = blended(inputs[4], g * g, betas.1)
    let (bias1, bias2) = (correction(betas.0, step).cast(to: p.dtype), correction(betas.1, step).cast(to: p.dtype))
    let direction = penalized((m / bias1) / (sqrt(v / bias2) + epsilon), p, weightDecay)
    let (length, size) = (sqrt(square(p).sum()), sqrt(square(direction).sum()))
    let isUsable = (length .> 0) .& (size .> 0)
    let trust = select(isUsable, length / select(isUsable, size, 1), 1)
    return [p - direction * (trust * inputs[2].cast(to: p.dtype)), m, v, step]
  }
}

/// AdamW whose step for each parameter is as long as the parameter, times the rate: for very large batches.
///
/// `r = m̂ / (√v̂ + ε) + weightDecay · p`, `p ← p - rate · |p| / |r| · r`; where `|p|` or `|r|` is 0 the factor is 1.
/// Source: You and others 2020, algorithm 2, with `φ(x) = x`.
public final class LAMB: ParameterOptimizer {
  /// - Parameters: as those of `Adam`.
  public init(
    _ parameters: [Parameter], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999),
    epsilon: Double = 1e-6, weightDecay: Double = 0.01
  ) {
    super.init(
      "LAMB", parameters, learningRate: learningRate,
      LAMBRule(betas: betas, epsilon: epsilon, weightDecay: weightDecay), checks(betas, epsilon, weightDecay))
  }
}

private struct LionRule: UpdateRule {
  var betas: (Double, Double)
  var weightDecay: Double

  let slots = [Slot("m")]
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    let (p, g, m) = (inputs[0], inputs[1], inputs[3])
    let rate = inputs[2].cast(to: p.dtype)
    return [shrunk(p, rate, weightDecay) - rate * sign(blended(m, g, betas.0)), blended(m, g, betas.1)]
  }
}

/// Steps of one size along the signs of a mean of gradients. Source: Chen and others 2023, algorithm 2.
///
/// `p ← p - rate · (sign(β₁ m + (1 - β₁) g) + weightDecay · p)`, then `m ← β₂ m + (1 - β₂) g`.
public final class Lion: ParameterOptimizer {
  /// - Parameters:
  ///   - learningRate: 0 or more, like `weightDecay`; a third to a tenth of Adam's is usual.
  ///   - betas: each at least 0 and below 1.
  public init(
    _ parameters: [Parameter], learningRate: Double = 1e-4, betas: (Double, Double) = (0.9, 0.99),
    weightDecay: Double = 0
  ) {
    super.init(
      "Lion", parameters, learningRate: learningRate, LionRule(betas: betas, weightDecay: weightDecay),
      checks(betas, 0, weightDecay))
  }
}
