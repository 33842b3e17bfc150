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
///
/// A structure of one's own becomes one by two lines; then it may be an argument and a result of compiled functions, of `grad`
/// and `vmap`, and the state of loops. Its parts come in one order in both.
///
///     struct Point: TensorTree {
///       var place, speed: Tensor
///       var flattened: [Tensor] { [place, speed] }
///       func rebuilt(from t: inout ArraySlice<Tensor>) -> Point { Point(place: t.removeFirst(), speed: t.removeFirst()) }
///     }
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

/// Several trees as one, where a function takes or gives a single tree: Swift's own tuples cannot be trees.
///
///     let (h, c) = scan(x, from: TensorTuple(h, c)) { state, x in
///       let (h, c) = cell(x, state.values)
///       return (TensorTuple(h, c), h)
///     }.0.values
public struct TensorTuple<each Part: TensorTree>: TensorTree {
  /// The parts: `values.0`, or `let (h, c) = tuple.values`.
  public var values: (repeat each Part)

  public init(_ values: repeat each Part) { self.values = (repeat each values) }

  public var flattened: [Tensor] {
    var tensors: [Tensor] = []
    for part in repeat each values { tensors += part.flattened }
    return tensors
  }
  public func rebuilt(from tensors: inout ArraySlice<Tensor>) -> TensorTuple {
    func rebuilt<P: TensorTree>(_ part: P) -> P { part.rebuilt(from: &tensors) }
    return TensorTuple(repeat rebuilt(each values))
  }
  public var structure: TreeStructure {
    var parts: [TreeStructure] = []
    for part in repeat each values { parts.append(part.structure) }
    return .list(parts)
  }
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
