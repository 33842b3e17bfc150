import Martlet
import Testing

@Suite struct JacobianTests {
  private func f(_ x: Tensor) -> Tensor { matmul(x.reshaped([2, 2]), Tensor([[1, 2], [3, 4]] as [[Float]])) * x[0] }

  @Test(arguments: [DerivativeMode.forward, .reverse]) func bothModes(mode: DerivativeMode) {
    let square = jacobian({ $0 * $0 }, [1, 2, 3], mode: mode)
    expectValues(square, [3, 3], [2, 0, 0, 0, 4, 0, 0, 0, 6])
    let j = jacobian(f, [1, 2, 3, 4], mode: mode)
    #expect(j.shape == [2, 2, 4])
    expectSame(j, jacobian(f, [1, 2, 3, 4], mode: mode == .forward ? .reverse : .forward), within: 1e-5)
    // Of a constant, of a scalar, by a matrix.
    expectValues(jacobian({ _ in Tensor([1, 2] as [Float]) }, [5], mode: mode), [2, 1], [0, 0])
    expectValues(jacobian({ $0.sum() }, [[1, 2], [3, 4]], mode: mode), [2, 2], [1, 1, 1, 1])
    expectValues(jacobian({ $0 * 2 }, Tensor(3 as Float), mode: mode), [], [2])
  }

  @Test func secondDerivatives() {
    expectValues(hessian({ ($0 * $0 * $0).sum() }, [1, 2]), [2, 2], [6, 0, 0, 12])
    expectValues(hessian({ $0[0] * $0[1] }, [1, 2]), [2, 2], [0, 1, 1, 0])
  }
}

@Suite struct MapTests {
  @Test func axes() {
    let x = count([2, 3])
    expectValues(vmap { (row: Tensor) in row.sum() }(x), [2], [3, 12])
    expectValues(vmap(inAxes: [1]) { (column: Tensor) in column.sum() }(x), [3], [3, 5, 7])
    expectValues(vmap(inAxes: [-1]) { (column: Tensor) in column.sum() }(x), [3], [3, 5, 7])
    expectValues(vmap(outAxis: 1) { (row: Tensor) in row * 10 }(x), [3, 2], [0, 30, 10, 40, 20, 50])
    expectValues(vmap(outAxis: -1) { (row: Tensor) in row * 10 }(x), [3, 2], [0, 30, 10, 40, 20, 50])
    expectValues(vmap(inAxes: [1], outAxis: 1) { (column: Tensor) in column }(x), [2, 3], [0, 1, 2, 3, 4, 5])
    let shared: Tensor = [1, 10, 100]
    expectValues(vmap(inAxes: [0, nil]) { (a: Tensor, b: Tensor) in (a * b).sum() }(x, shared), [2], [210, 543])
    expectValues(vmap(inAxes: [nil, 0]) { (a: Tensor, b: Tensor) in b - a }(shared, x)[1], [3], [2, -6, -95])
  }

  @Test func resultsThatDoNotDependOnTheExample() {
    expectValues(vmap { (_: Tensor) in Tensor([1, 2] as [Float]) }(.zeros([3, 5])), [3, 2], [1, 2, 1, 2, 1, 2])
    expectValues(
      vmap(outAxis: 1) { (_: Tensor) in Tensor([1, 2] as [Float]) }(.zeros([3])), [2, 3], [1, 1, 1, 2, 2, 2])
  }

  @Test func trees() {
    let out = vmap { (x: [String: Tensor]) -> [Tensor] in [x["a"]! + x["b"]!, x["a"]! * 2] }(
      ["a": [1, 2], "b": [10, 20]])
    expectValues(out[0], [2], [11, 22])
    expectValues(out[1], [2], [2, 4])
    let three = vmap { (a: Tensor, b: Tensor, c: Tensor) in a + b * c }
    expectValues(three([1, 2], [3, 4], [5, 6]), [2], [16, 26])
  }

  @Test func noExamples() {
    expectValues(vmap { (x: Tensor) in x.sum() }(.zeros([0, 3])), [0], [])
  }

