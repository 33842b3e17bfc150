import Martlet
import Testing

private final class Inner: Module {
  let weight = Parameter([1, 2])
  func forward(_ x: Tensor) -> Tensor { x * weight.value }
}

private class Base: Module {
  let base = Inner()
  func forward(_ x: Tensor) -> Tensor { base(x) }
}

private final class Everything: Base {
  let first = Linear(2, 2, generator: Generator(seed: 1))
  let list: [Inner] = [Inner(), Inner()]
  let named: [String: Inner] = ["b": Inner(), "a": Inner()]
  let some: Inner? = Inner()
  let none: Inner? = nil
  let pair = (left: Inner(), right: Inner())
  let sequence = Sequential {
    Linear(2, 2, bias: false, generator: Generator(seed: 2))
    ReLU()
    Sequential { Linear(2, 1, generator: Generator(seed: 3)) }
  }
  let running = Buffer([0])
  let count = 7
  var steps = StateTensor([0])
}

private final class Tied: Module {
  let encoder = Inner()
  let decoder: Inner
  let head: Parameter
  init() {
    decoder = encoder
    head = encoder.weight
  }
  func forward(_ x: Tensor) -> Tensor { decoder(encoder(x)) * head.value }
}

@Suite struct ModuleTests {
  @Test func namesAreThoseOfPyTorch() {
    let model = Everything()
    #expect(
      model.state.names == [
        "base.weight", "first.weight", "first.bias", "list.0.weight", "list.1.weight", "named.a.weight",
        "named.b.weight", "some.weight", "pair.left.weight", "pair.right.weight", "sequence.0.weight",
        "sequence.2.0.weight", "sequence.2.0.bias", "running",
      ])
    #expect(model.parameterState.names == model.state.names.filter { $0 != "running" })
    #expect(ModuleTree(model).cells.last?.name == "steps")
    #expect(Sequential { Linear(1, 1) }.state.names == ["0.weight", "0.bias"])
    #expect(model.state.byteCount == 4 * (2 * 8 + 4 + 2 + 4 + 2 + 1 + 1))
    #expect(model.state["first.weight"]!.shape == [2, 2] && model.state["nothing"] == nil)
  }

  @Test func tiedWeightsCountOnce() {
    let model = Tied()
    #expect(model.state.names == ["encoder.weight"])
    #expect(model.parameters.count == 1)
    model([1, 1]).sum().backward()
    expectValues(model.encoder.weight.grad!, [2], [3, 12])
  }

  @Test func buildersTakeConditions() {
    let wide = true
    let model = Sequential {
      if wide { Linear(2, 4) } else { Linear(2, 2) }
      for _ in 0..<2 { Linear(4, 4) }
      if !wide { Tanh() }
    }
    #expect(model.count == 3)
    #expect(model[0] is Linear)
  }

  @Test func modes() {
    let model = Sequential {
      Dropout(0.5, generator: Generator(seed: 1))
      Dropout(1, generator: Generator(seed: 1))
    }
    let x = Tensor.ones([8])
    expectValues(model(x), [8], [Double](repeating: 0, count: 8))
    model.eval()
    expectSame(model(x), x)
    model.train()
    expectValues(model(x).sum(), [], [0])
  }

  @Test func stateIsASnapshot() throws {
    let model = Inner()
    let before = model.state
    withoutGradient { model.weight.value += 1 }
    expectValues(before["weight"]!, [2], [1, 2])
    expectValues(model.weight.value, [2], [2, 3])
    try model.load(before)
    expectValues(model.weight.value, [2], [1, 2])
    withoutGradient { model.weight.value -= 1 }
    expectValues(before["weight"]!, [2], [1, 2])
  }

  @Test func loadingListsAllThatIsWrong() throws {
    let model = Linear(2, 3, generator: Generator(seed: 1))
    let before = model.state
    let wrong = State([("weigth", .ones([3, 2])), ("bias", .ones([2]))])
    let error = #expect(throws: OpError.self) { try model.load(wrong) }
    #expect(
      error.map { withoutDevice($0.description) } == """
        load: missing: weight. unexpected: weigth. misshapen: bias: float32[3] here, float32[2] given
          rule: names, shapes and dtypes are the model's
          try: did you mean weigth → weight?
        """)
    #expect(throws: OpError.self) {
      try model.load(State([("weight", .ones([3, 2], dtype: .float64))]), strict: false)
    }
    #expect(throws: OpError.self) { try model.load(State([("bias", .ones([3])), ("weight", .ones([2, 3]))])) }
    for (name, tensor) in before.entries { expectSame(model.state[name]!, tensor) }
    try model.load(State([("bias", .ones([3])), ("other", .ones([1]))]), strict: false)
    expectValues(model.bias!.value, [3], [1, 1, 1])
  }

  @Test func summaries() throws {
    let model = Sequential {
      Flatten()
      Linear(4, 8, generator: Generator(seed: 1))
      Sequential { ReLU() }
      Linear(8, 2, bias: false, generator: Generator(seed: 2))
    }
    let summary = try model.summary(for: .zeros([3, 2, 2]))
    #expect(
      summary.description == """
        layer    type        output  parameters
        ---------------------------------------
        0        Flatten     [3, 4]  0
        1        Linear      [3, 8]  40
        2.0      ReLU        [3, 8]  0
        2        Sequential  [3, 8]  0
        3        Linear      [3, 2]  16
        (model)  Sequential  [3, 2]  0
        ---------------------------------------
        56 parameters, 224 bytes of state
        """)
    #expect(try model.check(.zeros([5, 4])) == [TensorSpec([5, 2], device: .current)])
    let error = #expect(throws: OpError.self) { try model.check(.zeros([5, 3])) }
    #expect(error?.description.contains("Linear(4, 8): it takes 4 features in the last axis, and x has 3") == true)
    #expect(error?.description.contains("in layer Sequential › 1 (Linear)") == true)
    #expect(throws: OpError.self) { try model.summary(for: .zeros([5, 3])) }
  }
}

