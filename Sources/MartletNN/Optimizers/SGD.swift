public import MartletCore
import MartletOps

/// Stochastic gradient descent with momentum. Source: PyTorch `SGD`.
///
/// `g ← g + weightDecay · p`, `b ← momentum · b + (1 - dampening) · g` (the first time `b ← g`),
/// `p ← p - rate · b`, or with Nesterov `p ← p - rate · (g + momentum · b)`.
public final class SGD: Optimizer {
  public let parameters: [Parameter]
  public let rate: StateTensor
  private let update: SGDUpdate
  private var momentum: Double { update.momentum }
  /// The momentum of each parameter; empty before its first step.
  private let buffers: [Cell]

  /// - Parameters:
  ///   - learningRate: 0 or more, like `weightDecay`; what is out of its range, or no number, is an error.
  ///   - momentum: 0 … 1.
  ///   - nesterov: takes a momentum above 0 and no dampening.
  public init(
    _ parameters: [Parameter], learningRate: Double, momentum: Double = 0, dampening: Double = 0,
    weightDecay: Double = 0, nesterov: Bool = false
  ) {
    isValid(
      "SGD",
      [
        ("learningRate", learningRate, .rate), ("momentum", momentum, .share), ("dampening", dampening, .finite),
        ("weightDecay", weightDecay, .rate),
      ])
    if nesterov, momentum <= 0 || dampening != 0 {
      fail(
        OpError(
          .misuse(
            "nesterov with momentum \(momentum) and dampening \(dampening)",
            rule: "Nesterov's momentum is more than 0, without dampening"), op: "SGD"))
    }
    self.parameters = parameters
    rate = .scalar(learningRate)
    update = SGDUpdate(momentum: momentum, dampening: dampening, weightDecay: weightDecay, nesterov: nesterov)
    buffers = parameters.indices.map { Cell(nil, name: "momentum.\($0)") }
  }

  public var cells: [(name: String, cell: Cell)] {
    [("rate", rate)] + buffers.enumerated().map { ("momentum.\($0.offset)", $0.element) }
  }

  public var settings: String {
    "momentum: \(update.momentum), dampening: \(update.dampening), weightDecay: \(update.weightDecay), "
      + "nesterov: \(update.nesterov)"
  }

  public func step() {
    withoutGradient {
      for (parameter, buffer) in zip(parameters, buffers) {
        guard let g = parameter.grad else { continue }
        // The cells give their tensors away, so that the update writes over them.
        var inputs = [parameter.take()!, g, rate.value]
        if momentum != 0, let b = buffer.take() { inputs.append(b) }
        let outputs = apply(update, taking: &inputs)
        parameter.write(outputs[0])
        if momentum != 0 { buffer.write(outputs[1]) }
      }
    }
  }
}
