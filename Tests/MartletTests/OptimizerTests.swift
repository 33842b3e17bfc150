import Martlet
import Testing

/// Steps on `Σ k w²` for the k-th element, with the sign turned in the fourth step.
private func run(_ optimizer: any Optimizer, _ w: Parameter, steps: Int = 8, turning: Bool = true) -> [Double] {
  let weights = Tensor.range(from: 1, to: Double(w.value.count + 1), dtype: .float64).reshaped(w.shape)
  for step in 0..<steps {
    optimizer.zeroGrad()
    (w.value * w.value * weights * (turning && step == 3 ? -1 : 1)).sum().backward()
    optimizer.step()
  }
  return w.value.array(as: Double.self)
}

private let start: [Double] = [1, -2, 0.5]

@Suite struct OptimizerOptionTests {
  /// PyTorch's weights after eight steps in float64; LAMB and Lion by their papers' formulas.
  @Test func options() {
    let cases: [(String, [Double], ([Parameter]) -> any Optimizer)] = [
      (
        "Adagrad", [0.7356307462508188, -1.7270543260991218, 0.24989553157518182],
        {
          Adagrad($0, learningRate: 0.1, rateDecay: 0.1, weightDecay: 0.05, initialAccumulator: 0.2)
        }
      ),
      (
        "Adadelta", [0.9798872525505025, -1.9799107816300126, 0.48008321620881306], { Adadelta($0, weightDecay: 0.05) }
      ),
      ("Adamax", [0.9876567231767204, -1.9876912034395142, 0.48775082805687037], { Adamax($0, weightDecay: 0.05) }),
      ("NAdam", [0.9901235382598623, -1.9901696410813794, 0.49020457470], { NAdam($0, weightDecay: 0.05) }),
      (
        "NAdamW", [0.9894335743533658, -1.9886281854495576, 0.48984484541113793],
        { NAdam($0, weightDecay: 0.05, decoupled: true) }
      ),
      ("RAdam", [0.9917305304350182, -1.967672615354638, 0.48790907763317426], { RAdam($0, weightDecay: 0.05) }),
      (
        "RAdamW", [0.2694562696017584, 0.47728563845632493, -0.29036072864384316],
        { RAdam($0, learningRate: 0.1, weightDecay: 0.05, decoupled: true) }
      ),
      (
        "RMSprop", [-0.16187521438078442, -0.6970389749413983, -0.3079110434098526],
        { RMSprop($0, weightDecay: 0.05, momentum: 0.9, centered: true) }
      ),
      (
        "AMSGrad", [0.38583194758103156, -1.373579300026097, -0.06910763110404207],
        { AdamW($0, learningRate: 0.1, amsgrad: true) }
      ),
      (
        "Lion", [0.3705838152091744, -1.3312768587846104, -0.10976270657854409],
        { Lion($0, learningRate: 0.1, weightDecay: 0.05) }
      ),
      (
        "Rprop", [0.18275879999999992, -1.1827587999999998, -0.019328000000000005],
        { Rprop($0, learningRate: 0.1, etas: (0.4, 1.3), stepSizes: (0.02, 0.2)) }
      ),
      ("Rprop, defaults", [0.9249504, -1.9249504, 0.4249504], { Rprop($0) }),
      (
        "ASGD", [0.5129705209217151, -0.4898869474991754, 0.051983145323667865],
        { ASGD($0, learningRate: 0.05, decay: 0.01, alpha: 0.6, start: 3, weightDecay: 0.05) }
      ),
      ("ASGD, defaults", [0.8854811506814987, -1.562998940525895, 0.34369060884288505], { ASGD($0) }),
      (
        "Adafactor", [0.40072008481988436, -1.3217520011592803, 0.035983465423812123],
        { Adafactor($0, learningRate: 0.1, weightDecay: 0.05) }
      ),
      ("Adafactor, defaults", [0.923028087860208, -1.9226246512438965, 0.42387810347521887], { Adafactor($0) }),
    ]
    for (name, expected, make) in cases {
      let w = Parameter(Tensor(start))
      let found = run(make([w]), w)
      #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-9 }, "\(name): \(found)")
    }
  }