@Suite struct FrameTests {
  @Test func functionalCalls() throws {
    let model = Sequential { Linear(2, 1, generator: Generator(seed: 1)) }
    let x = Tensor([[1, 2]] as [[Float]])
    let before = model.state
    let out = try model.with(State([("0.weight", [[10, 100]]), ("0.bias", [1])])) { model(x) }
    expectValues(out, [1, 1], [211])
    for (name, tensor) in before.entries { expectSame(model.state[name]!, tensor) }
    // Cells that are not named keep their value.
    let partly = try model.with(State([("0.weight", [[0, 0]])])) { model(x) }
    expectSame(partly[0], before["0.bias"]!)
  }

  /// The state of another model, with thousands of long names: what is near is sought for a few.
  @Test func manyWrongNames() {
    let model = Linear(2, 1, generator: Generator(seed: 1))
    let prefix = String(repeating: "encoder.", count: 30)
    let strange = (0..<3000).map { ("\(prefix)\($0).weight", Tensor.ones([1])) }
    let error = #expect(throws: OpError.self) {
      try model.load(State(strange + (0..<20).map { ("weight\($0)", Tensor.ones([1])) }))
    }
    #expect(error?.description.contains("did you mean") == false)
    let near = #expect(throws: OpError.self) {
      try model.load(State((0..<20).map { ("weight\($0)", Tensor.ones([1])) }))
    }
    #expect(near?.description.components(separatedBy: " → weight").count == 6)
  }

  @Test func wrongStates() {
    let model = Linear(2, 1, generator: Generator(seed: 1))
    let error = #expect(throws: OpError.self) { try model.with(State([("wieght", .ones([1, 2]))])) {} }
    #expect(error?.description.contains("did you mean wieght → weight?") == true)
    #expect(throws: OpError.self) { try model.with(State([("weight", .ones([2, 2]))])) {} }
  }

  @Test func gradientsByAState() throws {
    let model = Linear(2, 1, generator: Generator(seed: 1))
    let gradient = grad { (state: State) -> Tensor in
      try! model.with(state) { model([[3, 4]]).sum() }
    }(model.parameterState)
    expectValues(gradient["weight"]!, [1, 2], [3, 4])
    expectValues(gradient["bias"]!, [1], [1])
    #expect(model.weight.grad == nil)
  }

  @Test func perExampleGradientsAndEnsembles() throws {
    let model = Linear(2, 1, generator: Generator(seed: 1))
    let x: Tensor = [[1, 2], [3, 4], [5, 6]]
    let state = model.parameterState
    let gradients = vmap { (x: Tensor) -> State in
      grad { (state: State) in try! model.with(state) { model(x).sum() } }(state)
    }(x)
    expectValues(gradients["weight"]!, [3, 1, 2], [1, 2, 3, 4, 5, 6])
    expectValues(gradients["bias"]!, [3, 1], [1, 1, 1])

    // One model each for three stacked states, on a shared input.
    let stacked = State(state.entries.map { ($0.name, stack([$0.tensor, $0.tensor * 2, $0.tensor * 0])) })
    let ensemble = vmap { (state: State) in try! model.with(state) { model(x) } }(stacked)
    #expect(ensemble.shape == [3, 3, 1])
    let alone = withoutGradient { model(x) }
    expectSame(ensemble[0], alone, within: 1e-6)
    expectSame(ensemble[1], alone * 2, within: 1e-6)
    expectValues(ensemble[2], [3, 1], [0, 0, 0])
  }

  /// A step inside `with` changes the substituted values alone.
  @Test func writesInAFrame() throws {
    let model = Inner()
    let inside = try model.with(State([("weight", [5, 6])])) { () -> Tensor in
      withoutGradient { model.weight.value -= 1 }
      return model.weight.value
    }
    expectValues(inside, [2], [4, 5])
    expectValues(model.weight.value, [2], [1, 2])
    #expect(
      errorText { try model.with(State([("weight", [5, 6])])) { model.weight.value = [1] } }.contains(
        "does not fit weight"))
    let text = errorText {
      try model.with(State([("weight", [5, 6])])) { model.weight.value = model.weight.value.reshaped([2, 1]) }
    }
    #expect(text.contains("weight is float32[2]"))
    expectValues(model.weight.value, [2], [1, 2])
  }
}

