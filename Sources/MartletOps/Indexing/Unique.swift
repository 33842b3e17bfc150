public import MartletCore

extension Tensor {
  /// What `unique` gives: the distinct elements (or slices), for each element which of them it is, and how often each occurs.
  public typealias Distinct = (values: Tensor, inverse: Tensor, counts: Tensor)

  /// The distinct elements in ascending order, or along an axis the distinct slices in the order of their elements.
  ///
  /// `inverse` (`int64`, of this tensor's shape, or one for each slice) says which of `values` an element is, `counts`
  /// (`int64`) how often each occurs. No NaN equals another; they come last. The number of values depends on the elements,
  /// so this reads the tensor: it is an error inside `compile` and for mapped tensors. Source: PyTorch `unique`.
  public func unique(axis: Int? = nil) -> Distinct {
    guard let axis else {
      let flat = flattened()
      let (sorted, order) = flat.sorted(axis: 0)
      var found = sorted.runs(op: "unique", order: order)
      found.inverse = found.inverse.reshaped(shape)
      return found
    }
    guard let position = position(of: axis, op: "unique") else { return (afterFailure, afterFailure, afterFailure) }
    let rows = movingAxis(position, to: 0)
    let flat = rows.reshaped(Shape([rows.shape[0], rows.shape[1...].reduce(1, *)]))
    let order = apply(SortRows(), flat.detached())
    var found = rows.take(axis: 0, order).runs(op: "unique", order: order)
    found.values = found.values.movingAxis(0, to: position)
    return found
  }

  /// The elements of the flattened tensor, or the slices along an axis, without those that equal the one before.
  ///
  /// Results and errors as those of `unique`. Source: PyTorch `unique_consecutive`.
  public func uniqueConsecutive(axis: Int? = nil) -> Distinct {
    guard let axis else {
      var found = flattened().runs(op: "uniqueConsecutive", order: nil)
      found.inverse = found.inverse.reshaped(shape)
      return found
    }
    guard let position = position(of: axis, op: "uniqueConsecutive") else {
      return (afterFailure, afterFailure, afterFailure)
    }
    var found = movingAxis(position, to: 0).runs(op: "uniqueConsecutive", order: nil)
    found.values = found.values.movingAxis(0, to: position)
    return found
  }

  /// The first of each run of equal slices of axis 0, the run of each slice, and the lengths of the runs. `order`: where the
  /// slices were, which the runs of slices are told by.
  private func runs(op: String, order: Tensor?) -> Distinct {
    if let fact = missingValue {
      let wrong = failure(
        .misuse(
          "the number of distinct elements depends on values that are not known here",
          rule: "shapes do not depend on values",
          remedy: "\(op) outside of \(fact == .valueOfMapped ? "vmap" : "compile")"), op: op, [self])
      return (wrong, wrong, wrong)
    }
    let count = shape[0]
    let indexSpec = TensorSpec([count], .int64, device: device)
    if count == 0 { return (self, Tensor(repeating: 0, indexSpec), Tensor(repeating: 0, indexSpec)) }
    let flat = detached().reshaped(Shape([count, shape[1...].reduce(1, *)]))
    let isNew = concat(
      [Tensor([true], device: device), (flat[1...] .!= flat[..<(count - 1)]).any(axis: 1)], axis: 0)
    let first = isNew.nonzero()[0]
    let numbers = isNew.cast(to: .int64).cumsum(axis: 0) - 1
    let inverse = order.map {
      apply(TakeUpdate(axis: 0), [Tensor(repeating: 0, indexSpec), $0, numbers])[0]
    }
    let ends = concat([first[1...], Tensor([count], device: device)], axis: 0)
    return (take(axis: 0, first), inverse ?? numbers, ends - first)
  }
}

/// The lexicographic order of the rows of a matrix, equal ones as they stand: `[n, k]` → `[n]`, `int64`. NaN is the largest.
public struct SortRows: UnaryOp {
  public static var id: OpID { OpTable.sortRows.id }
  public static var name: String { "sortRows" }
  public static var rules: Rules { [.constant, .decomposed] }
  public init() {}
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard x.rank == 2 else { throw OpError(.rank(argument: 0, expected: "2")) }
    guard Domain.real.contains(x.dtype) else { throw OpError(.dtype(argument: 0, expected: Domain.real.rawValue)) }
    return TensorSpec([x.shape[0]], .int64, device: x.device)
  }
  /// By the last element first: the orders are stable.
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let x = inputs[0].dtype == .bool ? inputs[0].cast(to: .uint8) : inputs[0]
    var order = Tensor(Array(0..<x.shape[0]), device: x.device)
    for column in (0..<x.shape[1]).reversed() {
      order = order.take(axis: 0, x[.all, column].take(axis: 0, order).argSort(axis: 0))
    }
    return [order]
  }
}
