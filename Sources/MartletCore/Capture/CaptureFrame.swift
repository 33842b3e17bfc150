internal import CKernels

/// Turns the cells that a captured function reads into inputs, and those that it writes into outputs.
package final class CaptureFrame: StateFrame {
  let builder: ProgramBuilder
  /// The level of the records that parameters make during the capture.
  let recordLevel: Int32
  /// Cells in the order in which they were first touched.
  private(set) var cells: [Cell] = []
  private var current: [ObjectIdentifier: Tensor?] = [:]
  private var leaves: [ObjectIdentifier: (value: TensorNode, leaf: Tensor)] = [:]
  /// Parameters whose leaves have been made: the program holds their hooks.
  private(set) var hooked: Set<ObjectIdentifier> = []
  private(set) var stateInputs: [Cell] = []
  private(set) var written: [Cell] = []
  /// What the program depends on beside the specs of its inputs.
  private(set) var guards: [Guard] = []
  /// The layers that were called by no other.
  private var models: [any Module] = []
  private var knownModels: Set<ObjectIdentifier> = []
  /// How many layers are being called around the capture.
  private let layers = ck_here().pointee.layers

  enum Guard {
    case mode(Mode, Bool)
    case requiresGradient(Parameter, Bool)
    case hooks(Parameter, [Int])
    case absent(Cell)
    case present(Cell, TensorSpec)

    /// What has changed, for a log.
    var change: String {
      switch self {
      case .mode(_, let value): "a layer is in \(value ? "evaluation" : "training"), and was in the other mode"
      case .requiresGradient(let parameter, let value):
        "\(parameter.name) requires \(value ? "no gradient, and did" : "a gradient, and did not")"
      case .hooks(let parameter, _): "\(parameter.name) has other hooks"
      case .absent(let cell): "\(cell.name) has a value, and had none"
      case .present(let cell, let spec):
        "\(cell.name) is \(cell.read().map { "\($0.spec)" } ?? "empty"), and was \(spec)"
      }
    }

    /// Read through the current frame, so that a capture around this one depends on it too.
    var holds: Bool {
      switch self {
      case .mode(let mode, let value): mode.isTraining == value
      case .requiresGradient(let parameter, let value): parameter.requiresGradient == value
      case .hooks(let parameter, let hooks): parameter.hooks == hooks
      case .absent(let cell): cell.read() == nil
      case .present(let cell, let spec): cell.holds(spec)
      }
    }
  }

  init(builder: ProgramBuilder, recordLevel: Int32) {
    self.builder = builder
    self.recordLevel = recordLevel
    super.init()
  }

  /// Guards of cells that hold a value, and the others.
  func sorted() -> (present: [(cell: Unmanaged<Cell>, spec: TensorSpec)], others: [Guard]) {
    var present: [(cell: Unmanaged<Cell>, spec: TensorSpec)] = []
    var others: [Guard] = []
    for guardian in guards {
      if case .present(let cell, let spec) = guardian {
        present.append((.passUnretained(cell), spec))
      } else {
        others.append(guardian)
      }
    }
    return (present, others)
  }

  package override func read(_ cell: Cell) -> Tensor? {
    let key = ObjectIdentifier(cell)
    if let known = current[key] { return known }
    cells.append(cell)
    guard let outside = outside({ cell.read() }) else {
      guards.append(.absent(cell))
      current[key] = .some(nil)
      return nil
    }
    guards.append(.present(cell, outside.spec))
    let id = builder.value(outside.spec)
    builder.program.stateInputs.append((id, cell.name))
    stateInputs.append(cell)
    let symbolic = builder.symbolic(id)
    current[key] = symbolic
    return symbolic
  }

  package override func write(_ value: Tensor?, to cell: Cell) {
    let key = ObjectIdentifier(cell)
    if current[key] == nil { cells.append(cell) }
    if !written.contains(where: { $0 === cell }) { written.append(cell) }
    leaves[key] = nil
    current[key] = value
  }

  /// What a cell holds at the end of the capture.
  func final(_ cell: Cell) -> Tensor? { current[ObjectIdentifier(cell)] ?? nil }

  package override func value(of parameter: Parameter) -> Tensor {
    let value = read(parameter)!
    guard Context.here.pointee.flags & 2 == 0, parameter.requiresGradient else { return value }
    let key = ObjectIdentifier(parameter)
    if let known = leaves[key], known.value === value.node { return known.leaf }
    let leaf = parameter.leafTensor(of: value, level: recordLevel)
    if !hooked.contains(key) {
      hooked.insert(key)
      guards.append(.hooks(parameter, parameter.hooks))
    }
    leaves[key] = (value.node, leaf)
    return leaf
  }

  package override func called(_ layer: AnyObject, _ output: Any) {
    if ck_here().pointee.layers == layers + 1, let model = layer as? any Module,
      knownModels.insert(ObjectIdentifier(model)).inserted
    {
      models.append(model)
    }
    super.called(layer, output)
  }

  /// Names cells that no model was asked for before, by the layers that were called.
  func nameCells() {
    for model in models where cells.contains(where: { !$0.isNamed }) { _ = ModuleTree(model, naming: .unnamed) }
    for position in stateInputs.indices { builder.program.stateInputs[position].name = stateInputs[position].name }
  }

  package override func willRead(_ mode: Mode, _ isTraining: Bool) {
    let isKnown = guards.contains {
      if case .mode(let known, isTraining) = $0 { known === mode } else { false }
    }
    if !isKnown { guards.append(.mode(mode, isTraining)) }
    super.willRead(mode, isTraining)
  }

  package override func willRead(_ parameter: Parameter, requiresGradient: Bool) {
    let isKnown = guards.contains {
      if case .requiresGradient(let known, requiresGradient) = $0 { known === parameter } else { false }
    }
    if !isKnown { guards.append(.requiresGradient(parameter, requiresGradient)) }
    super.willRead(parameter, requiresGradient: requiresGradient)
  }
}

