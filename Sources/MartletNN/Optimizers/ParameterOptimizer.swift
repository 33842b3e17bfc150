public import MartletCore
import MartletOps

/// What one kind of optimizer does to one parameter: a pure function, and what it keeps from step to step.
///
/// Its stored properties are the settings as they print.
package protocol UpdateRule {
  /// What is kept for each parameter, in the order in which it follows the rate among the inputs and the parameter among
  /// the outputs. What starts empty is not among the inputs of the first step.
  var slots: [Slot] { get }
  /// From parameter, gradient, rate and slots to the parameter and the slots. Inputs that nobody else holds may be written
  /// over.
  func update(taking inputs: inout [Tensor]) -> [Tensor]
  /// What becomes of a gradient that is kept as rows (`Parameter.keepsGradientRows`).
  var rows: RowGradients { get }
}

/// What a rule makes of gradients of rows.
package enum RowGradients {
  /// They are an error, with a remedy.
  case refused(String)
  /// They are spread over zeros: the rule moves rows without a gradient too.
  case spread
  /// The rule is applied to the rows alone, of the parameter and of what is kept for it: it leaves the others as they are.
  case alone
  /// As `alone`, and a dense gradient is an error.
  case needed(String)
}

extension UpdateRule {
  package var rows: RowGradients { .refused("SGD, Adagrad or SparseAdam, or an embedding without sparse: true") }
}

/// A tensor that an optimizer keeps for each parameter.
package struct Slot {
  package enum Start {
    case zeros, filled(Double), scalar(Double), empty
    /// Zeros of a shape that depends on the parameter's.
    case shaped((Shape) -> Shape)
  }
  let name: String
  let start: Start
  package init(_ name: String, _ start: Start = .zeros) {
    self.name = name
    self.start = start
  }

  func cell(for parameter: Parameter) -> Cell {
    switch start {
    case .zeros: StateTensor.zeros(like: parameter)
    case .filled(let value): StateTensor(Tensor(repeating: value, parameter.read()!.spec))
    case .scalar(let value): StateTensor.scalar(value)
    case .empty: Cell(nil)
    case .shaped(let shape):
      StateTensor(Tensor(repeating: 0, parameter.read()!.spec.with(shape: shape(parameter.shape))))
    }
  }
}

/// An optimizer that changes each parameter by its own gradient, with one rule for all of them.
public class ParameterOptimizer: Optimizer {
  public final let parameters: [Parameter]
  public final let rate: StateTensor
  private let rule: any UpdateRule
  private let slots: [Slot]
  /// For each parameter the cells of the slots.
  private let kept: [[Cell]]

  /// Checks the settings, of which one that is out of its range is an error.
  init(
    _ name: String, _ parameters: [Parameter], learningRate: Double, _ rule: any UpdateRule,
    _ settings: [(name: String, value: Double, allowed: Allowed)]
  ) {
    isValid(name, [("learningRate", learningRate, .rate)] + settings)
    checkDistinct(name, parameters)
    let prefix = name.lowercased()
    self.parameters = parameters
    self.rule = rule
    rate = .scalar(learningRate)
    rate.name = "\(prefix).rate"
    let slots = rule.slots
    self.slots = slots
    kept = parameters.enumerated().map { index, parameter in
      slots.map { slot in
        let cell = slot.cell(for: parameter)
        cell.name = "\(prefix).\(index).\(slot.name)"
        return cell
      }
    }
  }

  public final var cells: [(name: String, cell: Cell)] {
    [("rate", rate)]
      + kept.enumerated().flatMap { index, cells in
        zip(slots, cells).map { slot, cell -> (name: String, cell: Cell) in ("\(slot.name).\(index)", cell) }
      }
  }

  public final var settings: String { plainSettings(of: rule) }

