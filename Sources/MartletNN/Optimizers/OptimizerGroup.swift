public import MartletCore
import MartletOps

/// Several optimizers as one: groups of parameters with settings, or even algorithms, of their own.
///
///     let optimizer = OptimizerGroup([
///       SGD(model.base.parameters, learningRate: 1e-3, momentum: 0.9),
///       SGD(model.head.parameters, learningRate: 1e-2, momentum: 0.9),
///     ])
///
/// What PyTorch calls parameter groups. The learning rate of the whole is that of the first; setting it, as a schedule does,
/// changes the rates of all in the ratios in which they were made.
public final class OptimizerGroup: Optimizer {
  public let optimizers: [any Optimizer]
  public let parameters: [Parameter]
  public let rate: StateTensor
  /// The rates of the members when the group was made.
  private let baseRates: [Double]

  /// - Parameter optimizers: at least one, the first with a rate above 0; no parameter is in two of them.
  public init(_ optimizers: [any Optimizer]) {
    self.optimizers = optimizers
    parameters = optimizers.flatMap { $0.parameters }
    baseRates = optimizers.map { $0.learningRate }
    rate = optimizers.first?.rate ?? .scalar(0)
    isValid("OptimizerGroup", [("the first learning rate", baseRates.first ?? 0, .divisor)])
    checkDistinct("OptimizerGroup", parameters)
  }

  /// Those of the members, each behind its position: `1.momentum.0`.
  public var cells: [(name: String, cell: Cell)] {
    optimizers.enumerated().flatMap { index, optimizer in
      optimizer.cells.map { (name: "\(index).\($0.name)", cell: $0.cell) }
    }
  }

  public var learningRate: Double {
    get { rate.value.item() }
    set {
      guard isValid("OptimizerGroup", [("learningRate", newValue, .rate)]) else { return }
      for (optimizer, base) in zip(optimizers, baseRates) {
        optimizer.learningRate = optimizer === optimizers[0] ? newValue : newValue * (base / baseRates[0])
      }
    }
  }

  public var settings: String { optimizers.map { "\($0)" }.joined(separator: ", ") }
  public func step() { for optimizer in optimizers { optimizer.step() } }
}
