public import MartletCore

/// A tensor of which few elements differ from zero, as coordinates and values (COO): element `indices[:, k]` is `values[k]`.
///
///     let a = SparseTensor(rows: Tensor([0, 2, 1]), columns: Tensor([1, 0, 2]), values: values, shape: [3, 3])
///     let y = matmul(a, b)      // [3, 3] · [3, N]; gradients by values and by b
///
/// Values whose coordinates are equal count as summed; `coalesced()` does so. Values may have further axes, which are dense.
/// Source: PyTorch `sparse_coo_tensor`.
public struct SparseTensor: Sendable {
  /// `[sparse axes, n]`, `int64`.
  public let indices: Tensor
  /// `[n, dense axes…]`. What gradients are taken by.
  public let values: Tensor
  /// The sizes of the sparse axes, then those of the dense ones.
  public let shape: Shape
  /// Whether coordinates are in row-major order, and each there once.
  public let isCoalesced: Bool

  /// A tensor of coordinates, which are checked; inside `compile` and `vmap`, where they have no values, what uses them
  /// checks them.
  public init(indices: Tensor, values: Tensor, shape: Shape) {
    let fact = SparseTensor.fault(indices, values, shape)
    let wrong = fact.map { failure($0, op: "SparseTensor", [indices, values], names: ["indices", "values"]) }
    if let wrong {
      self.init(wrong: wrong, shape)
    } else {
      self.init(checked: indices.cast(to: .int64), values, shape, isCoalesced: false)
    }
  }

  /// A matrix of rows, columns and values, each `[n]`.
  public init(rows: Tensor, columns: Tensor, values: Tensor, shape: Shape) {
    guard rows.rank == 1, rows.shape == columns.shape, shape.rank == 2 else {
      let wrong = failure(
        .misuse(
          "rows are \(rows.spec), columns \(columns.spec), the shape \(shape)",
          rule: "rows and columns are [n], of a matrix [R, C]"), op: "SparseTensor")
      self.init(wrong: wrong, shape)
      return
    }
    self.init(indices: stack([rows.cast(to: .int64), columns.cast(to: .int64)]), values: values, shape: shape)
  }

  /// The elements of a dense tensor that are not zero. Their number depends on values: an error inside `compile` and for
  /// mapped tensors, as with `nonzero()`.
  public init(_ dense: Tensor) {
    guard dense.rank >= 1 else {
      let wrong = failure(.rank(argument: 0, expected: "1 or more"), op: "SparseTensor", [dense])
      self.init(wrong: wrong, dense.shape)
      return
    }
    let places = dense.detached().nonzero()
    let strides = dense.shape.contiguousStrides
    let flat = zip(places, strides).map { $0 * $1 }
    let values = dense.flattened().take(axis: 0, flat.dropFirst().reduce(flat[0]) { $0 + $1 })
    self.init(checked: stack(places), values, dense.shape, isCoalesced: true)
  }

  /// After an error: no coordinates, so that what uses them holds together, and values that carry the error on.
  private init(wrong: Tensor, _ shape: Shape) {
    let shape = shape.rank == 0 || shape.contains { $0 < 0 } ? Shape([0]) : shape
    let indices = Tensor(repeating: 0, TensorSpec([shape.rank, 0], .int64, device: wrong.device))
    self.init(checked: indices, wrong, shape, isCoalesced: false)
  }

  init(checked indices: Tensor, _ values: Tensor, _ shape: Shape, isCoalesced: Bool) {
    self.indices = indices
    self.values = values
    self.shape = shape
    self.isCoalesced = isCoalesced
  }

