/// A part of a model: a class whose stored properties are cells, other modules, and plain values.
///
/// Write `forward`; call the module itself (`model(x)`), so that error texts can name the layer.
///
///     final class MLP: Module {
///       let fc1 = Linear(784, 128)
///       let fc2 = Linear(128, 10)
///       func forward(_ x: Tensor) -> Tensor { fc2(relu(fc1(x))) }
///     }
///
/// Cells and children are found among the stored properties: directly, in arrays, dictionaries, optionals and tuples, and
/// through superclasses. Their names are PyTorch's: `fc1.weight`, `layers.0.bias`. A module belongs to one task.
///
/// `print(model)` shows the layers; say in `settings` what is worth telling of one.
public protocol Module<Input, Output>: AnyObject, CustomStringConvertible {
  associatedtype Input
  associatedtype Output
  /// Computes the output. Call the module instead of this.
  func forward(_ input: Input) -> Output
  /// What stands in the brackets when the module is printed, as `inFeatures: 784, outFeatures: 128`. By default the numbers,
  /// texts, Bools and sizes among its stored properties.
  var settings: String { get }
  /// The names of stored properties in the state, where they are others than in Swift: `["outProj": "out_proj"]`.
  var stateNames: [String: String] { get }
}

extension Module {
  public var stateNames: [String: String] { [:] }
}

extension Module {
  /// Runs `forward` with the layer's name in error texts.
  public func callAsFunction(_ input: Input) -> Output {
    Context.pushLayer(self)
    defer { Context.popLayer() }
    let output = forward(input)
    if let frame = StateFrame.current { frame.called(self, output) }
    return output
  }

  /// Several inputs as one call: `attention(q, k, v)` for a module whose input is a tuple.
  public func callAsFunction<each I>(_ input: repeat each I) -> Output where Input == (repeat each I) {
    Context.pushLayer(self)
    defer { Context.popLayer() }
    let output = forward((repeat each input))
    if let frame = StateFrame.current { frame.called(self, output) }
    return output
  }
}

/// A container whose children have names of their own, without that of its property: `0.weight`.
package protocol NamedChildren {
  var children: [(name: String, value: Any)] { get }
}

/// A collection whose elements have one static type.
private protocol Uniform {
  static var part: Any.Type { get }
}
extension Array: Uniform { fileprivate static var part: Any.Type { Element.self } }
extension Set: Uniform { fileprivate static var part: Any.Type { Element.self } }
extension Dictionary: Uniform { fileprivate static var part: Any.Type { Value.self } }

/// Whether values of a type hold no cell or module, so that a list of them need not be walked: a vocabulary is long.
private func isPlain(_ type: Any.Type) -> Bool {
  switch type {
  case is String.Type, is Substring.Type, is Character.Type, is Bool.Type, is Tensor.Type: true
  case is any BinaryInteger.Type, is any BinaryFloatingPoint.Type: true
  case let list as any Uniform.Type: isPlain(list.part)
  default: false
  }
}

/// What one walk over a model's stored properties finds. Walk once and keep it: a walk takes milliseconds.
public struct ModuleTree {
  /// The cells with their names, in the order of the properties; a cell that is reachable twice counts once.
  public private(set) var cells: [(name: String, cell: Cell)] = []
  /// The modules with their names, the model itself first, with an empty name.
  public private(set) var modules: [(name: String, module: any Module)] = []
  package private(set) var modes: [Mode] = []
  private var seen = Set<ObjectIdentifier>()
  /// Which cells get their names, for error texts.
  package enum Naming {
    case none, unnamed, all
  }
  private let naming: Naming

  public init(_ model: any Module) { self.init(model, naming: .all) }

  package init(_ model: any Module, naming: Naming) {
    self.naming = naming
    visit(model, "")
  }

  /// The parameters with their names.
  public var parameters: [(name: String, parameter: Parameter)] {
    cells.compactMap { entry in (entry.cell as? Parameter).map { (entry.name, $0) } }
  }