  @Test func perExampleGradients() {
    let w: Tensor = [1, 2]
    let gradients = vmap(inAxes: [nil, 0]) { (w: Tensor, x: Tensor) in
      grad { (w: Tensor) in (w * x).sum() * (w * x).sum() }(w)
    }(w, [[1, 0], [0, 1], [1, 1]])
    expectValues(gradients, [3, 2], [2, 0, 0, 4, 6, 6])
    // And a leaf outside of the map gets the sum.
    let leaf = w.requiringGradient()
    vmap { (x: Tensor) in (leaf * x).sum() }([[1, 0], [0, 1], [1, 1]]).sum().backward()
    expectValues(leaf.grad!, [2], [2, 2])
  }

  @Test func randomness() {
    let generator = Generator(seed: 5)
    let draw = { (x: Tensor) -> Tensor in x + Tensor.uniform([4], generator: generator) }
    let different = vmap(draw)(.zeros([3, 1]))
    #expect(different.shape == [3, 4])
    #expect(Set(different.floats).count == 12)
    // Like a loop over the examples.
    generator.seed(5)
    let loop = stack((0..<3).map { _ in draw(.zeros([1])) })
    expectSame(different, loop)
    expectValues(generator.next(), [3], [5, 0, 3])
    generator.seed(5)
    let same = vmap(randomness: .same, draw)(.zeros([3, 1]))
    for row in 0..<3 { expectSame(same[row], loop[0]) }
    expectValues(generator.next(), [3], [5, 0, 1])
    // Nested: each combination draws its own; or the inner examples share.
    let nested = vmap { (x: Tensor) in vmap(draw)(x) }(.zeros([2, 3, 1]))
    #expect(Set(nested.floats).count == 24)
    let mixed = vmap { (x: Tensor) in vmap(randomness: .same, draw)(x) }(.zeros([2, 3, 1]))
    expectSame(mixed[.all, 0], mixed[.all, 2])
    #expect(Set(mixed.floats).count == 8)
  }
}

@Suite struct EscapeTests {
  /// Tensors of `grad` and `jvp` have values, which stay valid when the transform has returned.
  @Test func valuesStayValid() {
    var kept: Tensor?
    _ = grad { (x: Tensor) -> Tensor in
      kept = x * 2
      return x.sum()
    }([1, 2])
    expectValues(kept! + 1, [2], [3, 5])
    #expect(!kept!.requiresGradient)
    _ = jvp(
      { (x: Tensor) -> Tensor in
        kept = x * 3
        return x
      }, [1, 2], [1, 1])
    expectValues(kept! + 1, [2], [4, 7])
  }

  @Test func othersSaySo() {
    var kept: Tensor?
    _ = vmap { (x: Tensor) -> Tensor in
      kept = x
      return x
    }([1, 2])
    #expect(errorText { _ = kept! + 1 }.contains("a tensor has outlived the vmap that made it"))
    #expect(errorText { _ = kept!.item() }.contains("vmap"))
    let f = compile { (x: Tensor) -> Tensor in
      kept = x * 1
      return x
    }
    _ = f([1, 2])
    #expect(
      errorText { _ = kept! + 1 }.contains("a symbolic tensor has outlived the capture by compile at MartletTests/"))
    #expect(errorText { _ = kept!.floats }.contains("has outlived the capture"))
  }
}

@Suite struct CustomGradientTests {
  /// The square, with a gradient three times too large, so that it is seen to be used.
  private let f = customGradient({ (x: Tensor) in x * x }, gradient: { x, _, cotangent in x * cotangent * 6 })

  @Test func isUsed() {
    expectValues(f([1, 2]), [2], [1, 4])
    let x = Tensor([1, 2] as [Float]).requiringGradient()
    f(x).sum().backward()
    expectValues(x.grad!, [2], [6, 12])
    expectValues(grad { self.f($0).sum() }([1, 2]), [2], [6, 12])
  }

  @Test func ofHigherOrder() {
    // Its gradient is differentiated as it is written: (6x)' = 6.
    expectValues(grad { grad { self.f($0).sum() }($0).sum() }([1, 2]), [2], [6, 6])
    // Forward mode goes through the function itself.
    let (value, tangent) = jvp(f, [1, 2], [1, 10])
    expectValues(value, [2], [1, 4])
    expectValues(tangent, [2], [2, 40])
  }

