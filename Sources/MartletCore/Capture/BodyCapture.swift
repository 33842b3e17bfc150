internal import CKernels

/// Turns the cells that a body reads into inputs of it; those that it writes are results.
package final class BodyFrame: StateFrame {
  let builder: ProgramBuilder
  /// The cells that were touched, in that order.
  private(set) var cells: [TracedBody.CellUse] = []

  init(builder: ProgramBuilder) {
    self.builder = builder
    super.init()
  }

  /// The place of a cell in `cells`.
  private func place(of cell: Cell) -> Int {
    if let known = cells.firstIndex(where: { $0.cell === cell }) { return known }
    let value = self.outside { cell.read() }
    var use = TracedBody.CellUse(cell: cell, outside: value)
    if let value {
      use.input = builder.value(value.spec)
      use.inside = builder.symbolic(use.input!)
    }
    cells.append(use)
    return cells.count - 1
  }

  package override func read(_ cell: Cell) -> Tensor? {
    // A parameter is not written in a body: it stays what it is around it.
    cell is Parameter ? self.outside { cell.read() } : cells[place(of: cell)].inside
  }

  package override func write(_ value: Tensor?, to cell: Cell) {
    if let parameter = cell as? Parameter {
      fail(
        OpError(
          .misuse(
            "\(parameter.name) is written in the body",
            rule: "parameters are trained outside of the bodies of cond, whileLoop and scan",
            remedy: "the loss from the body, and the optimizer's step after it")))
      return
    }
    guard let value else {
      fail(
        OpError(
          .misuse(
            "\(cell.name) is emptied in the body", rule: "a body leaves a tensor in each cell that it writes",
            remedy: "zeroGrad() outside of the body")))
      return
    }
    let position = place(of: cell)
    if let outside = cells[position].outside, outside.spec == value.spec {
      cells[position].inside = value
      cells[position].isWritten = true
      return
    }
    fail(
      OpError(
        .misuse(
          "\(value.spec) is written into \(cell.name), which "
            + (cells[position].outside.map { "is \($0.spec)" } ?? "is empty"),
          rule: "a cell that a body writes has a tensor of the same spec before it",
          remedy: cells[position].outside == nil
            ? "a first value before the body; for gradients grad(…) in the body in place of backward()" : nil)))
  }

  package override func value(of parameter: Parameter) -> Tensor {
    let value = self.outside { parameter.value }
    return ck_flags() & UInt32(CK_NO_RECORD) == 0 ? value : value.detached()
  }
}

extension BodyFrame {
  /// That of the innermost body that is being traced.
  static var innermost: BodyFrame? {
    var frame = StateFrame.current
    while let here = frame {
      if let body = here as? BodyFrame { return body }
      frame = here.outer
    }
    return nil
  }
}

extension StateFrame {
  /// Whether what is done here with these tensors is being captured: in a scope that captures, or as a part of a `Graph`.
  package static func isCapturing(_ tensors: [Tensor]) -> Bool {
    if tensors.contains(where: { $0.isSymbolic }) { return true }
    var frame = current
    while let here = frame {
      if here is CaptureFrame || here is BodyFrame { return true }
      frame = here.outer
    }
    return false
  }
}

extension Tensor {
  /// Whether it stands for a value of a program, be it below other traces.
  fileprivate var isSymbolic: Bool {
    var tensor: Tensor? = self
    while let here = tensor, let trace = here.node.trace {
      if trace is Symbolic { return true }
      tensor = here.node.inner
    }
    return false
  }

  /// Whether its elements can be read: it is neither mapped nor symbolic. What is pending runs.
  package var canBeRead: Bool {
    var tensor = resolved()
    while let trace = tensor.node.trace {
      if trace is Symbolic || trace is Mapped { return false }
      guard let inner = tensor.node.inner else { return true }
      tensor = inner.resolved()
    }
    return true
  }
}