/// A captured function with the cells it reads and writes.
final class Capture {
  let program: Program
  let stateInputs: [Cell]
  let stateOutputs: [Cell]
  /// Cells that the function leaves empty (gradients set to nil).
  let cleared: [Cell]
  private let guards: [CaptureFrame.Guard]
  /// The most of `guards`, which keep the cells alive: a call looks at them without holding them again.
  private let present: [(cell: Unmanaged<Cell>, spec: TensorSpec)]
  private let others: [CaptureFrame.Guard]
  /// The values that `withoutGradient` muted in the function.
  let muted: Set<Program.ValueID>
  let structure: [TreeStructure]
  private let arithmetic = Capture.arithmeticHere
  let specs: [TensorSpec]
  /// For each of `stateInputs` whether its plain value is wanted: no `backward()` outside of the program could reach it.
  private let isPlain: [Bool]
  /// For each of `stateInputs` whether the program writes it.
  let overwritten: [Bool]

  /// Runs `f` once on symbolic tensors.
  ///
  /// Unless the caller handles calls `inMaps`, a program that would draw the same random numbers for all examples of a
  /// `vmap` around it is an error.
  ///
  /// - Parameter watch: Sees each operation; then those of the user are captured as what they are made of.
  init(
    _ specs: [TensorSpec], structure: [TreeStructure], inMaps: Bool = true, name: String, watch: CaptureWatch? = nil,
    _ f: ([Tensor]) -> [Tensor]
  ) throws(OpError) {
    let depth = Context.here.pointee.depth
    let builder = ProgramBuilder(level: depth + 1, name: name, watch: watch)
    let frame = CaptureFrame(builder: builder, recordLevel: depth + 2)
    self.structure = structure
    self.specs = specs
    let symbolic = specs.map { builder.symbolic(builder.value($0)) }
    builder.program.inputs = Array(0..<specs.count)
    defer { builder.isOver = true }
    let slot = ErrorSlot()
    let outputs = ErrorScope.$slot.withValue(slot) {
      Context.with({ here in
        here.pointee.depth = depth + 2
        here.pointee.record_level = depth + 2
        here.pointee.flags &= UInt32(CK_ARITHMETIC | CK_BODY)
        here.pointee.lazy = nil
        here.pointee.maps = nil
      }) {
        frame.run {
          defer { Executors.synchronizeAll() }  // what ran at once: constants, cells
          return f(symbolic).map { $0.resolved().lowered(below: depth + 2) }
        }
      }
    }
    if var error = slot.first.withLock({ $0 }) {
      if case .now = error.moment { error.moment = .captured(by: name) }
      throw error
    }
    if let failed = outputs.lazy.compactMap({ $0.node.trace as? Failed }).first { throw failed.error }
    builder.program.outputs = outputs.map(builder.id(of:))
    frame.nameCells()
    var stateOutputs: [Cell] = []
    var cleared: [Cell] = []
    for cell in frame.written {
      if let value = frame.final(cell) {
        let id = builder.id(of: value.resolved().lowered(below: depth + 2))
        builder.program.stateOutputs.append((id, cell.name))
        stateOutputs.append(cell)
      } else {
        cleared.append(cell)
      }
    }
    // Cells of one name are told apart in the text.
    var seen: [String: Int] = [:]
    for index in builder.program.stateOutputs.indices {
      let name = builder.program.stateOutputs[index].name
      seen[name, default: 0] += 1
      if seen[name]! > 1 { builder.program.stateOutputs[index].name = "\(name)#\(seen[name]!)" }
    }
    program = builder.program
    muted = builder.muted
    stateInputs = frame.stateInputs
    self.stateOutputs = stateOutputs
    self.cleared = cleared
    guards = frame.guards
    (present, others) = frame.sorted()
    let changed = Set((stateOutputs + cleared).map { ObjectIdentifier($0) })
    let replaced = Set(stateOutputs.map { ObjectIdentifier($0) })
    overwritten = frame.stateInputs.map { replaced.contains(ObjectIdentifier($0)) }
    isPlain = frame.stateInputs.map { cell in
      changed.contains(ObjectIdentifier(cell)) || !frame.hooked.contains(ObjectIdentifier(cell))
        || (cell as? Parameter).map { changed.contains(ObjectIdentifier($0.gradient)) } == true
    }
    if !inMaps, drawsSharedKeys {
      throw OpError(
        .misuse(
          "the function that was compiled draws random numbers inside vmap",
          rule: "its program draws once for all examples, and each is to draw its own",
          remedy: "compile the function that calls vmap, or vmap(randomness: .same)"), op: "compile")
    }
    if Program.verifies {
      let faults = program.verify()
      if !faults.isEmpty {
        fatalError("Martlet: a captured program is malformed:\n\(faults.joined(separator: "\n"))\n\(program)")
      }
    }
  }

