import Foundation
import Martlet
import MartletCore
import MartletOps
import Testing

/// Graphs that are defined first and run later.
@Suite struct GraphTests {
  @Test func fetchesComputeOnlyWhatTheyNeed() throws {
    let graph = Graph()
    let x = graph.placeholder([3], name: "x")
    let y = graph.placeholder([3], name: "y")
    let sum = (x + y).sum()
    let scaled = x * 3
    let session = Session(graph)
    // y is not needed and not fed.
    expectValues(try session.run(scaled, feeding: [x: [1, 2, 3]]), [3], [3, 6, 9])
    let both = try session.run([sum, scaled], feeding: [x: [1, 2, 3], y: [1, 1, 1]])
    expectValues(both[0], [], [9])
    expectValues(both[1], [3], [3, 6, 9])
    // Any value may be given in place of being computed.
    expectValues(try session.run(scaled.sum(), feeding: [scaled: [1, 2, 4]]), [], [7])
    // What was defined after the first run.
    expectValues(try session.run(scaled - x, feeding: [x: [1, 2, 3]]), [3], [2, 4, 6])
    expectValues(try session.run(x, feeding: [x: [1, 2, 3]]), [3], [1, 2, 3])
  }

  @Test func oneOfSeveralResultsIsFed() throws {
    let graph = Graph()
    let x = graph.placeholder([4])
    let (values, places) = x.topK(2)
    let wanted = [values * 2, places]
    let found = try Session(graph).run(wanted, feeding: [x: [1, 5, 3, 4], values: [7, 8]])
    expectValues(found[0], [2], [14, 16])
    expectValues(found[1], [2], [1, 3])
  }