@Suite struct CellTests {
  @Test func wrongValuesAreRefused() {
    let model = Inner()
    _ = model.state
    let p = model.weight
    let cases: [(String, () -> Void)] = [
      ("weight is float32[2]", { p.value = [1, 2, 3] }),
      ("weight is float32[2]", { p.value = Tensor([1, 2]) }),
      ("does not fit the part of shape [2]", { p.value += [[1], [2]] }),
      (
        "a mapped tensor cannot be written into weight",
        {
          _ = vmap { (x: Tensor) -> Tensor in
            p.value = x
            return x
          }([[1, 2], [3, 4]])
        }
      ),
      ("do not broadcast", { p.value -= [1, 2, 3] }),
      ("do not broadcast", { p.value = p.value + [1, 2, 3] }),
    ]
    for (expected, body) in cases {
      #expect(errorText(body).contains(expected))
      expectValues(p.value, [2], [1, 2])
    }
  }

  @Test func failedStepsChangeNothing() {
    for make in [
      { SGD($0, learningRate: 1, momentum: 0.9) as any Optimizer }, { Adam($0, learningRate: 1) as any Optimizer },
    ] {
      let p = Parameter([1, 2])
      let optimizer = make([p])
      (p.value * p.value).sum().backward()
      let gradient = p.grad!
      #expect(errorText { p.grad = [1, 2, 3] }.contains("float32[3] does not fit grad"))
      expectSame(p.grad!, gradient)
      // A rate that is no number of the right shape: found in the middle of the step.
      let rate = optimizer.rate.value
      optimizer.rate.write([1, 2, 3])
      _ = errorText { optimizer.step() }
      optimizer.rate.write(rate)
      expectValues(p.value, [2], [1, 2])
      optimizer.step()
      #expect(p.value.floats != [1, 2] && p.value.floats.allSatisfy(\.isFinite))
    }
  }

  @Test func tracesAreTakenOff() {
    let cell = StateTensor([0])
    _ = grad { (x: Tensor) -> Tensor in
      cell.value = x * 2
      return x.sum()
    }([3])
    #expect(!cell.value.requiresGradient)
    expectValues(cell.value, [1], [6])
  }
}

