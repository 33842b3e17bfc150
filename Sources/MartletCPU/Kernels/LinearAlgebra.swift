import CKernels
import CLAPACK
import MartletCore
import MartletOps

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Matrices by columns in pooled memory, one behind the other, as LAPACK wants them.
private struct Columns {
  let rows: Int
  let columns: Int
  let count: Int
  private let size: Int
  private let storage: Storage
  private let spec: TensorSpec

  /// The shape of the matrices' transposes, which by rows is that of the matrices by columns.
  private static func turned(_ shape: Shape) -> Shape {
    var shape = shape
    shape.swapAt(shape.rank - 1, shape.rank - 2)
    return shape
  }

  /// Room for matrices like those of a spec.
  init?(_ spec: TensorSpec) {
    rows = spec.shape[spec.rank - 2]
    columns = spec.shape[spec.rank - 1]
    count = spec.shape.prefix(spec.rank - 2).reduce(1, *)
    size = spec.dtype.size
    self.spec = spec.with(shape: Columns.turned(spec.shape))
    guard let storage = Storage(bytes: Swift.max(1, spec.byteCount)) else { return nil }
    self.storage = storage
  }

  /// An input.
  init?(_ arguments: borrowing KernelArguments, _ position: Int) {
    self.init(arguments.spec(position))
    if spec.count > 0 {
      copy(spec, Columns.turned(arguments.strides(position)), arguments.pointer(position), to: storage.pointer)
    }
  }

  var isEmpty: Bool { rows == 0 || columns == 0 }
  var isWide: Bool { size == 8 }
  func matrix(_ index: Int) -> UnsafeMutableRawPointer { storage.pointer + index * rows * columns * size }

  /// An output, by rows.
  func write(_ arguments: borrowing KernelArguments, _ position: Int) {
    guard spec.count > 0 else { return }
    let target = Columns.turned(spec.shape)
    copy(
      spec.with(shape: target), Columns.turned(spec.shape.contiguousStrides), UnsafeRawPointer(storage.pointer),
      to: arguments.outputPointer(position))
  }

  /// Makes the matrices symmetric.
  func symmetrize() {
    func run<T: BinaryFloatingPoint>(_: T.Type) {
      for index in 0..<count {
        let a = matrix(index).assumingMemoryBound(to: T.self)
        for i in 0..<rows {
          for j in 0..<i {
            let mean = (a[j * rows + i] + a[i * rows + j]) / 2
            a[j * rows + i] = mean
            a[i * rows + j] = mean
          }
        }
      }
    }
    if isWide { run(Double.self) } else { run(Float.self) }
  }
}

private let noMemory = KernelStatus.library(Int64(CK_NO_MEMORY))

/// What LAPACK said of a matrix.
private func status(_ info: Int32, _ matrix: Int) -> KernelStatus {
  if info == 0 { return .ok }
  if info == CLAPACK_NO_MEMORY { return noMemory }
  return info > 0 ? KernelStatus(code: MatrixFault.code, value: Int64(matrix)) : .library(Int64(info))
}

/// Runs over the matrices of a batch until one fails.
private func each(_ count: Int, _ body: (Int) -> Int32) -> KernelStatus {
  for matrix in 0..<count {
    let info = body(matrix)
    if info != 0 { return status(info, matrix) }
  }
  return .ok
}

/// The signs that make the chosen elements positive, and columns turned by them. `chosen`: the row of the deciding element of a
/// column, the largest if nil.
private func signs(_ a: Columns, _ matrix: Int, chosen: ((Int) -> Int)? = nil, _ flip: (Int) -> Void) {
  func run<T: BinaryFloatingPoint>(_: T.Type) {
    let x = a.matrix(matrix).assumingMemoryBound(to: T.self)
    for column in 0..<a.columns {
      let start = column * a.rows
      var deciding = start
      if let chosen {
        deciding += chosen(column)
      } else {
        // The first of those that are nearly largest: rounding must not decide.
        let most = (0..<a.rows).reduce(T(0)) { Swift.max($0, x[start + $1].magnitude) }
        deciding += (0..<a.rows).first { x[start + $0].magnitude >= most * 0.99 } ?? 0
      }
      if x[deciding] < 0 { flip(column) }
    }
  }
  if a.isWide { run(Double.self) } else { run(Float.self) }
}

/// Turns the signs of some elements.
private func negate(_ a: Columns, _ matrix: Int, _ places: StrideTo<Int>) {
  if a.isWide {
    let x = a.matrix(matrix).assumingMemoryBound(to: Double.self)
    for place in places { x[place] = -x[place] }
  } else {
    let x = a.matrix(matrix).assumingMemoryBound(to: Float.self)
    for place in places { x[place] = -x[place] }
  }
}
private func negate(_ a: Columns, _ matrix: Int, column: Int) {
  negate(a, matrix, stride(from: column * a.rows, to: (column + 1) * a.rows, by: 1))
}
private func negate(_ a: Columns, _ matrix: Int, row: Int) {
  negate(a, matrix, stride(from: row, to: a.rows * a.columns, by: a.rows))
}

