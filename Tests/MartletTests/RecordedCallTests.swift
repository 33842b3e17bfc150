import Martlet
import MartletCore
import Testing

/// Compiled functions whose results are recorded: forward and backward are programs, and derivatives those of the function.
@Suite struct RecordedCallTests {
  private final class Net: Module {
    let first = Linear(6, 8, generator: Generator(seed: 1))
    let norm = BatchNorm1d(8)
    let dropout = Dropout(0.3, generator: Generator(seed: 2))
    let last = Linear(8, 3, generator: Generator(seed: 3))
    func forward(_ x: Tensor) -> Tensor { last(dropout(relu(norm(first(x))))) }
  }

  @Test func modelsTrainAsTheyDoNow() {
    func train(_ compiles: Bool) -> [Tensor] {
      let net = Net()
      let compiled = compile { (x: Tensor) in net(x) }
      let optimizer = SGD(net.parameters, learningRate: 0.1, momentum: 0.9)
      let x = Tensor.normal([5, 6], generator: Generator(seed: 4)).requiringGradient()
      var results: [Tensor] = []
      for _ in 0..<4 {
        let loss = crossEntropy(compiles ? compiled(x) : net(x), Tensor([0, 1, 2, 0, 1]))
        loss.backward()
        optimizer.step()
        optimizer.zeroGrad()
        results.append(loss.detached())
      }
      for buffer in [net.norm.runningMean, net.norm.runningVar] {
        #expect(buffer!.value.isPlain)
        results.append(buffer!.value)
      }
      return results + net.parameters.map { $0.value.detached() } + [x.grad!]
    }
    for (a, b) in zip(train(true), train(false)) { expectSame(a, b, within: 1e-4) }
  }

  @Test func derivativesOfEveryKind() {
    let plain = { (x: Tensor) in (tanh(x) * x[0] + exp(x * 0.3)).sum() }
    let compiled = compile(plain).function
    let x = Tensor([0.1, -0.5, 0.7] as [Float])
    expectSame(grad(compiled)(x), grad(plain)(x), within: 1e-5)
    expectSame(hessian(compiled, x), hessian(plain, x), within: 1e-4)
    let third = { (f: @escaping (Tensor) -> Tensor) in grad { grad { grad(f)($0).sum() }($0).sum() }(x) }
    expectSame(third(compiled), third(plain), within: 1e-4)
    expectSame(jvp(grad(compiled), x, x).tangent, jvp(grad(plain), x, x).tangent, within: 1e-4)
    let rows = stack([x, x * 2])
    expectSame(vmap(grad(compiled))(rows), vmap(grad(plain))(rows), within: 1e-5)
    expectSame(grad { vmap(compiled)($0).sum() }(rows), grad { vmap(plain)($0).sum() }(rows), within: 1e-5)
    expectSame(compile(grad(compiled))(x), grad(plain)(x), within: 1e-5)
    expectSame(lazy { grad(compiled)(x) }, grad(plain)(x), within: 1e-5)
    expectSame(grad { (x: Tensor) in lazy { compiled(x) } }(x), grad(plain)(x), within: 1e-5)
  }

  /// What `withoutGradient` mutes inside is constant, as it is now.
  @Test func mutedPartsHaveNoDerivative() {
    let plain = { (x: Tensor) in (x * withoutGradient { x * 2 } + x.detached()).sum() }
    let compiled = compile(plain).function
    let x = Tensor([1, -3] as [Float])
    expectValues(grad(plain)(x), [2], [2, -6])
    expectSame(grad(compiled)(x), grad(plain)(x))
    expectSame(compile(grad(compiled))(x), grad(plain)(x))
    expectSame(grad { (x: Tensor) in lazy { compiled(x) } }(x), grad(plain)(x))
    let w = Parameter(x)
    let muted = compile { (x: Tensor) in (withoutGradient { w.value * x }, x * w.value) }
    let (constant, product) = muted(x)
    #expect(constant.isPlain)
    (constant * product).sum().backward()
    expectValues(w.grad!, [2], [1, -27])
  }

