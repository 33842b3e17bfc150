public import MartletCore

/// Where each of `values` belongs in a sorted sequence, as `int64`: the first place before which it can be inserted, or the
/// last (`right`), so that the order stays.
///
/// **Shapes** `sorted: [n]` and values of any shape, or `[…, n]` and `[…, m]` with equal leading axes → that of `values`. Left:
/// `sorted[i - 1] < v ≤ sorted[i]`; right: `sorted[i - 1] ≤ v < sorted[i]`. NaN belongs behind all. What is not sorted gives
/// numbers without meaning; NaN in `sorted` counts as larger than all numbers, as `sorted()` orders it (PyTorch's result then
/// depends on where they stand). Source: PyTorch `searchsorted`.
public func searchSorted(_ sorted: Tensor, _ values: Tensor, right: Bool = false) -> Tensor {
  apply(SearchSorted(right: right), sorted, values)
}

/// The places of values in sorted rows, by halves: what `searchSorted` does.
public struct SearchSorted: BinaryOp {
  public static var id: OpID { OpTable.searchSorted.id }
  public static var name: String { "searchSorted" }
  public static var rules: Rules { [.constant, .batched, .decomposed] }
  public static var argumentNames: [String] { ["sorted", "values"] }
  public let right: Bool
  public init(right: Bool) { self.right = right }

  public func output(for sorted: TensorSpec, _ values: TensorSpec) throws(OpError) -> TensorSpec {
    guard sorted.rank >= 1 else { throw OpError(.rank(argument: 0, expected: "1 or more")) }
    guard sorted.dtype == values.dtype else { throw OpError(.dtypesDiffer) }
    guard Domain.numeric.contains(sorted.dtype) else {
      throw OpError(.dtype(argument: 0, expected: Domain.numeric.rawValue))
    }
    let leading = Array(sorted.shape.dropLast())
    guard sorted.rank == 1 || values.rank == sorted.rank && Array(values.shape.dropLast()) == leading else {
      throw OpError(.argumentShape(argument: 1, expected: "\(leading) and one more axis, or sorted has one axis"))
    }
    return values.with(.int64)
  }
  /// The places grow by powers of two as long as all before them belong there.
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let (sorted, values) = (inputs[0].detached(), inputs[1].detached())
    let n = sorted.shape[sorted.rank - 1]
    var found = Tensor(repeating: 0, values.spec.with(.int64))
    for bit in (0..<(Int.bitWidth - n.leadingZeroBitCount)).reversed() {
      let next = found + (1 << bit)
      let place = minimum(next, n) - 1
      let last = sorted.rank == 1 ? sorted.take(axis: 0, place) : sorted.gather(axis: -1, place)
      let isBefore = (right ? last .<= values : last .< values) .& (next .<= n)
      found = select(isBefore, next, found)
    }
    return [values.dtype.isFloating ? select(values.isNaN, n, found) : found]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    guard mapped[0] else {
      return inputs[0].rank == 1 ? [apply(self, inputs[0], inputs[1])] : apply(self, allMapped(inputs, mapped))
    }
    let rows = allMapped(inputs, mapped)
    guard rows[0].rank == 2 else { return apply(self, rows) }
    // One row for all the values of an example.
    let values = rows[1].reshaped([rows[1].shape[0], rows[1].shape[1...].reduce(1, *)])
    return [apply(self, rows[0], values).reshaped(rows[1].shape)]
  }
}

extension Tensor {
  /// The number of the interval between `boundaries`, a sorted vector, into which each element falls, as `int64`.
  ///
  /// Left: `boundaries[i - 1] < x ≤ boundaries[i]`; right: `boundaries[i - 1] ≤ x < boundaries[i]`. Source: PyTorch
  /// `bucketize`.
  public func bucketized(_ boundaries: Tensor, right: Bool = false) -> Tensor {
    guard boundaries.rank == 1 else {
      return failure(
        .rank(argument: 1, expected: "1"), op: "bucketized", [self, boundaries], names: ["x", "boundaries"])
    }
    return searchSorted(boundaries, self, right: right)
  }
}

/// True where an element is among those of `test`, of the same dtype. NaN is never. Source: PyTorch `isin`.
///
/// - Parameter inverted: true where it is not.
public func isIn(_ elements: Tensor, _ test: Tensor, inverted: Bool = false) -> Tensor {
  guard elements.dtype == test.dtype else {
    return failure(.dtypesDiffer, op: "isIn", [elements, test], names: ["elements", "test"])
  }
  let spec = elements.spec.with(.bool)
  if test.count == 0 { return Tensor(repeating: inverted ? 1 : 0, spec) }
  if elements.dtype == .bool {
    return isIn(elements.cast(to: .uint8), test.cast(to: .uint8), inverted: inverted)
  }
  let sorted = test.detached().flattened().sorted(axis: 0).values
  let place = minimum(searchSorted(sorted, elements), test.count - 1)
  let found = sorted.take(axis: 0, place) .== elements
  return inverted ? .!found : found
}
