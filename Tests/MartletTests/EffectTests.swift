import Martlet
import MartletCore
import MartletOps
import Testing

/// Printing and assertions, in every moment and in their order.
@Suite(.serialized) struct EffectTests {
  private func body(_ x: Tensor) -> Tensor {
    printed(x, "first")
    let y = printed(tanh(x) * 2, "second", data: [])
    let z = asserted(y + x, x .> 0, "positive")
    printed(z.sum(), "third", data: [x.sum(), x])
    return z
  }

  @Test func linesComeInTheirOrder() throws {
    let x: Tensor = [1, 2]
    let expected = ["first \(x)", "second", "third \(Tensor(3.0)) \(x)"]
    let compiled = compile(body)
    _ = PrintedLines.during { _ = compiled(x) }
    for (name, run) in [
      ("now", { _ = body(x) }), ("lazy", { _ = lazy { body(x) } }), ("compiled", { _ = compiled(x) }),
      ("without plans", { _ = try! compiled.program(for: x).run([x], planned: false) }),
      ("jvp", { _ = jvp(body, x, x) }),
    ] as [(String, () -> Void)] {
      #expect(PrintedLines.during(run) == expected, "\(name)")
    }
    // Backward passes print nothing again.
    #expect(PrintedLines.during { _ = grad { body($0).sum() }(x) } == expected)
    let step = compile(grad { (x: Tensor) in body(x).sum() })
    #expect(PrintedLines.during { _ = step(x) } == expected)
    expectSame(step(x), grad { (x: Tensor) in (tanh(x) * 2 + x).sum() }(x), within: 1e-6)
  }

  /// Rows of a scan that are printed are printed once; what a gradient of the user's prints belongs to the backward half.
  @Test func linesOfScansComeOnce() throws {
    let own = customGradient({ (x: Tensor) in x * x }) { (x: Tensor, _: Tensor, ct: Tensor) in
      printed(ct, "ct") * x * 2
    }
    let f = compile { (x: Tensor) in
      scan(x, from: Tensor(repeating: 0, [], dtype: .float32)) { sum, row in
        (sum + own(printed(row, "row")), sum)
      }.0
    }
    let rows: Tensor = [1, 2, 3]
    let lines = PrintedLines.during { expectValues(grad(f.function)(rows), [3], [2, 4, 6]) }
    #expect(lines.map { String($0.prefix(2)) } == ["ro", "ro", "ro", "ct", "ct", "ct"])
    let plain = compile { (x: Tensor) in (printed(x, "x") * x).sum() }
    #expect(PrintedLines.during { _ = grad(plain.function)(rows) }.count == 1)
  }

  @Test func fusionKeepsTheOrder() throws {
    // Both printed values could be parts of one chain that would have to stand before the first and behind the second line.
    let f = compile { (x: Tensor) in
      let a = x * 2 + 1
      printed(a, "a")
      let b = printed(x - 3, "b")
      let c = tanh(a * b) + a
      printed(c, "c")
      return relu(c) * a
    }
    let x = Tensor.ones([5])
    let lines = PrintedLines.during { _ = f(x) }
    #expect(lines.map { String($0.prefix(1)) } == ["a", "b", "c"])
    #expect(PrintedLines.during { _ = f(x) } == lines)
  }

  /// Control flow prints and checks where and as often as it runs, and its derivatives do not print again.
  @Test func insideControlFlow() throws {
    func steps(_ x: Tensor) -> Tensor {
      let y = whileLoop(x, while: { $0.sum() .< 20 }) { printed($0 * 2, "step", data: []) }
      let z = cond(y.sum() .> 0) {
        printed(y + 1, "then", data: [])
      } else: {
        printed(y, "else", data: [])
      }
      return scan(z, from: Tensor(repeating: 0, [], dtype: .float32)) { sum, row in
        let sum = asserted(printed(sum + row * row, "row", data: []), row .< 1000)
        return (sum, sum)
      }.0
    }
    let x: Tensor = [1, 2]
    let expected = ["step", "step", "step", "then", "row", "row"]
    #expect(PrintedLines.during { _ = steps(x) } == expected)
    let compiled = compile(steps)
    let slope = compile(grad(steps))
    let tangent = compile { (x: Tensor) in jvp(steps, x, Tensor.ones([2])).1 }
    for (name, run) in [
      ("compiled", { _ = compiled(x) }), ("grad", { _ = slope(x) }), ("jvp", { _ = tangent(x) }),
    ] as [(String, () -> Void)] {
      run()
      #expect(PrintedLines.during(run) == expected, "\(name)")
    }
    // The sum of (8 x + 1)² has the derivative 16 (8 x + 1).
    expectValues(slope(x), [2], [144, 272])
    expectValues(tangent(x), [], [416])
    #expect(errorText { _ = compiled([2000, 1]).item() }.contains("the condition is false"))
  }