  /// One record for the call, over what its derivative reads: one tensor here, not one for each step.
  @Test func aCallIsOneRecord() {
    let f = compile { (x: Tensor) in (0..<40).reduce(x) { y, _ in exp(y * 0.1) } }
    let x = Tensor.ones([64]).requiringGradient()
    let y = f(x)
    var count = 0
    var record = y.node.trace as? Recorded
    while let current = record {
      count += 1
      record = current.inputCount > 0 ? current.edge(0)?.record : nil
    }
    #expect(count == 2)
    y.sum().backward()
    expectSame(x.grad!, grad { (x: Tensor) in (0..<40).reduce(x) { y, _ in exp(y * 0.1) }.sum() }(Tensor.ones([64])))
  }

  /// Images that lie with their channels next to each other cross from the forward to the backward half so.
  @Test func imagesInTheOtherOrder() throws {
    let net = Sequential {
      Conv2d(3, 16, kernelSize: 3, padding: 1, generator: Generator(seed: 1))
      BatchNorm2d(16)
      ReLU()
      Conv2d(16, 16, kernelSize: 3, stride: 2, padding: 1, generator: Generator(seed: 2))
      ReLU()
      MaxPool2d(kernelSize: 2)
      Conv2d(16, 16, kernelSize: 1, generator: Generator(seed: 3))
    }
    let compiled = compile { (x: Tensor) in net(x) }
    let seed = Tensor.normal([2, 16, 2, 2], generator: Generator(seed: 5))
    func gradients(_ f: (Tensor) -> Tensor) -> [Tensor] {
      let x = Tensor.normal([2, 3, 8, 8], generator: Generator(seed: 4)).requiringGradient()
      for parameter in net.parameters { parameter.grad = nil }
      let y = f(x)
      (y * y * seed).sum().backward()
      return [y, x.grad!] + net.parameters.map { $0.grad! }
    }
    for (a, b) in zip(gradients(compiled.function), gradients { net($0) }) { expectSame(a, b, within: 1e-3) }
    guard Device.current == .cpu else { return }
    let explanation = try compiled.explain(.ones([2, 3, 8, 8]).requiringGradient())
    let backward = try #require(explanation.backward)
    // The image and the result are turned, and their gradients.
    for half in [explanation, backward] {
      #expect(half.steps.count { $0.operation == "contiguous" } == 2, "\(half)")
    }
  }

  /// Both halves are explained, the state is written once, and no gradients come of it.
  @Test(.enabled(if: Device.current == .cpu)) func bothHalvesAreExplained() throws {
    let net = Net()
    let compiled = compile { (x: Tensor) in net(x) }
    let x = Tensor.normal([5, 6], generator: Generator(seed: 4))
    let explanation = try compiled.explain(x)
    let backward = try #require(explanation.backward)
    #expect(explanation.reasonForNoPlan == nil && backward.reasonForNoPlan == nil && backward.backward == nil)
    func products(_ half: Explanation) -> Int {
      half.steps.count { $0.operation.hasPrefix("matmul") || $0.operation.hasPrefix("fusedMatmul") }
    }
    // Of the first layer only the weights need gradients.
    #expect(products(explanation) == 2 && products(backward) == 3, "\(explanation)")
    #expect(explanation.program.outputs.count > backward.program.outputs.count)
    #expect("\(explanation)".contains("\nbackward, from gradients of all results:\n"))
    let (forwardSteps, backwardSteps) = (explanation.steps.count, backward.steps.count)
    #expect(explanation.chromeTrace.split(separator: "\n").count == forwardSteps + backwardSteps + 2)
    #expect(net.parameters.allSatisfy { $0.grad == nil })
    let statistics = Net()
    _ = statistics(x)
    expectSame(net.norm.runningMean!.value, statistics.norm.runningMean!.value, within: 1e-6)
    // Nothing to go back from.
    let largest = compile { (x: Tensor) in (net.last(x).argMax(axis: 1), net.last.weight.value.detached()) }
    #expect(try largest.explain(.ones([2, 8])).backward == nil)
  }