  private static func fault(_ indices: Tensor, _ values: Tensor, _ shape: Shape) -> Fact? {
    guard indices.dtype == .int64 || indices.dtype == .int32 else {
      return .dtype(argument: 0, expected: "int64 or int32")
    }
    guard indices.rank == 2 else { return .rank(argument: 0, expected: "2: [sparse axes, values]") }
    let (sparse, count) = (indices.shape[0], indices.shape[1])
    guard sparse >= 1, sparse <= shape.rank, shape.checkedElementCount != nil else {
      return .misuse(
        "indices of \(ErrorText.counted(sparse, "axis", "axes")) for the shape \(shape)",
        rule: "the first axes of the shape are sparse, at least one, and sizes are 0 or more")
    }
    let expected = Shape([count] + Array(shape[sparse...]))
    guard values.shape == expected else {
      return .argumentShape(
        argument: 1, expected: "\(expected): one value, with the dense axes, for each of the indices")
    }
    guard indices.missingValue == nil, !indices.isError else { return nil }
    let numbers = indices.array(as: Int.self)
    for axis in 0..<sparse {
      for place in axis * count..<(axis + 1) * count where numbers[place] < 0 || numbers[place] >= shape[axis] {
        return .index(numbers[place], size: shape[axis], axis: axis)
      }
    }
    return nil
  }

  /// The number of values, those at equal coordinates counted each.
  public var count: Int { indices.shape[1] }
  public var dtype: DType { values.dtype }
  /// The number of sparse axes.
  public var sparseRank: Int { indices.shape[0] }
  private var sparseShape: Shape { Shape(Array(shape[..<sparseRank])) }

  /// The place of each value among the elements of the sparse axes.
  private func flat(_ indices: Tensor, _ shape: Shape) -> Tensor {
    let strides = shape.contiguousStrides
    return (1..<shape.rank).reduce(indices[0] * strides[0]) { $0 + indices[$1] * strides[$1] }
  }

  /// The same tensor with coordinates in row-major order and each once; values at equal coordinates are summed.
  ///
  /// The number of values depends on the coordinates: an error inside `compile` and for mapped tensors.
  public func coalesced() -> SparseTensor {
    if isCoalesced || count == 0 {
      return SparseTensor(checked: indices, values, shape, isCoalesced: true)
    }
    let order = flat(indices, sparseShape).argSort(axis: 0)
    let sorted = indices.take(axis: 1, order)
    let isNew = concat(
      [Tensor([true], device: indices.device), (sorted[.all, 1...] .!= sorted[.all, ..<(count - 1)]).any(axis: 0)],
      axis: 0)
    let first = isNew.nonzero()[0]
    var target = values.shape
    target[0] = first.count
    let zeros = Tensor(repeating: 0, values.spec.with(shape: target))
    let groups = isNew.cast(to: .int64).cumsum(axis: 0) - 1
    let sums = apply(TakeAdd(axis: 0), [zeros, groups, values.take(axis: 0, order)])[0]
    return SparseTensor(checked: sorted.take(axis: 1, first), sums, shape, isCoalesced: true)
  }

  /// As a dense tensor; values at equal coordinates are summed.
  public var dense: Tensor { self + Tensor(repeating: 0, values.spec.with(shape: shape)) }

  /// Two sparse axes exchanged, the last two by default.
  public func transposed(_ a: Int? = nil, _ b: Int? = nil) -> SparseTensor {
    let (a, b) = (a ?? sparseRank - 2, b ?? sparseRank - 1)
    guard (0..<sparseRank).contains(a), (0..<sparseRank).contains(b) else {
      let wrong = failure(
        .misuse("the axes are \(a) and \(b)", rule: "sparse axes: 0 ≤ axis < \(sparseRank)"), op: "transposed")
      return SparseTensor(checked: indices, wrong, shape, isCoalesced: false)
    }
    var order = Array(0..<sparseRank)
    order.swapAt(a, b)
    var shape = shape
    shape.swapAt(a, b)
    return SparseTensor(
      checked: indices.take(axis: 0, Tensor(order, device: indices.device)), values, shape, isCoalesced: false)
  }