  @Test func lamb() {
    let w = Parameter(Tensor(start))
    let found = run(LAMB([w], learningRate: 0.1), w, steps: 4, turning: false)
    #expect(
      zip(found, [0.5321445899456663, -1.5235547956573157, 0.05030412021596159]).allSatisfy { abs($0 - $1) < 1e-9 })
  }

  /// PyTorch's with the iteration in float64.
  @Test func muon() {
    let values = (0..<6).map { Double($0) / 5 - 0.4 }
    let wide = Parameter(Tensor(values).reshaped(2, 3))
    let tall = Parameter(Tensor(values).reshaped(3, 2))
    let a = run(Muon([wide], learningRate: 0.1), wide, steps: 3)
    let b = run(
      Muon([tall], learningRate: 0.1, weightDecay: 0, nesterov: false, scaling: .likeAdamW), tall, steps: 3)
    let expected = [
      -0.22624301321023246, -0.08316404804693828, -0.08376166136943979, 0.16379933446325498, 0.2944498936418029,
      0.39812792780794587,
    ]
    #expect(zip(a, expected).allSatisfy { abs($0 - $1) < 1e-9 }, "\(a)")
    let other = [
      -0.3676315731206592, -0.2067396992151124, 0.05533351600421838, 0.15612554443882196, 0.359322032979838,
      0.541064679864608,
    ]
    #expect(zip(b, other).allSatisfy { abs($0 - $1) < 1e-9 }, "\(b)")
    #expect(errorText { _ = Muon([Parameter([1, 2])]) }.contains("the parameters of Muon are matrices"))
  }

  /// PyTorch's means (`ax`), and its weights where a schedule changes the rate.
  @Test func means() {
    let w = Parameter(Tensor(start))
    let optimizer = ASGD([w], learningRate: 0.05, decay: 0.01, alpha: 0.6, start: 3, weightDecay: 0.05)
    _ = run(optimizer, w)
    expectValues(
      optimizer.means[0], [3], [0.6080674007049918, -0.7102526074988347, 0.09661998002163187], within: 1e-9)
    let v = Parameter(Tensor(start))
    let falling = ASGD([v], learningRate: 0.05, decay: 0.01, start: 1)
    for _ in 0..<4 {
      falling.zeroGrad()
      (v.value * v.value).sum().backward()
      falling.step()
      falling.learningRate *= 0.5
    }
    expectValues(v.value, [3], [0.7491874930024234, -1.4983749860048468, 0.3745937465012117], within: 1e-9)
  }

  /// PyTorch's with factored variances.
  @Test func adafactor() {
    let wide = Parameter(Tensor((0..<6).map { Double($0) / 5 - 0.4 }).reshaped(2, 3))
    let a = run(
      Adafactor(
        [wide], learningRate: 0.1, decayPower: -0.7, epsilons: (1e-4, 1e-2), clipThreshold: 1.2, weightDecay: 0.05),
      wide)
    let expected = [
      -0.019157471305896043, -0.024906340514407172, 0, 0.07717507286633533, 0.2538104562304635, 0.44197966867790495,
    ]
    #expect(zip(a, expected).allSatisfy { abs($0 - $1) < 1e-9 }, "\(a)")
    let deep = Parameter(Tensor([0.1, 0.2, -0.3, 0.4, 0.5, -0.6, 0.7, 0.8] as [Double]).reshaped(2, 2, 2))
    let b = run(Adafactor([deep], learningRate: 0.1), deep)
    let other = [
      0.006309876896005127, 0.011992454222274547, -0.08623730825077845, 0.1766629425201704, 0.2799395677203018,
      -0.36026052393310587, 0.46035516495683393, 0.5631208046049146,
    ]
    #expect(zip(b, other).allSatisfy { abs($0 - $1) < 1e-9 }, "\(b)")
  }

  @Test func settingsOutOfRange() {
    let p = [Parameter([1])]
    let cases: [(String, () -> Void)] = [
      ("RMSprop: alpha is 1.5", { _ = RMSprop(p, alpha: 1.5) }),
      ("Adagrad: rateDecay is -1.0", { _ = Adagrad(p, rateDecay: -1) }),
      ("Adadelta: rho is -0.5", { _ = Adadelta(p, rho: -0.5) }),
      ("Adamax: betas.0 is 1.0", { _ = Adamax(p, betas: (1, 0.9)) }),
      ("NAdam: momentumDecay is nan", { _ = NAdam(p, momentumDecay: .nan) }),
      ("RAdam: epsilon is -1.0", { _ = RAdam(p, epsilon: -1) }),
      ("LAMB: learningRate is inf", { _ = LAMB(p, learningRate: .infinity) }),
      ("Lion: betas.1 is 2.0", { _ = Lion(p, betas: (0, 2)) }),
      ("Rprop: etas.0 is 1.5", { _ = Rprop(p, etas: (1.5, 2)) }),
      ("Rprop: etas.1 is 0.9", { _ = Rprop(p, etas: (0.5, 0.9)) }),
      ("ASGD: decay is -1.0", { _ = ASGD(p, decay: -1) }),
      ("Adafactor: decayPower is 0.8", { _ = Adafactor(p, decayPower: 0.8) }),
      ("Adafactor: clipThreshold is 0.5", { _ = Adafactor(p, clipThreshold: 0.5) }),
      ("LBFGS: historySize is 0", { _ = LBFGS(p, historySize: 0) }),
      ("SGD: the parameter parameter is given twice", { _ = SGD(p + p, learningRate: 1) }),
      ("OptimizerGroup: the first learning rate is 0.0", { _ = OptimizerGroup([]) }),
      ("OptimizerGroup: the parameter parameter is given twice", { _ = OptimizerGroup([Adam(p), Lion(p)]) }),
      ("WeightAverage: decay is 1.0", { _ = WeightAverage(ReLU(), decay: 1) }),
      ("PlateauSchedule: factor is 1.0", { _ = PlateauSchedule(rate: 1, factor: 1) }),
      ("Schedule.cyclic", { _ = Schedule.cyclic(from: 0, to: 1, rising: 0) }),
    ]
    for (expected, body) in cases {
      let text = errorText(body)
      #expect(text.contains(expected), "\(text)")
    }
  }

  /// The same bits after a state was saved and given to another optimizer, now and compiled.
  @Test func resume() {
    let makers: [([Parameter]) -> any Optimizer] = [
      { RMSprop($0, momentum: 0.9, centered: true) }, { Adagrad($0) }, { Adadelta($0) }, { Adamax($0) }, { NAdam($0) },
      { RAdam($0) }, { LAMB($0) }, { Lion($0) }, { Adam($0, amsgrad: true) }, { Rprop($0) }, { ASGD($0, start: 2) },
      { Adafactor($0) },
      { OptimizerGroup([SGD([$0[0]], learningRate: 0.1, momentum: 0.9), Muon([$0[1]])]) },
    ]
    for make in makers {
      func train(_ p: [Parameter], _ optimizer: any Optimizer) {
        let step = compile { (x: Tensor) -> Tensor in
          optimizer.zeroGrad()
          let loss = p.reduce(x) { $0 + ($1.value * $1.value).sum() }
          loss.backward()
          optimizer.step()
          return loss.detached()
        }
        for _ in 0..<4 { _ = step(Tensor(0 as Float)) }
      }
      func parameters() -> [Parameter] {
        [Parameter([1, -2, 3]), Parameter(Tensor([0.5, 1, -1, 2] as [Float]).reshaped(2, 2))]
      }
      let p = parameters()
      let optimizer = make(p)
      train(p, optimizer)
      let q = parameters()
      for (a, b) in zip(p, q) { b.value = a.value.detached() }
      let other = make(q)
      for (saved, entry) in zip(optimizer.cells, other.cells) {
        #expect(saved.name == entry.name)
        entry.cell.write(saved.cell.read())
      }
      train(p, optimizer)
      train(q, other)
      for (a, b) in zip(p, q) { #expect(a.value.floats == b.value.floats, "\(optimizer)") }
    }
  }
}