  /// What is moved behind pooling has the same derivatives of the second order, where windows overlap too.
  @Test func curvesBehindPooling() {
    let kernels = Tensor.normal([4, 2, 3, 3], generator: Generator(seed: 6))
    let f = { (x: Tensor) -> Tensor in
      let y = maxPool2d(relu(conv2d(x, kernels, padding: 1)), kernelSize: 3, stride: 2, padding: 1)
      return (y * y * y).sum()
    }
    let compiled = compile(f).function
    let x = Tensor.normal([2, 2, 7, 7], generator: Generator(seed: 7))
    let curve = { (f: @escaping (Tensor) -> Tensor) in grad { (x: Tensor) in (grad(f)(x) * x).sum() }(x) }
    expectSame(curve(compiled), curve(f), within: 1e-2)
    expectSame(jvp(grad(compiled), x, x).tangent, jvp(grad(f), x, x).tangent, within: 1e-2)
    // The pooled image is a result, and kept for the gradient too.
    let both = compile { (x: Tensor) in
      let y = maxPool2d(relu(x), kernelSize: 2)
      return [y, (y * y).sum()]
    }
    let leaf = x.requiringGradient()
    let results = both(leaf)
    (results[0].sum() + results[1]).backward()
    let expected = grad { (x: Tensor) in
      let y = maxPool2d(relu(x), kernelSize: 2)
      return y.sum() + (y * y).sum()
    }(x)
    expectSame(leaf.grad!, expected, within: 1e-5)
  }

  /// Functions of the user run once.
  @Test func explainingRunsOnce() throws {
    var count = 0
    let own = customGradient({ (x: Tensor) in
      count += 1
      return x * 2
    }) { (_: Tensor, _: Tensor, ct: Tensor) in ct * 2 }
    let f = compile { (x: Tensor) in own(x) }
    let x = Tensor.ones([3])
    _ = f(x)
    let before = count
    _ = try f.explain(x)
    #expect(count - before <= 1)
  }

  /// More tensors than a word has bits.
  @Test func manyParameters() {
    let weights = (0..<80).map { Parameter(Tensor([Float($0) * 0.01, 1])) }
    let f = compile { (x: Tensor) in weights.reduce(x) { $0 * 0.9 + $1.value * $1.value * x }.sum() }
    let x = Tensor([1, -2] as [Float])
    f(x).backward()
    let compiled = weights.map { $0.grad! }
    for weight in weights { weight.grad = nil }
    weights.reduce(x) { $0 * 0.9 + $1.value * $1.value * x }.sum().backward()
    for (weight, gradient) in zip(weights, compiled) { expectSame(gradient, weight.grad!, within: 1e-5) }
  }

  @Test func resultsOfManyKinds() {
    let f = compile { (d: [String: Tensor]) in
      [d["x"]! * d["y"]!, d["y"]!, d["i"]! + 1, (d["x"]! .> 0), d["x"]!.detached()]
    }
    let x = Tensor([1, -2] as [Float]).requiringGradient()
    let results = f(["x": x, "y": [3, 4], "i": Tensor([1, 2])])
    #expect(results[1].isPlain && results[2].isPlain && results[3].isPlain && results[4].isPlain)
    // No cotangent for some results, and one for what is an input too.
    results[0].sum().backward()
    expectValues(x.grad!, [2], [3, 4])
    let y = Tensor([3, 4] as [Float]).requiringGradient()
    let more = f(["x": [1, -2], "y": y, "i": Tensor([1, 2])])
    (more[0] + more[1]).sum().backward()
    expectValues(y.grad!, [2], [2, -1])
  }

  @Test func errorsNameTheProgram() {
    let f = compile { (x: Tensor, i: Tensor) in x[i] * x.sum() }
    let x = Tensor([1, 2, 3] as [Float]).requiringGradient()
    let text = errorText(places: true) { _ = f(x, Tensor([1, 7])) }
    // A device that queues its work reports the fault when the program is over.
    let place = Device.current == .delayed ? "" : "in the program of compile at"
    #expect(text.contains("7") && (place.isEmpty || text.contains(place)), "\(text)")
    f(x, Tensor([1, 2])).sum().backward()
    expectValues(x.grad!, [3], [5, 11, 11])
  }