  /// A matrix in compressed rows, with the values of each row in the order in which they stand here.
  public var csr: CSRTensor {
    guard sparseRank == 2, shape.rank == 2 else {
      let wrong = failure(
        .misuse(
          "the tensor has shape \(shape) and \(ErrorText.counted(sparseRank, "sparse axis", "sparse axes"))",
          rule: "a matrix of two sparse axes"), op: "csr")
      return CSRTensor(checked: wrong, wrong, wrong, [0, 0])
    }
    let sorted = apply(CountingSort(count: shape[0]), [indices[0]])
    return CSRTensor(
      checked: sorted[1], indices[1].take(axis: 0, sorted[0]), values.take(axis: 0, sorted[0]), shape)
  }

  /// The sum of all values, or over one sparse axis, dense.
  public func sum(axis: Int? = nil) -> Tensor {
    guard let axis else { return values.sum() }
    let position = axis < 0 ? axis + sparseRank : axis
    guard (0..<sparseRank).contains(position) else {
      return failure(.axis(axis, rank: sparseRank), op: "sum", [values])
    }
    let kept = (0..<sparseRank).filter { $0 != position }
    guard !kept.isEmpty else { return values.sum(axis: 0) }
    let rest = indices.take(axis: 0, Tensor(kept, device: indices.device))
    return SparseTensor(
      checked: rest, values, Shape(kept.map { shape[$0] } + Array(shape[sparseRank...])), isCoalesced: false
    ).dense
  }

  /// The softmax of each row of a matrix over its values; what has no place counts as -∞. Coordinates in row-major order.
  /// Source: PyTorch `sparse.softmax`.
  public func softmax() -> SparseTensor {
    let sorted = coalesced()
    return sorted.with(sorted.csr.softmax().values)
  }

  private func with(_ values: Tensor) -> SparseTensor {
    SparseTensor(checked: indices, values, shape, isCoalesced: isCoalesced)
  }
  public static func * <N: WeakNumber>(a: SparseTensor, b: N) -> SparseTensor { a.with(a.values * b) }
  public static func * <N: WeakNumber>(a: N, b: SparseTensor) -> SparseTensor { b * a }
  public static func / <N: WeakNumber>(a: SparseTensor, b: N) -> SparseTensor { a.with(a.values / b) }
  public static prefix func - (a: SparseTensor) -> SparseTensor { a.with(-a.values) }

  /// The sum with a dense tensor of the same shape, dense.
  public static func + (a: SparseTensor, b: Tensor) -> Tensor {
    guard b.shape == a.shape, b.dtype == a.dtype else {
      return failure(
        .misuse("the sum of \(a) and \(b.spec)", rule: "both have one shape and one dtype"), op: "add", [b])
    }
    let sparse = a.sparseShape
    let merged = Shape([sparse.reduce(1, *)] + Array(a.shape[sparse.rank...]))
    let sum = apply(TakeAdd(axis: 0), [b.reshaped(merged), a.flat(a.indices, sparse), a.values])[0]
    return sum.reshaped(a.shape)
  }
  public static func + (a: Tensor, b: SparseTensor) -> Tensor { b + a }
  /// The sum of two sparse tensors of the same shape: the values of both, not coalesced.
  public static func + (a: SparseTensor, b: SparseTensor) -> SparseTensor {
    guard b.shape == a.shape, b.sparseRank == a.sparseRank, b.dtype == a.dtype else {
      return a.with(
        failure(
          .misuse("the sum of \(a) and \(b)", rule: "both have one shape, dtype and number of sparse axes"), op: "add"))
    }
    return SparseTensor(
      checked: concat([a.indices, b.indices], axis: 1), concat([a.values, b.values], axis: 0), a.shape,
      isCoalesced: false)
  }
}

extension SparseTensor: CustomStringConvertible {
  public var description: String { "SparseTensor(\(values.dtype)\(shape), \(ErrorText.counted(count, "value")))" }
}

/// The product of a sparse matrix and a dense one, `[R, C] · [C, N] → [R, N]`, or a vector: as that of `a.csr`, which is made
/// once where it is used several times.
public func matmul(_ a: SparseTensor, _ b: Tensor) -> Tensor { matmul(a.csr, b) }
