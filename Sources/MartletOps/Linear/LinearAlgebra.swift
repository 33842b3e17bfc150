public import MartletCore

extension Tensor {
  /// As a matrix operation takes it: in float32 or float64, which integers become; 16-bit floats are refused there.
  private var asMatrix: Tensor { dtype.isInexact ? self : cast(to: .float32) }

  fileprivate static func matrixFunction<O: MatrixOp>(_ op: O, _ a: Tensor) -> [Tensor] { apply(op, [a.asMatrix]) }

  /// A pair with one dtype and one batch; a vector is a column, which `isVector` says.
  fileprivate static func sides(_ a: Tensor, _ b: Tensor, _ op: String) -> (a: Tensor, b: Tensor, isVector: Bool)? {
    let (a, other) = (a.asMatrix, b.asMatrix)
    let isVector = b.rank == 1
    var x = isVector ? other.expandedDims(axis: 1) : other
    guard a.rank >= 2, x.rank >= 2 else {
      _ = failure(
        .rank(
          argument: a.rank < 2 ? 0 : 1, expected: a.rank < 2 ? "2 or more: […, N, N]" : "1: [N], or more: […, N, K]"),
        op: op, [a, b], names: ["a", "b"])
      return nil
    }
    let (batchA, batchB) = (Shape(Array(a.shape.prefix(a.rank - 2))), Shape(Array(x.shape.prefix(x.rank - 2))))
    guard let batch = batchA.broadcast(with: batchB) else {
      _ = failure(.broadcast, op: op, [a, b], names: ["a", "b"])
      return nil
    }
    func expanded(_ y: Tensor) -> Tensor {
      let shape = Shape(Array(batch) + Array(y.shape.suffix(2)))
      return y.shape == shape ? y : y.expanded(to: shape)
    }
    x = expanded(x)
    return (expanded(a), x, isVector)
  }
}

/// The solution of `a x = b`: `[…, N, N]`, `[…, N, K]` (or `[N]`) → `[…, N, K]` (or `[…, N]`), leading axes broadcast.
///
/// A singular matrix is an error. float32 or float64. Source: PyTorch `linalg.solve`.
public func solve(_ a: Tensor, _ b: Tensor) -> Tensor {
  guard let (a, b, isVector) = Tensor.sides(a, b, Solve.name) else { return a.afterFailure }
  let x = apply(Solve(), [a, b])[0]
  return isVector ? x.squeezed(axis: -1) : x
}

/// The solution of `a x = b` for a triangular matrix, of which only that triangle is read. Shapes as those of `solve`.
///
/// - Parameters:
///   - upper: whether it is the upper triangle.
///   - unitDiagonal: takes the diagonal as ones, without reading it.
///
/// Source: PyTorch `linalg.solve_triangular`, where `upper` has no default.
public func triangularSolve(_ a: Tensor, _ b: Tensor, upper: Bool, unitDiagonal: Bool = false) -> Tensor {
  guard let (a, b, isVector) = Tensor.sides(a, b, TriangularSolve.name) else { return a.afterFailure }
  let x = apply(TriangularSolve(upper: upper, unit: unitDiagonal), [a, b])[0]
  return isVector ? x.squeezed(axis: -1) : x
}

/// The inverse of square matrices: `[…, N, N]` → `[…, N, N]`. A singular one is an error. To apply an inverse, `solve(a, b)` is
/// faster and more exact. Source: PyTorch `linalg.inv`.
public func inverse(_ a: Tensor) -> Tensor {
  let call = Context.enter("inverse")
  defer { Context.leave(call) }
  guard a.rank >= 2 else {
    return failure(.rank(argument: 0, expected: "2 or more: […, N, N]"), op: "inverse", [a])
  }
  guard a.shape[a.rank - 1] == a.shape[a.rank - 2] else {
    return failure(.argumentShape(argument: 0, expected: "[…, N, N], square matrices"), op: "inverse", [a])
  }
  return solve(a, a.identities())
}

/// The sign of the determinants and the logarithm of their absolute values: `[…, N, N]` → `[…]`, `[…]`. A singular matrix gives 0
/// and -∞; its gradient is an error. Source: PyTorch `linalg.slogdet`.
public func signedLogDeterminant(_ a: Tensor) -> (sign: Tensor, logAbsolute: Tensor) {
  let results = Tensor.matrixFunction(SignedLogDeterminant(), a)
  return (results[0], results[1])
}

