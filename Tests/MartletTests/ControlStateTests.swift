import Martlet
import MartletCore
import MartletOps
import Testing

private func scalar(_ number: Double) -> Tensor { Tensor(number) }

/// Control flow with cells, random numbers and models, its errors, and what programs say of it.
@Suite struct ControlStateTests {
  @Test func greatestCommonDivisor() {
    let gcd: ([Tensor]) -> Tensor = { t in
      whileLoop(t, while: { $0[1] .!= 0 }) { s in [s[1], remainder(s[0], s[1])] }[0]
    }
    let pairs = [[12, 18], [17, 5], [0, 7], [1_071, 462], [35, 64]]
    let expected = [6, 1, 7, 21, 1]
    let compiled = compile(gcd)
    for (pair, divisor) in zip(pairs, expected) {
      #expect(gcd(pair.map { Tensor($0) }).item(as: Int.self) == divisor)
      #expect(compiled(pair.map { Tensor($0) }).item(as: Int.self) == divisor)
    }
    // Euclid's algorithm takes another number of steps for each pair.
    let columns = [Tensor(pairs.map { $0[0] }), Tensor(pairs.map { $0[1] })]
    #expect(vmap(gcd)(columns).array(as: Int.self) == expected)
    #expect(compile(vmap(gcd))(columns).array(as: Int.self) == expected)
  }

  /// The trip count is a matter of the call, not of the capture.
  @Test func oneProgramTakesAnyNumberOfSteps() {
    let doubled = compile { (x: Tensor, limit: Tensor) in whileLoop(x, while: { $0 .< limit }) { $0 * 2 } }
    for (limit, result) in [(0.5, 1.0), (1.5, 2), (1000, 1024), (5, 8)] {
      #expect(doubled(scalar(1.0), scalar(limit)).item() == result)
    }
    #expect(doubled.programs.count == 1)
  }

  /// A gradient of a branch that is not taken is not even NaN, for the examples of a map either.
  @Test func branchesNotTakenGiveNoNaN() {
    let x = Tensor([0.0, 4, 9, 0] as [Double])
    let f: (Tensor) -> Tensor = { x in
      cond(x .> 0) {
        sqrt(x)
      } else: {
        x * 3
      }
    }
    let expected = [3, 0.25, 1.0 / 6, 3]
    for gradient in [
      vmap(grad(f))(x), grad { vmap(f)($0).sum() }(x), compile(vmap(grad(f)))(x),
      compile(grad { (x: Tensor) in vmap(f)(x).sum() })(x),
    ] { expectValues(gradient, [4], expected, within: 1e-6) }
    // A loop that has ended for an example goes on for others, with steps that are not defined for the one.
    let g: (Tensor) -> Tensor = { x in whileLoop(x, while: { $0 .> 0.5 }) { sqrt($0) - 0.6 } }
    let points = Tensor([0.5, 3.0] as [Double])
    let loop = stack([grad(g)(points[0]), grad(g)(points[1])])
    expectSame(vmap(grad(g))(points), loop, within: 1e-12)
    expectSame(compile(vmap(grad(g)))(points), loop, within: 1e-12)
    expectSame(grad { vmap(g)($0).sum() }(points), loop, within: 1e-12)
  }

  /// Keys drawn in a body follow each other, as in a loop now.
  @Test func randomNumbersInABody() {
    let generator = Generator(seed: 7)
    let x = Tensor(repeating: 1, [5, 8], dtype: .float64, device: .current)
    let f: (Tensor) -> Tensor = { x in
      let (last, ys) = scan(x, from: Tensor.zeros([8], dtype: .float64)) { s, row in
        let kept = dropout(s + row, probability: 0.5, key: generator.next())
        return (kept, Tensor.uniform([3], dtype: .float64, generator: generator))
      }
      let more = cond(x.sum() .> 0) {
        Tensor.normal([2], dtype: .float64, generator: generator)
      } else: {
        Tensor.zeros([2], dtype: .float64)
      }
      return concat([last, ys.reshaped([15]), more])
    }
    let now = [f(x), f(x)]
    generator.seed(7)
    let compiled = compile(f)
    for run in now { expectSame(compiled(x), run) }
    // What follows in the program draws what follows.
    let next = Tensor.uniform([4], generator: generator)
    generator.seed(7)
    _ = (f(x), f(x))
    expectSame(Tensor.uniform([4], generator: generator), next)
    let rows = Set(now[0].array(as: Double.self)[8..<23])
    #expect(rows.count == 15)
  }