@Suite struct OptimizerTests {
  /// PyTorch's results for p = [1, -2], the loss sum(p²), rate 0.1, after 3 steps.
  @Test(arguments: [
    (momentum: 0.0, dampening: 0.0, decay: 0.0, nesterov: false, expected: [0.512, -1.024]),
    (0.9, 0.0, 0.0, false, [0.062, -0.124]), (0.9, 0.0, 0.0, true, [-0.108352, 0.216704]),
    (0.9, 0.5, 0.0, false, [0.252, -0.504]), (0.0, 0.0, 0.1, false, [0.493039, -0.986078]),
  ])
  func sgd(momentum: Double, dampening: Double, decay: Double, nesterov: Bool, expected: [Double]) {
    let p = Parameter([1, -2])
    let sgd = SGD(
      [p], learningRate: 0.1, momentum: momentum, dampening: dampening, weightDecay: decay, nesterov: nesterov)
    for _ in 0..<3 {
      sgd.zeroGrad()
      (p.value * p.value).sum().backward()
      sgd.step()
    }
    // The same in Swift numbers.
    var (x, b) = (1.0, Double?.none)
    for _ in 0..<3 {
      var g = 2 * x + decay * x
      b = b.map { momentum * $0 + (1 - dampening) * g } ?? g
      g = momentum == 0 ? g : nesterov ? g + momentum * b! : b!
      x -= 0.1 * g
    }
    expectValues(p.value, [2], [x, -2 * x], within: 1e-6)
    expectValues(p.value, [2], expected, within: 1e-5)
  }

  @Test func adam() {
    for decoupled in [false, true] {
      let p = Parameter([1, -2])
      let adam = Adam([p], learningRate: 0.1, weightDecay: 0.1, decoupled: decoupled)
      var (x, m, v) = ([1.0, -2.0], [0.0, 0.0], [0.0, 0.0])
      for step in 1...4 {
        adam.zeroGrad()
        (p.value * p.value).sum().backward()
        adam.step()
        for i in 0..<2 {
          let g = 2 * x[i] + (decoupled ? 0 : 0.1 * x[i])
          if decoupled { x[i] *= 1 - 0.1 * 0.1 }
          m[i] = 0.9 * m[i] + 0.1 * g
          v[i] = 0.999 * v[i] + 0.001 * g * g
          let k = Double(step)
          let (mHat, vHat) = (m[i] / (1 - power(0.9, k)), v[i] / (1 - power(0.999, k)))
          x[i] -= 0.1 * mHat / (vHat.squareRoot() + 1e-8)
        }
      }
      expectValues(p.value, [2], x, within: 1e-5)
    }
  }

  private func power(_ base: Double, _ n: Double) -> Double {
    (0..<Int(n)).reduce(1.0) { product, _ in product * base }
  }

  @Test func parametersWithoutGradientStay() {
    let (p, q) = (Parameter([1]), Parameter([1]))
    let adam = Adam([p, q])
    (p.value * 2).sum().backward()
    adam.step()
    expectValues(q.value, [1], [1])
    #expect(p.value.floats[0] < 1)
    adam.learningRate = 0
    let before = p.value.floats
    adam.step()
    #expect(p.value.floats == before && adam.learningRate == 0)
  }
}

@Suite struct GeneratorTests {
  @Test func seedsAndStreams() {
    let a = Tensor.normal([100], generator: Generator(seed: 1))
    expectSame(a, .normal([100], generator: Generator(seed: 1)))
    let b = Tensor.normal([100], generator: Generator(seed: 2))
    let c = Tensor.normal([100], generator: Generator(seed: 1, stream: 1))
    #expect(Set(a.floats + b.floats + c.floats).count == 300)
    let generator = Generator(seed: 1)
    let first = Tensor.uniform([3], generator: generator)
    let second = Tensor.uniform([3], generator: generator)
    #expect(first.floats != second.floats)
    generator.seed(1)
    expectSame(.uniform([3], generator: generator), first)
    // A function of the key alone.
    let key = generator.next()
    expectSame(.uniform([5], key: key), .uniform([5], key: key))
  }

