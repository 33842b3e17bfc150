/// A value made of tensors: a tensor, or an array, dictionary or optional of such values.
public protocol TensorTree {
  /// The tensors in a fixed order.
  var flattened: [Tensor] { get }
  /// The same structure with other tensors, taken from the front of `tensors`.
  func rebuilt(from tensors: inout ArraySlice<Tensor>) -> Self
}

extension TensorTree {
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
}

extension Array: TensorTree where Element: TensorTree {
  public var flattened: [Tensor] { flatMap { $0.flattened } }
  public func rebuilt(from tensors: inout ArraySlice<Tensor>) -> [Element] {
    map { $0.rebuilt(from: &tensors) }
  }
}

extension Optional: TensorTree where Wrapped: TensorTree {
  public var flattened: [Tensor] { self?.flattened ?? [] }
  public func rebuilt(from tensors: inout ArraySlice<Tensor>) -> Wrapped? { self?.rebuilt(from: &tensors) }
}

extension Dictionary: TensorTree where Key == String, Value: TensorTree {
  public var flattened: [Tensor] { keys.sorted().flatMap { self[$0]!.flattened } }
  public func rebuilt(from tensors: inout ArraySlice<Tensor>) -> [String: Value] {
    var result = self
    for key in keys.sorted() { result[key] = self[key]!.rebuilt(from: &tensors) }
    return result
  }
}