  private mutating func visit(_ module: any Module, _ path: String) {
    guard seen.insert(ObjectIdentifier(module)).inserted else { return }
    modules.append((path, module))
    var mirrors: [Mirror] = []
    var mirror: Mirror? = Mirror(reflecting: module)
    while let current = mirror {
      mirrors.insert(current, at: 0)
      mirror = current.superclassMirror
    }
    let stateNames = module.stateNames
    for mirror in mirrors {
      for child in mirror.children {
        // Asked first: with Foundation a cast of a long collection to a class converts every element.
        guard let label = child.label, !isPlain(type(of: child.value)) else { continue }
        if label.hasPrefix("$__lazy_storage_$_") {
          if naming == .unnamed { continue }
          fail(
            OpError(
              .message(
                "the property \(label.dropFirst(18)) of \(type(of: module)) is lazy, so its parameters would be found only after its first use; make it a plain property"
              ), op: "Module"))
          continue
        }
        if let list = child.value as? any NamedChildren {
          for (name, value) in list.children { visit(value: value, path.isEmpty ? name : "\(path).\(name)") }
          continue
        }
        let name = stateNames[label] ?? label
        visit(value: child.value, path.isEmpty ? name : "\(path).\(name)")
      }
    }
  }

  private mutating func visit(value: Any, _ path: String) {
    if isPlain(type(of: value)) { return }
    switch value {
    case let cell as Cell:
      guard seen.insert(ObjectIdentifier(cell)).inserted else { return }
      cells.append((path, cell))
      guard naming == .all || naming == .unnamed && !cell.isNamed else { return }
      cell.name = path
      cell.isNamed = naming == .all
      if let parameter = cell as? Parameter { parameter.gradient.name = path + ".grad" }
    case let mode as Mode:
      guard seen.insert(ObjectIdentifier(mode)).inserted else { return }
      modes.append(mode)
    case let module as any Module: visit(module, path)
    default:
      let mirror = Mirror(reflecting: value)
      switch mirror.displayStyle {
      case .optional: mirror.children.first.map { visit(value: $0.value, path) }
      case .collection, .set:
        for (index, child) in mirror.children.enumerated() { visit(value: child.value, "\(path).\(index)") }
      case .dictionary:
        let entries = mirror.children.map { child -> (String, Any) in
          let pair = Array(Mirror(reflecting: child.value).children)
          return ("\(pair[0].value)", pair[1].value)
        }
        for (key, value) in entries.sorted(by: { $0.0 < $1.0 }) { visit(value: value, "\(path).\(key)") }
      case .tuple, .struct, .enum:
        for (index, child) in mirror.children.enumerated() {
          let label = child.label.map { $0.hasPrefix(".") ? String($0.dropFirst()) : $0 } ?? "\(index)"
          visit(value: child.value, "\(path).\(label)")
        }
      default: break
      }
    }
  }
}

extension Module {
  /// The parameters in the order of the properties. Walks the model: keep the result.
  public var parameters: [Parameter] { ModuleTree(self).parameters.map { $0.parameter } }

  /// Puts all layers into training mode.
  public func train() { for mode in ModuleTree(self).modes { mode.isTraining = true } }

  /// Puts all layers into evaluation mode: no dropout, running statistics.
  public func eval() { for mode in ModuleTree(self).modes { mode.isTraining = false } }

  /// Whether some layer that behaves otherwise in training (dropout, batch norm) is in training mode, as all are at first; false
  /// for a model of none. Walks the model: a layer of your own that behaves otherwise keeps a `Mode` and asks that.
  public var isTraining: Bool { ModuleTree(self, naming: .none).modes.contains { $0.isTraining } }

  /// Sets all gradients to nil. Walks the model, like `train()` and `eval()`: in a training loop `Optimizer.zeroGrad()` does
  /// the same for the parameters that it knows.
  public func zeroGrad() { for parameter in parameters { parameter.grad = nil } }

  /// Stops the training of all parameters of the module: backward passes compute no gradients for them, and optimizers leave
  /// them out. Gradients that were there are dropped. Running statistics still follow the mode; `eval()` keeps them too.
  public func freeze() {
    for parameter in parameters {
      parameter.requiresGradient = false
      parameter.grad = nil
    }
  }

  /// Lets all parameters of the module be trained again.
  public func unfreeze() { for parameter in parameters { parameter.requiresGradient = true } }
}
