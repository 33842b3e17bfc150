public import MartletCore
import MartletOps

/// Stochastic gradient descent with momentum. Source: PyTorch `SGD`.
///
/// `g ← g + weightDecay · p`, `b ← momentum · b + (1 - dampening) · g` (the first time `b ← g`),
/// `p ← p - rate · b`, or with Nesterov `p ← p - rate · (g + momentum · b)`.
public final class SGD: Optimizer {
  public let parameters: [Parameter]
  public let rate: StateTensor
  public let momentum: Double
  public let dampening: Double
  public let weightDecay: Double
  public let nesterov: Bool
  /// The momentum of each parameter; empty before its first step.
  private let buffers: [Cell]

  public init(
    _ parameters: [Parameter], learningRate: Double, momentum: Double = 0, dampening: Double = 0,
    weightDecay: Double = 0, nesterov: Bool = false
  ) {
    self.parameters = parameters
    rate = .scalar(learningRate)
    self.momentum = momentum
    self.dampening = dampening
    self.weightDecay = weightDecay
    self.nesterov = nesterov
    buffers = parameters.indices.map { Cell(nil, name: "momentum.\($0)") }
  }

  public var cells: [(name: String, cell: Cell)] {
    [("rate", rate)] + buffers.enumerated().map { ("momentum.\($0.offset)", $0.element) }
  }

  public func step() {
    withoutGradient {
      for (parameter, buffer) in zip(parameters, buffers) {
        guard var g = parameter.grad else { continue }
        if weightDecay != 0 { g = g + parameter.value * weightDecay }
        if momentum != 0 {
          let b = buffer.read().map { $0 * momentum + g * (1 - dampening) } ?? g
          buffer.write(b)
          g = nesterov ? g + b * momentum : b
        }
        parameter.value -= g * rate.value.cast(to: g.dtype)
      }
    }
  }
}