/// The determinants of square matrices: `[…, N, N]` → `[…]`. The gradient for a singular matrix is an error. Source: PyTorch
/// `linalg.det`.
public func determinant(_ a: Tensor) -> Tensor {
  let call = Context.enter("determinant")
  defer { Context.leave(call) }
  return Tensor.matrixFunction(SignedLogDeterminant(), a)[2]
}

/// The logarithms of determinants: NaN where one is negative. Source: PyTorch `logdet`.
public func logDeterminant(_ a: Tensor) -> Tensor {
  let call = Context.enter("logDeterminant")
  defer { Context.leave(call) }
  let (sign, logAbsolute) = signedLogDeterminant(a)
  return select(sign .< 0, Double.nan, logAbsolute)
}

/// The lower factor `l` of symmetric positive definite matrices, `a = l lᵀ`; or the upper one, its transpose. `[…, N, N]` →
/// `[…, N, N]`. Of a matrix that is not symmetric the symmetric part is taken. One that is not positive definite is an error.
/// Source: PyTorch `linalg.cholesky`.
public func cholesky(_ a: Tensor, upper: Bool = false) -> Tensor {
  let l = Tensor.matrixFunction(Cholesky(), a)[0]
  return upper ? l.transposed() : l
}

/// The solution of `a x = b` from the factor that `cholesky(a)` gave: `choleskySolve(cholesky(a), b)`, the factor first, as the
/// matrix in `solve(a, b)`. Shapes as those of `solve`. Source: PyTorch `cholesky_solve`, which takes `b` first.
public func choleskySolve(_ factor: Tensor, _ b: Tensor, upper: Bool = false) -> Tensor {
  let call = Context.enter("choleskySolve")
  defer { Context.leave(call) }
  if factor.rank < 2 {
    return failure(.rank(argument: 0, expected: "2 or more: […, N, N]"), op: "choleskySolve", [factor, b])
  }
  let l = upper ? factor.transposed() : factor
  return triangularSolve(l.transposed(), triangularSolve(l, b, upper: false), upper: true)
}

/// `a = q r` with orthonormal columns and an upper triangle whose diagonal is not negative: `[…, M, N]` → `[…, M, K]`,
/// `[…, K, N]`, `K = min(M, N)`. Derivatives need linearly independent first `K` columns. Source: PyTorch `linalg.qr`, whose
/// diagonal may have any signs.
public func qr(_ a: Tensor) -> (q: Tensor, r: Tensor) {
  guard a.rank >= 2, a.shape[a.rank - 2] < a.shape[a.rank - 1] else {
    let results = Tensor.matrixFunction(QR(), a)
    return (results[0], results[1])
  }
  // More columns than rows: the first ones decide.
  let rows = a.shape[a.rank - 2]
  let parts = a.split([rows, a.shape[a.rank - 1] - rows], axis: -1)
  let (q, r) = qr(parts[0])
  return (q, concat([r, matmul(q.transposed(), parts[1].asFloating)], axis: -1))
}

extension Tensor {
  fileprivate var asFloating: Tensor { dtype.isInexact ? self : cast(to: .float32) }
}

/// `a = u diag(s) vᵀ`: `[…, M, N]` → `[…, M, K]`, `[…, K]`, `[…, K, N]`, `K = min(M, N)`. The singular values descend.
///
/// The signs are such that of each column of `u` the largest element is positive. Gradients through `u` and `vᵀ` are infinite
/// where two singular values are equal, or one is 0. Source: PyTorch `linalg.svd(full_matrices=False)`.
public func svd(_ a: Tensor) -> (u: Tensor, s: Tensor, vt: Tensor) {
  let results = Tensor.matrixFunction(SVD(), a)
  return (results[0], results[1], results[2])
}

/// The singular values, descending: `[…, M, N]` → `[…, K]`. Source: PyTorch `linalg.svdvals`.
public func singularValues(_ a: Tensor) -> Tensor { svd(a).s }

/// Eigenvalues, ascending, and eigenvectors as columns of symmetric matrices: `[…, N, N]` → `[…, N]`, `[…, N, N]`. Of a matrix
/// that is not symmetric the symmetric part is taken.
///
/// The signs are such that the largest element of each vector is positive. Gradients through the vectors are infinite where two
/// values are equal. Source: PyTorch `linalg.eigh`.
public func eigh(_ a: Tensor) -> (values: Tensor, vectors: Tensor) {
  let results = Tensor.matrixFunction(Eigh(), a)
  return (results[0], results[1])
}

