/// The recorded operations behind a tensor, as they are when it is asked for: what `backward()` would walk.
///
/// `print(loss.recordedGraph())` shows one operation a line, `loss.recordedGraph().graphviz` is a drawing.
public struct RecordedGraph: Sendable, CustomStringConvertible {
  /// Where an operation has an input from.
  public enum Parent: Sendable, Hashable {
    /// A node of this graph, and which of its outputs.
    case node(Int, output: Int)
    /// A tensor without a history: no gradient is wanted of it.
    case constant
    /// An operation that is left out, since the graph is cut at a number of nodes.
    case beyond
    /// A `backward()` without `retainGraph` let go of what was there.
    case freed
  }

  /// An operation, or a leaf.
  public struct Node: Sendable {
    /// The name of the operation; of a leaf the parameter's name or `leaf`; `constant` for a tensor without a history.
    public let name: String
    /// The settings of the operation, as in the text of a program; cut after 60 characters.
    public let attributes: String
    /// The specs of the outputs.
    public let outputs: [TensorSpec]
    /// Where each input comes from; none for a leaf.
    public let parents: [Parent]
    /// Whether `backward()` ends here and adds up a gradient.
    public let isLeaf: Bool
  }

  /// The operation that made the tensor first; parents come after the nearest of their children.
  public let nodes: [Node]
  /// Which output of the first node the tensor is.
  public let output: Int
  /// Whether operations were left out.
  public let isCut: Bool
}

extension Tensor {
  /// The operations that were recorded for this tensor's gradient, with their parents, at most `limit` of them: those
  /// nearest to the tensor. A tensor without a history gives one node.
  ///
  /// The shapes are those of this run: another run of the same code may record another graph. Not to be called while another
  /// task runs `backward()` in the same graph. Traps when `limit` is less than 1.
  public func recordedGraph(limit: Int = 1000) -> RecordedGraph {
    guard limit >= 1 else {
      fail(OpError(.misuse("limit is \(limit)", rule: "a graph has 1 node or more"), op: "recordedGraph"), [self])
      return RecordedGraph(nodes: [], output: 0, isCut: true)
    }
    var tensor = resolved()
    while let trace = tensor.node.trace, !(trace is Recorded), let inner = tensor.node.inner {
      tensor = inner.resolved()
    }
    guard let record = tensor.node.trace as? Recorded else {
      let name = tensor.node.trace is Failed ? "error" : "constant"
      let node = RecordedGraph.Node(name: name, attributes: "", outputs: [spec], parents: [], isLeaf: false)
      return RecordedGraph(nodes: [node], output: 0, isCut: false)
    }
    // Breadth first, so that a limit leaves out what is far away.
    var records = [record]
    var numbers = [ObjectIdentifier(record): 0]
    var nodes: [RecordedGraph.Node] = []
    var isCut = false
    while nodes.count < records.count {
      let record = records[nodes.count]
      let parents = (0..<Int(record.inputCount)).map { position -> RecordedGraph.Parent in
        guard let edge = record.edge(position) else { return record.needs[position] ? .freed : .constant }
        var number = numbers[ObjectIdentifier(edge.record)]
        if number == nil, records.count < limit {
          number = records.count
          numbers[ObjectIdentifier(edge.record)] = records.count
          records.append(edge.record)
        }
        isCut = isCut || number == nil
        return number.map { .node($0, output: Int(edge.output)) } ?? .beyond
      }
      nodes.append(RecordedGraph.Node(record, parents))
    }
    return RecordedGraph(nodes: nodes, output: Int(tensor.node.output), isCut: isCut)
  }
}

extension RecordedGraph.Node {
  fileprivate init(_ record: Recorded, _ parents: [RecordedGraph.Parent]) {
    name = record.op.map { type(of: $0).name } ?? record.watch?.parameter?.name ?? "leaf"
    let text = record.op?.attributes ?? ""
    attributes = text.count > 60 ? text.prefix(59) + "…" : text
    outputs = (0..<record.outputCount).map(record.outputSpec)
    self.parents = parents
    isLeaf = record.op == nil
  }

  fileprivate var specs: String { outputs.map { "\($0)" }.joined(separator: ", ") }
}

extension RecordedGraph {
  /// Of an operation with more inputs, such as a stack of many tensors, only these are written out.
  private static let writtenParents = 32

  /// One node a line, with its settings, specs and parents: `1 add float32[] ← 2, 3`. Output 1 of node 4 is `4.1`.
  public var description: String {
    var lines = nodes.enumerated().map { number, node in
      var line = "\(number) \(node.name)"
      if !node.attributes.isEmpty { line += " {\(node.attributes)}" }
      line += " \(node.specs)"
      guard !node.parents.isEmpty else { return line }
      var parents = node.parents.prefix(RecordedGraph.writtenParents).map { parent in
        switch parent {
        case .node(let number, output: 0): "\(number)"
        case .node(let number, let output): "\(number).\(output)"
        case .constant: "constant"
        case .beyond: "…"
        case .freed: "freed"
        }
      }
      let rest = node.parents.count - parents.count
      if rest > 0 { parents.append("and \(rest) more") }
      return line + " ← " + parents.joined(separator: ", ")
    }
    if isCut { lines.append("… cut at \(nodes.count) nodes") }
    return lines.joined(separator: "\n")
  }

  /// The graph in the language of Graphviz, for `dot -Tsvg`: boxes are operations, ellipses leaves, and arrows go the way of
  /// the values. Dotted arrows come from operations that are left out.
  public var graphviz: String {
    var lines = ["digraph {", "  node [shape=box]"]
    for (number, node) in nodes.enumerated() {
      let parts = [node.name, node.attributes, node.specs].filter { !$0.isEmpty }.map(RecordedGraph.escaped)
      lines.append("  \(number) [label=\"\(parts.joined(separator: "\\n"))\"\(node.isLeaf ? ", shape=ellipse" : "")]")
    }
    for (number, node) in nodes.enumerated() {
      for parent in node.parents.prefix(RecordedGraph.writtenParents) {
        if case .node(let from, _) = parent { lines.append("  \(from) -> \(number)") }
      }
      guard node.parents.contains(.beyond) else { continue }
      lines.append("  beyond\(number) [label=\"…\", shape=plaintext]")
      lines.append("  beyond\(number) -> \(number) [style=dotted]")
    }
    lines.append("}")
    return lines.joined(separator: "\n")
  }

  static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: " ")
  }
}
