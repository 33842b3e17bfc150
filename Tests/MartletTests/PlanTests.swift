import Martlet
import MartletCore
import Testing

/// Plans, which only the CPU has: what is replayed, where it lies, and who may look at it.
@Suite(.enabled(if: Device.current == .cpu)) struct PlanTests {
  private final class Net: Module {
    let first: Linear
    let second: Linear
    init(_ width: Int = 16) {
      first = Linear(6, width)
      second = Linear(width, 3)
    }
    func forward(_ x: Tensor) -> Tensor { second(relu(first(x))) }
  }

  @Test func replayAllocatesItsResultsAlone() throws {
    let net = Net(256)
    let f = compile { (x: Tensor) in softmax(net(x), axis: 1) }
    let x = Tensor.ones([1024, 6])
    withoutGradient {
      _ = f(x)
      // Blocks above 64 KiB that this thread was given: the hidden layer of 1 MiB is in the arena; what is left is what
      // kernels of the library work in.
      let before = MemoryStatistics.largeBytesOfThread
      for _ in 0..<10 { _ = f(x) }
      #expect(MemoryStatistics.largeBytesOfThread - before < 10 << 18)
    }
    let explanation = try withoutGradient { try f.explain(x) }
    #expect(explanation.arenaBytes > 0 && explanation.arenaBytes <= explanation.temporaryBytes)
    #expect(explanation.steps.count >= 4 && explanation.steps.count < explanation.capturedCount)
    #expect("\(explanation)".contains("fused") && explanation.chromeTrace.contains("\"ph\": \"X\""))
    #expect(explanation.reasonForNoPlan == nil)
    #expect(explanation.backward == nil)
  }

  @Test func explanationsSayWhyThereIsNoPlan() throws {
    let f = compile { (x: Tensor) in tanh(x) * 2 + x.sum() }
    let x = Tensor.ones([8])
    func reason(_ body: () throws -> Explanation) throws -> String? { try body().reasonForNoPlan }
    let own = customGradient({ (x: Tensor) in x * 1 }) { (_: Tensor, _: Tensor, ct: Tensor) in ct }
    let custom = compile { (x: Tensor) in own(x) }
    #expect(try reason { try custom.explain(x.requiringGradient()) }?.hasPrefix("argument 0 is recorded") == true)
    #expect(try reason { try lazy { try f.explain(x) } } == "lazy is around the call")
    #expect(
      try reason { try withAnomalyDetection { try f.explain(x) } } == "withAnomalyDetection is around the call")
    var mapped: String?
    _ = vmap { (row: Tensor) in
      mapped = try? f.explain(row).reasonForNoPlan
      return row
    }(Tensor.ones([2, 8]))
    #expect(mapped == "argument 0 is one example of a vmap")
    #expect(try reason { try f.explain(x) } == nil)
    #expect(try reason { try withDevice(.reference) { try f.explain(.ones([8])) } } == "reference has no plans")
  }

  @Test func smallArenasAreInKibibytes() throws {
    let f = compile { (x: Tensor) in matmul(tanh(x), x) }
    let explanation = try f.explain(Tensor.ones([16, 16]))
    #expect("\(explanation)".contains(" KiB for values of "))
    let one = compile { (x: Tensor) in tanh(x) }
    #expect("\(try one.explain(Tensor.ones([2])))".hasPrefix("1 operation (1 captured)"))
  }

  @Test(arguments: [(nil, true), ("", true), ("on", true), ("off", false)] as [(String?, Bool)])
  func theSwitchOfPlans(text: String?, isOn: Bool) { #expect(Execution.planSwitch(text) == isOn) }

  @Test func wrongSwitchesOfPlansEndTheProgram() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Execution.planSwitch("of")
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("MARTLET_PLANS is \"of\"; it is on, or off"), "\(text)")
  }

  /// A step of training in three ways from equal states.
  @Test func trainingStepsAgree() {
    func train(_ compiled: Bool) -> ([Double], [Tensor]) {
      Random.seed(3)
      let net = Net()
      let optimizer = Adam(net.parameters, learningRate: 0.05)
      func step(_ x: Tensor, _ y: Tensor) -> Tensor {
        optimizer.zeroGrad()
        let loss = crossEntropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.detached()
      }
      let run = compiled ? compile(step).function : step
      let generator = Generator(seed: 5)
      var losses: [Double] = []
      for _ in 0..<20 {
        let x = Tensor.normal([8, 6], generator: generator)
        losses.append(run(x, (x.sum(axis: 1) .> 0).cast(to: .int64)).item())
      }
      return (losses, net.parameters.map { $0.value.detached() } + net.parameters.map { $0.grad! })
    }
    let (eager, eagerState) = train(false)
    let (planned, plannedState) = train(true)
    #expect(zip(eager, planned).allSatisfy { abs($0 - $1) < 1e-5 })
    for (a, b) in zip(eagerState, plannedState) { #expect(allClose(a, b, relative: 1e-4, absolute: 1e-5)) }
  }

  /// State is written in place only where nobody else holds it.
  @Test func snapshotsKeepTheirValues() {
    let parameter = Parameter(Tensor.ones([4]))
    let step = compile { (x: Tensor) -> Tensor in
      parameter.value = parameter.value * 2 + x
      return parameter.value.sum()
    }
    withoutGradient {
      let x = Tensor.zeros([4])
      _ = step(x)
      let snapshot = parameter.value
      _ = step(x)
      #expect(snapshot.array(as: Float.self) == [2, 2, 2, 2] && parameter.value.array(as: Float.self) == [4, 4, 4, 4])
      let first = step(x)
      let second = step(x)
      #expect(first.item() == 32 && second.item() == 64)
    }
  }

  @Test func resultsAreTheCallers() {
    let f = compile { (x: Tensor) -> [Tensor] in
      let y = exp(x)
      return [y, y.reshaped([2, 2]), x, y + 1]
    }
    let x = Tensor([0, 1, 2, 3] as [Float])
    var first = f(x)
    let second = f(x * 0)
    #expect(first[0].array(as: Float.self)[3] > 20 && second[0].array(as: Float.self) == [1, 1, 1, 1])
    first[0][0] = Tensor(7 as Float)
    #expect(first[1][0, 0].item() == 1 && first[2].array(as: Float.self) == [0, 1, 2, 3])
  }

  @Test func inputsMayLieInAnyOrder() {
    let f = compile { (x: Tensor) in (x * 2 + 1).sum(axis: 0) }
    let x = Tensor.range(to: 12).reshaped([3, 4])
    let expected = (x * 2 + 1).sum(axis: 0)
    let wide = Tensor.range(to: 24).reshaped([3, 8])
    for y in [x, x.transposed().contiguous().transposed(), (wide[.all, ..<4]), concat([x, x], axis: 0)[3...]] {
      let result = f(y)
      #expect(allClose(result, (y * 2 + 1).sum(axis: 0), relative: 0, absolute: 0))
    }
    #expect(allClose(f(x), expected, relative: 0, absolute: 0) && f.programs.count == 1)
  }

  @Test func aFaultLeavesTheStateAsItWas() {
    let table = Parameter(Tensor.ones([3, 2]))
    let counter = StateTensor(Tensor(0 as Float))
    let step = compile { (i: Tensor) -> Tensor in
      counter.value = counter.value + 1
      let rows = table.value.take(axis: 0, i)
      table.value = table.value + rows.sum()
      return rows.sum()
    }
    withoutGradient {
      #expect(step(Tensor([0, 2])).item() == 4)
      #expect(throws: OpError.self) { try withErrors { _ = step(Tensor([0, 3])) } }
      #expect(counter.value.item() == 1 && table.value.array(as: Float.self) == [5, 5, 5, 5, 5, 5])
      #expect(step(Tensor([1, 1])).item() == 20 && counter.value.item() == 2)
    }
  }

  @Test func severalThreadsRunOnePlan() async {
    let net = Net()
    let f = compile { (x: Tensor) in net(x) }
    let inputs = (0..<8).map { Tensor.normal([4, 6], generator: Generator(seed: $0)) }
    let expected = withoutGradient { inputs.map { f($0) } }
    await withTaskGroup(of: Bool.self) { group in
      for (x, y) in zip(inputs, expected) {
        group.addTask {
          withoutGradient { (0..<50).allSatisfy { _ in allClose(f(x), y, relative: 0, absolute: 0) } }
        }
      }
      for await same in group { #expect(same) }
    }
  }

  @Test func endlessCapturesAreAnError() throws {
    let f = compile({ (x: Tensor) in x + 1 }, limit: 3)
    for size in 1...3 { _ = f(Tensor.ones([size])) }
    let error = #expect(throws: OpError.self) { try withErrors { _ = f(Tensor.ones([4])) } }
    let text = "\(error!)"
    #expect(text.contains("was captured 3 times") && text.contains("argument 0 is float32[4], and was float32[3]"))
    #expect(text.contains("pad batches") && text.contains("save(to:for:openBatch: true) makes a SavedProgram"))
    #expect(f(Tensor.ones([2])).array(as: Float.self) == [2, 2])
  }
}