  @Test func allExamplesInOneLine() {
    let x: Tensor = [[1, 2], [3, 4]]
    let lines = PrintedLines.during { _ = vmap { (row: Tensor) in printed(row, "row") }(x) }
    #expect(lines == ["row \(x)"])
    #expect(
      PrintedLines.during { _ = vmap { (row: Tensor) in printed(Tensor(5.0), "sum", data: [row.sum()]) }(x) } == [
        "sum \(x.sum(axis: 1))"
      ])
  }

  @Test func effectsHappenInTheRunsThatNeedThem() throws {
    let graph = Graph()
    let x = graph.placeholder([])
    let shown = printed(x * 2, "twice")
    let safe = asserted(shown, x .> 0, "x is positive")
    let session = Session(graph)
    let lines = try PrintedLines.during {
      _ = try session.run(x + 1, feeding: [x: Tensor(1.0)])
      _ = try session.run(shown, feeding: [x: Tensor(2.0)])
      _ = try session.run(graph.gradients(of: safe, x), feeding: [x: Tensor(3.0)])
    }
    #expect(lines.map(withoutDevice) == ["twice \(Tensor(4.0))"].map(withoutDevice))
    expectValues(try session.run(safe + 0, feeding: [x: Tensor(3.0)]), [], [6])
    let text = errorText { _ = try session.run(safe, feeding: [x: Tensor(-3.0)]).item() }
    #expect(text.contains("x is positive"), "\(text)")
  }

  @Test func failedAssertions() throws {
    let x = Tensor([1, -2, 3])
    for (name, run) in [
      ("now", { _ = asserted(x, x .> 0, "x is positive").floats }),
      ("lazy", { _ = lazy { asserted(x, x .> 0, "x is positive") }.floats }),
      ("compiled", { _ = compile { (x: Tensor) in asserted(x, x .> 0, "x is positive") }(x).floats }),
      (
        "unread",
        {
          _ =
            compile { (x: Tensor) in
              asserted(x, x .> 0, "x is positive")
              return x * 2
            }(x).floats
        }
      ),
      ("vmap", { _ = vmap { (e: Tensor) in asserted(e, e .> 0, "x is positive") }(x).floats }),
    ] as [(String, () -> Void)] {
      let text = errorText(run)
      #expect(text.contains("the condition is false at [1]") && text.contains("x is positive"), "\(name): \(text)")
    }
    for (expected, run) in [
      (
        "asserted: x is positive: the condition is false at [1], where x is -2\n",
        { _ = asserted(x, x .> 0, "x is positive") }
      ),
      ("asserted: the condition is false at [1], where x is -0.25\n", { _ = asserted(x / 8, x .> 0) }),
      (
        "asserted: loss below 0.5: the condition is false, and x is 0.75\n",
        { _ = compile { (y: Tensor) in asserted(y, y .< 0.5, "loss below 0.5") }(Tensor(0.75)).floats }
      ),
      (
        "asserted: few: the condition is false, and x is 7\n",
        { _ = asserted(Tensor([7]), Tensor([7]).sum() .< 5, "few") }
      ),
      ("asserted: small: the condition is false, and x is [ 1, -2,  3]\n", { _ = asserted(x, x.sum() .< 1, "small") }),
      ("asserted: the condition is false\n", { _ = asserted(Tensor.ones([9]), Tensor(false)) }),
    ] as [(String, () -> Void)] {
      let text = errorText(run)
      #expect(text.hasPrefix(expected), "\(text)")
    }
    #expect(errorText { asserted(x, x) }.contains("bool"))
    #expect(errorText { _ = asserted(x, Tensor(false)).floats }.contains("all its elements are true"))
  }

  @Test func aFailedCallWritesNothing() {
    let state = StateTensor(Tensor(1.0))
    let f = compile { (x: Tensor) in
      state.value = state.value + x
      asserted(x, x .> 0)
      return x
    }
    _ = f(Tensor(2.0))
    #expect(throws: (any Error).self) { try withErrors { _ = f(Tensor(-2.0)) } }
    expectValues(state.value, [], [3])
  }
}