  /// Buffers that a body writes are carried from step to step and written when the program has succeeded.
  @Test func buffersInABody() {
    let (count, mean) = (Buffer(Tensor(0)), Buffer(scalar(0.0)))
    let f: (Tensor) -> Tensor = { x in
      let result = foldl(x, from: scalar(0.0)) { s, row in
        count.value += 1
        mean.value = mean.value * 0.9 + row * 0.1
        return s + row * mean.value
      }
      return cond(x[0] .> 2) {
        count.value = count.value * 10
        return result
      } else: {
        result * 2
      }
    }
    let inputs = [Tensor([1.0, 2, 3] as [Double]), Tensor([3.0, 2, 1] as [Double])]
    var expected: [(Tensor, Tensor, Tensor)] = []
    for x in inputs { expected.append((f(x), count.value, mean.value)) }
    #expect(count.value.item() == 60)
    count.value = Tensor(0)
    mean.value = scalar(0.0)
    let compiled = compile(f)
    for (x, (result, number, average)) in zip(inputs, expected) {
      expectSame(compiled(x), result, within: 1e-15)
      expectSame(count.value, number)
      expectSame(mean.value, average, within: 1e-15)
    }
  }

  /// A model that runs over time learns in a compiled step as it does unrolled.
  @Test func aScanTrainsAsTheUnrolledLoop() {
    func model() -> (Linear, Linear) {
      Random.seed(3)
      return (Linear(3, 4), Linear(4, 4))
    }
    let (x, y) = (Tensor.normal([6, 2, 3]), Tensor.normal([2, 4]))
    func losses(isCompiled: Bool) -> ([Double], [Tensor]) {
      let (input, hidden) = model()
      let parameters = [input.weight, input.bias!, hidden.weight, hidden.bias!]
      let optimizer = SGD(parameters, learningRate: 0.1, momentum: 0.9)
      let step: (Tensor) -> Tensor = { x in
        for parameter in parameters { parameter.grad = nil }
        let last = foldl(x, from: Tensor.zeros([2, 4])) { h, x in tanh(input(x) + hidden(h)) }
        let loss = ((last - y) * (last - y)).mean()
        loss.backward()
        optimizer.step()
        return loss
      }
      let run = isCompiled ? compile(step).function : step
      return ((0..<5).map { _ in run(x).item() }, parameters.map { $0.value.detached() })
    }
    let (now, parameters) = losses(isCompiled: false)
    let (compiled, same) = losses(isCompiled: true)
    for (a, b) in zip(now, compiled) { #expect((a - b).magnitude < 1e-6) }
    for (a, b) in zip(parameters, same) { expectSame(a, b, within: 1e-6) }
    #expect(now[4] < now[0])
  }

  /// Of a body that only reads shared tensors nothing of these is stacked.
  @Test func sharedTensorsAreNotKeptForEachStep() throws {
    let w = Tensor.normal([16, 16])
    let step = compile(
      grad { (w: Tensor, x: Tensor) in
        foldl(x, from: Tensor.zeros([1, 16])) { h, x in tanh(matmul(h, w) + x.reshaped([1, 16])) }.sum()
      })
    let program = try step.program(for: w, Tensor.normal([7, 16]))
    let scans = program.instructions.filter { $0.op is Scan }
    #expect(scans.count == 2)
    for scan in scans {
      for id in scan.outputs + scan.inputs { #expect(program.values[id].count <= 256, "\(program)") }
    }
    // The body reads as an indented program.
    #expect("\(program)".contains("    body = program {\n"))
    #expect("\(program)".contains("  return"))
    #expect(program.verify().isEmpty)
  }

  @Test(.enabled(if: Device.current == .cpu)) func programsWithControlFlowHavePlans() throws {
    let f = compile { (x: Tensor) in
      foldl(x * 2, from: scalar(0.0)) { s, x in
        cond(x .> 0) {
          s + x
        } else: {
          s - x
        }
      } * 3
    }
    let explanation = try f.explain(Tensor([1.0, -2, 3] as [Double]))
    #expect(explanation.steps.contains { $0.operation.hasPrefix("scan") })
    #expect(f(Tensor([1.0, -2, 3] as [Double])).item() == 36)
  }

  // MARK: Errors

  private func compiledText(_ f: @escaping (Tensor) -> Tensor, _ x: Tensor = Tensor([1.0, 2] as [Double])) -> String {
    errorText { _ = compile(f)(x) }
  }

  @Test func branchesOfDifferentSpecs() {
    let text = compiledText { x in
      cond(x.sum() .> 0) {
        x
      } else: {
        x.sum()
      }
    }
    #expect(text.contains("cond: `then` gives float64[2] and `else` float64[]"), "\(text)")
    #expect(text.contains("try: cast(to:), expanded(to:)"), "\(text)")
    let structure = compiledText { x in
      cond(x.sum() .> 0) {
        [x]
      } else: {
        [x, x]
      }[0]
    }
    #expect(structure.contains("`then` gives 1 tensor and `else` 2 tensors"), "\(structure)")
  }

  @Test func predicatesThatAreNone() {
    for f in [
      { (x: Tensor) in
        cond(x.sum()) {
          x
        } else: {
          x
        }
      },
      { x in whileLoop(x, while: { $0.sum() }) { $0 } },
      { x in whileLoop(x, while: { $0 .> 0 }) { $0 } },
    ] {
      let now = errorText { _ = f(Tensor([1.0, 2] as [Double])) }
      for text in [now, compiledText(f)] {
        #expect(text.contains("rule: it is a scalar of dtype bool"), "\(text)")
        #expect(text.contains("the predicate is float64[]") || text.contains("the condition is"), "\(text)")
      }
    }
  }

  @Test func masksAreForSelect() {
    let f = { (x: Tensor) in
      cond(x .> 0) {
        x
      } else: {
        -x
      }
    }
    for text in [errorText { _ = f(Tensor([1.0, 2] as [Double])) }, compiledText(f)] {
      #expect(text.contains("try: select(mask, a, b), which chooses element by element"), "\(text)")
    }
    let loop = errorText { _ = whileLoop(Tensor([1.0]), while: { $0 .< 3 }) { $0 + 1 } }
    #expect(loop.contains("try: any() or all() of it"), "\(loop)")
  }

  @Test func statesOfSeveralParts() {
    func power(_ x: Tensor) -> TensorTuple<Tensor, Tensor> {
      whileLoop(TensorTuple(Tensor(0), x), while: { $0.values.0 .< 3 }, maximum: 5) { state in
        let (steps, power) = state.values
        return TensorTuple(steps + 1, power * x)
      }
    }
    func three(_ x: Tensor) -> TensorTuple<Tensor, [Tensor], Tensor> {
      whileLoop(TensorTuple(x, [x, x * 2], Tensor(0)), while: { $0.values.2 .< 4 }) { state in
        let (a, b, n) = state.values
        return TensorTuple(a + b[0], [b[1], b[0]], n + 1)
      }
    }
    func sums(_ x: Tensor) -> (Tensor, Tensor, Tensor) {
      let (last, rows) = scan(x, from: TensorTuple(Tensor(0.0 as Double), Tensor(1.0 as Double))) { state, row in
        let next = TensorTuple(state.values.0 + row, state.values.1 * row)
        return (next, next.values.0 * next.values.1)
      }
      return (last.values.0, last.values.1, rows)
    }
    let x = Tensor(2.0 as Double)
    let rows = Tensor([1.0, 2, 3] as [Double])
    for (first, second, third) in [
      (power(x), three(x), sums(rows)), (compile(power)(x), compile(three)(x), compile(sums)(rows)),
    ] {
      #expect(first.values.0.item(as: Int.self) == 3 && first.values.1.item() == 16)
      #expect(second.values.0.item() == 14 && second.values.1.map { $0.item() } == [2, 4])
      #expect(third.0.item() == 6 && third.1.item() == 6)
      expectValues(third.2, [3], [1, 6, 36])
    }
    expectValues(grad { power($0).values.1 }(x), [], [32])
    let text = errorText {
      _ = whileLoop(TensorTuple(x, x), while: { $0.values.0 .< 9 }) {
        TensorTuple($0.values.0 + $0.values.1, $0.values.1.cast(to: .float32))
      }
    }
    #expect(text.contains("tensor 1 of the state is float64[], and the body makes float32[]"), "\(text)")
  }

  private struct Point: TensorTree {
    var place, speed: Tensor
    var flattened: [Tensor] { [place, speed] }
    func rebuilt(from t: inout ArraySlice<Tensor>) -> Point { Point(place: t.removeFirst(), speed: t.removeFirst()) }
  }

  @Test func statesOfOnesOwn() {
    func fall(_ start: Point) -> Point {
      whileLoop(start, while: { $0.place .> 0 }) { Point(place: $0.place + $0.speed, speed: $0.speed - 1) }
    }
    let start = Point(place: Tensor(5.0), speed: Tensor(1.0))
    for end in [fall(start), compile(fall)(start)] {
      #expect(end.place.item() == 0 && end.speed.item() == -4)
    }
    #expect(grad { (p: Point) in fall(p).place }(start).speed.item() == 5)
  }

  /// What is wrong in a function whose gradients are checked is thrown.
  @Test func checkedFunctionsThrow() {
    let x = Tensor([1, 2, 3] as [Float])
    let error = #expect(throws: OpError.self) {
      try checkGradients({ scan($0, from: Tensor(0.0)) { s, x in (s + x, s) }.0 }, x)
    }
    let text = error.map(plainText) ?? ""
    #expect(text.contains("the body makes float64"), "\(text)")
    #expect(throws: Never.self) {
      try checkGradients({ x in scan(x, from: Tensor.zeros([], dtype: x.dtype)) { s, x in (s + x * x, s) }.0 }, x)
    }
    #expect(throws: GradientMismatch.self) {
      try checkGradients(customGradient({ ($0 * $0).sum() }, gradient: { x, _, c in x * c }), x)
    }
  }

  @Test func statesThatChange() {
    for (f, text) in [
      (
        { (x: Tensor) in whileLoop(x, while: { $0.sum() .< 9 }) { $0.sum() } },
        "the state is float64[2], and the body makes float64[]"
      ),
      (
        { x in foldl(x, from: Tensor(0)) { s, x in s.cast(to: .float64) + x } },
        "the state is int64[], and the body makes float64[]"
      ),
      (
        { x in scan(x, from: [x, x]) { s, x in ([s[0], s[1].cast(to: .float32)], x) }.1 },
        "tensor 1 of the state is float64[2], and the body makes float32[2]"
      ),
      (
        { x in foldl(x, from: [x]) { s, _ in s + s }[0] },
        "the body gives a state of 2 tensors, and was given one of 1 tensor"
      ),
    ] as [((Tensor) -> Tensor, String)] {
      let now = errorText { _ = f(Tensor([1.0, 2] as [Double])) }
      for found in [now, compiledText(f)] { #expect(found.contains(text), "\(found)") }
    }
  }

  @Test func rowsThatDoNotFit() {
    let x = Tensor([1.0, 2] as [Double])
    let sizes = errorText { _ = scan([x, Tensor([1.0] as [Double])], from: x) { s, _ in (s, s) } }
    #expect(sizes.contains("scan: the tensors of xs are float64[2], float64[1]"), "\(sizes)")
    let rank = errorText { _ = foldl(scalar(1.0), from: x) { s, _ in s } }
    #expect(rank.contains("have an axis 0, all of one size"), "\(rank)")
    let none = errorText { _ = mapped([Tensor]()) { $0 } }
    #expect(none.contains("xs has no tensors") && none.contains("try: arange"), "\(none)")
  }

  @Test func loopsThatDoNotEnd() {
    let f: (Tensor) -> Tensor = { x in whileLoop(x, while: { $0.sum() .> 0 }, maximum: 7) { $0 + 1 } }
    let now = errorText { _ = f(Tensor([1.0, 2] as [Double])) }
    for text in [now, compiledText(f)] {
      #expect(text.contains("whileLoop: the condition still holds after 7 steps"), "\(text)")
    }
    let negative = errorText { _ = whileLoop(scalar(1.0), while: { $0 .> 0 }, maximum: -1) { $0 } }
    #expect(negative.contains("maximum is -1"), "\(negative)")
    // As many as allowed are no error.
    let g: (Tensor) -> Tensor = { x in whileLoop(x, while: { $0 .< 3 }, maximum: 3) { $0 + 1 } }
    #expect(g(scalar(0.0)).item() == 3)
    #expect(compile(g)(scalar(0.0)).item() == 3)
  }

  /// Faults that depend on values come from the call of the program, with the operation in the body.
  @Test func faultsInABody() {
    let table = Tensor([1.0, 2, 3] as [Double])
    let f = compile { (places: Tensor) in foldl(places, from: scalar(0.0)) { $0 + table.take(axis: 0, $1) } }
    #expect(f(Tensor([0, 2])).item() == 4)
    let text = errorText { _ = f(Tensor([0, 5])).item() }
    #expect(text.contains("index 5 is out of range"), "\(text)")
    #expect(f(Tensor([1, 2])).item() == 5)
  }

  @Test func valuesInABodyAreNotThere() {
    let text = compiledText { x in foldl(x, from: scalar(0.0)) { s, x in x.item() > 0 ? s : s + x } }
    #expect(text.contains("item: a symbolic tensor has no value"), "\(text)")
  }

  @Test func writesThatABodyMayNotDo() {
    let p = Parameter(Tensor([1.0, 2] as [Double]))
    let parameter = compiledText { x in
      foldl(x, from: scalar(0.0)) { s, x in
        p.value = p.value.detached() * 2
        return s + x
      }
    }
    #expect(parameter.contains("is written in the body"), "\(parameter)")
    let gradient = compiledText { x in
      foldl(x, from: scalar(0.0)) { s, x in
        let q = x.requiringGradient()
        (q * q).backward()
        return s + q.grad!
      }
    }
    #expect(gradient.contains("in place of backward()"), "\(gradient)")
    let b = Buffer(scalar(1.0))
    let condition = compiledText { x in
      whileLoop(
        x.sum(),
        while: { s in
          b.value = b.value + 1
          return s .< b.value
        }
      ) { $0 + 1 }
    }
    #expect(condition.contains("the condition writes"), "\(condition)")
    let spec = compiledText { x in
      foldl(x, from: scalar(0.0)) { s, x in
        b.write(stack([x, x]))
        return s
      }
    }
    #expect(spec.contains("float64[2] is written into"), "\(spec)")
    let draws = errorText {
      _ = compile { (x: Tensor) in
        vmap { (x: Tensor) in foldl(x, from: scalar(0.0)) { s, x in s + x * Tensor.uniform([], dtype: .float64) } }(x)
      }(Tensor.zeros([2, 3], dtype: .float64))
    }
    #expect(draws.contains("random numbers are drawn inside vmap"), "\(draws)")
  }
}
