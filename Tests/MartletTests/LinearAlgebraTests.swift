import Martlet
import Testing

@Suite struct LinearAlgebraTests {
  let a = Tensor([[4, 1, -2], [1, 3, 0.5], [0.3, -1, 2]] as [[Double]])
  let b = Tensor([[1, 2], [0, -1], [3, 0.5]] as [[Double]])
  let wide = Tensor([[1, 2, -1], [0.5, 1, 3]] as [[Double]])
  let tall = Tensor([[1, -1], [2, 0.5], [0, 3]] as [[Double]])
  let singular = Tensor([[1, 2], [2, 4], [0, 0]] as [[Double]])
  var symmetric: Tensor { (a + a.transposed()) / 2 }

  private func check(
    _ name: String, _ x: Tensor, _ expected: [Double], at location: SourceLocation = #_sourceLocation
  ) {
    let found = x.array(as: Double.self)
    #expect(
      found.count == expected.count && zip(found, expected).allSatisfy { abs($0 - $1) < 1e-9 }, "\(name): \(found)",
      sourceLocation: location)
  }

  /// PyTorch's numbers in float64.
  @Test func values() {
    check("det", determinant(a), [27.95])
    // Whole numbers stay whole, and what is in range is found by way of what is not.
    let whole = Tensor([[3000, 1000], [1000, 2000]] as [[Float]])
    #expect(determinant(whole).array(as: Float.self) == [5_000_000])
    #expect(determinant(stack([whole, -whole.flipped(axes: [0])])).array(as: Float.self) == [5_000_000, -5_000_000])
    let scales = Tensor([1e200, 1e200, 1e-200, 1e-200, -2] as [Double]).diagonalMatrix()
    #expect(abs(determinant(scales).item() + 2) < 1e-14)
    #expect(determinant(Tensor([[1, 2], [2, 4]] as [[Float]])).item() == 0)
    #expect(determinant(Tensor([[1e30, 0], [0, 1e30]] as [[Float]])).item() == .infinity)
    #expect(determinant(Tensor.zeros([2, 0, 0])).array(as: Float.self) == [1, 1])
    check("log det", signedLogDeterminant(-a).logAbsolute, [3.3304171996])
    check("sign", signedLogDeterminant(-a).sign, [-1])
    #expect(logDeterminant(-a).isNaN.all().item() == 1)
    check("least squares", leastSquares(tall, b), [0.2, 0, 0.7804878049, -0.0975609756])
    check("shortest", leastSquares(wide, Tensor([1, 2] as [Double])), [0.2857142857, 0.5714285714, 0.4285714286])
    check("pinv", pseudoInverse(tall), [0.2, 0.4, 0, -0.0975609756, 0.0487804878, 0.2926829268])
    check("pinv of rank 1", pseudoInverse(singular), [0.04, 0.08, 0, 0.08, 0.16, 0])
    check("rank", matrixRank(stack([singular, tall])), [1, 2])
    check(
      "power", matrixPower(a, -2),
      [
        0.0382743271, 0.0357781753, 0.145608853, -0.0260303826, 0.0726572176, -0.1157510377, -0.0527456069,
        0.1078849594, 0.1170631174,
      ])
    check("cube", matrixPower(a, 3), [71.15, 54.9, -51.3, 38.25, 35.15, -8.55, -0.63, -16.2, 1.85])
    check("power 0", matrixPower(a, 0), [1, 0, 0, 0, 1, 0, 0, 0, 1])
    check("singular values", singularValues(wide), [3.2106122702, 2.4376154025])
    check("nuclear", matrixNorm(wide, .nuclear), [5.6482276727])
    check("spectral", matrixNorm(wide, .spectral), [3.2106122702])
    check("Frobenius", matrixNorm(wide), [4.0311288741])
    check("eigenvalues", eigh(symmetric).values, [1.6744276212, 2.4515292383, 4.8740431404])
    check("r", qr(tall).r, [2.2360679775, 0, 0, 3.2015621187])
    check("upper", triangularSolve(a, b, upper: true), [1.0625, 0.71875, -0.25, -0.375, 1.5, 0.25])
    check("unit lower", triangularSolve(a, b, upper: false, unitDiagonal: true), [1, 2, -1, -3, 1.7, -3.1])
    let positive = symmetric + Tensor.identity(3, dtype: .float64)
    for upper in [false, true] {
      check(
        "Cholesky solve", choleskySolve(cholesky(positive, upper: upper), b, upper: upper),
        [0.3944395777, 0.5207708977, -0.0292775139, -0.3624417908, 1.1093180875, 0.2840149384])
    }
  }

  /// PyTorch's gradients of functions that do not depend on signs.
  @Test func gradients() {
    check("det", grad(determinant)(a), [6.5, -1.85, -1.9, 0, 8.6, 4.3, 6.5, -4, 11])
    check(
      "least squares", grad { (x: Tensor) in square(leastSquares(x, b)).sum() }(tall),
      [0.1408970851, 0.2627564893, -0.1104485425, -0.2874758056, -0.0386912552, -0.2769547743])
    check(
      "pinv", grad { (x: Tensor) in square(pseudoInverse(x)).sum() }(tall),
      [-0.08, 0.0190362879, -0.16, -0.009518144, 0, -0.0571088638])
    check(
      "nuclear", grad { (x: Tensor) in matrixNorm(x, .nuclear) }(wide),
      [0.4145797447, 0.8291594894, -0.3749909018, 0.1677010295, 0.335402059, 0.9270284912])
    check(
      "eigh",
      grad { (x: Tensor) in
        let (values, vectors) = eigh(x)
        return pow(abs(vectors), 3).sum() + values[0]
      }(symmetric),
      [
        0.5083255603, -0.3131262344, 0.4968780441, -0.3131262344, -0.0622658486, -0.3819749862, 0.4968780441,
        -0.3819749862, 0.5539402883,
      ])
    check(
      "svd",
      grad { (x: Tensor) in
        let (u, s, vt) = svd(x)
        return pow(abs(u), 3).sum() + pow(abs(vt), 3).sum() + s[1]
      }(wide), [0.2548933469, 0.9612487938, -0.3683007581, -0.1439579185, -0.2089718296, 0.0576248329])
    check(
      "qr",
      grad { (x: Tensor) in
        let (q, r) = qr(x)
        return pow(q, 4).sum() + pow(r, 4).sum()
      }(tall), [19.6102891136, -40.7275489328, 40.1948554432, 20.3637744664, 0.0171326591, 123.113521278])
  }

  @Test func derivatives() throws {
    let functions: [(Tensor) -> Tensor] = [
      { qr($0).r.sum() + qr($0).q.sum() }, { leastSquares($0, Tensor([1, 2] as [Double])).sum() },
      { matrixNorm($0, .spectral) }, { pseudoInverse($0)[0].sum() },
    ]
    // Its first columns are independent, as `qr` wants for derivatives.
    let broad = Tensor([[1, 2, -1], [0.5, -1, 3]] as [[Double]])
    for f in functions { try checkGradients(f, broad) }
    try checkGradients({ logDeterminant($0) }, a)
    try checkGradients({ determinant($0) }, a, order: 2, tolerance: 1e-5)
    try checkGradients({ inverse($0)[0].sum() }, a)
    try checkGradients({ matrixPower($0, -3)[1].sum() }, a)
  }

  /// The parts make the whole again, in batches, of both dtypes.
  @Test func decompositions() {
    for dtype in [DType.float32, .float64] {
      let x = Tensor.normal([2, 3, 7, 5], dtype: dtype, generator: Generator(seed: 3))
      let within = dtype == .float64 ? 1e-12 : 2e-5
      func same(_ a: Tensor, _ b: Tensor, at location: SourceLocation = #_sourceLocation) {
        expectSame(a, b, within: within, at: location)
      }
      for y in [x, x.transposed()] {
        let (q, r) = qr(y)
        same(matmul(q, r), y)
        same(r.triu(), r)
        same(matmul(q.transposed(), q), Tensor.identity(5, dtype: dtype).expanded(to: [2, 3, 5, 5]))
        let (u, s, vt) = svd(y)
        same(matmul(u * s.expandedDims(axis: -2), vt), y)
        same(matmul(matmul(y, pseudoInverse(y)), y), y)
      }
      let gram = matmul(x.transposed(), x)
      let (values, vectors) = eigh(gram)
      let ratio = gram.max()
      same(matmul(vectors * values.expandedDims(axis: -2), vectors.transposed()) / ratio, gram / ratio)
      let l = cholesky(gram)
      same(matmul(l, l.transposed()) / ratio, gram / ratio)
      // One matrix for all right sides, and one right side for all matrices.
      same(
        matmul(gram, solve(gram, Tensor.ones([5], dtype: dtype)).expandedDims(axis: -1)).squeezed(axis: -1),
        Tensor.ones([2, 3, 5], dtype: dtype))
      #expect(solve(gram[0, 0], Tensor.ones([4, 5, 2], dtype: dtype)).shape == [4, 5, 2])
    }
  }

  @Test func wrongUse() {
    let zeros = Tensor.zeros([2, 2])
    let batch = stack([Tensor.identity(2), zeros])[.newAxis]
    let cases: [(String, () -> Tensor)] = [
      ("solve: matrix [0, 1] of the batch is singular", { solve(batch, Tensor.ones([2])) }),
      ("the matrix is singular", { inverse(zeros) }),
      ("triangularSolve: the matrix is singular", { triangularSolve(zeros, Tensor.ones([2]), upper: true) }),
      ("cholesky: matrix [0, 1] of the batch is not positive definite", { cholesky(batch) }),
      ("float32 or float64", { inverse(Tensor.ones([2, 2], dtype: .float16)) }),
      ("float32 or float64", { svd(Tensor.ones([2, 2], dtype: .bfloat16)).s }),
      ("square matrices", { determinant(wide) }), ("square matrices", { matrixPower(wide, 2) }),
      ("with the matrices and rows of a", { solve(a, wide) }), ("the rows of a", { leastSquares(wide, a) }),
      ("1: [N], or more", { solve(a, Tensor(1 as Double)) }), ("rows, columns", { matrixNorm(b[0], .nuclear) }),
      ("rows, columns", { qr(b[0]).q }), ("rows, columns", { eigh(b[0]).values }),
    ]
    for (expected, body) in cases {
      let text = errorText { _ = body().array(as: Double.self) }
      #expect(text.contains(expected), "\(text)")
    }
  }
}
