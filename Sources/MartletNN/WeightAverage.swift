public import MartletCore
import MartletOps

/// The average of a model's parameters over the steps of training, which often does better than their last values.
///
///     let average = WeightAverage(model, decay: 0.999)
///     for batch in batches {
///       step(batch)
///       average.update()
///     }
///     let score = average.applied { evaluate(model) }
///
/// With a decay the older values fade (an exponential moving average); without, all count equally (stochastic weight
/// averaging). `update()` can be a part of a compiled step. Source: PyTorch `AveragedModel` with `get_ema_avg_fn` and with its
/// default.
public final class WeightAverage {
  private let model: any Module
  private let parameters: [(name: String, parameter: Parameter)]
  private let buffers: [Cell]
  /// Empty before the first update.
  private let averages: [Cell]
  private let count = StateTensor.scalar(0)
  /// The share of the past in each update; nil: all updates count equally.
  public let decay: Double?

  /// - Parameter decay: at least 0 and below 1.
  public init(_ model: any Module, decay: Double? = nil) {
    if let decay { isValid("WeightAverage", [("decay", decay, .decay)]) }
    self.model = model
    self.decay = decay
    let tree = ModuleTree(model)
    parameters = tree.parameters
    buffers = tree.cells.map { $0.cell }.filter { $0 is Buffer }
    averages = parameters.map { Cell(nil, name: "average.\($0.name)") }
  }

  /// The averages by the names of their parameters, and the number of updates: what a checkpoint keeps.
  public var cells: [(name: String, cell: Cell)] {
    [("count", count)] + zip(parameters, averages).map { ($0.name, $1) }
  }

  /// The averages under PyTorch's names; the parameters themselves before the first update.
  public var state: State { State(zip(parameters, averages).map { ($0.name, $1.read() ?? $0.parameter.read()!) }) }

  /// Takes the parameters' current values into the average.
  public func update() {
    withoutGradient {
      let share = decay.map { 1 - $0 }
      let weight = share == nil ? 1 / (count.value + 1) : nil
      for ((_, parameter), cell) in zip(parameters, averages) {
        let value = parameter.read()!
        guard var average = cell.take() else {
          cell.write(value)
          continue
        }
        let distance = value - average
        average += weight.map { distance * $0.cast(to: value.dtype) } ?? distance * share!
        cell.write(average)
      }
      count.value = count.value + 1
    }
  }

  /// Runs `body` with the averages as the model's parameters; afterwards the model has its own parameters and buffers again,
  /// also when `body` throws. Without an update before it, `body` runs with the model as it is.
  public func applied<R>(_ body: () throws -> R) rethrows -> R {
    let own = parameters.map { $0.parameter.read()! }
    let ownBuffers = buffers.map { $0.read() }
    apply()
    defer {
      for ((_, parameter), value) in zip(parameters, own) { parameter.write(value) }
      for (buffer, value) in zip(buffers, ownBuffers) { buffer.write(value) }
    }
    return try body()
  }

  /// Makes the averages the parameters of the model.
  public func apply() {
    for ((_, parameter), cell) in zip(parameters, averages) {
      if let average = cell.read() { parameter.write(average) }
    }
  }
}

/// Computes the running statistics of a model's batch normalisations anew, as their means over all `batches`: the averaged
/// parameters have never seen any. Other layers keep their mode and their state. Source: PyTorch `update_bn`.
///
///     average.apply()
///     updateStatistics(of: model, over: batches)
public func updateStatistics<M: Module>(of model: M, over batches: some Sequence<M.Input>) {
  let norms = ModuleTree(model).modules.compactMap { $0.module as? BatchNorm }
  guard !norms.isEmpty else { return }
  let before = norms.map { ($0.momentum, $0.mode.isTraining) }
  for norm in norms { norm.restartStatistics() }
  for norm in norms {
    norm.momentum = nil
    norm.mode.isTraining = true
  }
  defer {
    for (norm, (momentum, isTraining)) in zip(norms, before) {
      norm.momentum = momentum
      norm.mode.isTraining = isTraining
    }
  }
  withoutGradient { for batch in batches { _ = model.callAsFunction(batch) } }
}