@Suite struct LBFGSTests {
  /// PyTorch's way over Rosenbrock's function: the loss before each step, and the place after it.
  @Test(arguments: [
    (
      LBFGS.LineSearch.strongWolfe, 1.0, 4,
      [
        [24.199999999999996, -1.0288795348319695, 1.0655029516848564],
        [4.121126775765638, -0.9431080937368096, 0.8529277497465135],
        [3.9090775521758974, -0.4583935420156142, 0.18086749087949938],
        [2.2125097971233383, -0.06257392337153767, -0.0343966180448525],
        [1.275845150015065, 0.46535687138334253, 0.18020791222397448],
        [0.41796902218536947, 0.47779168576871356, 0.21021429872190237],
      ]
    ),
    (
      .none, 1e-3, 5,
      [
        [24.199999999999996, -1.1987367721726887, 1.000572589032363],
        [23.878700240451764, -1.198083595986277, 1.0010322298527043],
        [23.69948128548805, -1.197471873897346, 1.0016042448182112],
      ]
    ),
  ])
  func rosenbrock(_ search: LBFGS.LineSearch, _ rate: Double, _ moves: Int, _ expected: [[Double]]) {
    var p = Parameter(Tensor([-1.2, 1] as [Double]))
    func make(_ p: Parameter) -> LBFGS {
      LBFGS([p], learningRate: rate, maxIterations: moves, historySize: 5, lineSearch: search)
    }
    var optimizer = make(p)
    for (index, row) in expected.enumerated() {
      if index == 2 {  // resumed
        let (q, old) = (Parameter(p.value.detached()), optimizer)
        (p, optimizer) = (q, make(q))
        for (a, b) in zip(old.cells, optimizer.cells) { b.cell.write(a.cell.read()) }
      }
      let loss = optimizer.step {
        let (x, y) = (p.value[0], p.value[1])
        return square(1 - x) + square(y - x * x) * 100
      }
      let found = [loss.item()] + p.value.array(as: Double.self)
      #expect(zip(found, row).allSatisfy { abs($0 - $1) < 1e-9 * max(1, abs($1)) }, "\(index): \(found)")
    }
  }

