import Martlet
import MartletCore
import Testing

@Suite struct SparseTests {
  private let rows = Tensor([0, 2, 1, 2, 0])
  private let columns = Tensor([1, 0, 2, 0, 3])
  private let values = Tensor([1, 2, 3, 4, 5] as [Double])
  private var a: SparseTensor { SparseTensor(rows: rows, columns: columns, values: values, shape: [3, 4]) }
  private let whole: [Double] = [0, 1, 0, 5, 0, 0, 3, 0, 6, 0, 0, 0]

  /// Numbers of PyTorch 2.15.
  @Test func formsAndConversions() {
    expectValues(a.dense, [3, 4], whole)
    let c = a.coalesced()
    #expect(c.indices.array(as: Int.self) == [0, 0, 1, 2, 1, 3, 2, 0] && c.isCoalesced && !a.isCoalesced)
    expectValues(c.values, [4], [1, 5, 3, 6])
    let csr = c.csr
    #expect(csr.rowPointers.array(as: Int.self) == [0, 2, 3, 4] && csr.columns.array(as: Int.self) == [1, 3, 2, 0])
    expectValues(csr.values, [4], [1, 5, 3, 6])
    expectValues(csr.dense, [3, 4], whole)
    expectValues(a.csr.dense, [3, 4], whole)
    #expect(csr.rows.array(as: Int.self) == [0, 0, 1, 2])
    for dense in [a.transposed().dense, a.csr.transposed().dense] {
      expectSame(dense, Tensor(whole, shape: [3, 4]).transposed())
    }
    let again = SparseTensor(a.dense)
    #expect(again.count == 4 && again.isCoalesced)
    expectValues(again.dense, [3, 4], whole)
    expectValues(CSRTensor(a.dense).dense, [3, 4], whole)
    #expect("\(a)" == "SparseTensor(float64[3, 4], 5 values)" && "\(csr)" == "CSRTensor(float64[3, 4], 4 values)")
    // Dense axes, one sparse axis, three, none at all.
    let hybrid = SparseTensor(indices: Tensor([[2, 0, 2]]), values: count([3, 2]), shape: [3, 2])
    expectValues(hybrid.dense, [3, 2], [2, 3, 0, 0, 4, 6])
    expectValues(hybrid.coalesced().values, [2, 2], [2, 3, 4, 6])
    let cube = Tensor([0, 7, 0, 0, 0, 0, 8, 0] as [Float], shape: [2, 2, 2])
    expectSame(SparseTensor(cube).dense, cube)
    expectSame(SparseTensor(cube).transposed(0, 2).dense, cube.permuted(2, 1, 0))
    let none = SparseTensor(Tensor.zeros([2, 3]))
    #expect(none.count == 0)
    expectValues(none.coalesced().dense, [2, 3], [0, 0, 0, 0, 0, 0])
    expectValues(matmul(none, Tensor.ones([3, 2])), [2, 2], [0, 0, 0, 0])
  }

  @Test func arithmetic() {
    let dense = Tensor(whole, shape: [3, 4])
    let b = count([3, 4], dtype: .float64)
    expectSame(a + b, dense + b)
    expectSame(b + a.csr, dense + b)
    expectSame((a + a).dense, dense * 2)
    expectSame((a * 3).dense, dense * 3)
    expectSame((2 * a.csr / 4).dense, dense / 2)
    expectSame((-a).dense, -dense)
    expectValues(a.sum(), [], [15])
    expectSame(a.sum(axis: 0), dense.sum(axis: 0))
    expectSame(a.csr.sum(axis: 1), dense.sum(axis: 1))
    expectSame(a.sum(axis: -1), dense.sum(axis: 1))
    // PyTorch 2.15, sparse.softmax.
    expectValues(
      a.softmax().values, [4], [0.017986209962091555, 0.9820137900379085, 1, 1], within: 1e-15)
    expectValues(
      a.coalesced().csr.softmax().values, [4], [0.017986209962091555, 0.9820137900379085, 1, 1], within: 1e-15)
  }

