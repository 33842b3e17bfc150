public import MartletCore

/// Where each of `values` belongs in a sorted sequence, as `int64`: the first place before which it can be inserted, or the
/// last (`right`), so that the order stays.
///
/// **Shapes** `sorted: [n]` and values of any shape, or `[…, n]` and `[…, m]` with equal leading axes → that of `values`. Left:
/// `sorted[i - 1] < v ≤ sorted[i]`; right: `sorted[i - 1] ≤ v < sorted[i]`. NaN belongs behind all. What is not sorted gives
/// numbers without meaning. Few values are searched by halves, in m · log n; many by one sort of both together. Source: PyTorch
/// `searchsorted`.
public func searchSorted(_ sorted: Tensor, _ values: Tensor, right: Bool = false) -> Tensor {
  func wrong(_ fact: Fact) -> Tensor {
    failure(fact, op: "searchSorted", [sorted, values], names: ["sorted", "values"])
  }
  guard sorted.rank >= 1 else { return wrong(.rank(argument: 0, expected: "1 or more")) }
  guard sorted.dtype == values.dtype else { return wrong(.dtypesDiffer) }
  guard sorted.dtype != .bool else { return wrong(.dtype(argument: 0, expected: Domain.numeric.rawValue)) }
  if sorted.rank == 1, values.rank != 1 {
    return searchSorted(sorted, values.flattened(), right: right).reshaped(values.shape)
  }
  let leading = Array(sorted.shape.dropLast())
  guard values.rank == sorted.rank, Array(values.shape.dropLast()) == leading else {
    return wrong(.argumentShape(argument: 1, expected: "\(leading) and one more axis, or sorted has one axis"))
  }
  let (n, m) = (sorted.shape[sorted.rank - 1], values.shape[values.rank - 1])
  if m > 0, m <= n / 8 { return bisected(sorted.detached(), values.detached(), right: right) }
  // The sort is stable: of equal elements those that are counted before the value stand first.
  let all = concat((right ? [sorted, values] : [values, sorted]).map { $0.detached() }, axis: -1)
  let order = all.argSort(axis: -1)
  let isSorted = right ? order .< n : order .>= m
  let before = isSorted.cast(to: .int64).cumsum(axis: -1)
  let zeros = Tensor(repeating: 0, before.spec)
  let places = Tensor(Array(0..<(n + m)), device: sorted.device).expanded(to: before.shape)
  let inverse = zeros.scatterAdding(axis: -1, order, places)
  let own = inverse[.ellipsis, right ? n..<(n + m) : 0..<m]
  let found = before.gather(axis: -1, own)
  return values.dtype.isFloating ? select(values.detached().isNaN, n, found) : found
}

/// `searchSorted` by halves: the places grow by powers of two as long as all before them belong there.
private func bisected(_ sorted: Tensor, _ values: Tensor, right: Bool) -> Tensor {
  let n = sorted.shape[sorted.rank - 1]
  var found = Tensor(repeating: 0, values.spec.with(.int64))
  for bit in (0..<(Int.bitWidth - n.leadingZeroBitCount)).reversed() {
    let next = found + (1 << bit)
    let last = sorted.gather(axis: -1, minimum(next, n) - 1)
    let isBefore = (right ? last .<= values : last .< values) .& (next .<= n)
    found = select(isBefore, next, found)
  }
  return values.dtype.isFloating ? select(values.isNaN, n, found) : found
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