  @Test func reachesTheLowestPlace() {
    let p = Parameter(Tensor([-1.2, 1] as [Double]))
    let optimizer = LBFGS([p])
    for _ in 0..<5 {
      optimizer.step { square(1 - p.value[0]) + square(p.value[1] - p.value[0] * p.value[0]) * 100 }
    }
    // Where PyTorch's stops, its loss being 4e-10.
    expectValues(p.value, [2], [0.9999814210791363, 0.9999619651810985], within: 1e-9)
    #expect(
      errorText { _ = LBFGS([p, Parameter([1])]) }.contains("there are parameters of float64 and of float32"))
  }
}

@Suite struct GroupTests {
  @Test func ratesKeepTheirRatios() {
    let (p, q) = (Parameter([1]), Parameter([1]))
    let group = OptimizerGroup([SGD([p], learningRate: 0.1), SGD([q], learningRate: 0.01, weightDecay: 1)])
    #expect(group.learningRate == 0.1 && group.parameters.count == 2)
    ((p.value + q.value) * 2).sum().backward()
    group.step()
    expectValues(p.value, [1], [0.8], within: 1e-6)
    expectValues(q.value, [1], [0.97], within: 1e-6)
    group.learningRate = 0.2
    #expect(abs(group.optimizers[1].learningRate - 0.02) < 1e-12)
    #expect(group.cells.map { $0.name } == ["0.rate", "1.rate"])
    #expect("\(group)".contains("weightDecay: 1.0"))
  }