  /// Products and both gradients are those of the dense matrix, in all moments.
  @Test func products() {
    let b = Tensor.normal([4, 5], dtype: .float64, generator: Generator(seed: 3))
    let dense = Tensor(whole, shape: [3, 4])
    expectSame(matmul(a, b), matmul(dense, b), within: 1e-14)
    expectSame(matmul(a.csr, b[.all, 2]), matmul(dense, b[.all, 2...2]).squeezed(axis: 1), within: 1e-14)
    let weights = count([3, 5], dtype: .float64)
    let csr = a.csr
    let sparse: (State) -> Tensor = { s in
      (matmul(csr.with(values: s["v"]!), s["b"]!) * weights).sum()
    }
    let v = csr.values
    let whole: (State) -> Tensor = { s in
      (matmul(csr.with(values: s["v"]!).dense, s["b"]!) * weights).sum()
    }
    let point: State = ["v": v, "b": b]
    let (x, y) = (grad(sparse)(point), grad(whole)(point))
    for name in ["v", "b"] { expectSame(x[name]!, y[name]!, within: 1e-13, name) }
    let compiled = compile(grad(sparse))(point)
    for name in ["v", "b"] { expectSame(compiled[name]!, y[name]!, within: 1e-13, name) }
    // Through the whole chain from rows, columns and values; eager.
    let leaf = values.requiringGradient()
    let right = b.requiringGradient()
    (matmul(SparseTensor(rows: rows, columns: columns, values: leaf, shape: [3, 4]), right) * weights).sum().backward()
    let places = (0..<5).map { matmul(weights, b.transposed())[rows[$0], columns[$0]].item() }
    expectValues(leaf.grad!, [5], places, within: 1e-13)
    expectSame(right.grad!, matmul(dense.transposed(), weights), within: 1e-13)
    // The sparse one on the right.
    let c = Tensor.normal([2, 3], dtype: .float64, generator: Generator(seed: 4))
    expectSame(matmul(c, a), matmul(c, dense), within: 1e-14)
    expectSame(matmul(c, csr), matmul(c, dense), within: 1e-14)
    expectSame(matmul(c[0], a), matmul(c[..<1], dense)[0], within: 1e-14)
    expectSame(matmul(c[1], csr), matmul(c[1..<2], dense)[0], within: 1e-14)
    let from: (State) -> Tensor = { s in square(matmul(s["c"]!, csr.with(values: s["v"]!))).sum() }
    let fromWhole: (State) -> Tensor = { s in square(matmul(s["c"]!, csr.with(values: s["v"]!).dense)).sum() }
    let left: State = ["v": v, "c": c]
    let (slopes, wholeSlopes, compiledSlopes) = (grad(from)(left), grad(fromWhole)(left), compile(grad(from))(left))
    for name in ["v", "c"] {
      expectSame(slopes[name]!, wholeSlopes[name]!, within: 1e-13, name)
      expectSame(compiledSlopes[name]!, wholeSlopes[name]!, within: 1e-13, name)
    }
    // Second order: the function is bilinear.
    let mixed = grad { (s: State) in grad(sparse)(s)["v"]!.sum() }(point)["b"]!
    let expected = grad { (s: State) in grad(whole)(s)["v"]!.sum() }(point)["b"]!
    expectSame(mixed, expected, within: 1e-13)
    // Only what has a place is computed, and only it gets a gradient.
    let p = Tensor.normal([3, 2], dtype: .float64, generator: Generator(seed: 4))
    let q = Tensor.normal([2, 4], dtype: .float64, generator: Generator(seed: 5))
    let isThere = (csr.with(values: Tensor.ones([5], dtype: .float64)).dense .> 0).cast(to: .float64)
    let sampled = sampledMatmul(p, q, at: a.coalesced().csr)
    expectSame(sampled.dense, matmul(p, q) * isThere, within: 1e-14)
    let slope = grad { (p: Tensor) in square(sampledMatmul(p, q, at: a.coalesced().csr).values).sum() }(p)
    expectSame(slope, grad { (p: Tensor) in square(matmul(p, q) * isThere).sum() }(p), within: 1e-13)
    // Of each example of a vmap its own.
    let many = Tensor.normal([3, 5], dtype: .float64, generator: Generator(seed: 6))
    let mapped = vmap { (v: Tensor) in matmul(csr.with(values: v), b) }(many)
    for example in 0..<3 {
      expectSame(mapped[example], matmul(csr.with(values: many[example]), b), within: 1e-14)
    }
    let mappedRight = vmap { (b: Tensor) in matmul(csr, b) }(stack([b, b * 2]))
    expectSame(mappedRight[1], matmul(csr, b * 2), within: 1e-14)
    expectSame(lazy { matmul(csr, b) }, matmul(csr, b))
  }

  /// Bits do not depend on the number of threads, also where rows differ much in length.
  @Test func threadsDoNotCount() {
    let generator = Generator(seed: 7)
    let size = 700
    let dense = Tensor.uniform([size, size], generator: generator)
    var kept = select(dense .< 0.03, dense, 0)
    kept[3] = dense[3]
    let sparse = CSRTensor(kept)
    let b = Tensor.normal([size, 64], generator: generator)
    func run() -> [[Float]] {
      let (v, x) = (sparse.values.requiringGradient(), b.requiringGradient())
      let y = matmul(sparse.with(values: v), x)
      (y * y).sum().backward()
      return [y.detached().floats, v.grad!.floats, x.grad!.floats]
    }
    let all = run()
    #expect(withThreads(1) { run() } == all)
    expectSame(matmul(sparse, b), matmul(kept, b), within: 1e-3)
  }

