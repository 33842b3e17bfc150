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
