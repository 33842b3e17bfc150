public import MartletCore

extension Tensor {
  /// How often each number from 0 on occurs in a vector of integers, or the sums of `weights` at its places.
  ///
  /// `[n]` → `[largest + 1]`, at least `minLength`: `int64`, or the dtype of the weights (`float64` for integers). The size
  /// depends on values: an error inside `compile` and for mapped tensors. A negative number is an error. Source: PyTorch
  /// `bincount`.
  public func bincount(weights: Tensor? = nil, minLength: Int = 0) -> Tensor {
    let inputs = [self] + (weights.map { [$0] } ?? [])
    func wrong(_ fact: Fact) -> Tensor { failure(fact, op: "bincount", inputs, names: ["x", "weights"]) }
    guard dtype.isInteger else { return wrong(.dtype(argument: 0, expected: Domain.integer.rawValue)) }
    guard rank == 1 else { return wrong(.rank(argument: 0, expected: "1")) }
    // One element for each number.
    let most = 1 << 40
    guard minLength >= 0 else { return wrong(.count(name: "minLength", minLength, allowed: "0 or more")) }
    guard minLength <= most else { return wrong(.count(name: "minLength", minLength, allowed: "at most \(most)")) }
    if let weights, weights.shape != shape {
      return wrong(.argumentShape(argument: 1, expected: "\(shape), that of x"))
    }
    if let fact = missingValue { return wrong(fact) }
    var size = minLength
    if count > 0 {
      let least = min().item(as: Int.self)
      guard least >= 0 else { return wrong(.misuse("x has the number \(least)", rule: "numbers are 0 or more")) }
      let largest = max().item(as: Int.self)
      guard largest < most else {
        return wrong(
          .misuse(
            "x has the number \(largest)", rule: "numbers are below \(most): the result has an element for each",
            remedy: "x.unique()"))
      }
      size = Swift.max(size, largest + 1)
    }
    let values =
      weights.map { $0.dtype.isFloating ? $0 : $0.cast(to: .float64) }
      ?? Tensor(repeating: 1, spec.with(.int64))
    let zeros = Tensor(repeating: 0, values.spec.with(shape: [size]))
    return apply(TakeAdd(axis: 0), [zeros, cast(to: .int64), values])[0]
  }

  /// How many elements fall into each of `bins` intervals of equal width, or the sums of `weights` there, and the edges of
  /// the intervals: counts `[bins]`, edges `[bins + 1]`.
  ///
  /// Numbers of elements are `int64`; sums of weights and densities are `float64` for such weights or elements, else `float32`.
  /// Integers are counted as `float64`, and so are their edges.
  ///
  /// An interval holds its lower edge, the last one both. What is outside of the range, and NaN, is not counted.
  ///
  /// - Parameters:
  ///   - bins: 1 … 2147483647.
  ///   - range: the lowest and the highest edge; by default the smallest and the largest element, which reads the tensor.
  ///     Where they are equal, half above and half below.
  ///   - weights: of this tensor's shape.
  ///   - density: divide by the sum and the widths, so that the integral is 1.
  ///
  /// Source: PyTorch `histogram`.
  public func histogram(
    bins: Int, range: ClosedRange<Double>? = nil, weights: Tensor? = nil, density: Bool = false
  ) -> (counts: Tensor, edges: Tensor) {
    guard bins >= 1, bins <= Int(Int32.max) else {
      let wrong = failure(.count(name: "bins", bins, allowed: "1 … \(Int32.max)"), op: "histogram", [self])
      return (wrong, wrong)
    }
    var ends = range ?? 0...1
    if range == nil, count > 0 {
      if let fact = missingValue {
        let wrong = failure(fact, op: "histogram", [self])
        return (wrong, wrong)
      }
      let (least, most) = (min().item(), max().item())
      guard least.isFinite, most.isFinite else {
        let wrong = failure(
          .misuse(
            "the elements run from \(least) to \(most)", rule: "a range of finite numbers", remedy: "range: 0...1"),
          op: "histogram", [self])
        return (wrong, wrong)
      }
      ends = least...most
    }
    if ends.lowerBound == ends.upperBound { ends = (ends.lowerBound - 0.5)...(ends.upperBound + 0.5) }
    let edges = Tensor.linspace(
      from: ends.lowerBound, to: ends.upperBound, count: bins + 1, dtype: dtype.isFloating ? dtype : .float64,
      device: device)
    return (histogram(edges: edges, weights: weights, density: density), edges)
  }

  /// How many elements fall between neighbours among `edges`, a vector that ascends: `[bins + 1]` → `[bins]`.
  public func histogram(edges: Tensor, weights: Tensor? = nil, density: Bool = false) -> Tensor {
    let inputs = [self, edges] + (weights.map { [$0] } ?? [])
    func wrong(_ fact: Fact) -> Tensor { failure(fact, op: "histogram", inputs, names: ["x", "edges", "weights"]) }
    let x = dtype.isFloating ? self : cast(to: .float64)
    let edges = dtype.isFloating || edges.dtype.isComplex ? edges : edges.cast(to: .float64)
    guard edges.rank == 1, edges.count >= 2 else {
      return wrong(.argumentShape(argument: 1, expected: "[bins + 1], two edges or more"))
    }
    guard edges.dtype == x.dtype else { return wrong(.dtype(argument: 1, expected: "\(x.dtype), as x")) }
    if let weights, weights.shape != shape || !weights.dtype.isFloating {
      return wrong(.misuse("the weights are \(weights.spec)", rule: "floating, of shape \(shape), that of x"))
    }
    let bins = edges.count - 1
    let flat = x.flattened()
    let found = searchSorted(edges, flat, right: true) - 1
    let bin = select(flat .== edges[bins], bins - 1, found)
    // What is outside goes to one more bin.
    let place = select((bin .>= 0) .& (bin .< bins), bin, bins)
    // Sums of 16-bit floats end early: half floats at 2048 ones.
    let values =
      weights.map { $0.dtype.size == 2 ? $0.cast(to: .float32).flattened() : $0.flattened() }
      ?? Tensor(repeating: 1, flat.spec.with(.int64))
    let zeros = Tensor(repeating: 0, values.spec.with(shape: [bins + 1]))
    let counts = apply(TakeAdd(axis: 0), [zeros, place, values])[0][..<bins]
    guard density else { return counts }
    let wide = x.dtype == .float64 || counts.dtype == .float64 ? DType.float64 : .float32
    let (shares, widths) = (counts.cast(to: wide), edges[1...].cast(to: wide) - edges[..<bins].cast(to: wide))
    return shares / shares.sum() / widths
  }

  /// How many elements over `axes`, all by default, are not zero, as `int64`.
  public func countNonzero(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
    (self .!= 0).sum(axes: axes, keepDims: keepDims)
  }
  /// How many elements along one axis are not zero.
  public func countNonzero(axis: Int, keepDims: Bool = false) -> Tensor {
    countNonzero(axes: [axis], keepDims: keepDims)
  }
}
