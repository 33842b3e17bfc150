import Martlet
import Testing

@Suite struct PendingStateTests {
  /// One step that moves a running mean by a value that depends on the parameter.
  private func gradient(_ parameter: Parameter, _ buffer: Buffer) -> Tensor {
    buffer.value = buffer.value * 0.9 + parameter.value.mean() * 0.1
    (parameter.value * buffer.value).sum().backward()
    return parameter.grad!
  }

  @Test func aPendingValueInACellHasNoHistory() {
    let (p, q) = (Parameter([1, 2, 4]), Parameter([1, 2, 4]))
    let (a, b) = (Buffer([3]), Buffer([3]))
    for _ in 0..<3 {
      let eager = gradient(p, a)
      let delayed = lazy { gradient(q, b) }
      expectSame(delayed, eager)
      expectSame(b.value, a.value)
      #expect(!b.value.requiresGradient)
    }
  }
}

private final class Noisy: Module {
  let linear = Linear(3, 3, generator: Generator(seed: 1))
  let noise = Dropout(0.5, generator: Generator(seed: 2))
  func forward(_ x: Tensor) -> Tensor { noise(linear(x)) }
}

@Suite struct GuardTests {
  @Test func aModeReadInANestedCaptureIsSeenByTheOuter() {
    let model = Noisy()
    let inner = checkpointed { (x: Tensor) in model(x) }
    let call = compile { (x: Tensor) in inner(x) * 2 }
    let fresh = compile { (x: Tensor) in checkpointed { model($0) }(x) * 2 }
    let x = count([4, 3]) + 1
    for _ in 0..<2 {
      model.train()
      #expect(call(x).array(as: Float.self).contains(0) && fresh(x).array(as: Float.self).contains(0))
      model.eval()
      expectSame(call(x), model.linear(x) * 2)
      expectSame(fresh(x), model.linear(x) * 2)
    }
    #expect(call.programs.count == 2 && fresh.programs.count == 2)
  }

  @Test func aModeCheckedForAKnownProgramIsSeenByTheOuter() {
    let model = Noisy()
    let inner = checkpointed { (x: Tensor) in model(x) }
    let x = count([4, 3]) + 1
    _ = inner(x)  // captured before the outer one
    let call = compile { (x: Tensor) in inner(x) * 2 }
    #expect(call(x).array(as: Float.self).contains(0))
    model.eval()
    expectSame(call(x), model.linear(x) * 2)
  }

  @Test func freezingAParameterStopsACompiledStep() {
    let model = Linear(3, 1, generator: Generator(seed: 1))
    let optimizer = SGD(model.parameters, learningRate: 0.1)
    let step = compile { (x: Tensor) -> Tensor in
      optimizer.zeroGrad()
      let loss = (model(x) * model(x)).mean()
      loss.backward()
      optimizer.step()
      return loss
    }
    let x = count([4, 3])
    _ = step(x)
    model.weight.requiresGradient = false
    let (weight, bias) = (model.weight.value.array(as: Float.self), model.bias!.value.array(as: Float.self))
    _ = step(x)
    _ = step(x)
    #expect(model.weight.value.array(as: Float.self) == weight)
    #expect(model.bias!.value.array(as: Float.self) != bias)
    model.weight.requiresGradient = true
    _ = step(x)
    #expect(model.weight.value.array(as: Float.self) != weight)
  }
}

@Suite struct StructureTests {
  @Test func keysOfDictionariesArePartOfTheKey() {
    let twice = compile { (d: [String: Tensor]) in d.mapValues { $0 * 2 } }
    #expect(twice(["a": [1]]).keys.sorted() == ["a"])
    let b = twice(["b": [3]])
    #expect(b.keys.sorted() == ["b"])
    expectValues(b["b"]!, [1], [6])
    #expect(twice(["a": [5]]).keys.sorted() == ["a"] && twice.programs.count == 2)
    let kept = checkpointed { (d: [String: Tensor]) in d.mapValues { $0 * 2 } }
    #expect(kept(["a": [1]]).keys.sorted() == ["a"] && kept(["b": [1]]).keys.sorted() == ["b"])
  }

