import Martlet
import MartletCore
import Testing

/// Gradients that are kept as rows: `Embedding(…, sparse: true)` and the optimizers that touch these rows alone.
@Suite struct GradientRowsTests {
  private func table(_ sparse: Bool = true) -> Embedding {
    let layer = Embedding(5, 2, sparse: sparse, dtype: .float64)
    layer.weight.value = count([5, 2], dtype: .float64) / 10
    return layer
  }
  /// A loss whose gradients differ from lookup to lookup.
  private func loss(_ layer: Embedding, _ indices: [Int]) -> Tensor {
    let y = layer(Tensor(indices))
    return (y * y * (count(y.shape, dtype: .float64) + 1)).sum()
  }
  private func train(_ layer: Embedding, _ optimizer: any Optimizer) {
    for indices in [[1, 3, 1], [3, 0]] {
      optimizer.zeroGrad()
      loss(layer, indices).backward()
      optimizer.step()
    }
  }

  /// Expected: PyTorch 2.15, two steps of each optimizer on `nn.Embedding(5, 2, sparse=True)` in float64.
  @Test func optimizersDoAsPyTorchs() {
    typealias Make = ([Parameter]) -> any Optimizer
    let runs: [(name: String, make: Make, rows: [Double])] = [
      (
        "SGD", { SGD($0, learningRate: 0.1) },
        [0, 0.019999999999999997, -0.04000000000000001, -0.18, 0.4, 0.5, 0.192, 0.08399999999999998, 0.8, 0.9]
      ),
      (
        "SGD with momentum", { SGD($0, learningRate: 0.1, momentum: 0.9) },
        [0, 0.019999999999999997, -0.256, -0.612, 0.4, 0.5, -0.132, -0.42000000000000004, 0.8, 0.9]
      ),
      (
        "Adagrad", { Adagrad($0, learningRate: 0.1) },
        [
          0, 1.2500001034254637e-11, 0.10000000000416667, 0.20000000000208332, 0.4, 0.5, 0.4732356136247466,
          0.5606080701444164, 0.8, 0.9,
        ]
      ),
      (
        "Adagrad with decay", { Adagrad($0, learningRate: 0.1, rateDecay: 0.1, initialAccumulator: 0.5) },
        [
          0, 0.031884668254983664, 0.1040767079665421, 0.20106772224605032, 0.4, 0.5, 0.47788462187573555,
          0.5651761718445487, 0.8, 0.9,
        ]
      ),
      (
        "SparseAdam", { SparseAdam($0, learningRate: 0.1) },
        [
          0, 0.025586347057880862, 0.10000001317615519, 0.200000006588078, 0.4, 0.5, 0.41551540066452,
          0.5090913458047107, 0.8, 0.9,
        ]
      ),
      (
        "SparseAdam with settings", { SparseAdam($0, learningRate: 0.05, betas: (0.8, 0.95), epsilon: 0.1) },
        [
          0, 0.07511922203728913, 0.1578535308381286, 0.25426143883187347, 0.4, 0.5, 0.5180201110710507,
          0.6113548231246587, 0.8, 0.9,
        ]
      ),
    ]
    for run in runs {
      let layer = table()
      train(layer, run.make([layer.weight]))
      expectValues(layer.weight.value.detached(), [5, 2], run.rows, within: 1e-13, run.name)
    }
  }

  @Test func duplicatesAreSummedAndTheWholeReads() {
    let layer = table()
    #expect(layer.weight.gradientRows == nil && layer.weight.grad == nil)
    loss(layer, [3, 1, 3]).backward()
    let rows = layer.weight.gradientRows!
    #expect(rows.indices.array(as: Int.self) == [1, 3])
    // 2 x w: row 1 with weights 3, 4; row 3 with weights 1 + 5, 2 + 6.
    expectValues(rows.values, [2, 2], [1.2, 2.4, 7.2, 11.2], within: 1e-14)
    expectValues(layer.weight.grad!, [5, 2], [0, 0, 1.2, 2.4, 0, 0, 7.2, 11.2, 0, 0], within: 1e-14)
    // Reading the whole does not end the rows; several passes add up.
    loss(layer, [0, 3]).backward()
    #expect(layer.weight.gradientRows!.indices.array(as: Int.self) == [0, 1, 3])
    let dense = table(false)
    loss(dense, [3, 1, 3]).backward()
    loss(dense, [0, 3]).backward()
    #expect(dense.weight.gradientRows == nil)
    expectSame(layer.weight.grad!, dense.weight.grad!, within: 1e-14)
    layer.weight.grad = nil
    #expect(layer.weight.gradientRows == nil && layer.weight.grad == nil)
    // Many passes without a step do not pile up.
    for _ in 0..<600 { loss(layer, [3, 1, 3]).backward() }
    expectValues(layer.weight.gradientRows!.values, [2, 2], [720, 1440, 4320, 6720], within: 1e-9)
  }

