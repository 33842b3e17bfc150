public import MartletCore
import MartletOps

/// Changes parameters by their gradients. All its state is in cells, so that steps can be captured, saved and resumed.
///
/// Gradients add up until `zeroGrad()`: for a batch that is too large, call `backward()` for each of its parts, with losses
/// divided by the number of parts, and then `step()` once. Each part may be a call of one compiled function.
public protocol Optimizer: AnyObject, CustomStringConvertible {
  var parameters: [Parameter] { get }
  /// The learning rate, a scalar: set it between steps.
  var rate: StateTensor { get }
  /// The learning rate as a number, 0 or more.
  var learningRate: Double { get set }
  /// The rate, the moments and the counts of steps by name, in the order of the parameters. A cell may be empty before the
  /// first step. To resume a run exactly, write what they held into those of a new optimizer:
  ///
  ///     let saved = optimizer.cells.map { $0.cell.read() }
  ///     for (entry, value) in zip(other.cells, saved) { entry.cell.write(value) }
  var cells: [(name: String, cell: Cell)] { get }
  /// One update of every parameter that has a gradient.
  func step()
  /// What stands beside the learning rate when the optimizer is printed. By default the numbers, texts and Bools among its
  /// stored properties.
  var settings: String { get }
}

extension Optimizer {
  /// Sets the gradients of the parameters to nil.
  public func zeroGrad() { for parameter in parameters { parameter.grad = nil } }
  public var settings: String { plainSettings(of: self) }

  /// The optimizer with its settings: `SGD(learningRate: 0.1, momentum: 0.9, …)`.
  public var description: String {
    let value = rate.value
    let rate = "learningRate: " + (value.hasValue ? "\(value.item())" : "\(value)")
    return "\(type(of: self))(\(([rate, settings].filter { !$0.isEmpty }).joined(separator: ", ")))"
  }

  /// The learning rate as a number, 0 or more.
  public var learningRate: Double {
    get { rate.value.item() }
    set {
      guard isValid("\(type(of: self))", [("learningRate", newValue, .rate)]) else { return }
      rate.value = Tensor(scalar: newValue, rate.value.dtype, device: rate.value.device)
    }
  }
}

/// What a setting of an optimizer or a schedule may be.
enum Allowed: String {
  case rate = "0 or more, and finite"
  case share = "0 ≤ value ≤ 1"
  case decay = "0 ≤ value < 1"
  case divisor = "more than 0, and finite"
  case finite = "finite"
  case factor = "1 or more, and finite"
  case exponent = "0 or less, and finite"
  case proper = "0 < value < 1"

  func contains(_ value: Double) -> Bool {
    switch self {
    case .rate: value >= 0 && value.isFinite
    case .share: (0...1).contains(value)
    case .decay: (0..<1).contains(value)
    case .divisor: value > 0 && value.isFinite
    case .finite: value.isFinite
    case .factor: value >= 1 && value.isFinite
    case .exponent: value <= 0 && value.isFinite
    case .proper: value > 0 && value < 1
    }
  }
}

/// Reports the first setting that is none.
@discardableResult
func isValid(_ op: String, _ settings: [(name: String, value: Double, allowed: Allowed)]) -> Bool {
  guard let wrong = settings.first(where: { !$0.allowed.contains($0.value) }) else { return true }
  fail(OpError(.misuse("\(wrong.name) is \(wrong.value)", rule: "it is \(wrong.allowed.rawValue)"), op: op))
  return false
}

extension StateTensor {
  /// A scalar for rates and counts. float64: a float32 count stops at 2²⁴.
  static func scalar(_ value: Double) -> StateTensor { StateTensor(Tensor(scalar: value, .float64, device: .current)) }
  /// Zeros like a parameter.
  static func zeros(like parameter: Parameter) -> StateTensor {
    StateTensor(Tensor(repeating: 0, parameter.read()!.spec))
  }
}
