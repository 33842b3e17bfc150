import Martlet
import Testing

/// A small classifier with dropout, its optimizer, and its step, from fixed seeds.
private final class Trainer {
  let generator = Generator(seed: 9)
  let model: Sequential
  let adam: Adam
  let parameters: [Parameter]

  init() {
    let generator = generator
    model = Sequential {
      Linear(6, 16, generator: Generator(seed: 1))
      ReLU()
      Dropout(0.25, generator: generator)
      Linear(16, 3, generator: Generator(seed: 2))
    }
    parameters = model.parameters
    adam = Adam(parameters, learningRate: 0.01)
  }

  func step(_ x: Tensor, _ labels: Tensor) -> Tensor {
    adam.zeroGrad()
    let loss = crossEntropy(model(x), labels)
    loss.backward()
    adam.step()
    return loss.detached()
  }

  /// Everything that a step changes.
  var everything: [Tensor] {
    model.state.entries.map { $0.tensor } + [generator.read()!, adam.rate.value] + parameters.compactMap { $0.grad }
  }
}

private func batch(_ index: Int) -> (Tensor, Tensor) {
  let generator = Generator(seed: 100 + index)
  let x = Tensor.normal([8, 6], generator: generator)
  return (x, x[.all, 0..<3].argMax(axis: 1))
}

@Suite struct CompileTests {
  @Test func aTrainingStepIsOneProgram() throws {
    let (eager, ahead) = (Trainer(), Trainer())
    let step = compile(ahead.step)
    for index in 0..<20 {
      let (x, labels) = batch(index)
      expectSame(step(x, labels), eager.step(x, labels), within: 1e-6, "loss \(index)")
    }
    for (a, b) in zip(ahead.everything, eager.everything) { expectSame(a, b, within: 1e-5) }
    #expect(step.programs.count == 1)
    let program = step.programs[0]
    #expect(program.instructions.count > 20)
    #expect(program.verify().isEmpty)
    let written = Set(program.stateOutputs.map { $0.name })
    for name in ["0.weight", "0.bias", "3.weight", "3.bias", "2.generator", "adam.0.m", "adam.3.v", "adam.1.step"] {
      #expect(written.contains(name), "\(name) is not written")
    }
    #expect(program.stateInputs.contains { $0.name == "adam.rate" })
    #expect(program.description.contains("adamUpdate("))
  }

  @Test func captureAgainWhenSpecsOrModesChange() {
    var captures = 0
    let dropout = Dropout(0.5, generator: Generator(seed: 1))
    let f = compile { (x: Tensor) -> Tensor in
      captures += 1
      return dropout(x)
    }
    _ = f(.ones([4]))
    _ = f(.zeros([4]))
    #expect(captures == 1)
    _ = f(.ones([5]))
    _ = f(.ones([4], dtype: .float64))
    #expect(captures == 3)
    dropout.eval()
    expectValues(f(.ones([4])), [4], [1, 1, 1, 1])
    #expect(captures == 4)
    dropout.train()
    #expect(f(.ones([4])).floats.allSatisfy { $0 == 0 || $0 == 2 })
    #expect(captures == 4 && f.programs.count == 4)
  }

  /// The number of tensors in a tree is part of what a program is for, and so is whether a gradient is there.
  @Test func captureAgainWhenStructuresChange() {
    let sum = compile { (x: [Tensor]) -> Tensor in x.dropFirst().reduce(x[0], +) }
    expectValues(sum([[1], [2]]), [1], [3])
    expectValues(sum([[1], [2], [4]]), [1], [7])
    #expect(sum.programs.count == 2)
    let p = Parameter([1])
    let add = compile { () -> [Tensor] in
      (p.value * 2).sum().backward()
      return [p.grad!]
    }
    for expected in [2.0, 4, 6] {
      expectValues(add()[0], [1], [expected])
      expectValues(p.grad!, [1], [expected])
    }
  }

