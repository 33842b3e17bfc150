public import MartletCore

/// What `embeddingBag` makes of the vectors of a bag.
public enum BagMode: Sendable, Hashable { case sum, mean, max }

/// Rows of a table looked up and reduced bag by bag: `indices: [B, L]` (a bag in each row), or `[n]` with `offsets: [B]`
/// (where each bag begins), and `weight: [numEmbeddings, D]` → `[B, D]`. An empty bag gives zeros.
///
/// Vectors of a bag that are equally large share the gradient of `.max`. Source: PyTorch `embedding_bag`, which gives it to
/// the first.
///
/// - Parameters:
///   - offsets: integers that begin with 0 and do not fall, at most n. Others are an error, but inside of `compile` and `vmap`,
///     where nothing can be read.
///   - mode: what becomes of the vectors of a bag.
///   - perSampleWeights: a factor for each vector, of the shape of `indices`; for `.sum` only.
///   - paddingIndex: a row that counts as not there.
///   - includesLastOffset: whether the last offset is the end of the last bag.
public func embeddingBag(
  _ indices: Tensor, _ weight: Tensor, offsets: Tensor? = nil, mode: BagMode = .mean, perSampleWeights: Tensor? = nil,
  paddingIndex: Int? = nil, includesLastOffset: Bool = false
) -> Tensor {
  let inputs = [indices, weight] + (offsets.map { [$0] } ?? [])
  func wrong(_ fact: Fact) -> Tensor {
    failure(fact, op: "embeddingBag", inputs, names: ["indices", "weight", "offsets"])
  }
  guard indices.dtype == .int64 || indices.dtype == .int32 else {
    return wrong(.dtype(argument: 0, expected: "int64 or int32, the numbers of rows of the table"))
  }
  guard weight.rank == 2 else { return wrong(.rank(argument: 1, expected: "2: [numEmbeddings, D]")) }
  guard weight.dtype.isFloating else { return wrong(.dtype(argument: 1, expected: Domain.floating.rawValue)) }
  guard indices.rank == (offsets == nil ? 2 : 1) else {
    return wrong(.rank(argument: 0, expected: "2: [bags, indices], or 1 with offsets"))
  }
  if let offsets {
    guard offsets.rank == 1 else { return wrong(.rank(argument: 2, expected: "1: where each bag begins")) }
    guard offsets.dtype == .int64 || offsets.dtype == .int32 else {
      return wrong(.dtype(argument: 2, expected: "int64 or int32, where each bag begins"))
    }
    guard !includesLastOffset || offsets.count >= 1 else {
      return wrong(.argumentShape(argument: 2, expected: "one number or more: the end of the last bag"))
    }
    if offsets.missingValue == nil, !offsets.isError {
      let places = offsets.array(as: Int.self)
      let rule = "they begin with 0, do not fall, and are at most the number of indices, \(indices.count)"
      if let first = places.first, first != 0 { return wrong(.misuse("offsets begin with \(first)", rule: rule)) }
      if let fall = places.indices.dropFirst().first(where: { places[$0] < places[$0 - 1] }) {
        return wrong(.misuse("offset \(fall) is \(places[fall]) after \(places[fall - 1])", rule: rule))
      }
      if let last = places.last, last > indices.count {
        return wrong(.misuse("the last offset is \(last)", rule: rule))
      }
    }
  }
  if let perSampleWeights {
    guard mode == .sum else {
      return wrong(.misuse("mode is .\(mode) with perSampleWeights", rule: "these are for mode .sum"))
    }
    guard perSampleWeights.shape == indices.shape, perSampleWeights.dtype == weight.dtype else {
      return wrong(
        .misuse(
          "perSampleWeights is \(perSampleWeights.spec)",
          rule: "\(weight.dtype)\(indices.shape): a factor for each index"))
    }
  }
  let isThere = paddingIndex.map { indices .!= $0 }
  let rows = weight.take(axis: 0, indices)
  let size = weight.shape[1]

  /// The sum over each bag of `[…, D]`.
  let sums: (Tensor) -> Tensor
  /// The largest elements of each bag, where -∞ is not there.
  let largest: (Tensor) -> Tensor
  if let offsets {
    let bags = offsets.count - (includesLastOffset ? 1 : 0)
    let begins = offsets.cast(to: .int64)
    let count = indices.count
    // One more at each begin; their running sum counts the bags that have begun.
    let marks = apply(
      TakeAdd(axis: 0),
      [
        Tensor(repeating: 0, [count + 1], dtype: .int64, device: indices.device), begins,
        Tensor(repeating: 1, begins.spec),
      ])[0]
    let bag = marks.cumsum(axis: 0)[..<count] - 1
    sums = { values in
      // What lies behind the last offset falls into one more bag.
      let shape = Shape([bags + 1] + Array(values.shape[1...]))
      let zeros = Tensor(repeating: 0, values.spec.with(shape: shape))
      return apply(TakeAdd(axis: 0), [zeros, bag, values])[0][..<bags]
    }
    largest = { values in
      Tensor(repeating: -Double.infinity, values.spec.with(shape: [bags + 1, size]))
        .scatterReduced(axis: 0, bag.expandedDims(axis: 1).expanded(to: values.shape), values, .maximum)[..<bags]
    }
  } else {
    sums = { $0.sum(axis: 1) }
    largest = {
      $0.shape[1] == 0
        ? Tensor(repeating: -Double.infinity, $0.spec.with(shape: [$0.shape[0], size])) : $0.max(axis: 1)
    }
  }
  switch mode {
  case .max:
    let found = largest(isThere.map { select($0.expandedDims(axis: -1), rows, -Double.infinity) } ?? rows)
    return select(found .== -Double.infinity, 0, found)
  case .sum, .mean:
    var factors = perSampleWeights
    if let isThere {
      let mask = isThere.cast(to: weight.dtype)
      factors = factors.map { $0 * mask } ?? mask
    }
    let total = sums(factors.map { rows * $0.expandedDims(axis: -1) } ?? rows)
    if mode == .sum { return total }
    let ones = isThere?.cast(to: weight.dtype) ?? Tensor(repeating: 1, indices.spec.with(weight.dtype))
    return total / clamp(sums(ones), min: 1).expandedDims(axis: -1)
  }
}