  @Test func gradientsAreAdded() throws {
    let graph = Graph()
    let (x, w) = (graph.placeholder([2]), graph.placeholder([2]))
    let y = (x * x * w).sum()
    let slope = graph.gradients(of: y, x)  // 2 x w
    let curve = graph.gradients(of: slope, x)  // 2 w
    let mixed = graph.gradients(of: slope, w)  // 2 x
    let none = graph.gradients(of: (w * 2).sum(), x)
    let found = try Session(graph).run([slope, curve, mixed, none], feeding: [x: [3, 4], w: [5, 6]])
    expectValues(found[0], [2], [30, 48])
    expectValues(found[1], [2], [10, 12])
    expectValues(found[2], [2], [6, 8])
    expectValues(found[3], [2], [0, 0])
    // The forward pass is there once: the gradient's copy of it is a common subexpression.
    let text = "\(graph.program.optimized())"
    #expect(
      text.components(separatedBy: "multiply").count < "\(graph.program)".components(separatedBy: "multiply").count)
  }

  @Test func transformsWorkOnTensorsOfAGraph() throws {
    let graph = Graph()
    let x = graph.placeholder([3])
    let tangent = jvp({ ($0 * $0).sum() }, x, Tensor.ones([3])).1
    let squares = vmap { (row: Tensor) in row * row + x.sum() }(x)
    let found = try Session(graph).run([grad { ($0 * $0 * $0).sum() }(x), tangent, squares], feeding: [x: [1, 2, 3]])
    expectValues(found[0], [3], [3, 12, 27])
    expectValues(found[1], [], [12])
    expectValues(found[2], [3], [7, 10, 15])
  }

  @Test func controlFlowIsPartOfAGraph() throws {
    let graph = Graph()
    let (x, w) = (graph.placeholder([3]), graph.placeholder([]))
    let sum = foldl(x, from: Tensor(0.0)) { ($0 + $1) * w }  // ((x₀ w + x₁) w + x₂) w
    let grown = whileLoop(w, while: { $0 .< 20 }) { $0 * w }
    let chosen = cond(w .> 2) {
      grown * 2
    } else: {
      grown
    }
    #expect("\(graph.program)".contains("scan(") && "\(graph.program)".contains("loop("))
    let wanted = [sum, chosen] + graph.gradients(of: sum + chosen, [x, w])
    let session = Session(graph)
    for (value, results) in [
      (2, [[22], [32], [8, 4, 2], [12 + 8 + 3 + 80]]),  // the loop gives 2⁵
      (3, [[54], [54], [27, 9, 3], [27 + 12 + 3 + 54]]),  // 2 · 3³
    ] as [(Float, [[Double]])] {
      let found = try session.run(wanted, feeding: [x: [1, 2, 3], w: Tensor(value)])
      for (tensor, numbers) in zip(found, results) { expectValues(tensor, tensor.shape, numbers, within: 1e-4) }
    }
  }

  @Test func variablesLastInTheirSession() throws {
    let graph = Graph()
    let a = graph.variable([1, 2], name: "a")
    let b = graph.variable([10, 20], name: "b")
    let swap = graph.group([(a, b), (b, a)].map { graph.assign($0, $1) })
    let (one, two) = (Session(graph), Session(graph))
    // A run computes with the old values.
    expectValues(try one.run(a + 0, updating: swap), [2], [1, 2])
    expectValues(try one.value(of: a), [2], [10, 20])
    expectValues(try one.value(of: b), [2], [1, 2])
    expectValues(try two.run(a), [2], [1, 2])
    try one.run(updating: graph.assign(a, a * 2))
    expectValues(try one.run(a), [2], [20, 40])
    try one.set(a, to: [7, 7])
    expectValues(try one.run(a - b), [2], [6, 5])
    one.initialize()
    expectValues(try one.run([a, b])[1], [2], [10, 20])
  }

  @Test func updatesAreRunByThemselves() throws {
    let graph = Graph()
    let x = graph.placeholder([2])
    let (a, b) = (graph.variable([1, 2]), graph.variable([10, 20]))
    let session = Session(graph)
    try session.run(graph.assign(a, a + 1))
    try session.run(graph.assign(a, a + x), feeding: [x: [5, 5]])
    expectValues(try session.value(of: a), [2], [7, 8])
    // All read the values from before.
    try session.run([graph.assign(a, b), graph.assign(b, a)])
    expectValues(try session.value(of: a), [2], [10, 20])
    expectValues(try session.value(of: b), [2], [7, 8])
  }

  @Test func graphsAndSessionsPrint() throws {
    let graph = Graph(file: "App/main.swift", line: 3)
    let x = graph.placeholder([2, 3], name: "images")
    let w = graph.variable(Tensor.ones([3]), name: "weights")
    let count = graph.variable(Tensor(4.0), name: "count")
    let y = x * w + 1
    #expect(withoutDevice("\(x)") == "Tensor(float32[2, 3], images (float32[2, 3]), of Graph at App/main.swift:3)")
    #expect(withoutDevice("\(w)") == "Tensor(float32[3], variable weights, of Graph at App/main.swift:3)")
    #expect(withoutDevice("\(y)") == "Tensor(float32[2, 3], the result of add, of Graph at App/main.swift:3)")
    #expect(
      withoutDevice("\(graph)") == """
        Graph at App/main.swift:3
          placeholder images: float32[2, 3]
          variable weights: float32[3]
          variable count: float32[]
          2 operations
        """)
    let session = Session(graph)
    try session.run(graph.assign(count, count + 1))
    #expect(
      withoutDevice("\(session)") == """
        Session of Graph at App/main.swift:3, with 1 program
          variable weights: float32[3]
          variable count: float32[] = 5.
        """)
  }

  @Test func layersAndOptimizersAreDefined() throws {
    func model() -> (Linear, Adam) {
      Random.seed(4)
      let layer = Linear(3, 2)
      return (layer, Adam(layer.parameters, learningRate: 0.1))
    }
    let (defined, optimizer) = model()
    let (plain, other) = model()
    let graph = Graph()
    let x = graph.placeholder([4, 3])
    let loss = graph.define {
      optimizer.zeroGrad()
      let loss = pow(defined(x), 2).mean()
      loss.backward()
      optimizer.step()
      return loss.detached()
    }
    let updates = graph.updates
    let session = Session(graph)
    let batch = Tensor.range(to: 12).reshaped([4, 3]) / 6
    for _ in 0..<3 {
      let found = try session.run(loss, updating: updates, feeding: [x: batch])
      other.zeroGrad()
      let expected = pow(plain(batch), 2).mean()
      expected.backward()
      other.step()
      expectSame(found, expected.detached(), within: 1e-6)
    }
    expectSame(defined.weight.value.detached(), plain.weight.value.detached(), within: 1e-6)
    // Without the update nothing changes.
    let before = defined.weight.value.detached() * 1
    _ = try session.run(loss, feeding: [x: batch])
    expectSame(defined.weight.value.detached(), before)
  }

  @Test func randomNumbersAreNewAtEachRun() throws {
    let graph = Graph()
    let generator = Generator(seed: 3)
    let noise = graph.define { Tensor.uniform([8], generator: generator) }
    let session = Session(graph)
    let (a, b) = (try session.run(noise), try session.run(noise))
    #expect(a.floats != b.floats)
  }

  @Test func failedRunsWriteNothing() throws {
    let graph = Graph()
    let x = graph.placeholder([])
    let count = graph.variable(Tensor(0.0), name: "count")
    let update = graph.assign(count, count + asserted(x, x .> 0, "x is positive"))
    let session = Session(graph)
    try session.run(updating: update, feeding: [x: Tensor(2.0)])
    #expect(throws: (any Error).self) { try session.run(updating: update, feeding: [x: Tensor(-2.0)]) }
    expectValues(try session.value(of: count), [], [2])
  }

  @Test func severalTasksRunOneSession() throws {
    let graph = Graph()
    let x = graph.placeholder([64])
    let total = graph.variable(Tensor(0.0))
    let sum = x.sum()
    let update = graph.assign(total, total + sum)
    let session = Session(graph)
    nonisolated(unsafe) let step = update
    let lock = Lock()
    nonisolated(unsafe) var wrong = 0
    DispatchQueue.concurrentPerform(iterations: 8) { worker in
      for _ in 0..<20 {
        let value = try? session.run(sum, updating: step, feeding: [x: Tensor(repeating: Double(worker), [64])])
        if value?.item() != Double(worker * 64) { lock.holding { wrong += 1 } }
      }
    }
    #expect(wrong == 0)
    expectValues(try session.value(of: total), [], [Double(64 * 28 * 20)])
  }

  @Test func mistakesAreNamed() throws {
    let (graph, other) = (Graph(), Graph())
    let x = graph.placeholder([2, 3], name: "images")
    let w = graph.variable(Tensor.ones([3]), name: "weights")
    let foreign = other.placeholder([3])
    let session = Session(graph)
    let y = (x * w).sum()
    for (part, body) in [
      ("images (float32[2, 3]) has no value", { _ = try session.run(y) }),
      ("feeding: [images: value]", { _ = try session.run(y) }),
      (
        "images (float32[2, 3]) is fed with float32[3, 3]",
        { _ = try session.run(y, feeding: [x: Tensor.ones([3, 3])]) }
      ),
      ("the tensor is of another graph (Graph at", { _ = try session.run(foreign) }),
      ("try: batches of this size, or a placeholder", { _ = try session.run(y, feeding: [x: Tensor.ones([3, 3])]) }),
      ("try: value.reshaped([2, 3])", { _ = try session.run(y, feeding: [x: Tensor.ones([6])]) }),
      (
        "rule: a value that is fed has the shape and dtype of its tensor",
        { _ = try session.run(y, feeding: [x: Tensor.ones([2, 3], dtype: .float64)]) }
      ),
      (
        "try: value.cast(to: .float32)", { _ = try session.run(y, feeding: [x: Tensor.ones([2, 3], dtype: .float64)]) }
      ),
      (
        "a tensor that is no part of the graph is fed",
        { _ = try session.run(y, feeding: [x: Tensor.ones([2, 3]), Tensor.ones([3]): Tensor.ones([3])]) }
      ),
      ("the tensor is of another graph", { _ = try session.run(y, feeding: [foreign: Tensor.ones([3])]) }),
      ("placeholder: the shape [-1, 3] is negative", { _ = graph.placeholder([-1, 3]) }),
      ("rule: a placeholder has one shape, whose sizes are 0 or more", { _ = graph.placeholder([-1, 3]) }),
      ("placeholder: the shape [9223372036854775807, 2] is", { _ = graph.placeholder([.max, 2]) }),
      ("try: graph.gradients(of: loss, variable)", { y.backward() }),
      ("the update is of another graph", { try session.run(updating: other.group()) }),
      ("the update is of another graph", { try session.run(other.group()) }),
      ("the update is of another graph", { try session.run([graph.group(), other.group()]) }),
      ("only a variable can be assigned to, and this is images", { _ = graph.assign(x, x) }),
      ("weights", { _ = graph.assign(w, y) }),
      (
        "weights is updated twice",
        { try session.run(updating: graph.group(graph.assign(w, w), graph.assign(w, w * 2))) }
      ),
      ("is not a variable", { _ = try session.value(of: y) }),
      ("has no value before it is run (Graph at", { _ = y.item() }),
      ("Session(graph).run", { _ = y.item() }),
      ("cannot be written into", { StateTensor(Tensor(0.0)).value = y }),
      ("of another graph", { _ = graph.gradients(of: y, foreign) }),
      ("[2, 3]", { _ = x + Tensor.ones([2]) }),
      ("gradient", { _ = graph.gradients(of: y .> 0, x) }),
    ] as [(String, () throws -> Void)] {
      let text = errorText(body)
      #expect(text.contains(part), "\(text)")
    }
  }

  @Test func explains() throws {
    let graph = Graph()
    let x = graph.placeholder([64, 64])
    let explanation = try Session(graph).explain(tanh(x * 2 + 1), feeding: [x: Tensor.ones([64, 64])])
    #expect(explanation.capturedCount == 3)
  }
}