func registerLinearAlgebra() {
  Kernels.register(Solve.self, .cpu) { _, arguments in
    guard let a = Columns(arguments, 0), let b = Columns(arguments, 1) else { return noMemory }
    defer { withExtendedLifetime((a, b)) {} }
    if !b.isEmpty {
      let failed = withUnsafeTemporaryAllocation(of: Int32.self, capacity: a.rows) { pivots in
        each(a.count) {
          clapack_solve(
            a.isWide, Int32(a.rows), Int32(b.columns), a.matrix($0), b.matrix($0), pivots.baseAddress!)
        }
      }
      if failed.code != 0 { return failed }
    }
    b.write(arguments, 0)
    return .ok
  }
  Kernels.register(TriangularSolve.self, .cpu) { op, arguments in
    guard let a = Columns(arguments, 0), let b = Columns(arguments, 1) else { return noMemory }
    defer { withExtendedLifetime((a, b)) {} }
    if !b.isEmpty {
      let failed = each(a.count) {
        clapack_triangular(
          a.isWide, op.upper, op.unit, Int32(a.rows), Int32(b.columns), a.matrix($0), b.matrix($0))
      }
      if failed.code != 0 { return failed }
    }
    b.write(arguments, 0)
    return .ok
  }
  Kernels.register(SignedLogDeterminant.self, .cpu) { _, arguments in
    guard let a = Columns(arguments, 0) else { return noMemory }
    defer { withExtendedLifetime(a) {} }
    let results = (0..<3).map { arguments.outputPointer($0) }
    return a.isWide
      ? determinants(a, results.map { $0.assumingMemoryBound(to: Double.self) })
      : determinants(a, results.map { $0.assumingMemoryBound(to: Float.self) })
  }
  Kernels.register(Cholesky.self, .cpu) { _, arguments in
    guard let a = Columns(arguments, 0) else { return noMemory }
    defer { withExtendedLifetime(a) {} }
    if a.isEmpty { return .ok }
    a.symmetrize()
    let failed = each(a.count) { clapack_cholesky(a.isWide, Int32(a.rows), a.matrix($0)) }
    if failed.code != 0 { return failed }
    for matrix in 0..<a.count {
      for column in 1..<Swift.max(1, a.rows) {
        let size = a.isWide ? 8 : 4
        (a.matrix(matrix) + column * a.rows * size).initializeMemory(as: UInt8.self, repeating: 0, count: column * size)
      }
    }
    a.write(arguments, 0)
    return .ok
  }
  Kernels.register(QR.self, .cpu) { _, arguments in
    guard let q = Columns(arguments, 0), let r = Columns(arguments.outputSpec(1)) else { return noMemory }
    defer { withExtendedLifetime((q, r)) {} }
    if q.isEmpty { return .ok }
    r.matrix(0).initializeMemory(as: UInt8.self, repeating: 0, count: arguments.outputSpec(1).byteCount)
    let failed = each(q.count) { matrix in
      let info = clapack_qr(q.isWide, Int32(q.rows), Int32(q.columns), q.matrix(matrix), r.matrix(matrix))
      if info == 0 {
        signs(r, matrix, chosen: { $0 }) { column in
          negate(r, matrix, row: column)
          negate(q, matrix, column: column)
        }
      }
      return info
    }
    if failed.code != 0 { return failed }
    q.write(arguments, 0)
    r.write(arguments, 1)
    return .ok
  }
  Kernels.register(Eigh.self, .cpu) { _, arguments in
    guard let a = Columns(arguments, 0) else { return noMemory }
    defer { withExtendedLifetime(a) {} }
    if a.isEmpty { return .ok }
    a.symmetrize()
    let (values, size) = (arguments.outputPointer(0), a.isWide ? 8 : 4)
    let failed = each(a.count) { matrix in
      let info = clapack_eigen(
        a.isWide, Int32(a.rows), a.matrix(matrix), values + matrix * a.rows * size)
      if info == 0 { signs(a, matrix) { negate(a, matrix, column: $0) } }
      return info
    }
    if failed.code != 0 { return failed }
    a.write(arguments, 1)
    return .ok
  }
  Kernels.register(SVD.self, .cpu) { _, arguments in
    guard let parts = decomposed(arguments, arguments.outputSpec(0), arguments.outputSpec(2)) else { return noMemory }
    defer { withExtendedLifetime(parts) {} }
    if parts.a.isEmpty {
      return .ok
    }
    let failed = parts.run(arguments.outputPointer(1))
    if failed.code != 0 { return failed }
    parts.u.write(arguments, 0)
    parts.vt.write(arguments, 2)
    return .ok
  }
  Kernels.register(PseudoInverse.self, .cpu) { op, arguments in
    let spec = arguments.spec(0)
    let (m, n) = (spec.shape[spec.rank - 2], spec.shape[spec.rank - 1])
    let (k, batch) = (Swift.min(m, n), Array(spec.shape.prefix(spec.rank - 2)))
    guard
      let parts = decomposed(
        arguments, spec.with(shape: Shape(batch + [m, k])), spec.with(shape: Shape(batch + [k, n]))),
      let result = Columns(arguments.outputSpec(0)), let values = Storage(bytes: Swift.max(1, result.count * k * 8))
    else { return noMemory }
    defer { withExtendedLifetime((parts, result, values)) {} }
    if parts.a.isEmpty { return .ok }
    let failed = parts.run(values.pointer)
    if failed.code != 0 { return failed }
    if result.isWide {
      invert(parts, values.pointer.assumingMemoryBound(to: Double.self), op.tolerance, result)
    } else {
      invert(parts, values.pointer.assumingMemoryBound(to: Float.self), op.tolerance, result)
    }
    result.write(arguments, 0)
    return .ok
  }
}