  @Test func severalArgumentsAndResults() {
    let f = compile { (x: Tensor, more: [String: Tensor]) -> [Tensor] in [x + more["a"]!, x * more["b"]!] }
    let out = f([1, 2], ["a": [10, 20], "b": [3, 4]])
    expectValues(out[0], [2], [11, 22])
    expectValues(out[1], [2], [3, 8])
    // An input, a constant and one value twice as results.
    let g = compile { (x: Tensor) -> [Tensor] in
      let y = x + 1
      return [x, Tensor([5] as [Float]), y, y]
    }
    for (found, expected) in zip(g([1]), [1.0, 5, 2, 2]) { expectValues(found, [1], [expected]) }
  }

  @Test func stateIsCommittedWhenAllSucceeded() {
    let trainer = Trainer()
    let step = compile(trainer.step)
    let (x, labels) = batch(0)
    _ = step(x, labels)
    let before = trainer.everything
    let text = errorText { _ = step(x, Tensor([0, 1, 2, 0, 1, 2, 0, 7])) }
    #expect(text.contains(labelError(7, classes: 3)))
    let after = trainer.everything
    #expect(before.count == after.count)
    for (a, b) in zip(before, after) { expectSame(a, b) }

    // And goes on as if the failed call had not been.
    let other = Trainer()
    _ = other.step(x, labels)
    let (x2, labels2) = batch(1)
    expectSame(step(x2, labels2), other.step(x2, labels2), within: 1e-6)
    for (a, b) in zip(trainer.everything, other.everything) { expectSame(a, b, within: 1e-5) }
  }

