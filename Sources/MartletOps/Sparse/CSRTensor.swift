public import MartletCore

/// A sparse matrix in compressed rows: the values of row `r` are `values[rowPointers[r] ..< rowPointers[r + 1]]`, in
/// `columns` of the same places.
///
///     let a = CSRTensor(rowPointers: Tensor([0, 2, 3]), columns: Tensor([0, 2, 1]), values: values, shape: [2, 3])
///     let y = matmul(a, b)      // [2, 3] · [3, N]; gradients by values and by b
///
/// Source: PyTorch `sparse_csr_tensor`, for matrices.
public struct CSRTensor: Sendable {
  /// `[rows + 1]`, `int64`: begins with 0, does not fall and ends with the number of values.
  public let rowPointers: Tensor
  /// `[n]`, `int64`.
  public let columns: Tensor
  /// `[n]`, floating. What gradients are taken by.
  public let values: Tensor
  /// `[rows, columns]`.
  public let shape: Shape
  private let pattern: Pattern

  /// The matrix in compressed columns, made at the first need and shared by matrices of other values.
  private final class Pattern: @unchecked Sendable {
    // Sendable: `known` is guarded by the lock.
    private let lock = Lock()
    private var known: [Tensor]?
    func transposed(_ pointers: Tensor, _ columns: Tensor, _ count: Int) -> [Tensor] {
      // What is made inside of a transform must not outlive it.
      guard pointers.isPlain, columns.isPlain else {
        return SparsePattern.transposed(pointers, columns, count: count)
      }
      return lock.holding {
        if let known { return known }
        let made = SparsePattern.transposed(pointers, columns, count: count)
        if made.allSatisfy({ $0.isPlain }) { known = made }
        return made
      }
    }
  }

  /// A matrix of parts, which are checked: pointers that fall or do not end with the number of values, and columns out of
  /// range, are errors. Inside `compile` and `vmap`, where integers have no values, the products check them.
  public init(rowPointers: Tensor, columns: Tensor, values: Tensor, shape: Shape) {
    let fact = CSRTensor.fault(rowPointers, columns, values, shape)
    let wrong = fact.map {
      failure($0, op: "CSRTensor", [rowPointers, columns, values], names: ["rowPointers", "columns", "values"])
    }
    self.init(
      checked: wrong ?? rowPointers.cast(to: .int64), wrong ?? columns.cast(to: .int64), wrong ?? values, shape)
  }

  init(checked pointers: Tensor, _ columns: Tensor, _ values: Tensor, _ shape: Shape) {
    self.init(pointers, columns, values, shape, Pattern())
  }

  private init(_ pointers: Tensor, _ columns: Tensor, _ values: Tensor, _ shape: Shape, _ pattern: Pattern) {
    rowPointers = pointers
    self.columns = columns
    self.values = values
    self.shape = shape
    self.pattern = pattern
  }

  private static func fault(_ pointers: Tensor, _ columns: Tensor, _ values: Tensor, _ shape: Shape) -> Fact? {
    guard shape.rank == 2, shape.allSatisfy({ $0 >= 0 }) else {
      return .misuse("the shape is \(shape)", rule: "a matrix: [rows, columns]")
    }
    for (position, tensor) in [pointers, columns].enumerated() {
      guard tensor.dtype == .int64 || tensor.dtype == .int32 else {
        return .dtype(argument: position, expected: "int64 or int32")
      }
      guard tensor.rank == 1 else { return .rank(argument: position, expected: "1") }
    }
    guard pointers.count == shape[0] + 1 else {
      return .argumentShape(argument: 0, expected: "[\(shape[0] + 1)]: one more than rows")
    }
    guard values.shape == columns.shape else {
      return .argumentShape(argument: 2, expected: "\(columns.shape), that of columns")
    }
    guard values.dtype.isFloating else { return .dtype(argument: 2, expected: Domain.floating.rawValue) }
    if pointers.missingValue == nil, !pointers.isError {
      let begins = pointers.array(as: Int.self)
      if begins[0] != 0 || begins.last! != columns.count {
        return .misuse(
          "rowPointers run from \(begins[0]) to \(begins.last!)",
          rule: "they begin with 0 and end with \(columns.count), the number of values")
      }
      if let row = begins.indices.dropFirst().first(where: { begins[$0] < begins[$0 - 1] }) {
        return .misuse(
          "rowPointers fall from \(begins[row - 1]) to \(begins[row]) at \(row)", rule: "they do not fall")
      }
    }
    if columns.missingValue == nil, !columns.isError {
      if let bad = columns.array(as: Int.self).first(where: { $0 < 0 || $0 >= shape[1] }) {
        return .misuse("column \(bad) is out of range for \(shape[1]) columns", rule: "0 ≤ column < \(shape[1])")
      }
    }
    return nil
  }