  @Test func underOtherTransforms() {
    expectValues(vmap(f)([[1, 2], [3, 4]]), [2, 2], [1, 4, 9, 16])
    expectValues(vmap { grad { self.f($0).sum() }($0) }([[1, 2], [3, 4]]), [2, 2], [6, 12, 18, 24])
    expectValues(grad { vmap(self.f)($0).sum() }([[1, 2], [3, 4]]), [2, 2], [6, 12, 18, 24])
    expectValues(compile(f)([1, 2]), [2], [1, 4])
    expectValues(compile { (x: Tensor) in grad { self.f($0).sum() }(x) }([1, 2]), [2], [6, 12])
    expectValues(grad { compile(self.f)($0).sum() }([1, 2]), [2], [6, 12])
    expectValues(lazy { grad { self.f($0).sum() }([1, 2]) }, [2], [6, 12])
    let x = Tensor([1, 2] as [Float]).requiringGradient()
    lazy { f(x).sum() }.backward()
    expectValues(x.grad!, [2], [6, 12])
  }

  @Test func ofSharedInputsUnderVmap() {
    let scale = customGradient(
      { (x: [Tensor]) in x[0] * x[1] }, gradient: { x, _, cotangent in [cotangent * x[1] * 2, cotangent * x[0] * 2] })
    let gradient = grad { (w: Tensor) in vmap { (x: Tensor) in scale([w, x]).sum() }([[1, 2], [3, 4]]).sum() }
    expectValues(gradient([1, 1]), [2], [8, 12])
  }

  @Test func wrongGradients() {
    let few = customGradient({ (x: [Tensor]) in x[0] + x[1] }, gradient: { _, _, c in [c] })
    let text = errorText { _ = grad { (x: [Tensor]) in few(x).sum() }([[1], [2]]) }
    #expect(text.contains("customGradient: the gradient function gave 1 gradient"))
    let shape = customGradient({ (x: Tensor) in x.sum() }, gradient: { _, _, c in c })
    #expect(errorText { _ = grad(shape)([1, 2]) }.contains("shape and dtype are those of float32[2]"))
    let told = customGradient({ (x: Tensor) in x.sum() }, gradient: { _, _, c, _ in [c] })
    #expect(errorText { _ = grad(told)([1, 2]) }.contains("shape and dtype are those of float32[2]"))
  }

  /// The product of two tensors, with gradients that are left out where they are not needed; tells what was asked.
  private func product(_ asked: @escaping ([Bool]) -> Void) -> ([Tensor]) -> Tensor {
    customGradient({ (x: [Tensor]) in x[0] * x[1] }) { x, _, cotangent, needs in
      asked(needs)
      return [needs[0] ? cotangent * x[1] : nil, needs[1] ? cotangent * x[0] : nil]
    }
  }

  @Test func toldWhatIsNeeded() {
    var asked: [[Bool]] = []
    let f = product { asked.append($0) }
    let (x, y): (Tensor, Tensor) = ([1, 2], [3, 4])
    let leaf = x.requiringGradient()
    f([leaf, y]).sum().backward()
    expectValues(leaf.grad!, [2], [3, 4])
    expectValues(grad { f([x, $0]).sum() }(y), [2], [1, 2])
    expectValues(grad { f([$0, $0]).sum() }(x), [2], [2, 4])
    expectValues(grad { (p: [Tensor]) in f(p).sum() }([x, y])[1], [2], [1, 2])
    #expect(asked == [[true, false], [false, true], [true, true], [true, true]])
  }