  @Test func optionalsAndArraysArePartOfTheKey() {
    let place = compile { (pair: [Tensor?]) -> Tensor in
      (pair[0].map { $0 * 10 } ?? Tensor([0])) + (pair[1] ?? Tensor([0]))
    }
    expectValues(place([[1], nil]), [1], [10])
    expectValues(place([nil, [1]]), [1], [1])
    let nested = compile { (lists: [[Tensor]]) -> Tensor in
      lists[0].reduce(Tensor([0])) { $0 + $1 } * 10 + lists[1].reduce(Tensor([0])) { $0 + $1 }
    }
    expectValues(nested([[[1], [2]], [[3]]]), [1], [33])
    expectValues(nested([[[1]], [[2], [3]]]), [1], [15])
  }

  @Test func namesOfAStateArePartOfTheKey() {
    let read = compile { (state: State) in state["a"] ?? state["b"]! * 10 }
    expectValues(read(State([("a", [1])])), [1], [1])
    expectValues(read(State([("b", [1])])), [1], [10])
  }
}

@Suite struct ClosureTests {
  @Test func checkpointedDifferentiatesWhatItClosesOver() {
    let x: Tensor = [1, 2, 3]
    let w: Tensor = [2, -1, 4]
    let plain = grad { (w: Tensor) in (x * w * w).sum() }
    expectSame(grad { (w: Tensor) in checkpointed { (h: Tensor) in (h * w).sum() }(x * w) }(w), plain(w))
    let twice = grad { (w: Tensor) in (plain(w) * w * w).sum() }(w)
    let deep = grad { (w: Tensor) in
      (grad { (w: Tensor) in checkpointed { (h: Tensor) in (h * w).sum() }(x * w) }(w) * w * w).sum()
    }
    expectSame(deep(w), twice)
    let forward = jvp({ (w: Tensor) in checkpointed { (h: Tensor) in (h * w).sum() }(x * w) }, w, [1, 0, 0])
    expectValues(forward.tangent, [], [4])
    let mapped = vmap { (w: Tensor) in checkpointed { (h: Tensor) in h * w }(w + 1) }(w)
    expectSame(mapped, w * (w + 1))
  }

  @Test func checkpointedDifferentiatesALeafThatItClosesOver() {
    let p = Parameter([2, 3])
    let w = p.value * 2
    let call = checkpointed { (h: Tensor) in (h * w).sum() }
    call([1, 2]).backward(retainGraph: true)
    expectValues(p.grad!, [2], [2, 4])
    call([1, 1]).backward()
    expectValues(p.grad!, [2], [4, 6])
  }

  @Test func checkpointedInsideCompileUsesWhatItClosesOver() {
    let p = Parameter([2, 3])
    let step = compile { (x: Tensor) -> Tensor in
      p.grad = nil
      let w = p.value * 2
      checkpointed { (h: Tensor) in (h * w).sum() }(x).backward()
      return p.grad!
    }
    for _ in 0..<2 { expectValues(step([1, 2]), [2], [2, 4]) }
  }

  @Test func customGradientRefusesWhatItClosesOver() {
    let text = errorText {
      _ = grad { (w: Tensor) in
        customGradient({ (h: Tensor) in (h * w).sum() }, gradient: { h, _, g in h * g })(w)
      }([1, 2])
    }
    #expect(text.contains("not part of its argument"), "\(text)")
    // A tensor that is not differentiated may be used.
    let k: Tensor = [5, 6]
    let gradient = grad { (w: Tensor) in
      customGradient({ (h: Tensor) in (h * k).sum() }, gradient: { _, _, g in k * g })(w)
    }([1, 2])
    expectSame(gradient, k)
  }