  /// Cells are concrete from their making on, and are state of the program like any other.
  @Test func cellsMadeDuringTheCapture() {
    var made: Parameter?
    let f = compile { (x: Tensor) -> Tensor in
      let p = made ?? Parameter(Tensor.ones([2]) * 3)
      made = p
      p.value = p.value * x
      return p.value + 0
    }
    expectValues(f([1, 2]), [2], [3, 6])
    expectValues(made!.value, [2], [3, 6])
    expectValues(f([2, 2]), [2], [6, 12])
    #expect(made!.read()!.isPlain)
    let wrong = compile { (x: Tensor) -> Tensor in Parameter(x * 2).value + x }
    let text = errorText { _ = wrong([1]) }
    #expect(
      text.hasPrefix(
        """
        Parameter: parameter cannot be made of a symbolic tensor: the function is being captured by compile
          rule: a cell holds a value from its making on; random numbers are symbolic while a function is captured
          try: make the cell, or its layer, outside of the compiled function
        """))
    let layer = compile { (x: Tensor) -> Tensor in Linear(2, 2, generator: Generator(seed: 1))(x) }
    #expect(errorText { _ = layer(.ones([1, 2])) }.contains("make the cell, or its layer, outside"))
    // In lazy they have run; of a mapped tensor there is no cell.
    #expect(lazy { StateTensor(Tensor.ones([2]) + 1) }.read()!.isPlain)
    #expect(errorText { _ = vmap { (x: Tensor) in Buffer(x).value }([1, 2]) }.contains("a mapped tensor"))
  }

  @Test func failedCapturesChangeNothing() {
    let cell = StateTensor([1])
    let f = compile { (x: Tensor) -> Tensor in
      cell.value += 1
      return matmul(x, x)
    }
    #expect(errorText { _ = f(.ones([2, 3])) }.contains("the inner sizes differ: 3 ≠ 2"))
    expectValues(cell.value, [1], [1])
    expectValues(f(.ones([1, 1])), [1, 1], [1])
    expectValues(cell.value, [1], [2])
    let reads = compile { (x: Tensor) -> Tensor in x.item() > 0 ? x : -x }
    let text = errorText { _ = reads([1]) }
    #expect(text.contains("a symbolic tensor has no value: the function is being captured by compile at MartletTests/"))
    #expect(text.contains("select(condition, a, b) or cond(condition) { a } else: { b } in place of if"))
  }

  @Test func text() throws {
    let scale = Parameter([3, 4])
    scale.name = "scale"
    let f = compile { (x: Tensor) -> Tensor in
      scale.value = x * scale.value.detached() + 1
      return x.sum(axis: 0)
    }
    let program = try f.program(for: [1, 2])
    #expect(
      withoutDevice(program.description) == """
        program {
          %0 = input float32[2]
          %1 = state "scale" float32[2]
          %4 = constant float32[] = 1.
          %2 = detach(%1) -> float32[2]
          %3 = multiply(%0, %2) -> float32[2]
          %5 = add(%3, %4) -> float32[2]
          %6 = sum(%0) {axes=[0]} -> float32[]
          state "scale" = %5
          return %6
        }
        """)
    #expect(program.verify().isEmpty)
    expectValues(scale.value, [2], [3, 4], "asking for the program runs nothing")
  }

  @Test func theVerifierFindsFaults() throws {
    let f = compile { (x: Tensor) -> Tensor in exp(x) + x }
    let program = try f.program(for: [1, 2])
    #expect(program.verify().isEmpty)
    var broken = program
    broken.instructions.swapAt(0, 1)
    #expect(broken.verify().contains { $0.contains("is used before it is assigned") })
    broken = program
    broken.instructions.append(program.instructions[0])
    #expect(broken.verify().contains { $0.contains("is assigned twice") })
    broken = program
    broken.values[program.outputs[0]] = TensorSpec([3])
    #expect(broken.verify().contains { $0.contains("the rule gives other specs") })
    broken = program
    broken.outputs = [99]
    #expect(broken.verify() == ["output %99 is not assigned"])
    broken = program
    broken.instructions[0].inputs = [-1]
    #expect(!broken.verify().isEmpty)
  }

  private let f = { (x: Tensor) -> Tensor in tanh(x * x + 1) * 2 }

  @Test func underTransforms() {
    let compiled = compile(f)
    let x: Tensor = [0.5, -1]
    expectSame(grad { compiled($0).sum() }(x), grad { self.f($0).sum() }(x), within: 1e-6)
    expectSame(
      grad { grad { compiled($0).sum() }($0).sum() }(x), grad { grad { self.f($0).sum() }($0).sum() }(x), within: 1e-6)
    expectSame(jvp({ compiled($0) }, x, x).tangent, jvp(f, x, x).tangent, within: 1e-6)
    expectSame(vmap { compiled($0) }(stack([x, x * 2])), f(stack([x, x * 2])))
    expectSame(lazy { compiled(x) }, f(x))
    let outer = compile { (x: Tensor) -> Tensor in compiled(x) + 1 }
    expectSame(outer(x), f(x) + 1)
    #expect(outer.programs[0].instructions.count == compiled.programs[0].instructions.count + 1)
    let leaf = x.requiringGradient()
    compiled(leaf).sum().backward()
    expectSame(leaf.grad!, grad { self.f($0).sum() }(x), within: 1e-6)
    // Transforms inside.
    let gradient = compile { (x: Tensor) -> Tensor in vmap { grad { self.f($0).sum() }($0) }(x) }
    expectSame(
      gradient(stack([x, x])), stack([grad { self.f($0).sum() }(x), grad { self.f($0).sum() }(x)]), within: 1e-6)
  }

  /// The parameters that a compiled forward pass reads get gradients, as those of the function itself.
  @Test func gradientsOfParameters() {
    let model = Linear(2, 1, generator: Generator(seed: 1))
    let compiled = compile { (x: Tensor) in model(x) }
    compiled([[1, 2]]).sum().backward()
    expectValues(model.weight.grad!, [1, 2], [1, 2])
    expectValues(model.bias!.grad!, [1], [1])
    #expect(!withoutGradient { compiled([[1, 2]]) }.requiresGradient)
    let gradient = grad { (state: State) in try! model.with(state) { compiled([[3, 4]]).sum() } }(model.parameterState)
    expectValues(gradient["weight"]!, [1, 2], [3, 4])
  }

  @Test func stateInsideAnotherCapture() {
    let cell = StateTensor([1])
    let inner = compile { (x: Tensor) -> Tensor in
      cell.value = cell.value * 2
      return x + cell.value
    }
    let outer = compile { (x: Tensor) -> Tensor in inner(x) + inner(x) }
    expectValues(outer([0]), [1], [6])
    expectValues(cell.value, [1], [4])
    expectValues(outer([0]), [1], [24])
    expectValues(cell.value, [1], [16])
    #expect(outer.programs[0].stateOutputs.count == 1)
  }
}

