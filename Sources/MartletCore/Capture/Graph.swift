/// A computation that is defined first and run later, by a `Session`, as in TensorFlow 1.
///
/// Placeholders and variables are symbolic tensors: what is computed from them becomes a part of the graph, errors of shape and
/// dtype come at once, and nothing is computed before `Session.run`.
///
///     let graph = Graph()
///     let x = graph.placeholder([64, 1000])
///     let w = graph.variable(Tensor.normal([1000, 10]), name: "w")
///     let loss = pow(matmul(x, w), 2).mean()
///     let step = graph.assign(w, w - 0.1 * graph.gradients(of: loss, w))
///     let session = Session(graph)
///     let value = try session.run(loss, updating: step, feeding: [x: Tensor.normal([64, 1000])])
///
/// Layers and optimizers are used inside of `define`. A graph belongs to one task; sessions of it may run in others.
public final class Graph {
  let builder: ProgramBuilder
  private let frame: CaptureFrame
  /// Cells whose value each session has for itself.
  private(set) var variables: [Cell] = []

  public init(file: String = #fileID, line: Int = #line) {
    // Below the traces that anybody sets outside of a transform.
    builder = ProgramBuilder(level: -1, name: "Graph at \(file):\(line)", isGraph: true)
    frame = CaptureFrame(builder: builder, recordLevel: 0)
  }

  /// A tensor that is given at each run, with just this shape and dtype.
  public func placeholder(
    _ shape: Shape, dtype: DType = .float32, device: Device = .current, name: String? = nil
  ) -> Tensor {
    guard shape.allSatisfy({ $0 >= 0 }), shape.checkedElementCount != nil else {
      return failure(
        .misuse(
          "the shape \(shape) is negative or too large", rule: "a placeholder has one shape, whose sizes are 0 or more",
          remedy: "a placeholder for each size of the batch; compile(f) captures f for each shape that comes"),
        op: "placeholder")
    }
    let id = builder.value(TensorSpec(shape, dtype, device: device))
    builder.program.inputs.append(id)
    builder.names[id] = name ?? "placeholder \(builder.program.inputs.count - 1)"
    return builder.symbolic(id)
  }

  /// A tensor that lasts from run to run, and that updates change. Each session begins with `initial`.
  public func variable(_ initial: Tensor, name: String? = nil) -> Tensor {
    let cell = StateTensor(initial, name: name ?? "variable \(variables.count)")
    variables.append(cell)
    return frame.run { cell.read() } ?? failure(.errorIntoCell(cell.name), op: "variable", [initial])
  }

  /// Runs `body` with the parameters, moments and generators that it reads as variables of the graph: layers, `backward()` and
  /// optimizers work inside as ever. What it writes becomes a part of `updates`, and what it reads later is what was written.
  ///
  /// These cells are those of the layers themselves: all sessions share them. Modes (training or evaluation) are those at the call.
  public func define<R>(_ body: () throws -> R) rethrows -> R { try frame.run(body) }

  /// What `define` has written so far: running it changes parameters, moments and running statistics.
  public var updates: Update {
    var update = Update(graph: self, writes: [])
    for cell in frame.written {
      if let value = frame.final(cell) { update.writes.append((cell, id(value))) }
    }
    return update
  }

  /// The gradients of the sum of `y`'s elements, added to the graph; zero where `y` does not depend on a tensor.
  ///
  /// Source: TensorFlow `tf.gradients`, which gives None in place of zeros.
  public func gradients(of y: Tensor, _ xs: [Tensor]) -> [Tensor] {
    guard let end = known(y, "gradients"), !xs.isEmpty else { return xs.map { _ in y } }
    let starts = xs.compactMap { known($0, "gradients") }
    guard starts.count == xs.count else { return xs }
    guard y.dtype.isFloating, xs.allSatisfy({ $0.dtype.isInexact }) else {
      let error = failure(.gradientOfDType, op: "gradients", [y] + xs)
      return xs.map { _ in error }
    }
    let inputs = starts.map(builder.symbolic)
    let recording = Recording(inputs) { leaves in
      self.replayed(end, Dictionary(zip(starts, leaves)) { first, _ in first })
    }
    let seed = TransformOps.current.fill(1, y.spec)
    return recording.pullback([seed], inputs: inputs, retainsGraph: false)
  }

  /// The gradient of the sum of `y`'s elements with respect to one tensor.
  public func gradients(of y: Tensor, _ x: Tensor) -> Tensor { gradients(of: y, [x])[0] }

  /// A value again, computed from other values than those of the graph; what does not depend on them is not computed twice.
  private func replayed(_ end: Program.ValueID, _ given: [Program.ValueID: Tensor]) -> Tensor {
    var values = given
    let program = builder.program
    let needed = program.lines(for: [end], given: Set(given.keys))
    for line in needed {
      let instruction = program.instructions[line]
      guard instruction.inputs.contains(where: { values[$0] != nil }) else { continue }
      let inputs = instruction.inputs.map { values[$0] ?? builder.symbolic($0) }
      // An effect happens once, where it was defined, and is no part of the gradient.
      let results = instruction.op is any PassThrough ? [inputs[0]] : apply(any: instruction.op, inputs)
      for (id, result) in zip(instruction.outputs, results) where given[id] == nil { values[id] = result }
    }
    return values[end] ?? builder.symbolic(end)
  }