  @Test func wrongPartsSaySo() {
    func pointers(_ p: [Int], _ c: [Int], _ v: Int = 2, shape: Shape = [2, 3]) -> String {
      errorText {
        _ = CSRTensor(rowPointers: Tensor(p), columns: Tensor(c), values: Tensor.ones([v]), shape: shape)
      }
    }
    let specs = "\n  with rowPointers: int64[3], columns: int64[2], values: float32[2]"
    #expect(
      pointers([0, 2, 1], [0, 1]) == "CSRTensor: rowPointers run from 0 to 1" + specs
        + "\n  rule: they begin with 0 and end with 2, the number of values")
    #expect(
      pointers([0, 3, 2], [0, 1]) == "CSRTensor: rowPointers fall from 3 to 2 at 2" + specs
        + "\n  rule: they do not fall")
    #expect(
      pointers([0, 1, 2], [0, 3]) == "CSRTensor: column 3 is out of range for 3 columns" + specs
        + "\n  rule: 0 ≤ column < 3")
    #expect(pointers([0, 1, 2], [0, -1]).contains("column -1 is out of range"))
    #expect(pointers([1, 1, 2], [0, 1]).contains("rowPointers run from 1 to 2"))
    #expect(pointers([0, 2], [0, 1]).contains("its shape is [3]: one more than rows"))
    #expect(pointers([0, 1, 2], [0, 1], 3).contains("its shape is [2], that of columns"))
    #expect(pointers([0, 1, 2], [0, 1], shape: [2]).contains("rule: a matrix: [rows, columns]"))
    // Where a pattern has no values the product checks it.
    let (p, c) = (Tensor([0, 3, 2]), Tensor([0, 1]))
    let product = compile { (p: Tensor, c: Tensor) in
      matmul(CSRTensor(rowPointers: p, columns: c, values: Tensor.ones([2]), shape: [2, 3]), Tensor.ones([3, 2]))
    }
    if Device.current == .cpu {
      #expect(errorText { _ = product(p, c) }.contains("rowPointers are wrong at 2"))
      #expect(errorText { _ = product(Tensor([0, 1, 2]), c + 5) }.contains("column 5 is out of range for 3 columns"))
    }
    func coordinates(_ i: [[Int]], _ v: Shape = [2], shape: Shape = [2, 3]) -> String {
      errorText { _ = SparseTensor(indices: Tensor(i), values: Tensor.ones(v), shape: shape) }
    }
    #expect(
      coordinates([[0, 1], [3, 0]]) == """
        SparseTensor: index 3 is out of range for axis 1 of size 3
          with indices: int64[2, 2], values: float32[2]
          rule: 0 ≤ index < 3
          try: check what the indices were made for
        """)
    #expect(coordinates([[-1, 1], [0, 0]]).contains("index -1 is out of range for axis 0 of size 2"))
    #expect(coordinates([[0, 1], [0, 0]], [3]).contains("its shape is [2]: one value"))
    #expect(coordinates([[0, 1], [0, 0], [0, 0]]).contains("indices of 3 axes for the shape [2, 3]"))
    #expect(
      errorText { _ = matmul(a, Tensor.ones([3, 2], dtype: .float64)) } == """
        matmul: the inner sizes differ: 4 ≠ 3
          with a: float64[3, 4], b: float64[3, 2]
          rule: […, M, K] · […, K, N] → […, M, N]
          try: a.transposed()
        """)
    #expect(
      errorText { _ = matmul(Tensor.ones([2, 4], dtype: .float64), a) }.contains("the inner sizes differ: 4 ≠ 3"))
    #expect(errorText { _ = matmul(Tensor.ones([2, 3]), a.csr) }.contains("the dtypes differ: float32 and float64"))
    #expect(errorText { _ = matmul(Tensor.ones([2, 3, 3]), a) }.contains("a has 3 axes"))
    #expect(errorText { _ = matmul(a, Tensor.ones([4, 2])) }.contains("the dtypes differ: float64 and float32"))
    #expect(errorText { _ = a + Tensor.ones([4]) }.contains("both have one shape and one dtype"))
    #expect(errorText { _ = a.csr.with(values: Tensor.ones([2])) }.contains("one for each place"))
    #expect(
      errorText { _ = sampledMatmul(a.dense, a.dense, at: a.csr) }.contains("[R, K] · [K, C] at places of [R, C]"))
    #expect(
      errorText { _ = compile { (x: Tensor) in SparseTensor(x).dense }(a.dense) }.contains(
        "values that are not known here"))
    #expect(errorText { _ = a.transposed(0, 2) }.contains("sparse axes: 0 ≤ axis < 2"))
    #expect(errorText { _ = a.sum(axis: 2) }.contains("axis 2 is out of range for 2 axes"))
  }
}
