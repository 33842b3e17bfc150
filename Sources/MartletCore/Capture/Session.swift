/// Runs what was defined in a `Graph`, with values of its variables of its own.
///
/// A run computes only what its fetches and updates need, by a program that is made at the first run of these fetches and kept.
/// Several tasks may run one session: runs that update variables take turns.
public final class Session: @unchecked Sendable {
  // Sendable: `prepared` and the cells of variables are guarded by the lock; runs without updates compute outside of it.
  private let graph: Graph
  private let title: ProgramTitle
  private let lock = Lock()
  /// The values of the graph's variables in this session.
  private var variables: [ObjectIdentifier: Cell] = [:]
  private var prepared: [Key: Entry] = [:]

  /// What is wanted of a run: with it the program.
  private struct Key: Hashable {
    let fetched: [Program.ValueID]
    let updated: [ObjectIdentifier]
    let values: [Program.ValueID]
    let fed: [Program.ValueID]
  }
  private struct Entry {
    let capture: Capture
    let execution: Execution
  }

  public init(_ graph: Graph) {
    self.graph = graph
    title = ProgramTitle(graph.builder.name)
    initialize()
  }

  /// Sets all variables to their initial values, as at the session's beginning.
  public func initialize() {
    lock.holding {
      for variable in graph.variables { cell(variable).content = variable.content }
    }
  }

  /// The session's cell for one of the graph. Called while the lock is held.
  private func cell(_ cell: Cell) -> Cell {
    if let own = variables[ObjectIdentifier(cell)] { return own }
    guard graph.variables.contains(where: { $0 === cell }) else { return cell }
    let own = StateTensor(cell.content, name: cell.name)
    variables[ObjectIdentifier(cell)] = own
    return own
  }

  /// The values of a tensor, or of a tree of tensors, of the graph; `updating` is written when all has succeeded.
  ///
  /// Throws when a placeholder that is needed is not fed, when a value that is fed does not have the shape and dtype of its
  /// tensor, when a tensor that is fed is no part of the graph, and where an operation fails: then nothing has been written. Any
  /// tensor of the graph may be fed in place of being computed.
  public func run<T: TensorTree>(_ fetches: T, updating: Update? = nil, feeding: Feed = [:]) throws -> T {
    fetches.replacing(try run(fetches.flattened, updating, feeding))
  }

  /// Writes an update.
  public func run(updating: Update, feeding: Feed = [:]) throws { _ = try run([], updating, feeding) }

  /// Writes an update, as `try session.run(graph.assign(w, w + 1))`.
  public func run(_ update: Update, feeding: Feed = [:]) throws { try run(updating: update, feeding: feeding) }

  /// Writes several updates, which all read the values from before.
  public func run(_ updates: [Update], feeding: Feed = [:]) throws {
    if let other = updates.first(where: { $0.graph !== graph }) { return try run(updating: other, feeding: feeding) }
    try run(updating: Update(graph: graph, writes: updates.flatMap { $0.writes }), feeding: feeding)
  }

  private func run(_ fetches: [Tensor], _ updating: Update?, _ feeding: Feed) throws -> [Tensor] {
    try withErrors {
      var (inputs, state, outputs): ([Tensor], [Tensor], [Tensor]?) = ([], [], nil)
      let entry = try lock.holding { () throws(OpError) -> Entry in
        let entry = try self.entry(fetches, updating, feeding, &inputs)
        if entry.capture.writes {
          outputs = try entry.execution.commit(inputs)
        } else {
          state = entry.capture.state
        }
        return entry
      }
      return try outputs ?? entry.execution.run(inputs, state: state)
    }
  }

  /// The program of a run with the time of each operation; the run writes its update, so that a step that is explained trains.
  public func explain<T: TensorTree>(
    _ fetches: T, updating: Update? = nil, feeding: Feed = [:]
  ) throws -> Explanation {
    try withErrors {
      try lock.holding { () throws(OpError) in
        var inputs: [Tensor] = []
        return try entry(fetches.flattened, updating, feeding, &inputs).execution.explained(inputs)
      }
    }
  }

  /// The value of a variable.
  public func value(of variable: Tensor) throws -> Tensor {
    try lock.holding { () throws(OpError) in try cell(of: variable).content! }
  }

  /// Sets a variable.
  public func set(_ variable: Tensor, to value: Tensor) throws {
    try lock.holding { () throws(OpError) in
      guard value.spec == variable.spec else {
        throw OpError(
          .cellSpec(try cell(of: variable).name, expected: variable.spec), op: "set", arguments: [value.spec])
      }
      try cell(of: variable).content = try value.concrete()
    }
  }

  private func cell(of variable: Tensor) throws(OpError) -> Cell {
    let id = try graph.value(variable)
    guard let position = graph.program.stateInputs.firstIndex(where: { $0.value == id }) else {
      throw OpError(.misuse("\(graph.title(id)) is not a variable", rule: "graph.variable makes a variable"))
    }
    return cell(graph.stateInputs[position])
  }

  /// So many programs are kept.
  private static let limit = 64