  public final func step() {
    withoutGradient {
      guard parameters.allSatisfy({ accepts($0) }) else { return }
      for (parameter, cells) in zip(parameters, kept) {
        guard parameter.requiresGradient else { continue }
        if parameter.hasGradientRows, !spreadsRows {
          step(parameter, cells, parameter.gradientRows!)
          continue
        }
        guard let g = parameter.grad, !g.isError else { continue }
        // The cells give their tensors away, so that the update writes over them.
        var inputs = [parameter.take()!, g, rate.value] + cells.compactMap { $0.take() }
        let outputs = rule.update(taking: &inputs)
        // After an error, inside of `withErrors`, everything stays as it was.
        if outputs.contains(where: { $0.isError }) { continue }
        parameter.write(outputs[0])
        for (cell, value) in zip(cells, outputs.dropFirst()) { cell.write(value) }
      }
    }
  }

  private var spreadsRows: Bool { if case .spread = rule.rows { true } else { false } }

  /// Whether the rule takes the gradient of a parameter; if not, nothing is changed.
  private func accepts(_ parameter: Parameter) -> Bool {
    guard parameter.requiresGradient else { return true }
    let name = "\(type(of: self))"
    switch rule.rows {
    case .refused(let remedy) where parameter.hasGradientRows:
      fail(
        OpError(
          .misuse(
            "the gradient of \(parameter.name) is kept as rows", rule: "\(name) takes dense gradients", remedy: remedy),
          op: name))
      return false
    case .needed(let remedy) where !parameter.hasGradientRows && parameter.grad.map { !$0.isError } ?? false:
      fail(
        OpError(
          .misuse(
            "the gradient of \(parameter.name) is dense", rule: "\(name) takes gradients that are kept as rows",
            remedy: remedy), op: name))
      return false
    default: return true
    }
  }

  /// A step of the rows alone: they are taken out of the parameter and of what is kept for it, updated and put back, in
  /// place where nobody else holds the whole.
  private func step(_ parameter: Parameter, _ cells: [Cell], _ rows: GradientRows) {
    func isTable(_ slot: Slot) -> Bool {
      switch slot.start {
      case .zeros, .filled: true
      case .scalar, .empty, .shaped: false
      }
    }
    func part(_ cell: Cell) -> Tensor { cell.read()!.take(axis: 0, rows.indices) }
    var inputs = [part(parameter), rows.values, rate.value]
    inputs += zip(slots, cells).compactMap { isTable($0) ? part($1) : $1.read() }
    let outputs = rule.update(taking: &inputs)
    inputs = []
    if outputs.contains(where: { $0.isError }) { return }
    func put(_ value: Tensor, into cell: Cell) {
      var whole = cell.take()!
      whole = taking(TakeUpdate(axis: 0), &whole, [rows.indices, value])
      cell.write(whole)
    }
    put(outputs[0], into: parameter)
    for ((slot, cell), value) in zip(zip(slots, cells), outputs.dropFirst()) {
      if isTable(slot) { put(value, into: cell) } else { cell.write(value) }
    }
  }
}

/// Reports a parameter that stands twice in a list: it would be changed twice in each step.
func checkDistinct(_ op: String, _ parameters: [Parameter]) {
  var seen = Set<ObjectIdentifier>()
  guard let twice = parameters.first(where: { !seen.insert(ObjectIdentifier($0)).inserted }) else { return }
  fail(
    OpError(
      .misuse(
        "the parameter \(twice.name) is given twice", rule: "each parameter is changed once in a step",
        remedy: "model.parameters has each once, also where layers share it"), op: op))
}

/// The gradient with an L2 penalty.
func penalized(_ g: Tensor, _ p: Tensor, _ weightDecay: Double) -> Tensor { weightDecay == 0 ? g : g + p * weightDecay }

/// The parameter after decoupled weight decay.
func shrunk(_ p: Tensor, _ rate: Tensor, _ weightDecay: Double) -> Tensor {
  weightDecay == 0 ? p : p * (1 - rate * weightDecay)
}

/// The running mean `β a + (1 - β) x`.
func blended(_ a: Tensor, _ x: Tensor, _ beta: Double) -> Tensor { a * beta + x * (1 - beta) }

/// `1 - βᵗ` for a float64 count of steps, in float64: a float32 β = 0.999 is off by 1e-8, which the difference magnifies.
func correction(_ beta: Double, _ step: Tensor) -> Tensor {
  1 - pow(Tensor(scalar: beta, .float64, device: step.device), step)
}