  /// The elements of a matrix that are not zero. Their number depends on values: an error inside `compile` and for mapped
  /// tensors, as with `nonzero()`.
  public init(_ dense: Tensor) {
    guard dense.rank == 2 else {
      let wrong = failure(.rank(argument: 0, expected: "2: [rows, columns]"), op: "CSRTensor", [dense])
      self.init(checked: wrong, wrong, wrong, [0, 0])
      return
    }
    self = SparseTensor(dense).csr
  }

  /// The number of values.
  public var count: Int { columns.count }
  public var dtype: DType { values.dtype }

  /// The same places with other values, `[n]`.
  public func with(values: Tensor) -> CSRTensor {
    guard values.shape == columns.shape, values.dtype.isFloating else {
      let wrong = failure(
        .misuse(
          "the values are \(values.spec)", rule: "floating, of shape \(columns.shape): one for each place"),
        op: "CSRTensor")
      return CSRTensor(rowPointers, columns, wrong, shape, pattern)
    }
    return CSRTensor(rowPointers, columns, values, shape, pattern)
  }

  /// The row of each value, `[n]`.
  public var rows: Tensor { SparsePattern.rows(rowPointers, count: columns.count) }

  /// As coordinates.
  public var coordinates: SparseTensor {
    SparseTensor(checked: stack([rows, columns]), values, shape, isCoalesced: false)
  }

  /// As a dense matrix; values at one place are summed.
  public var dense: Tensor { coordinates.dense }

  /// Rows for columns.
  public func transposed() -> CSRTensor {
    let by = pattern.transposed(rowPointers, columns, shape[1])
    return CSRTensor(checked: by[0], by[1], values.take(axis: 0, by[2]), [shape[1], shape[0]])
  }

  /// The inputs of a product: with the matrix in compressed columns where a gradient may be wanted.
  fileprivate func inputs(_ a: Tensor, _ b: Tensor) -> [Tensor] {
    let isPlain = a.isPlain && b.isPlain
    return [rowPointers, columns, a, b] + (isPlain ? [] : pattern.transposed(rowPointers, columns, shape[1]))
  }

  /// The sum over all places, or over the columns of each row (`axis: 1`) or the rows of each column (`axis: 0`), dense.
  public func sum(axis: Int? = nil) -> Tensor { coordinates.sum(axis: axis) }

  /// The softmax of each row over its values; what has no place counts as -∞. Source: PyTorch `sparse.softmax`.
  public func softmax() -> CSRTensor {
    let rows = rows
    let floor = Tensor(repeating: -.infinity, values.spec.with(shape: [shape[0]]))
    let top = floor.scatterReduced(axis: 0, rows, values.detached(), .maximum)
    let powers = exp(values - top.take(axis: 0, rows))
    let zeros = Tensor(repeating: 0, top.spec)
    let sums = apply(TakeAdd(axis: 0), [zeros, rows, powers])[0]
    return with(values: powers / sums.take(axis: 0, rows))
  }

  public static func * <N: WeakNumber>(a: CSRTensor, b: N) -> CSRTensor { a.with(values: a.values * b) }
  public static func * <N: WeakNumber>(a: N, b: CSRTensor) -> CSRTensor { b * a }
  public static func / <N: WeakNumber>(a: CSRTensor, b: N) -> CSRTensor { a.with(values: a.values / b) }
  public static prefix func - (a: CSRTensor) -> CSRTensor { a.with(values: -a.values) }
  /// The sum with a dense matrix, dense.
  public static func + (a: CSRTensor, b: Tensor) -> Tensor { a.coordinates + b }
  public static func + (a: Tensor, b: CSRTensor) -> Tensor { b.coordinates + a }
}

