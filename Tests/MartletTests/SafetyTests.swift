import Martlet
import MartletCore
import Testing

/// What must hold after a wrong use: nothing was changed, nothing is out of bounds, nothing spreads.
@Suite struct SafetyTests {
  @Test func sizesBeyondMemoryAreRefused() {
    let wide = Tensor.zeros([1]).expanded(to: [1 << 40])
    for wrong in [
      { exp(Tensor.zeros([1]).expanded(to: [1 << 62])) },
      { wide.reshaped([1 << 40, 1]) + wide.reshaped([1, 1 << 40]) },
      { matmul(wide.reshaped([1 << 40, 1]), wide.reshaped([1, 1 << 40])) },
      { Tensor.zeros([1]).padded([(Int.max, 1)]) },
      { Tensor.zeros([Int.max, 2]) },
      { Tensor.range(to: 1e30) },
      { Tensor.ones([1]).reshaped([1, 1, 1, 1, 1, 1, 1, 1, 1]) },
    ] as [() -> Tensor] {
      #expect(throws: OpError.self) { try withErrors(wrong) }
    }
  }

  @Test func extremeSteps() {
    let x = Tensor.range(to: 6).reshaped(2, 3)
    #expect(x[.range(by: .max)].shape == [1, 3])
    #expect(x[.range(by: .min)].floats == [3, 4, 5])
  }

  @Test func failedChangeLeavesTheVariable() {
    var x = Tensor.ones([2, 3])
    #expect(throws: OpError.self) { try withErrors { x += Tensor.ones([4]) } }
    #expect(throws: OpError.self) { try withErrors { x[5] = Tensor.ones([3]) } }
    #expect(throws: OpError.self) { try withErrors { x[0] = Tensor.ones([4]) } }
    #expect(throws: OpError.self) { try withErrors { x[Tensor([7])] = Tensor.zeros([3]) } }
    #expect(x.floats == [1, 1, 1, 1, 1, 1])
  }

  @Test func errorTensorEndsTheProgramOutsideOfItsScope() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      var kept = Tensor.ones([1])
      _ = try? withErrors { kept = matmul(Tensor.ones([2, 3]), Tensor.ones([2, 3])) }
      print((kept + 1).item())
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("an error tensor is used outside of its withErrors; matmul: the inner sizes differ: 3 ≠ 2"))
  }

  @Test func freedGraphIsFoundBeforeAnythingIsWritten() {
    let p = Tensor.ones([2]).requiringGradient()
    let q = Tensor.ones([2]).requiringGradient()
    let y = p * p
    y.sum().backward()
    let before = p.grad!.floats
    #expect(throws: OpError.self) { try withErrors { (y * q).sum().backward() } }
    #expect(q.grad == nil)
    #expect(p.grad!.floats == before)
    (q * 2).sum().backward()
    #expect(q.grad!.floats == [2, 2])
  }

  @Test func backwardWithinAHookOfAnother() {
    let p = Tensor.ones([2]).requiringGradient()
    let y = p * 2
    y.registerHook { _ in
      (p * 3).sum().backward()
      return nil
    }
    (y * p).sum().backward()
    expectValues(p.grad!, [2], [7, 7])  // 4 p of the outer, 3 of the inner

    // The hook walks the graph that is being walked.
    let q = Tensor([3] as [Float]).requiringGradient()
    let square = q * q
    let cube = square * q
    cube.registerHook { _ in
      square.sum().backward(retainGraph: true)
      return nil
    }
    cube.sum().backward()
    expectValues(q.grad!, [1], [33])  // 3 q² + 2 q
  }

  /// What a hook frees while the walk around it is still to read it stays until that has.
  @Test func graphsFreedWithinAHook() {
    let q = Tensor([3] as [Float]).requiringGradient()
    let square = q * q
    let cube = square * q
    cube.registerHook { _ in
      square.sum().backward()
      return nil
    }
    cube.sum().backward()
    expectValues(q.grad!, [1], [33])
    #expect(errorText { square.sum().backward() }.contains("the graph was freed by an earlier backward pass"))
  }

  @Test func changeThatThrowsKeepsTheParameter() {
    struct Stop: Error {}
    func change(_ tensor: inout Tensor) throws {
      tensor = tensor * 2
      throw Stop()
    }
    let p = Parameter(Tensor.ones([2]))
    #expect(throws: Stop.self) { try change(&p.value) }
    #expect(p.value.floats == [2, 2])
  }

  @Test(.enabled(if: Device.current == .cpu, "only the CPU has no queue")) func compiledStepWritesOverItsState() {
    let p = Parameter(Tensor.ones([1000]))
    let optimizer = Adam([p], learningRate: 0.1)
    let step = compile { (x: Tensor) -> Tensor in
      optimizer.zeroGrad()
      let loss = (p.value * x).sum()
      loss.backward()
      optimizer.step()
      return loss.detached()
    }
    let x = Tensor.ones([1000])
    _ = step(x)
    let address = p.read()!.concretePointer
    for _ in 0..<3 { _ = step(x) }
    #expect(p.read()!.concretePointer == address)
  }

  @Test func integersThatDoNotFitAreNotClamped() {
    let bytes = Tensor([0, 128, 255] as [UInt8])
    #expect((bytes .> -1).array(as: Bool.self) == [true, true, true])
    #expect((bytes .< 300).array(as: Bool.self) == [true, true, true])
    #expect((bytes + -10).array(as: Int.self) == [-10, 118, 245])
    #expect((bytes + 1).dtype == .uint8)
    #expect((Tensor([9_007_199_254_740_992]) .== 9_007_199_254_740_993).array(as: Bool.self) == [false])
  }

  @Test func chainsInLazyWaitForAReader() {
    lazy {
      let a = exp(Tensor.zeros([2]))
      let b = a + 1
      let c = b * a
      for tensor in [a, b, c] { #expect((tensor.node.trace as? Pending)?.hasRun == false) }
      #expect(c.floats == [2, 2])
      for tensor in [a, b, c] { #expect((tensor.node.trace as? Pending)?.hasRun == true) }
    }
  }

  @Test func gradientInsideWithoutGradient() {
    // The inner gradient is computed; the outer one does not pass through.
    let f = grad { (x: Tensor) -> Tensor in
      let inner = withoutGradient { valueAndGrad { (y: Tensor) in (y * y * x).sum() }(x) }
      return (inner.0 * x).sum()
    }
    expectValues(f([2]), [1], [8])
  }
}

extension Tensor {
  fileprivate var concretePointer: UnsafeMutableRawPointer? { node.storage?.pointer }
}
