public import MartletCore

/// The lower triangular factor `l` of a positive definite matrix, `a = l lᵀ`; of a matrix that is not symmetric its symmetric
/// part is taken.
public struct Cholesky: MatrixOp {
  public static var id: OpID { OpTable.cholesky.id }
  public static var name: String { "cholesky" }
  public static var argumentNames: [String] { ["a"] }
  public static var fault: (problem: String, rule: String, remedy: String?) {
    ("is not positive definite", "all its eigenvalues are above 0", "add a small multiple of the identity")
  }
  public init() {}
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try checkMatrix(inputs)
    return [inputs[0]]
  }
  /// `l⁻¹ x`, or `l⁻ᵀ x`.
  private func divided(_ x: Tensor, by l: Tensor, transposed: Bool) -> Tensor {
    apply(TriangularSolve(upper: transposed), [transposed ? l.transposed() : l, x])[0]
  }
  public func saves(needs: Positions) -> Saves { Saves(outputs: [0]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let l = saved.output(0)
    let inner = matmul(l.transposed(), ct[0]!.tril()).lowerHalf
    // l⁻ᵀ inner l⁻¹
    let left = divided(inner, by: l, transposed: true)
    return [.dense(divided(left.transposed(), by: l, transposed: true).symmetric)]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    guard let t = t[0] else { return [nil] }
    let l = outputs[0]
    let left = divided(t.symmetric, by: l, transposed: false)
    return [matmul(l, divided(left.transposed(), by: l, transposed: false).lowerHalf)]
  }
}