  /// What is pending hides its traces; they are looked for when it runs.
  @Test func customGradientInLazyRefusesWhatItClosesOver() {
    let text = errorText {
      _ = grad { (w: Tensor) in
        lazy { customGradient({ (h: Tensor) in (h * w).sum() }, gradient: { h, _, g in h * g })(w * 2) }
      }([1, 2])
    }
    #expect(text.contains("not part of its argument"), "\(text)")
    let k: Tensor = [5, 6]
    let double = customGradient({ (h: Tensor) in (h * k).sum() }, gradient: { _, _, g in k * g * 10 })
    expectSame(grad { (w: Tensor) in lazy { double(w * 2) } }([1, 2]), k * 20)
    expectValues(lazy { double(k * 2) }, [], [122])
    expectValues(vmap { (x: Tensor) in lazy { double(x * 2) } }([[1, 0], [0, 1]]), [2], [10, 12])
  }
}

@Suite struct CaptureInVmapTests {
  /// Values, derivatives and cells are those of the function itself.
  @Test func checkpointedWritesCells() {
    func make() -> (cell: StateTensor, f: (Tensor) -> Tensor) {
      let cell = StateTensor([2])
      return (
        cell,
        { x in
          cell.value = cell.value + 1
          return (x * x * cell.value).sum()
        }
      )
    }
    let x = count([4, 3])
    let (plain, kept) = (make(), make())
    let checkpoint = checkpointed(kept.f)
    for _ in 0..<2 {
      expectSame(vmap(checkpoint)(x), vmap(plain.f)(x))
      expectSame(kept.cell.value, plain.cell.value)
      expectSame(vmap(grad(checkpoint))(x), vmap(grad(plain.f))(x))
      expectSame(grad { vmap(checkpoint)($0).sum() }(x), grad { vmap(plain.f)($0).sum() }(x))
      expectSame(grad(checkpoint)(x[1]), grad(plain.f)(x[1]))
      expectSame(kept.cell.value, plain.cell.value)
    }
    expectValues(kept.cell.value, [1], [10])
    let wrong = checkpointed { (x: Tensor) -> Tensor in
      kept.cell.value = x
      return x
    }
    #expect(errorText { _ = vmap(wrong)(x[.all, 0..<1]) }.contains("a mapped tensor cannot be written into"))
    expectValues(kept.cell.value, [1], [10])
  }

  private func noisy(_ generator: Generator) -> (Tensor) -> Tensor {
    { x in x + Tensor.uniform([3], generator: generator) }
  }

  @Test func checkpointedDrawsForEachExample() {
    let (a, b) = (Generator(seed: 1), Generator(seed: 1))
    let x = count([4, 3])
    let known = checkpointed(noisy(b))
    for randomness in [Randomness.different, .same] {
      let expected = vmap(randomness: randomness, noisy(a))(x)
      expectSame(vmap(randomness: randomness, known)(x), expected)
      expectSame(b.read()!, a.read()!)
    }
    // One that draws nothing is one operation, also over examples.
    expectSame(vmap(checkpointed { (x: Tensor) in x * 2 })(x), x * 2)
  }

  @Test func checkpointedInVmapInCompile() {
    let (a, b) = (Generator(seed: 1), Generator(seed: 1))
    let x = count([4, 3])
    let (plain, kept) = (noisy(a), noisy(b))
    let call = compile { (x: Tensor) in vmap(checkpointed(kept))(x) }
    for _ in 0..<2 { expectSame(call(x), vmap(plain)(x)) }
  }

  @Test func compiledInVmapSaysWhatItCannotDo() {
    let x = count([4, 3])
    let generator = Generator(seed: 1)
    let call = compile(noisy(generator))
    _ = call(x[0])
    let text = errorText { _ = vmap { (x: Tensor) in call(x) }(x) }
    #expect(text.contains("compile the function that calls vmap"), "\(text)")
    let other = Generator(seed: 1)
    _ = noisy(other)(x[0])
    expectSame(
      vmap(randomness: .same) { (x: Tensor) in call(x) }(x), vmap(randomness: .same, noisy(other))(x))
  }
}

