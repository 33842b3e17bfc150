import Martlet

/// The graph that a run has recorded: operations with their parents, as text and as a drawing.
enum DrawnGraph: Lesson {
  static let name = "drawn-graph"

  static func run() throws -> String {
    let (x, y) = (Tensor(3.0).requiringGradient(), Tensor(4.0).requiringGradient())
    let graph = sqrt(x * x + y * y).recordedGraph()
    try check(
      graph.description == """
        0 sqrt float32[] ← 1
        1 add float32[] ← 2, 3
        2 multiply float32[] ← 4, 4
        3 multiply float32[] ← 5, 5
        4 leaf float32[]
        5 leaf float32[]
        """, "the graph is \(graph)")
    let drawing = graph.graphviz
    try check(
      drawing.hasPrefix("digraph {") && drawing.contains("0 [label=\"sqrt\\nfloat32[]\"]")
        && drawing.contains("1 -> 0"), "the drawing is \(drawing)")

    // Another run may be another graph: here its length depends on the data.
    func halved(_ x: Tensor) -> Tensor {
      var y = x * 1
      while y.item() > 1 { y = y / 2 }
      return y
    }
    let lengths = [1.0, 5.0].map { halved(Tensor($0).requiringGradient()).recordedGraph().nodes.count }
    try check(lengths == [2, 5], "the graphs have \(lengths) nodes")

    let model = Sequential {
      Linear(4, 8)
      ReLU()
      Linear(8, 1)
    }
    try check(model.parameters.count == 4, "the model has \(model.parameters.count) parameters")  // and names them
    let names = Set(model(Tensor.ones([2, 4])).recordedGraph().nodes.map { $0.name })
    try check(names.isSuperset(of: ["0.weight", "0.bias", "2.weight", "2.bias", "relu"]), "the nodes are \(names)")
    return "\(graph.nodes.count) nodes of √(x² + y²), for dot -Tsvg"
  }
}