extension CSRTensor: CustomStringConvertible {
  public var description: String { "CSRTensor(\(values.dtype)\(shape), \(ErrorText.counted(count, "value")))" }
}

/// The product of a sparse matrix and a dense one, `[R, C] · [C, N] → [R, N]`, or a vector, `[R, C] · [C] → [R]`.
///
/// Its cost is that of the values. Gradients by the values and by the dense operand cost as much; they are equal bit by bit
/// for any number of threads. Source: PyTorch `sparse.mm`.
public func matmul(_ a: CSRTensor, _ b: Tensor) -> Tensor {
  let names = ["a", "b"]
  let shown = [TensorSpec(a.shape, a.dtype, device: a.values.device), b.spec]
  func wrong(_ fact: Fact) -> Tensor {
    var error = OpError(fact, op: "matmul", arguments: shown)
    error.argumentNames = names
    return fail(error, [a.values, b])[0]
  }
  guard b.rank == 1 || b.rank == 2 else { return wrong(.rank(argument: 1, expected: "2, or 1 for a vector")) }
  guard b.shape[0] == a.shape[1] else { return wrong(.innerSizes(a.shape[1], b.shape[0])) }
  guard a.dtype == b.dtype else { return wrong(.dtypesDiffer) }
  let matrix = b.rank == 1 ? b.expandedDims(axis: 1) : b
  let y = apply(SparseMatmul(), a.inputs(a.values, matrix))[0]
  return b.rank == 1 ? y.squeezed(axis: 1) : y
}

/// The product of a dense matrix and a sparse one, `[M, R] · [R, C] → [M, C]`, or a vector, `[R] · [R, C] → [C]`.
///
/// As the product of both transposed: the result lies column by column. Gradients by both. Source: PyTorch `mm`.
public func matmul(_ a: Tensor, _ b: CSRTensor) -> Tensor { product(a, b.shape, b.values) { b.transposed() } }

/// The product of a dense matrix, or a vector, and a sparse one, as that with `b.csr`.
public func matmul(_ a: Tensor, _ b: SparseTensor) -> Tensor {
  guard b.sparseRank == 2, b.shape.rank == 2 else { return matmul(a, b.csr) }
  return product(a, b.shape, b.values) { b.transposed().csr }
}

private func product(_ a: Tensor, _ shape: Shape, _ values: Tensor, _ transposed: () -> CSRTensor) -> Tensor {
  func wrong(_ fact: Fact) -> Tensor {
    var error = OpError(
      fact, op: "matmul", arguments: [a.spec, TensorSpec(shape, values.dtype, device: values.device)])
    error.argumentNames = ["a", "b"]
    return fail(error, [a, values])[0]
  }
  guard a.rank == 1 || a.rank == 2 else { return wrong(.rank(argument: 0, expected: "2, or 1 for a vector")) }
  guard a.shape[a.rank - 1] == shape[0] else { return wrong(.innerSizes(a.shape[a.rank - 1], shape[0])) }
  guard a.dtype == values.dtype else { return wrong(.dtypesDiffer) }
  let y = matmul(transposed(), a.rank == 1 ? a : a.transposed())
  return a.rank == 1 ? y : y.transposed()
}

/// The elements of the product of two dense matrices, `[R, K] · [K, C]`, at the places of a sparse one, which has them as
/// values: of the others none is computed. Source: PyTorch `sparse.sampled_addmm`, without the sum.
public func sampledMatmul(_ a: Tensor, _ b: Tensor, at places: CSRTensor) -> CSRTensor {
  guard a.rank == 2, b.rank == 2, a.shape[1] == b.shape[0], [a.shape[0], b.shape[1]] == Array(places.shape),
    a.dtype == b.dtype, a.dtype.isFloating
  else {
    let wrong = failure(
      .misuse(
        "the operands and places are \(a.spec), \(b.spec) and \(places.shape)",
        rule: "[R, K] · [K, C] at places of [R, C], of one floating dtype"), op: "sampledMatmul", [a, b],
      names: ["a", "b"])
    return CSRTensor(checked: places.rowPointers, places.columns, wrong, places.shape)
  }
  return places.with(values: apply(SampledMatmul(), places.inputs(a, b.transposed()))[0])
}