  @Test(.enabled(if: Device.current == .cpu)) func checkpointsInsideHavePlans() throws {
    let w = Parameter(Tensor.normal([4, 4], generator: Generator(seed: 1)))
    let block = { (x: Tensor) in tanh(matmul(x, w.value)) }
    let optimizer = SGD([w], learningRate: 0.1)
    let step = compile { (x: Tensor) in
      let loss = checkpointed(block)(checkpointed(block)(x)).sum()
      loss.backward()
      optimizer.step()
      optimizer.zeroGrad()
      return loss.detached()
    }
    let explanation = try step.explain(.ones([2, 4]))
    #expect(explanation.reasonForNoPlan == nil)
    let calls = explanation.program.instructions.filter { $0.op is Call }
    #expect(calls.count == 4)
  }

  /// A gradient of the user's reads its cells anew each time.
  @Test func customGradientsRunEachTime() throws {
    let w = Parameter(Tensor(2.0))
    let own = customGradient({ (x: Tensor) in x * 1 }) { (_: Tensor, _: Tensor, ct: Tensor) in
      ct * w.value
    }
    for f in [compile { own($0).sum() }.function, checkpointed { own($0).sum() }] {
      for value in [2.0, 3] {
        w.value = Tensor(Float(value))
        let x = Tensor([1, 2] as [Float]).requiringGradient()
        f(x).backward()
        expectValues(x.grad!, [2], [value, value])
      }
    }
    w.value = Tensor(2.0)
    let rows = Tensor([[1, 2], [3, 4]] as [[Float]])
    let scanned = compile { (x: Tensor) in
      scan(x, from: x[0] * 0) { sum, row in (sum + own(row) * own(row), sum) }.0.sum()
    }
    expectSame(grad(scanned.function)(rows), rows * 4)
  }

  /// Where no cotangent arrives there is no gradient: not zeros, and not what zeros become.
  @Test func onlyWhatIsUsedGetsGradients() {
    let roots = compile { (x: Tensor) in [sqrt(x), x * 2] }
    let x = Tensor([0, 1] as [Float]).requiringGradient()
    roots(x)[1].sum().backward()
    expectValues(x.grad!, [2], [2, 2])
    let (a, b, c) = (Parameter([1, 2]), Parameter([3, 4]), Parameter([5, 6]))
    let heads = compile { (x: Tensor) in
      let trunk = x * c.value
      return [trunk * a.value, trunk * b.value, withoutGradient { trunk * b.value }]
    }
    heads([1, 1])[0].sum().backward()
    #expect(b.grad == nil)
    expectValues(a.grad!, [2], [5, 6])
    expectValues(c.grad!, [2], [1, 2])
    let both = heads([1, 1])
    (both[0] + both[1] * both[2]).sum().backward()
    expectValues(b.grad!, [2], [75, 144])
    expectValues(c.grad!, [2], [1 + 1 + 45, 2 + 2 + 96])
  }

  @Test func mutedPartsOfNestedAndPendingCalls() {
    let inner = compile { (x: Tensor) in (x * withoutGradient { x * 2 }).sum() }
    let x = Tensor([1, -3] as [Float])
    let outer = compile { (x: Tensor) in inner(x) }
    expectValues(grad(outer.function)(x), [2], [2, -6])
    expectValues(grad { (x: Tensor) in lazy { inner(x * 1) } }(x), [2], [2, -6])
  }

  @Test func gradientsStayRows() {
    let table = Embedding(6, 2, sparse: true)
    let lookUp = compile { (i: Tensor) in table(i) }
    lookUp(Tensor([1, 4])).sum().backward()
    let optimizer = SparseAdam(table.parameters)
    let before = table.weight.value[1].detached()
    optimizer.step()
    #expect(!allClose(table.weight.value[1].detached(), before))
  }

  @Test func calledFromSeveralTasks() async {
    let w = Parameter(Tensor([1, 2, 3] as [Float]))
    let f = compile { (x: Tensor) in tanh(x * w.value).sum() }
    let expected = grad { (x: Tensor) in tanh(x * [1, 2, 3]).sum() }([0.1, 0.2, 0.3]).floats
    await withTaskGroup(of: [Float].self) { group in
      for _ in 0..<8 {
        group.addTask {
          (0..<20).map { _ in grad(f.function)([0.1, 0.2, 0.3]).floats }.last!
        }
      }
      for await found in group { #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-6 }) }
    }
  }
}
