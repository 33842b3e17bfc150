import Martlet
import Testing

@Suite struct RecordedGraphTests {
  private func leaf(_ values: [Float]) -> Tensor { Tensor(values).requiringGradient() }

  private func text(_ graph: RecordedGraph) -> String { withoutDevice(graph.description) }

  @Test func asText() {
    let (x, y) = (leaf([3, 1]), leaf([4, 1]))
    let graph = sqrt(x * x + y * 2).sum().recordedGraph()
    #expect(
      text(graph) == """
        0 sum {axes=[0]} float32[] ← 1
        1 sqrt float32[2] ← 2
        2 add float32[2] ← 3, 4
        3 multiply float32[2] ← 5, 5
        4 multiply float32[2] ← 6, constant
        5 leaf float32[2]
        6 leaf float32[2]
        """)
    #expect(!graph.isCut && graph.output == 0)
    #expect(graph.nodes[3].parents == [.node(5, output: 0), .node(5, output: 0)])
    #expect(graph.nodes.map { $0.isLeaf } == [false, false, false, false, false, true, true])
  }

  @Test func asDrawing() {
    let x = leaf([3, 1])
    #expect(
      withoutDevice((x * x).recordedGraph().graphviz) == """
        digraph {
          node [shape=box]
          0 [label="multiply\\nfloat32[2]"]
          1 [label="leaf\\nfloat32[2]", shape=ellipse]
          1 -> 0
          1 -> 0
        }
        """)
    // Cut before the leaf.
    #expect(
      withoutDevice((-exp(x)).recordedGraph(limit: 1).graphviz) == """
        digraph {
          node [shape=box]
          0 [label="negate\\nfloat32[2]"]
          beyond0 [label="…", shape=plaintext]
          beyond0 -> 0 [style=dotted]
        }
        """)
  }

  @Test func namesOfParameters() {
    final class Named: Module {
      let parts = ["a \"b\"\\": Linear(2, 1, bias: false)]
      func forward(_ x: Tensor) -> Tensor { parts.values.first!(x) }
    }
    let model = Named()
    #expect(model.parameters.count == 1)
    let graph = model(Tensor.ones([3, 2])).recordedGraph()
    #expect(graph.nodes.last!.name == #"parts.a "b"\.weight"#)
    #expect(withoutDevice(graph.graphviz).contains(#"label="parts.a \"b\"\\.weight\nfloat32[1, 2]""#))
  }

  @Test func severalOutputs() {
    let x = leaf([3, 1, 2, 5])
    let top = x.topK(2)
    let graph = (top.values * 2).recordedGraph()
    #expect(graph.nodes[1].outputs.count == 2 && graph.nodes[1].outputs[0].shape == [2])
    let (_, state) = LSTM(2, 3)(Tensor.ones([1, 1, 2]))
    let steps = state.cell.recordedGraph()
    let number = steps.nodes.firstIndex { $0.outputs.count > 1 }!
    let isRead = steps.nodes.contains { node in
      node.parents.contains { if case .node(number, let output) = $0 { output > 0 } else { false } }
    }
    #expect(isRead || steps.output > 0)
    #expect(steps.description.contains("\(number).1") || steps.output == 1, "\(steps)")
  }

  @Test func withoutHistory() {
    let x: Tensor = [1, 2]
    #expect(text(x.recordedGraph()) == "0 constant float32[2]")
    #expect(text(leaf([1]).recordedGraph()) == "0 leaf float32[1]")
    #expect(text((leaf([1]) * 2).detached().recordedGraph()) == "0 constant float32[1]")
    #expect(withoutGradient { leaf([1]) * 2 }.recordedGraph().nodes.count == 1)
    #expect(text((leaf([1]) .> 0).recordedGraph()) == "0 constant bool[1]")
  }

  @Test func afterBackward() {
    let x = leaf([1, 2])
    let y = exp(x * 3).sum()
    y.backward(retainGraph: true)
    #expect(y.recordedGraph().nodes.count == 4)
    y.backward()
    #expect(text(y.recordedGraph()) == "0 sum {axes=[0]} float32[] ← freed")
  }

  @Test func deepGraphs() {
    let x = leaf([1])
    var y = x
    for _ in 0..<50_000 { y = y + 1 }
    let whole = y.recordedGraph(limit: 100_000)
    #expect(whole.nodes.count == 50_001 && !whole.isCut && whole.nodes.last!.isLeaf)
    let cut = y.recordedGraph()
    #expect(cut.nodes.count == 1000 && cut.isCut)
    let lines = text(cut).split(separator: "\n")
    #expect(lines.count == 1001)
    #expect(lines[999] == "999 add float32[1] ← …, constant")
    #expect(lines[1000] == "… cut at 1000 nodes")
    #expect(cut.graphviz.split(separator: "\n").count == 3 + 1000 + 999 + 2)
  }

  @Test func wideGraphs() {
    let x = leaf([1])
    let wide = concat((0..<5000).map { _ in x * 2 }).recordedGraph(limit: 10)
    #expect(wide.nodes.count == 10 && wide.isCut)
    #expect(wide.nodes[0].parents.count == 5000)
    #expect(wide.description.count < 2000 && wide.description.contains("and 4968 more"))
    #expect(wide.graphviz.count < 2000)
    // A diamond of shared nodes is not walked path by path.
    var y = x
    for _ in 0..<200 { y = y + y }
    #expect(y.recordedGraph().nodes.count == 201)
  }

  @Test func insideTransforms() {
    var nodes: [Int] = []
    func f(_ x: Tensor) -> Tensor {
      let y = exp(x).sum()
      nodes.append(y.recordedGraph().nodes.count)
      return y
    }
    _ = grad(f)([1, 2])
    _ = vmap { (x: Tensor) in grad(f)(x) }([[1, 2], [3, 4]])
    _ = compile { (x: Tensor) in grad(f)(x) }([1, 2])
    _ = lazy { grad(f)([1, 2]) }.floats
    #expect(nodes == [3, 3, 3, 3])
    #expect(lazy { leaf([1]) * 2 }.recordedGraph().nodes.count == 2)
  }

  @Test func wrongLimit() {
    let text = errorText { _ = leaf([1]).recordedGraph(limit: 0) }
    #expect(text.contains("recordedGraph: limit is 0") && text.contains("rule: a graph has 1 node or more"))
  }
}