  /// A program that was put together otherwise, with the cells that it reads and writes.
  init(_ program: Program, stateInputs: [Cell], stateOutputs: [Cell]) {
    self.program = program
    self.stateInputs = stateInputs
    self.stateOutputs = stateOutputs
    cleared = []
    muted = []
    (guards, present, others) = ([], [], [])
    structure = []
    specs = program.inputs.map { program.values[$0] }
    isPlain = stateInputs.map { _ in true }
    let replaced = Set(stateOutputs.map { ObjectIdentifier($0) })
    overwritten = stateInputs.map { replaced.contains(ObjectIdentifier($0)) }
  }

  /// The values of the cells that the program reads. Parameters are leaves for a `backward()` outside of it, unless it has
  /// one of its own or reads them in `withoutGradient`.
  var state: [Tensor] {
    zip(stateInputs, isPlain).map { cell, isPlain in
      if !isPlain, let parameter = cell as? Parameter { return parameter.value }
      return cell.read()!
    }
  }

  /// The same, where the cells that the program writes give theirs away; followed by `giveBack` or by writing them.
  func takeState() -> [Tensor] {
    // What a frame holds is held by others too.
    guard StateFrame.current == nil else { return self.state }
    var state: [Tensor] = []
    state.reserveCapacity(stateInputs.count)
    for position in stateInputs.indices {
      if overwritten[position] {
        state.append(stateInputs[position].take(restores: true)!)
      } else if !isPlain[position], let parameter = stateInputs[position] as? Parameter {
        state.append(parameter.value)
      } else {
        state.append(stateInputs[position].read()!)
      }
    }
    return state
  }

