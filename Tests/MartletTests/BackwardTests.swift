import Martlet
import Testing

@Suite struct BackwardTests {
  @Test func gradientsAddUp() {
    let x = Tensor([2, 3] as [Float]).requiringGradient()
    #expect(x.grad == nil && x.requiresGradient)
    (x * x).sum().backward()
    expectValues(x.grad!, [2], [4, 6])
    (x * 10).sum().backward()
    expectValues(x.grad!, [2], [14, 16])
    x.grad = nil
    (x * 10).sum().backward()
    expectValues(x.grad!, [2], [10, 10])
  }

  @Test func parametersAddUpToo() {
    let p = Parameter([1, 2])
    let total = p.value.sum() + (p.value * p.value).sum()
    total.backward()
    expectValues(p.grad!, [2], [3, 5])
    let before = p.grad!
    p.value.sum().backward()
    expectValues(p.grad!, [2], [4, 6])
    expectValues(before, [2], [3, 5], "a gradient that was read does not change")
    p.grad = nil
    #expect(p.grad == nil)
    p.requiresGradient = false
    #expect(!p.value.requiresGradient)
  }

  @Test func modelsForgetGradients() {
    let model = Linear(2, 1, generator: Generator(seed: 1))
    model(Tensor.ones([1, 2])).sum().backward()
    expectValues(model.weight.grad!, [1, 2], [1, 1])
    expectValues(model.bias!.grad!, [1], [1])
    model.zeroGrad()
    #expect(model.weight.grad == nil && model.bias!.grad == nil)
    let sgd = SGD(model.parameters, learningRate: 1)
    model(Tensor.ones([1, 2])).sum().backward()
    sgd.zeroGrad()
    #expect(model.weight.grad == nil)
  }

  /// Of more inputs than have a bit of their own, and where those with one need no gradient.
  @Test func manyInputs() {
    let plain: Tensor = [1]
    for leaves in [Array(60..<100), [99], [63], [0, 64], Array(0..<100), Array(stride(from: 1, to: 100, by: 2))] {
      let inputs = (0..<100).map { leaves.contains($0) ? plain.requiringGradient() : plain }
      (concat(inputs) * Tensor.range(to: 100)).sum().backward()
      for (number, input) in inputs.enumerated() {
        #expect(input.grad?.item() == (leaves.contains(number) ? Double(number) : nil), "\(leaves), input \(number)")
      }
      let sum = customGradient({ (x: [Tensor]) in concat(x).sum() }) { x, _, c, needs in
        needs.enumerated().map { $1 ? c.reshaped(1) * Double($0) : nil }
      }
      for input in inputs { input.grad = nil }
      sum(inputs).backward()
      for (number, input) in inputs.enumerated() {
        #expect(input.grad?.item() == (leaves.contains(number) ? Double(number) : nil), "\(leaves), input \(number)")
      }
    }
  }

  @Test func cotangents() {
    let x = Tensor([1, 2] as [Float]).requiringGradient()
    (x * x).backward(gradient: [10, 100])
    expectValues(x.grad!, [2], [20, 400])
    // A tensor of one element needs none, whatever its rank.
    x.grad = nil
    (x * x)[0].reshaped([1, 1]).backward()
    expectValues(x.grad!, [2], [2, 0])
  }

  @Test func hooksChangeGradients() {
    let x = Tensor([1, 2] as [Float]).requiringGradient()
    let y = x * 3
    var seen: [String] = []
    let remove = y.registerHook { g in
      seen.append("first \(g.floats)")
      return g * 2
    }
    y.registerHook { g in
      seen.append("second \(g.floats)")
      return nil
    }
    x.registerHook { g in
      seen.append("leaf \(g.floats)")
      return g + 1
    }
    y.sum().backward(retainGraph: true)
    #expect(seen == ["first [1.0, 1.0]", "second [2.0, 2.0]", "leaf [6.0, 6.0]"])
    expectValues(x.grad!, [2], [7, 7])
    remove()
    seen = []
    x.grad = nil
    y.sum().backward()
    #expect(seen == ["second [1.0, 1.0]", "leaf [3.0, 3.0]"])
    expectValues(x.grad!, [2], [4, 4])
  }

  /// A hook sees the sum over all uses, once.
  @Test func hooksSeeTheWholeGradient() {
    let x = Tensor([2] as [Float]).requiringGradient()
    let y = x * 1
    var calls: [[Float]] = []
    y.registerHook {
      calls.append($0.floats)
      return nil
    }
    (y * y + y * 5).sum().backward()
    #expect(calls == [[9]])
  }