  /// Indices of several axes, of int32, none; the row of the padding is none of the rows. PyTorch 2.15.
  @Test func paddingAndShapesOfIndices() {
    let layer = Embedding(4, 2, paddingIndex: 2, sparse: true, dtype: .float64)
    layer(Tensor([0, 2, 3])).sum().backward()
    layer(Tensor([3, 2] as [Int32])).sum().backward()
    #expect(layer.weight.gradientRows!.indices.array(as: Int.self) == [0, 3])
    expectValues(layer.weight.gradientRows!.values, [2, 2], [1, 1, 2, 2])
    layer.weight.grad = nil
    layer(Tensor([[1, 3], [1, 1]])).sum().backward()
    expectValues(layer.weight.gradientRows!.values, [2, 2], [3, 3, 1, 1])
    layer.weight.grad = nil
    layer(Tensor([] as [Int])).sum().backward()
    #expect(layer.weight.gradientRows!.indices.count == 0)
    SparseAdam([layer.weight]).step()
    layer.weight.grad = nil
    layer(Tensor([2, 2])).sum().backward()
    #expect(layer.weight.gradientRows!.indices.count == 0)
  }

  /// PyTorch 2.15, `nn.EmbeddingBag(5, 2, sparse=True, padding_idx=4)`.
  @Test func bags() {
    let factors = Tensor([[1, 2], [3, 4]] as [[Double]])
    let expected: [(BagMode, [Double])] = [
      (.sum, [3, 4, 5, 8, 1, 2]), (.mean, [1.5, 2, 13.0 / 6, 10.0 / 3, 1.0 / 3, 2.0 / 3]),
    ]
    for (mode, values) in expected {
      let bag = EmbeddingBag(5, 2, mode: mode, sparse: true, paddingIndex: 4, dtype: .float64)
      (bag(Tensor([[1, 2, 1], [4, 0, 1]])) * factors).sum().backward()
      #expect(bag.weight.gradientRows!.indices.array(as: Int.self) == [0, 1, 2])
      expectValues(bag.weight.gradientRows!.values, [3, 2], values, within: 1e-14)
      #expect(bag.sparse && "\(bag)".contains("sparse: true"))
    }
  }