/// `a = q r` with orthonormal columns in `q: […, M, N]` and an upper triangular `r: […, N, N]` whose diagonal is not negative;
/// `a` has at least as many rows as columns.
public struct QR: MatrixOp {
  public static var id: OpID { OpTable.qr.id }
  public static var name: String { "qr" }
  public static var argumentNames: [String] { ["a"] }
  public init() {}
  public var outputCount: Int { 2 }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try checkMatrix(inputs, square: false)
    let a = inputs[0]
    guard a.rows >= a.columns else {
      throw OpError(.argumentShape(argument: 0, expected: "[…, M, N] with M ≥ N"))
    }
    return [a, a.matrices(a.columns, a.columns)]
  }
  /// `x r⁻ᵀ`, or `x r⁻¹`.
  private func divided(_ x: Tensor, by r: Tensor, transposed: Bool) -> Tensor {
    apply(TriangularSolve(upper: transposed), [transposed ? r : r.transposed(), x.transposed()])[0].transposed()
  }
  public func saves(needs: Positions) -> Saves { Saves(outputs: [0, 1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let (q, r) = (saved.output(0), saved.output(1))
    let m = plus(
      ct[1].map { matmul(r, $0.triu().transposed()) }, ct[0].map { -matmul($0.transposed(), q) })!
    let inner = matmul(q, m.tril() + m.tril(-1).transposed())
    return [.dense(divided(plus(ct[0], inner)!, by: r, transposed: true))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    guard let t = t[0] else { return [nil, nil] }
    let (q, r) = (outputs[0], outputs[1])
    let whole = divided(t, by: r, transposed: false)
    let c = matmul(q.transposed(), whole)
    let lower = c.tril(-1)
    let upper = c - lower + lower.transposed()
    return [whole - matmul(q, upper), matmul(upper, r)]
  }
}

/// Eigenvalues, ascending, and eigenvectors of a symmetric matrix, of which the symmetric part is taken; the largest element of
/// each vector is positive.
public struct Eigh: MatrixOp {
  public static var id: OpID { OpTable.eigh.id }
  public static var name: String { "eigh" }
  public static var argumentNames: [String] { ["a"] }
  public init() {}
  public var outputCount: Int { 2 }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try checkMatrix(inputs)
    return [inputs[0].matrices(inputs[0].columns), inputs[0]]
  }
  public func saves(needs: Positions) -> Saves { Saves(outputs: [0, 1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let (values, v) = (saved.output(0), saved.output(1))
    let inner = plus(
      ct[0].map { $0.diagonalMatrix() }, ct[1].map { matmul(v.transposed(), $0) * inverseGaps(values) })!
    return [.dense(matmul(matmul(v, inner), v.transposed()).symmetric)]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    guard let t = t[0] else { return [nil, nil] }
    let (values, v) = (outputs[0], outputs[1])
    let m = matmul(matmul(v.transposed(), t.symmetric), v)
    return [m.diagonal(), matmul(v, m * inverseGaps(values))]
  }
}

/// `a = u diag(s) vᵀ` with orthonormal columns in `u: […, M, K]`, singular values `s: […, K]`, descending, and orthonormal rows in
/// `vᵀ: […, K, N]`, where `K = min(M, N)`; the largest element of each column of `u` is positive.
public struct SVD: MatrixOp {
  public static var id: OpID { OpTable.svd.id }
  public static var name: String { "svd" }
  public static var argumentNames: [String] { ["a"] }
  public init() {}
  public var outputCount: Int { 3 }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try checkMatrix(inputs, square: false)
    let a = inputs[0]
    let k = Swift.min(a.rows, a.columns)
    return [a.matrices(a.rows, k), a.matrices(k), a.matrices(k, a.columns)]
  }
  public func saves(needs: Positions) -> Saves { Saves(outputs: [0, 1, 2]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let (u, s, vt) = (saved.output(0), saved.output(1), saved.output(2))
    var inner = ct[1].map { $0.diagonalMatrix() }
    var outer: Tensor?
    func skew(_ x: Tensor) -> Tensor { (x - x.transposed()) * inverseGaps(s * s) }
    if let ct = ct[0] {
      let shares = matmul(u.transposed(), ct)
      inner = plus(inner, skew(shares).columns(times: s))
      if u.shape[u.rank - 2] > u.shape[u.rank - 1] {
        outer = matmul((ct - matmul(u, shares)).columns(times: 1 / s), vt)
      }
    }
    if let ct = ct[2] {
      let shares = matmul(vt, ct.transposed())
      inner = plus(inner, skew(shares).rows(times: s))
      if vt.shape[vt.rank - 1] > vt.shape[vt.rank - 2] {
        outer = plus(outer, matmul(u, (ct - matmul(shares.transposed(), vt)).rows(times: 1 / s)))
      }
    }
    return [plus(inner.map { matmul(matmul(u, $0), vt) }, outer).map { .dense($0) }]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    guard let t = t[0] else { return [nil, nil, nil] }
    let (u, s, vt) = (outputs[0], outputs[1], outputs[2])
    let v = vt.transposed()
    let (right, left) = (matmul(t, v), matmul(t.transposed(), u))
    let m = matmul(u.transposed(), right)
    let gaps = inverseGaps(s * s)
    let (ms, sm) = (m.columns(times: s), m.rows(times: s))
    var du = matmul(u, (ms + ms.transposed()) * gaps)
    var dv = matmul(v, (sm + sm.transposed()) * gaps)
    if u.shape[u.rank - 2] > u.shape[u.rank - 1] { du = du + (right - matmul(u, m)).columns(times: 1 / s) }
    if vt.shape[vt.rank - 1] > vt.shape[vt.rank - 2] {
      dv = dv + (left - matmul(v, m.transposed())).columns(times: 1 / s)
    }
    return [du, m.diagonal(), dv.transposed()]
  }
}

/// The inverse of Moore and Penrose; singular values below `tolerance` times the largest count as 0.
public struct PseudoInverse: MatrixOp {
  public static var id: OpID { OpTable.pseudoInverse.id }
  public static var name: String { "pseudoInverse" }
  public static var argumentNames: [String] { ["a"] }
  private let bits: UInt64
  public var tolerance: Double { Double(bitPattern: bits) }
  public init(tolerance: Double) { bits = tolerance.bitPattern }
  public var attributes: String { "tolerance=\(tolerance)" }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try checkMatrix(inputs, square: false)
    return [inputs[0].matrices(inputs[0].columns, inputs[0].rows)]
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0], outputs: [0]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let (a, p, g) = (saved.input(0), saved.output(0), ct[0]!)
    let (pt, gt) = (p.transposed(), g.transposed())
    // (1 - a p) gᵀ p pᵀ + pᵀ p gᵀ (1 - p a) - pᵀ g pᵀ
    let first = matmul(matmul(gt, p), pt)
    let second = matmul(pt, matmul(p, gt))
    let third = matmul(matmul(pt, g), pt)
    return [.dense(first - matmul(a, matmul(p, first)) + second - matmul(matmul(second, p), a) - third)]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    guard let t = t[0] else { return [nil] }
    let (a, p) = (inputs[0], outputs[0])
    let (pt, tt) = (p.transposed(), t.transposed())
    let first = matmul(p, matmul(pt, tt))
    let second = matmul(matmul(tt, pt), p)
    return [
      first - matmul(matmul(first, a), p) + second - matmul(p, matmul(a, second)) - matmul(matmul(p, t), p)
    ]
  }
}