  /// Undoes `takeState`.
  func giveBack(_ state: [Tensor]) {
    guard StateFrame.current == nil else { return }
    for position in state.indices where overwritten[position] { stateInputs[position].write(state[position]) }
  }

  /// Whether a call of `vmap` wants other keys for each example than the program draws.
  private var drawsSharedKeys: Bool {
    var scope = MapScope.innermost
    while let current = scope {
      if current.randomness == .different { return stateOutputs.contains { $0.isGenerator } }
      scope = current.outer?.takeUnretainedValue()
    }
    return false
  }

  /// Whether the program writes state or clears it.
  var writes: Bool { !stateOutputs.isEmpty || !cleared.isEmpty }

  func fits(_ inputs: [Tensor], structure: [TreeStructure], inMaps: Bool = true) -> Bool {
    if !inMaps, drawsSharedKeys { return false }
    guard structure == self.structure, inputs.count == specs.count else { return false }
    for (input, spec) in zip(inputs, specs) where input.spec != spec { return false }
    guard arithmetic == Capture.arithmeticHere else { return false }
    for position in present.indices {
      let holds = present[position].cell._withUnsafeGuaranteedRef { $0.holds(present[position].spec) }
      if !holds { return false }
    }
    for guardian in others where !guardian.holds { return false }
    return true
  }

  /// Whether what the function used from outside is as it was.
  var holds: Bool { guards.allSatisfy { $0.holds } }

  /// Why a call with these arguments needs another program.
  func difference(_ inputs: [Tensor], structure: [TreeStructure]) -> CaptureDifference {
    if structure != self.structure || inputs.count != specs.count {
      return CaptureDifference(.structure, "the arguments have another structure")
    }
    let others = zip(inputs, specs).enumerated().filter { $0.element.0.spec != $0.element.1 }
    if let (position, (input, spec)) = others.first {
      return CaptureDifference(.specs, "argument \(position) is \(input.spec), and was \(spec)", others.count)
    }
    if arithmetic != Capture.arithmeticHere {
      return CaptureDifference(.arithmetic, "withAutocast or withPreciseConvolutions around the call is another")
    }
    let changes = guards.filter { !$0.holds }
    return CaptureDifference(
      .state, changes.first?.change ?? "vmap around the call draws other random numbers for each example", changes.count
    )
  }

  /// `withPreciseConvolutions` and `withAutocast` around the caller: a program is only valid for what it was captured in.
  private static var arithmeticHere: UInt32 { ck_flags() & UInt32(CK_ARITHMETIC) }
}

/// What tells a call from the program of an earlier one.
struct CaptureDifference {
  /// From what is least alike to what is most.
  enum Kind: Int {
    case structure, specs, arithmetic, state
  }
  let kind: Kind
  let reason: String
  private let count: Int

  init(_ kind: Kind, _ reason: String, _ count: Int = 1) {
    self.kind = kind
    self.reason = reason
    self.count = count
  }

  /// Whether this program is more like the call than the other.
  func isLess(than other: CaptureDifference) -> Bool {
    (-kind.rawValue, count) < (-other.kind.rawValue, other.count)
  }
}