/// Signs and logarithms of determinants and they themselves, from the factors.
private func determinants<T: BinaryFloatingPoint>(_ a: Columns, _ results: [UnsafeMutablePointer<T>]) -> KernelStatus {
  let (sign, logarithm, determinant) = (results[0], results[1], results[2])
  return withUnsafeTemporaryAllocation(of: Int32.self, capacity: Swift.max(1, a.rows)) { pivots in
    for matrix in 0..<a.count {
      (sign[matrix], logarithm[matrix], determinant[matrix]) = (1, 0, 1)
      if a.isEmpty { continue }
      // A zero pivot is no fault here: the determinant is 0.
      let info = clapack_factor(a.isWide, Int32(a.rows), a.matrix(matrix), pivots.baseAddress!)
      if info < 0 { return status(info, matrix) }
      let x = a.matrix(matrix).assumingMemoryBound(to: T.self)
      var sum = 0.0
      // The product, with its exponent apart, so that it stays in range on the way.
      var (product, exponent) = (1.0, 0)
      for i in 0..<a.rows {
        let pivot = Double(x[i * a.rows + i])
        sum += log(Swift.abs(pivot))
        if (pivots[i] != i + 1) != (pivot < 0) { sign[matrix] = -sign[matrix] }
        if pivot == 0 { sign[matrix] = 0 }
        product *= pivots[i] == i + 1 ? pivot : -pivot
        if product.isNormal {
          exponent += Int(product.exponent)
          product = product.sign == .minus ? -product.significand : product.significand
        }
      }
      logarithm[matrix] = T(sum)
      determinant[matrix] = T(scalbn(product, exponent))
    }
    return .ok
  }
}

/// A singular value decomposition and its parts.
private struct Singular {
  let a: Columns
  let u: Columns
  let vt: Columns

  func run(_ values: UnsafeMutableRawPointer) -> KernelStatus {
    let step = u.columns * (a.isWide ? 8 : 4)
    return each(a.count) { matrix in
      let info = clapack_svd(
        a.isWide, Int32(a.rows), Int32(a.columns), a.matrix(matrix), values + matrix * step, u.matrix(matrix),
        vt.matrix(matrix))
      if info == 0 {
        signs(u, matrix) { column in
          negate(u, matrix, column: column)
          negate(vt, matrix, row: column)
        }
      }
      return info
    }
  }
}

private func decomposed(_ arguments: borrowing KernelArguments, _ u: TensorSpec, _ vt: TensorSpec) -> Singular? {
  guard let a = Columns(arguments, 0), let u = Columns(u), let vt = Columns(vt) else { return nil }
  return Singular(a: a, u: u, vt: vt)
}

/// `v diag(1 / s) uᵀ` over the singular values that count.
private func invert<T: BinaryFloatingPoint>(
  _ parts: Singular, _ values: UnsafeMutablePointer<T>, _ tolerance: Double, _ result: Columns
) {
  let (m, n, k) = (result.columns, result.rows, parts.u.columns)
  for matrix in 0..<result.count {
    let s = values + matrix * k
    let u = parts.u.matrix(matrix).assumingMemoryBound(to: T.self)
    let vt = parts.vt.matrix(matrix).assumingMemoryBound(to: T.self)
    let out = result.matrix(matrix).assumingMemoryBound(to: T.self)
    for place in 0..<(m * n) { out[place] = 0 }
    for i in 0..<k where s[i] > T(tolerance) * s[0] {
      for column in 0..<m {
        let scale = u[i * m + column] / s[i]
        for row in 0..<n { out[column * n + row] += vt[row * k + i] * scale }
      }
    }
  }
}