  /// The new value of a variable, written when a run that updates it has succeeded; the run itself computes with the old one.
  public func assign(_ variable: Tensor, _ value: Tensor) -> Update {
    guard let target = known(variable, "assign"), let source = known(value, "assign") else { return group() }
    guard let position = builder.program.stateInputs.firstIndex(where: { $0.value == target }) else {
      fail(
        OpError(
          .misuse(
            "only a variable can be assigned to, and this is \(title(target))", rule: "graph.variable makes a variable"),
          op: "assign", arguments: [variable.spec]))
      return group()
    }
    guard variable.spec == value.spec else {
      let name = builder.program.stateInputs[position].name
      fail(OpError(.cellSpec(name, expected: variable.spec), op: "assign", arguments: [value.spec]))
      return group()
    }
    return Update(graph: self, writes: [(frame.stateInputs[position], source)])
  }

  /// Several updates as one, which all read the values from before.
  public func group(_ updates: Update...) -> Update { group(updates) }

  /// The same of updates in an array.
  public func group(_ updates: [Update]) -> Update { Update(graph: self, writes: updates.flatMap { $0.writes }) }

  /// All that was defined so far.
  public var program: Program { builder.program }

  /// The cells of `program.stateInputs`.
  var stateInputs: [Cell] { frame.stateInputs }

  /// The value of a tensor here: a tensor from elsewhere becomes a constant; one of another graph is an error.
  private func known(_ tensor: Tensor, _ op: String) -> Program.ValueID? {
    do throws(OpError) { return try value(tensor) } catch {
      var error = error
      error.op = op
      fail(error, [tensor])
      return nil
    }
  }

  func value(_ tensor: Tensor) throws(OpError) -> Program.ValueID {
    let tensor = tensor.resolved().lowered(below: 0)
    switch tensor.node.trace {
    case nil: break
    case let failed as Failed: throw failed.error
    case let symbolic as Symbolic where symbolic.builder === builder: break
    case let symbolic as Symbolic where symbolic.builder.isGraph:
      throw OpError(
        .misuse("the tensor is of another graph (\(symbolic.builder.name))", rule: "all tensors are of \(builder.name)")
      )
    default:
      throw OpError(
        .misuse("the tensor is of a transform", rule: "a graph is defined outside of grad, vmap and compile"))
    }
    return builder.id(of: tensor)
  }

  private func id(_ tensor: Tensor) -> Program.ValueID { builder.id(of: tensor.resolved().lowered(below: 0)) }

  /// The value of a tensor of the graph. A tensor from elsewhere that the graph has not used has none: feeding it would be of
  /// no effect.
  func fed(_ tensor: Tensor) throws(OpError) -> Program.ValueID {
    if let id = builder.known(tensor.resolved().lowered(below: 0)) { return id }
    if case let symbolic as Symbolic = tensor.resolved().lowered(below: 0).node.trace, symbolic.builder.isGraph {
      return try value(tensor)
    }
    throw OpError(
      .misuse(
        "a tensor that is no part of the graph is fed",
        rule: "what is fed is a placeholder, or computed in \(builder.name)",
        remedy: "feeding: [placeholder: value] with let placeholder = graph.placeholder(\(tensor.shape))"))
  }

  /// What error texts call a value.
  func title(_ id: Program.ValueID) -> String { builder.title(id) }
}

extension Graph: CustomStringConvertible {
  /// Placeholders, variables and the number of operations; `program` is the whole text.
  public var description: String {
    let program = builder.program
    var lines = [builder.name]
    for id in program.inputs { lines.append("  placeholder \(builder.names[id] ?? ""): \(program.values[id])") }
    for (id, name) in program.stateInputs { lines.append("  variable \(name): \(program.values[id])") }
    lines.append("  \(ErrorText.counted(program.instructions.count, "operation"))")
    return lines.joined(separator: "\n")
  }
}

/// New values of variables, which `Session.run(updating:)` writes.
public struct Update {
  let graph: Graph
  var writes: [(cell: Cell, value: Program.ValueID)]
}

extension Program {
  /// The instructions that some values need, in their order, where others are given.
  func lines(for values: [ValueID], given: Set<ValueID>) -> [Int] {
    var isNeeded = [Bool](repeating: false, count: self.values.count)
    for id in values { isNeeded[id] = true }
    var lines: [Int] = []
    for (line, instruction) in instructions.enumerated().reversed()
    where instruction.outputs.contains(where: { isNeeded[$0] && !given.contains($0) }) {
      lines.append(line)
      for id in instruction.inputs { isNeeded[id] = true }
    }
    return lines.reversed()
  }
}
