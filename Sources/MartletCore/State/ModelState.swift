/// The tensors of a model by name: a snapshot that shares memory until one side changes.
public struct State: Sendable {
  /// The names and tensors, in the order of the model's properties.
  public var entries: [(name: String, tensor: Tensor)]

  public init(_ entries: [(name: String, tensor: Tensor)]) { self.entries = entries }

  /// The tensor of that name.
  public subscript(name: String) -> Tensor? { entries.first { $0.name == name }?.tensor }

  /// The names, in order.
  public var names: [String] { entries.map { $0.name } }

  /// Bytes of all tensors.
  public var byteCount: Int { entries.reduce(0) { $0 + $1.tensor.spec.byteCount } }
}

extension State: ExpressibleByDictionaryLiteral {
  /// Tensors by name: `["weight": w, "bias": b]`.
  public init(dictionaryLiteral entries: (String, Tensor)...) { self.init(entries.map { ($0.0, $0.1) }) }
  /// Tensors by name, in the order of the names.
  public init(_ tensors: [String: Tensor]) {
    self.init(tensors.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
  }
}

extension State: Sequence, CustomStringConvertible {
  /// The number of tensors.
  public var count: Int { entries.count }
  public func makeIterator() -> some IteratorProtocol<(name: String, tensor: Tensor)> { entries.makeIterator() }
  /// A line for each tensor: its name and its spec.
  public var description: String { entries.map { "\($0.name): \($0.tensor.spec)" }.joined(separator: "\n") }
}

extension State: TensorTree {
  public var flattened: [Tensor] { entries.map { $0.tensor } }
  public func rebuilt(from tensors: inout ArraySlice<Tensor>) -> State {
    State(entries.map { ($0.name, tensors.popFirst()!) })
  }
  public var structure: TreeStructure { .named(names, [TreeStructure](repeating: .tensor, count: entries.count)) }
}

extension Module {
  /// Parameters and buffers under PyTorch's names.
  public var state: State {
    State(
      ModuleTree(self).cells.compactMap { entry in
        guard entry.cell is Parameter || entry.cell is Buffer, let value = entry.cell.read() else { return nil }
        return (entry.name, value)
      })
  }

  /// The parameters alone, under PyTorch's names: what to differentiate by in functional calls.
  public var parameterState: State {
    State(ModuleTree(self).parameters.map { ($0.name, $0.parameter.read()!) })
  }

  /// Sets the parameters and buffers to those of a state.
  ///
  /// Throws, and changes nothing, when names are missing or unknown (unless not `strict`) or shapes or dtypes differ; the
  /// error lists all of them.
  public func load(_ state: State, strict: Bool = true) throws(OpError) {
    let cells = ModuleTree(self).cells.filter { $0.cell is Parameter || $0.cell is Buffer }
    var given: [String: Tensor] = [:]
    for entry in state.entries { given[entry.name] = entry.tensor }
    let known = Set(cells.map { $0.name })
    let missing = cells.map { $0.name }.filter { given[$0] == nil }
    let unexpected = state.names.filter { !known.contains($0) }
    let misshapen = cells.compactMap { name, cell -> String? in
      guard let new = given[name], let old = cell.read(), new.shape != old.shape || new.dtype != old.dtype else {
        return nil
      }
      return "\(name): \(old.spec) here, \(new.spec) given"
    }
    guard misshapen.isEmpty, !strict || missing.isEmpty && unexpected.isEmpty else {
      let near = nearNames(unexpected, missing.isEmpty ? known.sorted() : missing)
      throw OpError(
        .stateNames(missing: missing, unexpected: unexpected, misshapen: misshapen, near: near), op: "load")
    }
    for (name, cell) in cells {
      guard let value = given[name] else { continue }
      cell.write(TransformOps.current.copy(value, cell.read()!.device))
    }
  }

  /// A second model with a state of its own, equal to this one's.
  ///
  /// Swift cannot clone an object, so `make` builds a model of the same architecture, whose weights are then replaced:
  /// `let average = model.copy { MLP() }`. Modes (train or eval) and `requiresGradient` are copied too.
  ///
  /// Throws, when the names, shapes or dtypes of the two differ, an error that lists them.
  public func copy(_ make: () throws -> Self) throws -> Self {
    let other = try make()
    try other.load(state)
    let (here, there) = (ModuleTree(self), ModuleTree(other))
    for (mode, copy) in zip(here.modes, there.modes) { copy.isTraining = mode.isTraining }
    for (entry, copy) in zip(here.parameters, there.parameters) {
      copy.parameter.requiresGradient = entry.parameter.requiresGradient
    }
    return other
  }

  /// Runs `body` with other tensors in the place of the model's: a functional call.
  ///
  /// The model itself does not change. The tensors may be traced, so `grad` by a state, and `vmap` over stacked states, work;
  /// what `body` writes into the cells that the state names is forgotten at its end, and until then keeps its traces, so
  /// that gradients pass through it.
  /// Names that are not the model's are an error; cells that the state does not name keep their value.
  public func with<R>(_ state: State, _ body: () throws -> R) throws -> R {
    let cells = ModuleTree(self).cells
    var byName: [String: Cell] = [:]
    for (name, cell) in cells { byName[name] = cell }
    var values: [ObjectIdentifier: Tensor] = [:]
    var unexpected: [String] = []
    var misshapen: [String] = []
    for (name, tensor) in state.entries {
      guard let cell = byName[name] else {
        unexpected.append(name)
        continue
      }
      if let old = cell.read(), old.shape != tensor.shape || old.dtype != tensor.dtype {
        misshapen.append("\(name): \(old.spec) here, \(tensor.spec) given")
      }
      values[ObjectIdentifier(cell)] = tensor
    }
    guard unexpected.isEmpty, misshapen.isEmpty else {
      let near = nearNames(unexpected, byName.keys.sorted())
      throw OpError(.stateNames(missing: [], unexpected: unexpected, misshapen: misshapen, near: near), op: "with")
    }
    return try SubstitutionFrame(values).run { () throws -> R in try body() }
  }
}

/// What the first few unexpected names probably mean: a state of another model has thousands.
private func nearNames(_ unexpected: [String], _ candidates: [String]) -> [String] {
  unexpected.prefix(5).compactMap { name in
    Spelling.nearest(to: name, in: candidates).map { "\(name) → \($0)" }
  }
}