@Suite struct LeafTests {
  @Test func anExampleOfVmapIsNoLeaf() {
    let x = count([3, 2])
    let text = errorText {
      _ = vmap { (x: Tensor) -> Tensor in
        let leaf = x.requiringGradient()
        (leaf * leaf).sum().backward()
        return leaf.grad ?? leaf
      }(x)
    }
    #expect(text.contains("grad inside vmap"), "\(text)")
    // A tensor that all examples share is one.
    let shared: Tensor = [1, 2]
    let gradients = vmap { (x: Tensor) -> Tensor in
      let leaf = shared.requiringGradient()
      (leaf * leaf).sum().backward()
      return leaf.grad! + x
    }(x)
    expectSame(gradients, x + shared * 2)
  }
}

@Suite struct HookTests {
  @Test func hooksOfParametersRunInCompiledSteps() {
    let p = Parameter([1, 2])
    let step = compile { (x: Tensor) -> Tensor in
      p.grad = nil
      (p.value * x).sum().backward()
      return p.grad!
    }
    expectValues(step([3, 4]), [2], [3, 4])
    let remove = p.value.registerHook { $0 * 10 }
    expectValues(step([3, 4]), [2], [30, 40])
    remove()
    expectValues(step([3, 4]), [2], [3, 4])
    p.value.registerHook { $0 * 2 }
    expectValues(step([3, 4]), [2], [6, 8])
  }
}

@Suite struct ResumeTests {
  @Test func optimizersResumeBitForBit() {
    func check(_ make: ([Parameter]) -> any Optimizer, _ names: [String]) {
      let p = Parameter([1, -2, 3])
      let optimizer = make([p])
      func run(_ p: Parameter, _ optimizer: any Optimizer) {
        for _ in 0..<3 {
          optimizer.zeroGrad()
          (p.value * p.value * p.value).sum().backward()
          optimizer.step()
        }
      }
      #expect(optimizer.cells.map { $0.name } == names)
      run(p, optimizer)
      optimizer.learningRate *= 0.5
      let values = p.value.detached().array(as: Float.self)
      let saved = optimizer.cells.map { $0.cell.read() }
      run(p, optimizer)
      let q = Parameter(Tensor(values))
      let other = make([q])
      for (entry, value) in zip(other.cells, saved) { entry.cell.write(value) }
      run(q, other)
      #expect(q.value.array(as: Float.self) == p.value.array(as: Float.self))
      #expect(other.learningRate == optimizer.learningRate)
    }
    check({ SGD($0, learningRate: 0.01, momentum: 0.9) }, ["rate", "momentum.0"])
    check({ Adam($0, learningRate: 0.01) }, ["rate", "m.0", "v.0", "step.0"])
  }
}

@Suite struct SeedTests {
  @Test func seedingKeepsTheStream() {
    let (a, b) = (Generator(seed: 1, stream: 3), Generator(seed: 7, stream: 3))
    _ = a.next()
    a.seed(7)
    expectSame(a.read()!, b.read()!)
    expectSame(Tensor.uniform([4], generator: a), Tensor.uniform([4], generator: b))
  }
}

private final class Worded: Module {
  let words: [String]
  let index: [String: Int]
  let mixed: [Any]
  let weight = Parameter([1])
  init(_ count: Int) {
    words = (0..<count).map { "word\($0)" }
    index = Dictionary(uniqueKeysWithValues: words.enumerated().map { ($1, $0) })
    mixed = ["text", ReLU(), Linear(1, 1, generator: Generator(seed: 1))]
  }
  func forward(_ x: Tensor) -> Tensor { x * weight.value }
}

@Suite struct WalkTests {
  @Test func aVocabularyIsNotWalked() {
    let model = Worded(10_000)
    #expect(model.state.names == ["mixed.2.weight", "mixed.2.bias", "weight"])
  }
}