@Suite struct LazyTests {
  @Test func nothingRunsBeforeItIsRead() {
    let x = Tensor([1, 2] as [Float])
    let y = lazy { () -> Tensor in
      let y = exp(x) + 1
      #expect(y.node.trace is Pending && y.shape == [2])
      return y
    }
    #expect(y.node.trace is Pending && y.node.storage == nil)
    expectSame(y + 0, exp(x) + 1)
    // Read inside of the scope, control flow included.
    let z = lazy { () -> Tensor in (x.sum() * 2).item() > 5 ? x * 10 : x }
    expectValues(z, [2], [10, 20])
  }

  @Test func cellsAreForcedAtTheEnd() {
    let cell = StateTensor([1])
    let p = Parameter([2])
    lazy {
      cell.value = cell.value + 1
      #expect(cell.value.node.trace is Pending)
      (p.value * p.value).sum().backward()
      withoutGradient { p.value -= p.grad! * 0.25 }
    }
    #expect(cell.value.isPlain)
    expectValues(cell.value, [1], [2])
    #expect(p.grad!.isPlain && withoutGradient { p.value.isPlain })
    expectValues(p.grad!, [1], [4])
    expectValues(p.value, [1], [1])
  }

  @Test func aTrainingStep() {
    let (eager, demand) = (Trainer(), Trainer())
    for index in 0..<20 {
      let (x, labels) = batch(index)
      let loss = lazy { demand.step(x, labels) }
      expectSame(loss + 0, eager.step(x, labels), within: 1e-6, "loss \(index)")
    }
    for (a, b) in zip(demand.everything, eager.everything) { expectSame(a, b, within: 1e-5) }
  }

  @Test func errorsComeAtTheCall() {
    var reached = false
    let text = errorText {
      _ = lazy { () -> Tensor in
        let y = matmul(Tensor.ones([2, 3]), Tensor.ones([2, 3]))
        reached = y.node.trace is Failed
        return y
      }
    }
    #expect(reached && text.contains("the inner sizes differ: 3 ≠ 2"))
    // What depends on values is found when it runs.
    let bad = errorText { _ = lazy { Tensor([1, 2] as [Float]).take(Tensor([5])) }.floats }
    #expect(bad.contains("index 5 is out of range for axis 0 of size 2"))
  }

  private struct Stop: Error {}

  @Test func exceptionsPassAndLeaveTheScope() {
    let cell = StateTensor([1])
    #expect(throws: Stop.self) {
      try lazy { () throws -> Void in
        cell.value = cell.value + 1
        throw Stop()
      }
    }
    #expect((Tensor([1] as [Float]) + 1).isPlain)
    expectValues(cell.value, [1], [2])
    #expect(cell.value.isPlain)
  }

  @Test func gradientsOfPendingResults() {
    let x = Tensor([2, 3] as [Float]).requiringGradient()
    let loss = lazy { (x * x).sum() }
    loss.backward()
    expectValues(x.grad!, [2], [4, 6])
    expectValues(lazy { grad { ($0 * $0).sum() }([2, 3]) }, [2], [4, 6])
    expectValues(lazy { vmap { (x: Tensor) in x * 2 }([[1], [2]]) }, [2, 1], [2, 4])
    expectValues(grad { (x: Tensor) in lazy { (x * x).sum() } }([2, 3]), [2], [4, 6])
    expectValues(vmap { (x: Tensor) in lazy { x * 2 } }([[1], [2]]), [2, 1], [2, 4])
  }
}