  @Test func toldWhatIsNeededUnderOtherTransforms() {
    var asked: [[Bool]] = []
    let f = product { asked.append($0) }
    let rows: Tensor = [[1, 2], [3, 4]]
    let w: Tensor = [5, 6]
    // One input is shared by all examples: the sum of their gradients, in either place.
    expectValues(grad { w in vmap { (x: Tensor) in f([w, x]).sum() }(rows).sum() }(w), [2], [4, 6])
    expectValues(grad { w in vmap { (x: Tensor) in f([x, w]).sum() }(rows).sum() }(w), [2], [4, 6])
    expectValues(vmap { (x: Tensor) in grad { f([$0, w]).sum() }(x) }(rows), [2, 2], [5, 6, 5, 6])
    expectValues(compile { (x: Tensor) in grad { f([w, $0]).sum() }(x) }(rows[0]), [2], [5, 6])
    expectValues(lazy { grad { f([w, $0]).sum() }(rows[0]) }, [2], [5, 6])
    #expect(asked == [[true, false], [false, true], [true, false], [false, true], [false, true]])
    // Twice: the gradient of x · x · w is 2 x w, and of that 2 w.
    expectValues(grad { grad { f([f([$0, $0]), w]).sum() }($0).sum() }(rows[0]), [2], [10, 12])
  }

  @Test func nilIsZero() {
    let f = customGradient({ (x: [Tensor]) in x[0] * x[1] }) { x, _, cotangent, _ in [nil, cotangent * x[0]] }
    let gradients = grad { (p: [Tensor]) in f(p).sum() }([[1, 2], [3, 4]])
    expectValues(gradients[0], [2], [0, 0])
    expectValues(gradients[1], [2], [1, 2])
    let x = Tensor([1, 2] as [Float]).requiringGradient()
    f([x, [3, 4]]).sum().backward()
    #expect(x.grad == nil)
    // What is not needed may be given all the same.
    let both = customGradient({ (x: [Tensor]) in x[0] * x[1] }) { x, _, c, _ in [c * x[1], c * x[0]] }
    expectValues(grad { both([$0, [3, 4]]).sum() }([1, 2]), [2], [3, 4])
  }
}

@Suite struct CheckpointTests {
  private func block(_ x: Tensor) -> Tensor { tanh(x * 2) * exp(x) }

  @Test func valuesAndGradients() {
    let x = Tensor([0.1, -0.5, 2] as [Float])
    let f = checkpointed(block)
    expectSame(f(x), block(x))
    expectSame(grad { f($0).sum() }(x), grad { self.block($0).sum() }(x))
    expectSame(
      grad { grad { f($0).sum() }($0).sum() }(x), grad { grad { self.block($0).sum() }($0).sum() }(x), within: 1e-5)
    expectSame(jvp(f, x, x).tangent, jvp(block, x, x).tangent)
    let rows = stack([x, x * 2])
    expectSame(vmap(f)(rows), vmap(block)(rows))
    expectSame(vmap { grad { f($0).sum() }($0) }(rows), vmap { grad { self.block($0).sum() }($0) }(rows))
    expectSame(compile { (x: Tensor) in grad { f($0).sum() }(x) }(x), grad { self.block($0).sum() }(x))
    // Another shape is captured anew.
    expectSame(f(rows), block(rows))
  }

  @Test func parametersAndDropout() {
    func run(_ checkpoints: Bool) -> [Tensor] {
      let model = Sequential {
        Linear(4, 8, generator: Generator(seed: 1))
        Dropout(0.5, generator: Generator(seed: 2))
        Tanh()
        Linear(8, 2, generator: Generator(seed: 3))
      }
      let forward = { (x: Tensor) in model(x) }
      let f = checkpoints ? checkpointed(forward) : forward
      let x = count([3, 4]).requiringGradient()
      for _ in 0..<2 { (f(x) * f(x)).sum().backward() }
      return [x.grad!] + model.parameters.map { $0.grad! }
    }
    for (a, b) in zip(run(true), run(false)) { expectSame(a, b, within: 1e-4) }
  }

  /// What is inside is not kept: the records of 40 steps hold one tensor a block, not one a step.
  @Test func holdsLess() {
    func held(_ checkpoints: Bool) -> Int {
      let x = Tensor.ones([64]).requiringGradient()
      var count = 0
      let body = { (x: Tensor) -> Tensor in (0..<40).reduce(x) { y, _ in exp(y * 0.1) } }
      let y = checkpoints ? checkpointed(body)(x) : body(x)
      var record = y.node.trace as? Recorded
      while let current = record {
        count += 1
        record = current.inputCount > 0 ? current.edge(0)?.record : nil
      }
      y.sum().backward()
      #expect(x.grad != nil)
      return count
    }
    #expect(held(true) == 2)
    #expect(held(false) > 40)
  }
}
