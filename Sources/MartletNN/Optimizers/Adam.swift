public import MartletCore
import MartletOps

/// Adam, with an L2 penalty, or with decoupled weight decay (see `AdamW`). Source: Kingma and Ba 2015; Loshchilov and
/// Hutter 2019; PyTorch `Adam`, `AdamW`.
public class Adam: Optimizer {
  public final let parameters: [Parameter]
  public final let rate: StateTensor
  private let update: AdamUpdate
  private let moments: [Moments]

  private struct Moments {
    let m: StateTensor
    let v: StateTensor
    /// The steps of this parameter: one without a gradient is left out of a step.
    let step: StateTensor
  }

  /// - Parameters:
  ///   - learningRate: 0 or more, like `epsilon` and `weightDecay`; what is out of its range, or no number, is an error.
  ///   - betas: each at least 0 and below 1.
  ///   - weightDecay: the L2 penalty; with `decoupled` the parameter shrinks by `rate · weightDecay` instead.
  public init(
    _ parameters: [Parameter], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999),
    epsilon: Double = 1e-8, weightDecay: Double = 0, decoupled: Bool = false
  ) {
    isValid(
      decoupled ? "AdamW" : "Adam",
      [
        ("learningRate", learningRate, .rate), ("betas.0", betas.0, .decay), ("betas.1", betas.1, .decay),
        ("epsilon", epsilon, .rate), ("weightDecay", weightDecay, .rate),
      ])
    self.parameters = parameters
    rate = .scalar(learningRate)
    update = AdamUpdate(
      beta1: betas.0, beta2: betas.1, epsilon: epsilon, weightDecay: weightDecay, decoupled: decoupled)
    moments = parameters.map { Moments(m: .zeros(like: $0), v: .zeros(like: $0), step: .scalar(0)) }
    for (index, cells) in moments.enumerated() {
      cells.m.name = "adam.\(index).m"
      cells.v.name = "adam.\(index).v"
      cells.step.name = "adam.\(index).step"
    }
    rate.name = "adam.rate"
  }

  public final var cells: [(name: String, cell: Cell)] {
    [("rate", rate)]
      + moments.enumerated().flatMap { index, cells -> [(name: String, cell: Cell)] in
        [("m.\(index)", cells.m), ("v.\(index)", cells.v), ("step.\(index)", cells.step)]
      }
  }

  public final var settings: String {
    "betas: (\(update.beta1), \(update.beta2)), epsilon: \(update.epsilon), weightDecay: \(update.weightDecay), "
      + "decoupled: \(update.decoupled)"
  }

  public final func step() {
    withoutGradient {
      for (parameter, cells) in zip(parameters, moments) {
        guard let g = parameter.grad else { continue }
        let step = cells.step.value + 1
        cells.step.value = step
        // The cells give their tensors away, so that the update writes over them.
        var inputs = [parameter.take()!, g, cells.m.take()!, cells.v.take()!, step, rate.value]
        let outputs = apply(update, taking: &inputs)
        parameter.write(outputs[0])
        cells.m.write(outputs[1])
        cells.v.write(outputs[2])
      }
    }
  }
}

/// Adam with decoupled weight decay: the parameter shrinks by `rate · weightDecay`, whatever its gradient.
/// Source: Loshchilov and Hutter 2019; PyTorch `AdamW`, with its defaults.
public final class AdamW: Adam {
  public init(
    _ parameters: [Parameter], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999),
    epsilon: Double = 1e-8, weightDecay: Double = 0.01
  ) {
    super.init(
      parameters, learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay, decoupled: true)
  }
}