  @Test func frozenLayersStay() {
    let model = Sequential {
      Linear(2, 3)
      Linear(3, 1)
    }
    let first = model[0] as! Linear
    let optimizer = AdamW(model.parameters, learningRate: 0.1, weightDecay: 0.5)
    func step() {
      optimizer.zeroGrad()
      model(Tensor.ones([4, 2])).sum().backward()
      optimizer.step()
    }
    step()
    model(Tensor.ones([4, 2])).sum().backward()
    first.freeze()
    #expect(first.weight.grad == nil)
    let before = first.weight.value.floats
    optimizer.step()
    step()
    #expect(first.weight.value.floats == before && first.weight.grad == nil)
    // Nothing of a frozen part is recorded.
    #expect(!first(Tensor.ones([1, 2])).requiresGradient)
    first.unfreeze()
    step()
    #expect(first.weight.value.floats != before)
  }

  /// Two halves of a batch, one step: as the whole batch.
  @Test func gradientsAccumulate() {
    let x = Tensor.normal([4, 3], generator: Generator(seed: 1))
    func train(compiled: Bool, halves: Bool) -> [Float] {
      let w = Parameter(Tensor([1, 2, 3] as [Float]))
      let optimizer = SGD([w], learningRate: 0.1, momentum: 0.9)
      func add(_ x: Tensor) -> Tensor {
        let loss = square(matmul(x, w.value)).sum() / 4
        loss.backward()
        return loss.detached()
      }
      let adding = compile { (x: Tensor) in add(x) }
      for _ in 0..<3 {
        optimizer.zeroGrad()
        for part in halves ? x.chunked(2) : [x] { _ = compiled ? adding(part) : add(part) }
        optimizer.step()
      }
      return w.value.floats
    }
    let whole = train(compiled: false, halves: false)
    for compiled in [false, true] {
      let parts = train(compiled: compiled, halves: true)
      #expect(zip(parts, whole).allSatisfy { abs($0 - $1) < 1e-4 }, "\(parts) \(whole)")
    }
  }
}

@Suite struct WeightAverageTests {
  @Test func averages() throws {
    struct Stop: Error {}
    for compiled in [false, true] {
      let layer = Linear(1, 1, bias: false)
      layer.weight.value = [[1]]
      let fading = WeightAverage(layer, decay: 0.5)
      let equal = WeightAverage(layer)
      let update = compile { (x: Tensor) -> Tensor in
        layer.weight.value = layer.weight.value * 2
        fading.update()
        equal.update()
        return x
      }
      for _ in 0..<3 {  // 2, 4, 8
        if compiled {
          _ = update([0])
        } else {
          layer.weight.value = layer.weight.value * 2
          fading.update()
          equal.update()
        }
      }
      #expect(fading.applied { layer.weight.value.floats } == [5.5])
      expectValues(equal.state["weight"]!, [1, 1], [14.0 / 3], within: 1e-5)
      #expect(layer.weight.value.floats == [8])
      #expect(throws: Stop.self) { try fading.applied { throw Stop() } }
      #expect(layer.weight.value.floats == [8])
      #expect(fading.cells.map { $0.name } == ["count", "weight"])
      fading.apply()
      #expect(layer.weight.value.floats == [5.5])
    }
  }