  /// The gradients of two uses of one tensor are seen before they are summed by hooks on a view for each use.
  @Test func gradientsBeforeTheyAreSummed() {
    let w = Parameter([2])
    let first = w.value.reshaped([1, 1])
    let second = w.value.reshaped([1, 1])
    first.retainGrad()
    second.retainGrad()
    (first * 3 + second * second).sum().backward()
    expectValues(first.grad!, [1, 1], [3])
    expectValues(second.grad!, [1, 1], [4])
    expectValues(w.grad!, [1], [7])
  }

  @Test func keptGradients() {
    let x = Tensor([1, 2] as [Float]).requiringGradient()
    let kept = x * 2
    let other = kept * 3
    kept.retainGrad()
    other.sum().backward()
    expectValues(kept.grad!, [2], [3, 3])
    #expect(other.grad == nil)
    expectValues(x.grad!, [2], [6, 6])
    // Of several outputs each keeps its own.
    let (values, _) = (x * 1).topK(1)
    values.retainGrad()
    (values * 5).sum().backward()
    expectValues(values.grad!, [1], [5])
    expectValues(x.grad!, [2], [6, 11])
  }

  @Test func detachedAndWithoutGradient() {
    let x = Tensor([3] as [Float]).requiringGradient()
    #expect(!x.detached().requiresGradient)
    (x * x.detached()).sum().backward()
    expectValues(x.grad!, [1], [3])
    let y = withoutGradient { x * 2 }
    #expect(!y.requiresGradient)
    #expect(withoutGradient { Parameter([1]).value.requiresGradient } == false)
    // Inside a transform neither stops outer derivatives of other tensors.
    expectValues(grad { (x: Tensor) -> Tensor in (x * x.detached() + withoutGradient { x * x }).sum() }([3]), [1], [3])
    let (_, tangent) = jvp({ (x: Tensor) -> Tensor in x * x.detached() }, [3], [1])
    expectValues(tangent, [1], [3])
  }

  @Test func graphsAreFreedUnlessKept() {
    let x = Tensor([3] as [Float]).requiringGradient()
    let y = (x * x).sum()
    y.backward(retainGraph: true)
    y.backward()
    expectValues(x.grad!, [1], [12])
    let text = errorText { y.backward() }
    #expect(text.contains("the graph was freed by an earlier backward pass"))
    #expect(text.contains("retainGraph: true"))
    expectValues(x.grad!, [1], [12])
  }

  @Test func unusedAndIndependentLeaves() {
    let x = Tensor([3] as [Float]).requiringGradient()
    let unused = Tensor([1] as [Float]).requiringGradient()
    let cut = unused * 2
    (x * 2 + cut * 0).sum().backward()
    expectValues(x.grad!, [1], [2])
    expectValues(unused.grad!, [1], [0])
    let other = Parameter([1])
    x.sum().backward()
    #expect(other.grad == nil)
  }

  /// A parameter is announced after its last use, in an order that depends on the program alone.
  @Test func readyOrder() {
    func run() -> [String] {
      let model = Sequential {
        Linear(2, 3, generator: Generator(seed: 1))
        Tanh()
        Linear(3, 3, generator: Generator(seed: 2))
        Linear(3, 1, generator: Generator(seed: 3))
      }
      _ = model.parameters
      let shared = (model[2] as! Linear).weight
      var order: [String] = []
      let loss = model(Tensor.ones([1, 2])).sum() + (shared.value * shared.value).sum()
      loss.backward { parameter, gradient in
        order.append(parameter.name)
        #expect(gradient.shape == parameter.value.shape)
      }
      return order
    }
    let order = run()
    #expect(order.sorted() == ["0.bias", "0.weight", "2.bias", "2.weight", "3.bias", "3.weight"])
    // The last layer is ready first.
    #expect(order.firstIndex(of: "3.weight")! < order.firstIndex(of: "0.weight")!)
    for _ in 0..<3 { #expect(run() == order) }
  }

  @Test func announcedGradientsAreComplete() {
    let p = Parameter([2])
    var seen: [Float] = []
    (p.value * p.value + p.value * 3).sum().backward { _, gradient in seen += gradient.floats }
    #expect(seen == [7])
    // It holds what was added up before.
    (p.value * 3).sum().backward { _, gradient in seen += gradient.floats }
    #expect(seen == [7, 10])
  }

  @Test func writesThroughParameters() {
    let p = Parameter(Tensor([1, 2] as [Float]) + 0)
    let before = withoutGradient { p.value.address }
    withoutGradient { p.value -= [0.5, 0.5] }
    expectValues(p.value, [2], [0.5, 1.5])
    if Device.current == .cpu {  // a queue may still hold what it read
      #expect(withoutGradient { p.value.address } == before, "changed in place")
    }
    p.value = [5, 6]
    expectValues(p.value, [2], [5, 6])
    p.value[0] = Tensor(7)
    expectValues(p.value, [2], [7, 6])
    (p.value * p.value).sum().backward()
    expectValues(p.grad!, [2], [14, 12])
  }
}