  /// The program of a run, made now if it has not been. Called while the lock is held.
  private func entry(
    _ fetches: [Tensor], _ updating: Update?, _ feeding: Feed, _ inputs: inout [Tensor]
  ) throws(OpError) -> Entry {
    var fetched: [Program.ValueID] = []
    for tensor in fetches { fetched.append(try graph.value(tensor)) }
    var given: [Program.ValueID: Tensor] = [:]
    for (tensor, value) in feeding.entries {
      let id = try graph.fed(tensor)
      guard value.spec == tensor.spec else {
        throw OpError(
          .misuse(
            "\(graph.title(id)) is fed with \(value.spec)",
            rule: "a value that is fed has the shape and dtype of its tensor, and its device",
            remedy: value.shape != tensor.shape
              ? value.count == tensor.count
                ? "value.reshaped(\(tensor.shape))" : "batches of this size, or a placeholder for the other one"
              : value.dtype != tensor.dtype ? "value.cast(to: .\(tensor.dtype))" : "value.to(.\(tensor.device))"))
      }
      given[id] = try value.concrete()
    }
    let fed = given.keys.sorted()
    if let updating, updating.graph !== graph {
      throw OpError(.misuse("the update is of another graph", rule: "a session runs the graph it was made for"))
    }
    let writes = updating?.writes ?? []
    let key = Key(
      fetched: fetched, updated: writes.map { ObjectIdentifier($0.cell) }, values: writes.map { $0.value }, fed: fed)
    let entry: Entry
    if let known = prepared[key] {
      entry = known
    } else {
      let capture = try self.capture(fetched, writes, fed)
      entry = Entry(capture: capture, execution: Execution(capture, title))
      if prepared.count >= Self.limit { prepared = [:] }
      prepared[key] = entry
    }
    inputs = entry.capture.program.inputs.map { given[$0]! }
    return entry
  }

  /// What these fetches need of the graph, as a program.
  private func capture(
    _ fetched: [Program.ValueID], _ writes: [(cell: Cell, value: Program.ValueID)], _ fed: [Program.ValueID]
  ) throws(OpError) -> Capture {
    let whole = graph.program
    let isFed = Set(fed)
    var writes = writes
    var lines = whole.lines(for: fetched + writes.map { $0.value }, given: isFed)
    var needed = Set(fetched + writes.map { $0.value } + lines.flatMap { whole.instructions[$0].inputs })
    // Who draws random numbers draws others at the next run.
    for write in graph.updates.writes
    where write.cell.isGenerator && !writes.contains(where: { $0.cell === write.cell }) {
      let position = graph.stateInputs.firstIndex { $0 === write.cell }
      if let position, needed.contains(whole.stateInputs[position].value) { writes.append(write) }
    }
    lines = whole.lines(for: fetched + writes.map { $0.value }, given: isFed)
    needed.formUnion(writes.map { $0.value } + lines.flatMap { whole.instructions[$0].inputs })
    if let missing = whole.inputs.first(where: { needed.contains($0) && !isFed.contains($0) }) {
      throw OpError(
        .misuse(
          "\(graph.title(missing)) has no value", rule: "every placeholder that a run needs is fed",
          remedy: "feeding: [\(graph.title(missing).prefix { $0 != " " && $0 != "(" }): value]"))
    }
    var program = Program()
    program.values = whole.values
    program.inputs = fed.filter { needed.contains($0) }
    program.constants = whole.constants.filter { needed.contains($0.value) && !isFed.contains($0.value) }
    for line in lines {
      var instruction = whole.instructions[line]
      // Of several results one may be fed: what is computed of it is not read.
      for (position, id) in instruction.outputs.enumerated() where isFed.contains(id) {
        program.values.append(whole.values[id])
        instruction.outputs[position] = program.values.count - 1
      }
      program.instructions.append(instruction)
    }
    program.outputs = fetched
    var stateInputs: [Cell] = []
    for (position, entry) in whole.stateInputs.enumerated()
    where needed.contains(entry.value) && !isFed.contains(entry.value) {
      program.stateInputs.append(entry)
      stateInputs.append(cell(graph.stateInputs[position]))
    }
    var stateOutputs: [Cell] = []
    for (target, value) in writes {
      guard !stateOutputs.contains(where: { $0 === cell(target) }) else {
        throw OpError(
          .misuse("\(target.name) is updated twice in one run", rule: "a run writes a variable once"))
      }
      program.stateOutputs.append((value, target.name))
      stateOutputs.append(cell(target))
    }
    if Program.verifies {
      let faults = program.verify()
      if !faults.isEmpty {
        fatalError("Martlet: a program of a graph is malformed:\n\(faults.joined(separator: "\n"))")
      }
    }
    return Capture(program, stateInputs: stateInputs, stateOutputs: stateOutputs)
  }
}

extension Session: CustomStringConvertible {
  /// The graph with the values of its variables, where they are small, and how many programs were made.
  public var description: String {
    let (variables, count) = lock.holding { (graph.variables.map { cell($0) }, prepared.count) }
    var lines = ["Session of \(graph.builder.name), with \(ErrorText.counted(count, "program"))"]
    for variable in variables {
      guard let value = variable.content else { continue }
      lines.append("  variable \(variable.name): \(value.spec)" + (value.count == 1 ? " = \(value.shortValue)" : ""))
    }
    return lines.joined(separator: "\n")
  }
}

/// Values for placeholders, and for other tensors of a graph that are not to be computed: `[x: batch, y: labels]`.
public struct Feed: ExpressibleByDictionaryLiteral {
  var entries: [(Tensor, Tensor)]

  public init(dictionaryLiteral entries: (Tensor, Tensor)...) { self.entries = entries }
  public init(_ entries: [(Tensor, Tensor)]) { self.entries = entries }

  /// Sets the value of a tensor.
  public mutating func set(_ tensor: Tensor, _ value: Tensor) { entries.append((tensor, value)) }
}
