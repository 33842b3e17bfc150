import MartletCore
import MartletOps

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A matrix of doubles, by rows.
private struct Matrix {
  var rows: Int
  var columns: Int
  var x: [Double]
  init(_ rows: Int, _ columns: Int, _ x: [Double]? = nil) {
    self.rows = rows
    self.columns = columns
    self.x = x ?? [Double](repeating: 0, count: rows * columns)
  }
  subscript(i: Int, j: Int) -> Double {
    get { x[i * columns + j] }
    set { x[i * columns + j] = newValue }
  }
  func column(_ j: Int) -> [Double] { (0..<rows).map { self[$0, j] } }
  mutating func set(column j: Int, _ values: [Double]) { for i in 0..<rows { self[i, j] = values[i] } }
  var transposed: Matrix {
    var result = Matrix(columns, rows)
    for i in 0..<rows { for j in 0..<columns { result[j, i] = self[i, j] } }
    return result
  }
  static func identity(_ n: Int) -> Matrix {
    var result = Matrix(n, n)
    for i in 0..<n { result[i, i] = 1 }
    return result
  }
}

private func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

extension KernelArguments {
  fileprivate func matrices(_ position: Int) -> [Matrix] {
    let shape = spec(position).shape
    let (m, n) = (shape[shape.rank - 2], shape[shape.rank - 1])
    let count = shape.prefix(shape.rank - 2).reduce(1, *)
    let all = doubles(position)
    return (0..<count).map { Matrix(m, n, Array(all[($0 * m * n)..<(($0 + 1) * m * n)])) }
  }
  fileprivate func write(_ matrices: [Matrix], _ output: Int) { write(matrices.flatMap { $0.x }, to: output) }
}

/// Elimination with the largest pivot, on the matrix and the right sides at once; nil for a singular matrix. Also the sign and
/// the logarithm of the determinant, and the determinant.
private func eliminated(_ a: Matrix, _ b: Matrix) -> (x: Matrix, sign: Double, logarithm: Double, product: Double)? {
  var (a, b, sign, logarithm) = (a, b, 1.0, 0.0)
  // The determinant with its exponent apart, so that it stays in range on the way.
  var (product, exponent) = (1.0, 0)
  let n = a.rows
  for k in 0..<n {
    let pivot = (k..<n).max { abs(a[$0, k]) < abs(a[$1, k]) }!
    if a[pivot, k] == 0 { return nil }
    if pivot != k {
      sign = -sign
      for j in 0..<n { (a[k, j], a[pivot, j]) = (a[pivot, j], a[k, j]) }
      for j in 0..<b.columns { (b[k, j], b[pivot, j]) = (b[pivot, j], b[k, j]) }
    }
    if a[k, k] < 0 { sign = -sign }
    logarithm += log(abs(a[k, k]))
    product *= abs(a[k, k])
    if product.isNormal { (product, exponent) = (product.significand, exponent + Int(product.exponent)) }
    for i in (k + 1)..<max(n, k + 1) {
      let factor = a[i, k] / a[k, k]
      for j in k..<n { a[i, j] -= factor * a[k, j] }
      for j in 0..<b.columns { b[i, j] -= factor * b[k, j] }
    }
  }
  for i in (0..<n).reversed() {
    for j in 0..<b.columns {
      var sum = b[i, j]
      for k in (i + 1)..<max(n, i + 1) { sum -= a[i, k] * b[k, j] }
      b[i, j] = sum / a[i, i]
    }
  }
  return (b, sign, logarithm, sign * Double(sign: .plus, exponent: exponent, significand: product))
}

/// Eigenvalues, ascending, and vectors by Jacobi's rotations.
private func eigen(_ given: Matrix) -> (values: [Double], vectors: Matrix) {
  let n = given.rows
  var (a, v) = (given, Matrix.identity(n))
  for i in 0..<n { for j in 0..<n { a[i, j] = (given[i, j] + given[j, i]) / 2 } }
  for _ in 0..<60 {
    for p in 0..<n {
      for q in (p + 1)..<max(n, p + 1) where a[p, q] != 0 {
        let angle = atan2(2 * a[p, q], a[q, q] - a[p, p]) / 2
        let (c, s) = (cos(angle), sin(angle))
        for k in 0..<n { (a[k, p], a[k, q]) = (c * a[k, p] - s * a[k, q], s * a[k, p] + c * a[k, q]) }
        for k in 0..<n { (a[p, k], a[q, k]) = (c * a[p, k] - s * a[q, k], s * a[p, k] + c * a[q, k]) }
        for k in 0..<n { (v[k, p], v[k, q]) = (c * v[k, p] - s * v[k, q], s * v[k, p] + c * v[k, q]) }
      }
    }
  }
  let order = (0..<n).sorted { a[$0, $0] < a[$1, $1] }
  var vectors = v
  for (place, column) in order.enumerated() { vectors.set(column: place, v.column(column)) }
  for j in 0..<n where isNegative(vectors.column(j)) { vectors.set(column: j, vectors.column(j).map { -$0 }) }
  return (order.map { a[$0, $0] }, vectors)
}

/// Whether the first of the nearly largest elements is below 0.
private func isNegative(_ column: [Double]) -> Bool {
  let most = column.reduce(0) { max($0, abs($1)) }
  return (column.first { abs($0) >= most * 0.99 } ?? 0) < 0
}