  @Test func statistics() {
    let model = Sequential {
      BatchNorm1d(1)
      Dropout(0.5)
    }
    let norm = model[0] as! BatchNorm1d
    _ = model(Tensor([[5], [9]] as [[Float]]))
    model.eval()
    updateStatistics(of: model, over: [Tensor([[1], [3]] as [[Float]]), Tensor([[5], [11]] as [[Float]])])
    // Means 2 and 8; variances 2 and 18.
    expectValues(norm.runningMean!.value, [1], [5], within: 1e-5)
    expectValues(norm.runningVar!.value, [1], [10], within: 1e-5)
    #expect(norm.momentum == 0.1 && !norm.mode.isTraining)
    let average = WeightAverage(model)
    average.update()
    average.applied { updateStatistics(of: model, over: [Tensor([[1], [1]] as [[Float]])]) }
    expectValues(norm.runningMean!.value, [1], [5], within: 1e-5)
  }
}

@Suite struct FurtherScheduleTests {
  /// PyTorch's rates.
  @Test func rates() {
    let cases: [(Schedule, [Double])] = [
      (.cyclic(from: 0.1, to: 0.5, rising: 2, falling: 4), [0.1, 0.3, 0.5, 0.4, 0.3, 0.2, 0.1, 0.3, 0.5]),
      (.cyclic(from: 0.1, to: 0.5, rising: 2, waves: .halving), [0.1, 0.3, 0.5, 0.3, 0.1, 0.2, 0.3, 0.2, 0.1]),
      (
        .cyclic(from: 0.1, to: 0.5, rising: 2, waves: .exponential(0.9)),
        [0.1, 0.28, 0.424, 0.2458, 0.1, 0.218098, 0.3125764, 0.19565938, 0.1]
      ),
      (.constant(0.1, factor: 0.5, steps: 3), [0.05, 0.05, 0.05, 0.1, 0.1]),
      (
        .constant(0.1, factor: 0.5, steps: 3) * .exponential(1, factor: 0.9),
        [0.05, 0.045, 0.0405, 0.0729, 0.06561, 0.059049]
      ),
      (
        .constant(0.1, factor: 0.5, steps: 9).followed(by: .exponential(0.1, factor: 0.9), after: 3),
        [0.05, 0.05, 0.05, 0.1, 0.09, 0.081]
      ),
      (Schedule.constant(0.1).annealed(to: 0.05, from: 0, steps: 4), [0.1, 0.09267767, 0.075, 0.05732233, 0.05, 0.05]),
      (
        Schedule.constant(0.1).annealed(to: 0.05, from: 1, steps: 4, linearly: true),
        [0.1, 0.1, 0.0875, 0.075, 0.0625, 0.05, 0.05]
      ),
    ]
    for (schedule, expected) in cases {
      let found = expected.indices.map { schedule.rate(at: $0) }
      #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-8 }, "\(found), not \(expected)")
    }
    // Far on, where counting up would take long.
    let far: [(first: Int, factor: Int, rate: Double)] = [
      (3, 1, 0.0325), (3, 2, 0.08763242729299965), (2, 3, 0.019392187625351345),
    ]
    for (first, factor, rate) in far {
      let schedule = Schedule.warmRestarts(0.1, to: 0.01, first: first, factor: factor)
      #expect(abs(schedule.rate(at: 1_000_000_007) - rate) < 1e-9)
      #expect((0.01...0.1).contains(schedule.rate(at: .max)))
    }
  }

  @Test func plateau() {
    let numbers = [1, 0.9, 0.95, 0.9, 0.91, 0.92, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85]
    var lower = PlateauSchedule(rate: 0.1, factor: 0.5, patience: 2)
    var higher = PlateauSchedule(
      rate: 0.1, factor: 0.5, patience: 0, goal: .higher, threshold: .absolute(0.05), cooldown: 2, lowest: 0.02)
    #expect(
      numbers.map { lower.rate(after: $0) }
        == [0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025])
    #expect(
      numbers.map { higher.rate(after: $0) }
        == [0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.02, 0.02, 0.02, 0.02, 0.02])
  }
}
