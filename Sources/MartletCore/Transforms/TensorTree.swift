/// How the tensors of a value are arranged: a captured program is valid for one structure.
public enum TreeStructure: Hashable, Sendable {
  /// One tensor.
  case tensor
  /// Nothing: an optional without a value.
  case none
  /// Parts in a fixed order.
  case list([TreeStructure])
  /// Parts by name.
  case named([String], [TreeStructure])
}

/// A value made of tensors: a tensor, or an array, dictionary or optional of such values.
public protocol TensorTree {
  /// The tensors in a fixed order.
  var flattened: [Tensor] { get }
  /// The same structure with other tensors, taken from the front of `tensors`.
  func rebuilt(from tensors: inout ArraySlice<Tensor>) -> Self
  /// How the tensors are arranged. By default their number; a type of your own whose parts may be arranged in several ways
  /// for one number of tensors, or that holds values which change what is computed, says so here.
  var structure: TreeStructure { get }
}

extension TensorTree {
  public var structure: TreeStructure { .list([TreeStructure](repeating: .tensor, count: flattened.count)) }
  /// The same structure with other tensors.
  public func replacing(_ tensors: [Tensor]) -> Self {
    var slice = tensors[...]
    return rebuilt(from: &slice)
  }
  /// The same structure with each tensor changed.
  public func mapTensors(_ change: (Tensor) -> Tensor) -> Self { replacing(flattened.map(change)) }
}

extension Tensor: TensorTree {
  public var flattened: [Tensor] { [self] }
  public func rebuilt(from tensors: inout ArraySlice<Tensor>) -> Tensor { tensors.popFirst()! }
  public var structure: TreeStructure { .tensor }
}

extension Array: TensorTree where Element: TensorTree {
  public var flattened: [Tensor] { flatMap { $0.flattened } }
  public func rebuilt(from tensors: inout ArraySlice<Tensor>) -> [Element] {
    map { $0.rebuilt(from: &tensors) }
  }
  public var structure: TreeStructure { .list(map { $0.structure }) }
}

extension Optional: TensorTree where Wrapped: TensorTree {
  public var flattened: [Tensor] { self?.flattened ?? [] }
  public func rebuilt(from tensors: inout ArraySlice<Tensor>) -> Wrapped? { self?.rebuilt(from: &tensors) }
  public var structure: TreeStructure { self.map { .list([$0.structure]) } ?? .none }
}

extension Dictionary: TensorTree where Key == String, Value: TensorTree {
  public var flattened: [Tensor] { keys.sorted().flatMap { self[$0]!.flattened } }
  public func rebuilt(from tensors: inout ArraySlice<Tensor>) -> [String: Value] {
    var result = self
    for key in keys.sorted() { result[key] = self[key]!.rebuilt(from: &tensors) }
    return result
  }
  public var structure: TreeStructure {
    let keys = keys.sorted()
    return .named(keys, keys.map { self[$0]!.structure })
  }
}