/// Singular values, descending, by rotations of the columns until they are orthogonal.
private func singular(_ given: Matrix) -> (u: Matrix, s: [Double], vt: Matrix) {
  if given.rows < given.columns {
    var (v, s, ut) = singular(given.transposed)
    var u = ut.transposed
    for j in 0..<s.count where isNegative(u.column(j)) {
      u.set(column: j, u.column(j).map { -$0 })
      v.set(column: j, v.column(j).map { -$0 })
    }
    ut = v.transposed
    return (u, s, ut)
  }
  let n = given.columns
  var (a, v) = (given, Matrix.identity(n))
  for _ in 0..<60 {
    for p in 0..<n {
      for q in (p + 1)..<max(n, p + 1) {
        let (x, y) = (a.column(p), a.column(q))
        let (overlap, difference) = (dot(x, y), dot(y, y) - dot(x, x))
        if overlap == 0 { continue }
        let angle = atan2(2 * overlap, difference) / 2
        let (c, s) = (cos(angle), sin(angle))
        let (vp, vq) = (v.column(p), v.column(q))
        a.set(column: p, zip(x, y).map { c * $0 - s * $1 })
        a.set(column: q, zip(x, y).map { s * $0 + c * $1 })
        v.set(column: p, zip(vp, vq).map { c * $0 - s * $1 })
        v.set(column: q, zip(vp, vq).map { s * $0 + c * $1 })
      }
    }
  }
  let sizes = (0..<n).map { sqrt(dot(a.column($0), a.column($0))) }
  let order = (0..<n).sorted { sizes[$0] > sizes[$1] }
  var (u, turned) = (Matrix(given.rows, n), Matrix(n, n))
  for (place, column) in order.enumerated() {
    let x = a.column(column).map { $0 / max(sizes[column], 1e-300) }
    let sign = isNegative(x) ? -1.0 : 1
    u.set(column: place, x.map { $0 * sign })
    turned.set(column: place, v.column(column).map { $0 * sign })
  }
  return (u, order.map { sizes[$0] }, turned.transposed)
}

/// Registers a kernel that may find a matrix at fault.
private func perMatrix<O: MatrixOp>(
  _ type: O.Type, outputs: Int = 1, _ body: @escaping @Sendable (O, [Matrix]) -> [Matrix]?
) {
  Kernels.register(type, .reference) { op, arguments in
    let inputs = (0..<arguments.inputCount).map { arguments.matrices($0) }
    var results = [[Matrix]](repeating: [], count: outputs)
    for place in inputs[0].indices {
      guard let found = body(op, inputs.map { $0[place] }) else {
        return KernelStatus(code: MatrixFault.code, value: Int64(place))
      }
      for (output, matrix) in found.enumerated() { results[output].append(matrix) }
    }
    for (output, matrices) in results.enumerated() { arguments.write(matrices, output) }
    return .ok
  }
}

private func row(_ values: [Double]) -> Matrix { Matrix(1, values.count, values) }

func installLinearAlgebra() {
  perMatrix(Solve.self) { _, x in eliminated(x[0], x[1]).map { [$0.x] } }
  perMatrix(TriangularSolve.self) { op, x in
    var a = Matrix(x[0].rows, x[0].rows)
    for i in 0..<a.rows {
      for j in 0..<a.rows where op.upper ? j > i : j < i { a[i, j] = x[0][i, j] }
      a[i, i] = op.unit ? 1 : x[0][i, i]
    }
    return eliminated(a, x[1]).map { [$0.x] }
  }
  perMatrix(SignedLogDeterminant.self, outputs: 3) { _, x in
    let found = eliminated(x[0], Matrix(x[0].rows, 0))
    return [row([found?.sign ?? 0]), row([found?.logarithm ?? -.infinity]), row([found?.product ?? 0])]
  }
  perMatrix(Cholesky.self) { _, x in
    let n = x[0].rows
    var l = Matrix(n, n)
    for j in 0..<n {
      for i in j..<n {
        var sum = (x[0][i, j] + x[0][j, i]) / 2
        for k in 0..<j { sum -= l[i, k] * l[j, k] }
        if i == j {
          guard sum > 0 else { return nil }
          l[j, j] = sqrt(sum)
        } else {
          l[i, j] = sum / l[j, j]
        }
      }
    }
    return [l]
  }
  perMatrix(QR.self, outputs: 2) { _, x in
    // Columns made orthogonal one after the other, twice for exactness.
    var (q, r) = (x[0], Matrix(x[0].columns, x[0].columns))
    for j in 0..<q.columns {
      var column = q.column(j)
      for _ in 0..<2 {
        for k in 0..<j {
          let share = dot(q.column(k), column)
          r[k, j] += share
          column = zip(column, q.column(k)).map { $0 - share * $1 }
        }
      }
      r[j, j] = sqrt(dot(column, column))
      q.set(column: j, column.map { $0 / r[j, j] })
    }
    return [q, r]
  }
  perMatrix(Eigh.self, outputs: 2) { _, x in
    let (values, vectors) = eigen(x[0])
    return [row(values), vectors]
  }
  perMatrix(SVD.self, outputs: 3) { _, x in
    let (u, s, vt) = singular(x[0])
    return [u, row(s), vt]
  }
  perMatrix(PseudoInverse.self) { op, x in
    let (u, s, vt) = singular(x[0])
    var result = Matrix(x[0].columns, x[0].rows)
    for k in s.indices where s[k] > op.tolerance * s[0] {
      for i in 0..<result.rows { for j in 0..<result.columns { result[i, j] += vt[k, i] * u[j, k] / s[k] } }
    }
    return [result]
  }
}
