/// What each layer of a model yields, found by running the shape rules alone.
public struct ModelSummary: CustomStringConvertible {
  /// A layer in the order in which the layers returned.
  public struct Row: Sendable {
    public let name: String
    public let type: String
    public let outputs: [TensorSpec]
    /// Elements of the layer's own parameters.
    public let parameters: Int
  }
  public let rows: [Row]
  /// Elements of all parameters; a tied one counts once.
  public let parameters: Int
  /// Bytes of all parameters and buffers.
  public let stateBytes: Int

  public var description: String {
    let header = ["layer", "type", "output", "parameters"]
    let body = rows.map {
      [
        $0.name.isEmpty ? "(model)" : $0.name, $0.type,
        $0.outputs.map { "\($0.shape)" }.joined(separator: ", "), String($0.parameters),
      ]
    }
    let widths = (0..<4).map { column in ([header] + body).map { $0[column].count }.max()! }
    let lines = ([header] + body).map { row in
      zip(row.dropLast(), widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }.joined(separator: "  ")
        + "  " + row.last!
    }
    let rule = String(repeating: "-", count: widths.reduce(6, +))
    return ([lines[0], rule] + lines.dropFirst() + [rule, "\(parameters) parameters, \(stateBytes) bytes of state"])
      .joined(separator: "\n")
  }
}

/// Notes what layers yield during a capture.
package final class ObservingFrame: StateFrame {
  package private(set) var calls: [(layer: AnyObject, outputs: [TensorSpec])] = []
  package override func called(_ layer: AnyObject, _ output: Any) {
    calls.append((layer, (output as? any TensorTree)?.flattened.map { $0.spec } ?? []))
    super.called(layer, output)
  }
}

extension Module where Input: TensorTree, Output: TensorTree {
  /// The layers with the shapes of their outputs for inputs like `input`, without computing anything.
  ///
  /// Only shapes and dtypes of `input` matter. Throws what a call with such an input would trap on.
  public func summary(for input: Input) throws -> ModelSummary {
    let tree = ModuleTree(self)
    let frame = ObservingFrame()
    _ = try frame.run { () throws -> Capture in try capture(input) }
    var names: [ObjectIdentifier: String] = [:]
    for (name, module) in tree.modules { names[ObjectIdentifier(module)] = name }
    let rows = frame.calls.map { call in
      let name = names[ObjectIdentifier(call.layer)] ?? ""
      let own = tree.parameters.filter { entry in
        entry.name.hasPrefix(name.isEmpty ? "" : name + ".")
          && !entry.name.dropFirst(name.isEmpty ? 0 : name.count + 1).contains(".")
      }
      return ModelSummary.Row(
        name: name, type: String(describing: type(of: call.layer)), outputs: call.outputs,
        parameters: own.reduce(0) { $0 + $1.parameter.read()!.count })
    }
    return ModelSummary(
      rows: rows, parameters: tree.parameters.reduce(0) { $0 + $1.parameter.read()!.count },
      stateBytes: state.byteCount)
  }

  /// The specs of the outputs for inputs like `input`, by the shape rules alone. Throws what a call would trap on.
  @discardableResult
  public func check(_ input: Input) throws -> [TensorSpec] {
    let program = try capture(input).program
    return program.outputs.map { program.values[$0] }
  }

  private func capture(_ input: Input) throws(OpError) -> Capture {
    _ = ModuleTree(self)  // names the layers for error texts
    return try Capture(input.flattened.map { $0.spec }, structure: [], name: "check") { symbolic in
      self.callAsFunction(input.replacing(symbolic)).flattened
    }
  }
}
