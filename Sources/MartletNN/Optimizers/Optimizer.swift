public import MartletCore
import MartletOps

/// Changes parameters by their gradients. All its state is in cells, so that steps can be captured, saved and resumed.
public protocol Optimizer: AnyObject, CustomStringConvertible {
  var parameters: [Parameter] { get }
  /// The learning rate, a scalar: set it between steps.
  var rate: StateTensor { get }
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

  /// The learning rate as a number.
  public var learningRate: Double {
    get { rate.value.item() }
    set { rate.value = Tensor(scalar: newValue, rate.value.dtype, device: rate.value.device) }
  }
}

extension StateTensor {
  /// A scalar for rates and counts. float64: a float32 count stops at 2²⁴.
  static func scalar(_ value: Double) -> StateTensor { StateTensor(Tensor(scalar: value, .float64, device: .current)) }
  /// Zeros like a parameter.
  static func zeros(like parameter: Parameter) -> StateTensor {
    StateTensor(Tensor(repeating: 0, parameter.read()!.spec))
  }
}