  @Test func optimizersThatTakeNoRowsSaySo() {
    let layer = table()
    layer.weight.name = "table"
    loss(layer, [1, 3, 1]).backward()
    let before = layer.weight.value.detached()
    func text(_ optimizer: any Optimizer) -> String { errorText { optimizer.step() } }
    #expect(
      text(Adam([layer.weight])) == """
        Adam: the gradient of table is kept as rows
          rule: Adam takes dense gradients
          try: SGD, Adagrad or SparseAdam, or an embedding without sparse: true
        """)
    for optimizer in [
      AdamW([layer.weight]), Adamax([layer.weight]), NAdam([layer.weight]), RAdam([layer.weight]),
      RMSprop([layer.weight]), Adadelta([layer.weight]), Muon([layer.weight]), Lion([layer.weight]),
      Rprop([layer.weight]), ASGD([layer.weight]), Adafactor([layer.weight]),
    ] as [any Optimizer] {
      #expect(text(optimizer).contains("takes dense gradients"), "\(optimizer)")
    }
    #expect(
      text(SGD([layer.weight], learningRate: 0.1, weightDecay: 0.1)) == """
        SGD: the gradient of table is kept as rows
          rule: SGD takes dense gradients
          try: weightDecay: 0, or an embedding without sparse: true
        """)
    #expect(text(Adagrad([layer.weight], weightDecay: 0.1)).contains("weightDecay: 0"))
    let dense = table(false)
    dense.weight.name = "table"
    loss(dense, [1]).backward()
    #expect(
      text(SparseAdam([dense.weight])) == """
        SparseAdam: the gradient of table is dense
          rule: SparseAdam takes gradients that are kept as rows
          try: Adam; or Embedding(…, sparse: true), stepped outside of compile
        """)
    expectSame(layer.weight.value.detached(), before)
  }

  /// Where something else than lookups adds to the gradient it is dense, with the same numbers.
  @Test func otherUsesMakeItDense() {
    let (rows, dense) = (table(), table(false))
    func tied(_ layer: Embedding) -> Tensor { loss(layer, [1, 1, 4]) + (layer.weight.value * 3).sum() }
    tied(rows).backward()
    tied(dense).backward()
    #expect(rows.weight.gradientRows == nil)
    expectSame(rows.weight.grad!, dense.weight.grad!)
    // A dense part before and after rows.
    loss(rows, [2]).backward()
    loss(dense, [2]).backward()
    #expect(rows.weight.gradientRows == nil)
    expectSame(rows.weight.grad!, dense.weight.grad!)
    rows.weight.grad = nil
    dense.weight.grad = nil
    for layer in [rows, dense] {
      loss(layer, [2]).backward()
      layer.weight.value.sum().backward()
    }
    #expect(rows.weight.gradientRows == nil)
    expectSame(rows.weight.grad!, dense.weight.grad!)
    // A hook takes and gives dense tensors.
    let hooked = table()
    let remove = hooked.weight.value.registerHook { $0 * 2 }
    loss(hooked, [3, 3]).backward()
    expectValues(hooked.weight.grad!, [5, 2], [0, 0, 0, 0, 0, 0, 9.6, 16.8, 0, 0], within: 1e-14)
    remove()
    // What is told when a gradient is ready is dense too.
    var told: [Double] = []
    let told1 = table()
    loss(told1, [3]).backward { parameter, gradient in told = gradient.array(as: Double.self) }
    #expect(told == told1.weight.grad!.array(as: Double.self) && told1.weight.gradientRows != nil)
  }

  /// Compiled, lazy and functional calls yield the numbers of the dense gradient.
  @Test func otherMoments() throws {
    let (a, b) = (table(), table(false))
    let (first, second) = (SGD([a.weight], learningRate: 0.1), SGD([b.weight], learningRate: 0.1))
    let step = compile { (i: Tensor) in
      first.zeroGrad()
      let y = a(i)
      let loss = (y * y).sum()
      loss.backward()
      first.step()
      return loss
    }
    for indices in [Tensor([1, 1, 3]), Tensor([0, 4, 4])] {
      _ = step(indices)
      second.zeroGrad()
      let y = b(indices)
      (y * y).sum().backward()
      second.step()
      expectSame(a.weight.value.detached(), b.weight.value.detached(), within: 1e-15)
      expectSame(a.weight.grad!, b.weight.grad!, within: 1e-15)
    }
    // Rows from outside, and then a compiled pass that adds to them.
    let add = compile { (i: Tensor) in
      let y = a(i).sum()
      y.backward()
      return y
    }
    a.weight.grad = nil
    a(Tensor([2])).sum().backward()
    _ = add(Tensor([2, 4]))
    expectValues(a.weight.grad!, [5, 2], [0, 0, 0, 0, 2, 2, 0, 0, 1, 1])
    #expect(a.weight.gradientRows == nil)
    let adam = SparseAdam([a.weight])
    let refused = compile { (i: Tensor) in
      adam.zeroGrad()
      a(i).sum().backward()
      adam.step()
      return i
    }
    #expect(errorText { _ = refused(Tensor([1])) }.contains("stepped outside of compile"))
    let (c, d) = (table(), table(false))
    lazy { loss(c, [1, 1, 3]).backward() }
    loss(d, [1, 1, 3]).backward()
    expectSame(c.weight.grad!, d.weight.grad!, within: 1e-15)
    let (_, gradient) = valueAndGrad { (state: State) in try! c.with(state) { loss(c, [1, 1, 3]) } }(c.parameterState)
    expectSame(gradient["weight"]!, d.weight.grad!, within: 1e-15)
  }

  @Test func clippingAndScalingKeepRows() {
    let (rows, dense) = (table(), table(false))
    for layer in [rows, dense] { loss(layer, [3, 1, 3]).backward() }
    let norms = [rows, dense].map { clipGradients([$0.weight], toNorm: 2).item() }
    #expect(norms[0] == norms[1])
    expectSame(rows.weight.grad!, dense.weight.grad!)
    for layer in [rows, dense] { clipGradients([layer.weight], toValue: 1) }
    expectSame(rows.weight.grad!, dense.weight.grad!)
    #expect(rows.weight.gradientRows!.indices.array(as: Int.self) == [1, 3])
    let scaler = LossScaler(scale: 8)
    let layer = table()
    let optimizer = SGD([layer.weight], learningRate: 0.1)
    scaler.scaled(loss(layer, [1, 3, 1])).backward()
    #expect(scaler.step(optimizer))
    #expect(layer.weight.gradientRows != nil)
    let plain = table()
    loss(plain, [1, 3, 1]).backward()
    SGD([plain.weight], learningRate: 0.1).step()
    expectSame(layer.weight.value.detached(), plain.weight.value.detached(), within: 1e-14)
  }

  /// A step costs what the lookups cost: of a table of 256 MB less than one is allocated.
  @Test(.enabled(if: Device.current == .cpu, "a device with a queue holds what it uses"))
  func stepsCostTheirRows() {
    let layer = Embedding(1, 64, sparse: true)
    func bytes(_ rows: Int, _ make: ([Parameter]) -> any Optimizer) -> Int {
      let weight = Parameter(Tensor.zeros([rows, 64]))
      weight.keepsGradientRows = true
      let optimizer = make([weight])
      let indices = Tensor((0..<100).map { ($0 * 7919) % rows })
      func step() {
        optimizer.zeroGrad()
        (weight.value.take(axis: 0, indices) * 3).sum().backward()
        optimizer.step()
      }
      step()
      let before = MemoryStatistics.largeBytesOfThread
      step()
      return MemoryStatistics.largeBytesOfThread - before
    }
    #expect(layer.sparse)
    #expect(bytes(1_000_000) { SGD($0, learningRate: 0.1) } < 1_000_000)
    #expect(bytes(100_000) { Adagrad($0, learningRate: 0.1) } < 1_000_000)
    #expect(bytes(100_000) { SparseAdam($0, learningRate: 0.1) } < 1_000_000)
    // What the count sees: momentum moves the whole table.
    #expect(bytes(100_000) { SGD($0, learningRate: 0.1, momentum: 0.9) } > 20_000_000)
  }
}