/// A function that was run once on symbolic tensors, to be the body of an operation.
package final class TracedBody {
  struct CellUse {
    let cell: Cell
    /// Its value before the operation.
    let outside: Tensor?
    var input: Program.ValueID?
    /// Its value so far in the body.
    var inside: Tensor?
    var isWritten = false
  }
  /// A tensor or a cell from outside of the body.
  private enum Origin: Hashable {
    case tensor(ObjectIdentifier)
    case cell(ObjectIdentifier)
  }
  private struct Slot {
    let origin: Origin
    let tensor: Tensor
    let value: Program.ValueID
  }

  private var program: Program
  private let given: [Program.ValueID]
  private var slots: [Slot] = []
  private var written: [(cell: Cell, result: Program.ValueID)] = []
  package var results: [TensorSpec] { program.outputs.map { program.values[$0] } }

  /// Runs `f` once on symbolic tensors of these specs.
  package init(_ specs: [TensorSpec], name: String, _ f: ([Tensor]) -> [Tensor]) throws(OpError) {
    let depth = Context.here.pointee.depth
    let builder = ProgramBuilder(level: depth + 1, name: name)
    builder.detachesMuted = true
    defer { builder.isOver = true }
    let frame = BodyFrame(builder: builder)
    let symbolic = specs.map { builder.symbolic(builder.value($0)) }
    given = Array(specs.indices)
    let slot = ErrorSlot()
    let draws = MapScope.innermost != nil
    let outputs = ErrorScope.$slot.withValue(slot) {
      Context.with({ here in
        here.pointee.depth = depth + 2
        here.pointee.record_level = depth + 2
        here.pointee.flags = here.pointee.flags & UInt32(CK_ARITHMETIC) | UInt32(CK_BODY)
        here.pointee.lazy = nil
        here.pointee.maps = nil
      }) {
        frame.run {
          // On a device that queues its work faults come late: before the scope ends.
          defer { Executors.synchronizeAll() }
          return f(symbolic).map { $0.resolved().lowered(below: depth + 2) }
        }
      }
    }
    if let error = slot.first.withLock({ $0 }) { throw error }
    if let failed = outputs.lazy.compactMap({ $0.node.trace as? Failed }).first { throw failed.error }
    if draws, let cell = frame.cells.first(where: { $0.isWritten && $0.cell.isGenerator }), MapScope.drawsDifferently {
      throw OpError(
        .misuse(
          "random numbers are drawn inside vmap from \(cell.cell.name) in a body that is captured",
          rule: "the body draws once for all examples, and each is to draw its own",
          remedy: "draw keys outside of the body, or vmap(randomness: .same)"), op: name)
    }
    builder.program.outputs = outputs.map { builder.id(of: $0) }
    written = frame.cells.filter { $0.isWritten }.map {
      ($0.cell, builder.id(of: $0.inside!.resolved().lowered(below: depth + 2)))
    }
    // What was read outside becomes inputs, so that no tensor is in the program.
    program = builder.program
    for use in frame.cells {
      guard let input = use.input, let outside = use.outside else { continue }
      slots.append(Slot(origin: .cell(ObjectIdentifier(use.cell)), tensor: outside, value: input))
    }
    let isTraced = { (constant: (value: Program.ValueID, tensor: Tensor)) in !constant.tensor.isPlain }
    for (id, tensor) in program.constants.filter(isTraced) {
      slots.append(Slot(origin: .tensor(ObjectIdentifier(tensor.node)), tensor: tensor, value: id))
    }
    program.constants.removeAll(where: isTraced)
    // The passes see every result, and every input as one.
    let count = program.outputs.count
    program.outputs += written.map { $0.result }
    program.inputs = given + slots.map { $0.value }
    program = program.simplified()
    for position in written.indices { written[position].result = program.outputs[count + position] }
    program.outputs.removeLast(written.count)
    for (id, tensor) in program.constants {
      slots.append(Slot(origin: .tensor(ObjectIdentifier(tensor.node)), tensor: tensor, value: id))
    }
    program.constants = []
    let last = program.lastUses
    let results = Set(program.outputs + written.map { $0.result })
    slots.removeAll { last[$0.value] < 0 && !results.contains($0.value) }
  }

  /// Bodies that share their inputs, and what they take from outside.
  package struct Joined {
    /// Inputs: the states, cells that are carried, the others given, then `shared`. Outputs: the results, with the new
    /// values of `cells` behind the states where they are carried, else at the end.
    package var bodies: [Subprogram] = []
    /// The tensors from outside, for the last inputs.
    package var shared: [Tensor] = []
    /// The cells that are written.
    package var cells: [Cell] = []
    /// Their values before the operation.
    package var before: [Tensor] = []
  }

  /// Joins bodies of one operation. Cells that are written are carried from step to step where `carries`.
  ///
  /// - Parameter writes: for each body whether it yields new values of the cells that any of them writes.
  package static func joined(_ traced: [TracedBody], states: Int, carries: Bool, writes: [Bool]) -> Joined {
    var joined = Joined()
    for body in traced {
      for (cell, _) in body.written where !joined.cells.contains(where: { $0 === cell }) { joined.cells.append(cell) }
    }
    joined.before = joined.cells.map { $0.read()! }
    let cellOrigins = joined.cells.map { Origin.cell(ObjectIdentifier($0)) }
    var shared: [Origin] = []
    if !carries {
      shared = cellOrigins
      joined.shared = joined.before
    }
    for body in traced {
      for slot in body.slots where !shared.contains(slot.origin) && !(carries && cellOrigins.contains(slot.origin)) {
        shared.append(slot.origin)
        joined.shared.append(slot.tensor)
      }
    }
    let sharedSpecs = joined.shared.map { $0.spec }
    for (body, writes) in zip(traced, writes) {
      var program = body.program
      func input(_ origin: Origin, _ spec: TensorSpec) -> Program.ValueID {
        body.slots.first { $0.origin == origin }?.value ?? program.value(spec)
      }
      let cells = carries ? zip(cellOrigins, joined.before).map { input($0, $1.spec) } : []
      let others = zip(shared, sharedSpecs).map { input($0, $1) }
      program.inputs = body.given.prefix(states) + cells + body.given.dropFirst(states) + others
      if writes {
        let values = joined.cells.enumerated().map { position, cell in
          body.written.first { $0.cell === cell }?.result ?? (carries ? cells[position] : others[position])
        }
        program.outputs.insert(contentsOf: values, at: carries ? states : program.outputs.count)
      }
      joined.bodies.append(Subprogram(program))
    }
    return joined
  }

  /// The cells that the function writes.
  package var writtenCells: [Cell] { written.map { $0.cell } }
}

extension MapScope {
  /// Whether a `vmap` around wants other random numbers for each example.
  static var drawsDifferently: Bool {
    var scope = innermost
    while let current = scope {
      if current.randomness == .different { return true }
      scope = current.outer?.takeUnretainedValue()
    }
    return false
  }
}