  @Test func compiledDrawsTheSame() {
    let (a, b) = (Generator(seed: 3), Generator(seed: 3))
    let f = { (g: Generator, x: Tensor) in x + Tensor.normal([4], generator: g) * Tensor.uniform([4], generator: g) }
    let compiled = compile { (x: Tensor) in f(a, x) }
    for _ in 0..<3 { expectSame(compiled(.zeros([4])), f(b, .zeros([4]))) }
    expectSame(a.next(), b.next())
    let c = Generator(seed: 3)
    let d = Generator(seed: 3)
    for _ in 0..<2 { expectSame(lazy { f(c, .zeros([4])) }, f(d, .zeros([4]))) }
    expectSame(c.next(), d.next())
  }
}

/// Written values in functional calls keep their traces, until the call is over.
@Suite struct SubstitutedWriteTests {
  private final class Tracker: Module {
    let weight = Parameter([1, 1])
    let average = Buffer([0, 0])
    func forward(_ x: Tensor) -> Tensor {
      average.value = average.value * 0.5 + x * weight.value
      return (average.value * average.value).sum()
    }
  }

  @Test func gradientsPassThroughWrites() throws {
    let model = Tracker()
    let x: Tensor = [1, 2]
    // L = Σ (a/2 + x w)²: dL/dw = 2 (a/2 + x w) x, dL/da = a/2 + x w.
    let state = State([("weight", [3, 4]), ("average", [2, 4])])
    let gradient = grad { (state: State) in try! model.with(state) { model(x) } }(state)
    expectValues(gradient["weight"]!, [2], [8, 40])
    expectValues(gradient["average"]!, [2], [4, 10])
    // Fast weights: one step of descent inside, differentiated by where it started.
    let meta = grad { (start: Tensor) -> Tensor in
      try! model.with(State([("weight", start)])) {
        let inner = grad { (w: Tensor) in (w * w * w).sum() }(model.weight.value)
        model.weight.value = model.weight.value - 0.1 * inner
        return model.weight.value.sum()
      }
    }([1, 2])
    expectValues(meta, [2], [0.4, -0.2], within: 1e-6)  // 1 - 0.6 w
    expectValues(model.weight.value, [2], [1, 1])
    expectValues(model.average.value, [2], [0, 0])
    #expect(model.average.value.isPlain)
  }

  @Test func backwardForwardModeAndMaps() throws {
    let model = Tracker()
    let weight = Tensor([3, 4] as [Float]).requiringGradient()
    let state = State([("weight", weight), ("average", [2, 4])])
    try model.with(state) { model([1, 2]).backward() }
    expectValues(weight.grad!, [2], [8, 40])
    let tangent = jvp(
      { (a: Tensor) in try! model.with(State([("average", a), ("weight", [3, 4])])) { model([1, 2]) } }, [2, 4], [1, 1])
    expectValues(tangent.tangent, [], [14])
    // Each example has a state of its own.
    let losses = vmap { (a: Tensor) in
      try! model.with(State([("average", a), ("weight", [3, 4])])) { model([1, 2]) }
    }([[2, 4], [0, 0]])
    expectValues(losses, [2], [116, 73])
    // A vmap inside of the call would leave one example's value behind.
    let text = errorText {
      try model.with(state) {
        _ = vmap { (x: Tensor) -> Tensor in
          model.average.value = x
          return x
        }([[1, 2], [3, 4]])
      }
    }
    #expect(text.contains("a mapped tensor cannot be written into"))
  }

  /// A trace of a transform that ends inside of the call is taken off.
  @Test func innerTracesEnd() throws {
    let model = Tracker()
    try model.with(State([("average", [2, 4])])) {
      _ = grad { (x: Tensor) -> Tensor in
        model.average.value = x * 2
        return (x * x).sum()
      }([1, 2])
      #expect(model.average.value.isPlain)
      expectValues(model.average.value, [2], [2, 4])
    }
  }

  @Test func statesAreSequences() {
    let state = Linear(3, 2).state
    #expect(state.count == 2)
    #expect(state.map { $0.name } == ["weight", "bias"])
    for (name, tensor) in state { #expect(state[name]!.shape == tensor.shape) }
    #expect(withoutDevice(state.description) == "weight: float32[2, 3]\nbias: float32[2]")
    #expect(Linear(3, 2).weight.shape == [2, 3])
    #expect(Tensor.zeros(2, 3).shape == [2, 3] && Tensor.ones([2]).floats == [1, 1])
  }
}
