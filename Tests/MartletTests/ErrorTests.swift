import Martlet
import Testing

/// A wrong use and the whole text that it yields.
struct Wrong: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let body: @Sendable () -> Void
  let text: String
  init(_ name: String, _ text: String, _ body: @escaping @Sendable () -> Void) {
    testDescription = name
    self.text = text
    self.body = body
  }

  func check(at location: SourceLocation = #_sourceLocation) {
    // Where in the tests a function was captured is left out; the lines of calls are looked up only where they matter.
    let found = errorText(places: text.contains("called at"), at: location, body).replacing(
      /MartletTests\/\w+\.swift:\d+/, with: "FILE:LINE")
    #expect(found == text, sourceLocation: location)
  }
}

@Suite struct ErrorScopeTests {
  @Test func theFirstErrorIsThrown() throws {
    let error = #expect(throws: OpError.self) {
      try withErrors {
        let bad = matmul(Tensor.ones([2, 3]), Tensor.ones([2, 3]))
        _ = Tensor.ones([2]) + Tensor.ones([3])
        #expect(bad.sum().item().isNaN)
        #expect((bad + 1).sum().item(as: Int.self) == 0)
      }
    }
    #expect(error?.fact == .innerSizes(3, 2))
    #expect(error?.op == "matmul" && error?.arguments.map { $0.shape } == [[2, 3], [2, 3]])
    // The process goes on.
    expectValues(try withErrors { Tensor([1, 2] as [Float]) + 1 }, [2], [2, 3])
  }

  private struct Own: Error {}

  @Test func otherErrorsPass() {
    #expect(throws: Own.self) { try withErrors { throw Own() } }
    // What failed first is the cause.
    #expect(throws: OpError.self) {
      try withErrors {
        _ = Tensor.ones([2]) + Tensor.ones([3])
        throw Own()
      }
    }
  }

  @Test func scopesNest() throws {
    try withErrors {
      #expect(throws: OpError.self) { try withErrors { Tensor.ones([2]) + Tensor.ones([3]) } }
      expectValues(Tensor.ones([1]) * 2, [1], [2])
    }
  }

  /// Error tensors pass silently through every kind of operation and transform.
  @Test func errorTensorsPassThrough() {
    let error = #expect(throws: OpError.self) {
      try withErrors {
        let bad = matmul(Tensor.ones([2, 3]), Tensor.ones([2, 3]))
        let results = [
          exp(bad), bad + 1, bad[0], bad.reshaped([3, 2]), concat([bad, bad]), bad.topK(1).values, bad.sum(),
          softmax(bad), select(bad .> 0, bad, bad), vmap { $0 * 2 }(bad),
          grad { ($0 * bad).sum() }(Tensor.ones([2, 3])),
          jvp({ $0 * bad }, Tensor.ones([2, 3]), Tensor.ones([2, 3])).tangent, compile { (x: Tensor) in x * 2 }(bad),
          lazy { bad * 2 } + 1, bad.detached(), bad.cast(to: .float64), crossEntropy(bad, Tensor([0, 1])),
          checkpointed { (x: Tensor) in x * 2 }(bad), bad[Tensor([0])], bad.reshaped([77]),
        ]
        for (index, result) in results.enumerated() { #expect(result.node.trace is Failed, "result \(index)") }
        let leaf = Tensor.ones([2, 3]).requiringGradient()
        (leaf * bad).sum().backward()
        #expect(leaf.grad!.isError)
        var copy = Tensor.ones([2, 3])
        copy[0] = bad[0]
        #expect(!copy.isError)  // a failed change leaves the tensor as it was
        let cell = StateTensor(Tensor.ones([2, 3]))
        cell.value = bad
        expectValues(cell.value.sum(), [], [6])
      }
    }
    #expect(error?.fact == .innerSizes(3, 2))
  }

  @Test func tensorsDoNotChange() {
    var x = Tensor([1, 2, 3] as [Float])
    let copy = x
    let p = Parameter([1, 2])
    _ = errorText {
      x[Tensor([7])] = Tensor(9)
      p.value -= [1, 2, 3]
    }
    expectValues(copy, [3], [1, 2, 3])
    expectValues(p.value, [2], [1, 2])
  }
}

/// Outside of a scope a wrong use ends the program with the same text.
@Suite struct ExitTests {
  private func expectText(
    _ result: ExitTest.Result?, _ parts: String..., at location: SourceLocation = #_sourceLocation
  ) {
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    for part in parts { #expect(text.contains(part), sourceLocation: location) }
  }

  @Test func operations() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = matmul(Tensor.ones([2, 3]), Tensor.ones([2, 3]))
    }
    expectText(result, "Martlet: matmul: the inner sizes differ: 3 ≠ 2", "try: b.transposed()")
  }

  @Test func indices() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = crossEntropy(Tensor.ones([2, 3]), Tensor([0, 3])).item()
    }
    expectText(result, "Martlet: ", labelError(3, classes: 3))
  }

  @Test func captures() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = compile { (x: Tensor) -> Tensor in x.sum().item() > 0 ? x : -x }(Tensor.ones([2]))
    }
    expectText(result, "a symbolic tensor has no value", "MartletTests/ErrorTests.swift")
  }
}