/// The `x` for which `|a x - b|` is least; of several the shortest. `[…, M, N]`, `[…, M, K]` (or `[M]`) → `[…, N, K]` (or `[…, N]`).
///
/// `a` has full rank; else it is an error, and `matmul(pseudoInverse(a), b)` helps. Source: PyTorch `linalg.lstsq`.
public func leastSquares(_ a: Tensor, _ b: Tensor) -> Tensor {
  let call = Context.enter("leastSquares")
  defer { Context.leave(call) }
  guard let (a, b, isVector) = Tensor.sides(a, b, "leastSquares") else { return a.afterFailure }
  guard a.shape[a.rank - 2] == b.shape[b.rank - 2] else {
    return failure(
      .argumentShape(argument: 1, expected: "[…, \(a.shape[a.rank - 2]), K], the rows of a"), op: "leastSquares",
      [a, b],
      names: ["a", "b"])
  }
  let x: Tensor
  if a.shape[a.rank - 2] >= a.shape[a.rank - 1] {
    let (q, r) = qr(a)
    x = triangularSolve(r, matmul(q.transposed(), b), upper: true)
  } else {
    let (q, r) = qr(a.transposed())
    x = matmul(q, triangularSolve(r.transposed(), b, upper: false))
  }
  return isVector ? x.squeezed(axis: -1) : x
}

extension Tensor {
  /// What PyTorch takes as rounding: the larger size times the distance of numbers near 1.
  fileprivate var roundingTolerance: Double {
    let epsilon = dtype == .float64 ? 0x1p-52 : 0x1p-23
    return rank < 2 ? epsilon : epsilon * Double(Swift.max(shape[rank - 1], shape[rank - 2]))
  }
}

/// The inverse of Moore and Penrose: `[…, M, N]` → `[…, N, M]`. Source: PyTorch `linalg.pinv`.
///
/// - Parameter tolerance: singular values below this share of the largest count as 0; the larger size times the distance of
///   numbers near 1 if nil.
public func pseudoInverse(_ a: Tensor, tolerance: Double? = nil) -> Tensor {
  let call = Context.enter("pseudoInverse")
  defer { Context.leave(call) }
  let a = a.asFloating
  return Tensor.matrixFunction(PseudoInverse(tolerance: tolerance ?? a.roundingTolerance), a)[0]
}

/// How many singular values are above `tolerance` times the largest: `[…, M, N]` → `[…]`, `int64`. Source: PyTorch
/// `linalg.matrix_rank`.
public func matrixRank(_ a: Tensor, tolerance: Double? = nil) -> Tensor {
  let call = Context.enter("matrixRank")
  defer { Context.leave(call) }
  let a = a.asFloating.detached()
  let s = singularValues(a)
  if s.isError { return s }
  if s.shape[s.rank - 1] == 0 { return s.cast(to: .int64).sum(axis: -1) }
  let most = s.max(axis: -1, keepDims: true)
  return (s .> most * (tolerance ?? a.roundingTolerance)).cast(to: .int64).sum(axis: -1)
}

/// The product of `n` equal square matrices; the inverse of that if `n` is negative, the identity if it is 0. Source: PyTorch
/// `linalg.matrix_power`.
public func matrixPower(_ a: Tensor, _ n: Int) -> Tensor {
  let call = Context.enter("matrixPower")
  defer { Context.leave(call) }
  guard a.rank >= 2, a.shape[a.rank - 1] == a.shape[a.rank - 2] else {
    return failure(.argumentShape(argument: 0, expected: "[…, N, N], square matrices"), op: "matrixPower", [a])
  }
  var base = n < 0 ? inverse(a) : a
  var rest = n.magnitude
  var result: Tensor?
  while rest > 0 {
    if rest & 1 == 1 { result = result.map { matmul($0, base) } ?? base }
    rest >>= 1
    if rest > 0 { base = matmul(base, base) }
  }
  return result ?? a.identities()
}

/// A norm of a matrix.
public enum MatrixNorm: Sendable {
  /// The root of the sum of all squares.
  case frobenius
  /// The sum of the singular values.
  case nuclear
  /// The largest singular value.
  case spectral
}

/// Norms of the matrices in the last two axes: `[…, M, N]` → `[…]`. Source: PyTorch `linalg.matrix_norm` with `fro`, `nuc` and 2.
public func matrixNorm(_ a: Tensor, _ norm: MatrixNorm = .frobenius) -> Tensor {
  guard a.rank >= 2 else {
    return failure(.rank(argument: 0, expected: "2 or more: […, rows, columns]"), op: "matrixNorm", [a])
  }
  switch norm {
  case .frobenius: return a.asFloating.flattened(from: -2).norm(axis: -1)
  case .nuclear: return singularValues(a).sum(axis: -1)
  case .spectral: return singularValues(a).max(axis: -1)
  }
}
