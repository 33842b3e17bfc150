public import MartletCore
import MartletOps

private struct RpropRule: UpdateRule {
  var etas: (Double, Double)
  var stepSizes: (Double, Double)

  let slots = [Slot("previous"), Slot("stepSize", .empty)]
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    let (p, g) = (inputs[0], inputs[1])
    let stepSize = inputs.count > 4 ? inputs[4] : inputs[2].cast(to: p.dtype).expanded(to: p.shape)
    let turn = g * inputs[3]
    let factor = select(turn .> 0, etas.1, select(turn .< 0, Tensor(repeating: etas.0, p.spec), 1))
    let size = clamp(stepSize * factor, min: stepSizes.0, max: stepSizes.1)
    let kept = select(turn .< 0, 0, g)
    return [p - sign(kept) * size, kept, size]
  }
}

/// Steps by the signs of gradients alone: the step size of an element grows while the sign stays and shrinks when it turns,
/// which also leaves the element where it is for once. For gradients of all data, not of batches.
///
/// The learning rate is the step size that elements begin with. Source: Riedmiller and Braun 1993; PyTorch `Rprop`.
public final class Rprop: ParameterOptimizer {
  /// - Parameters:
  ///   - learningRate: 0 or more; read in the first step.
  ///   - etas: the factors of the step size when the sign turned, between 0 and 1, and when it did not, 1 or more.
  ///   - stepSizes: the smallest and the largest step, 0 or more.
  public init(
    _ parameters: [Parameter], learningRate: Double = 0.01, etas: (Double, Double) = (0.5, 1.2),
    stepSizes: (Double, Double) = (1e-6, 50)
  ) {
    super.init(
      "Rprop", parameters, learningRate: learningRate, RpropRule(etas: etas, stepSizes: stepSizes),
      [
        ("etas.0", etas.0, .proper), ("etas.1", etas.1, .factor), ("stepSizes.0", stepSizes.0, .rate),
        ("stepSizes.1", stepSizes.1, .rate),
      ])
  }
}
