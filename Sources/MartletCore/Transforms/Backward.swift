import Synchronization

/// The cotangents that an output has received so far.
enum Accumulator {
  case none
  case dense(Tensor)
  /// Rows of one or several gathers, not yet added up.
  case rows([(values: Tensor, indices: Tensor, axis: Int)])

  mutating func add(_ cotangent: Cotangent, spec: TensorSpec) {
    let ops = TransformOps.current
    switch cotangent {
    case .dense(let tensor):
      let value = tensor.shape == spec.shape ? tensor : ops.sum(tensor, spec.shape)
      guard case .none = self else {
        update(spec) { ops.accumulate(&$0, value) }
        return
      }
      self = .dense(value)
    case .region(let value, let region):
      if case .none = self {
        self = .dense(ops.embed(value, spec.shape, region))
        return
      }
      update(spec) { ops.accumulateRegion(&$0, value, region) }
    case .outside: fatalError("Martlet: the cotangent of the output is not known here")
    case .rows(let values, let indices, let axis):
      switch self {
      case .none: self = .rows([(values, indices, axis)])
      case .rows(var parts):
        self = .none
        parts.append((values, indices, axis))
        self = .rows(parts)
      case .dense: update(spec) { ops.accumulateRows(&$0, values, indices, axis) }
      }
    }
  }

  /// Changes the sum in place: the accumulator gives its reference away for the time of the change.
  private mutating func update(_ spec: TensorSpec, _ change: (inout Tensor) -> Void) {
    var tensor = taken(spec) ?? TransformOps.current.fill(0, spec)
    change(&tensor)
    self = .dense(tensor)
  }

  /// The rows of axis 0 that were received, if nothing else was and all of them are plain; the accumulator is then empty.
  mutating func takenRows() -> [RowPart]? {
    guard case .rows(let parts) = self, parts.allSatisfy({ $0.axis == 0 && $0.values.isPlain && $0.indices.isPlain })
    else { return nil }
    self = .none
    return parts.map { RowPart(values: $0.values, indices: $0.indices) }
  }

  /// The sum as a dense tensor; the accumulator is empty afterwards.
  mutating func taken(_ spec: TensorSpec) -> Tensor? {
    let content = self
    self = .none
    switch content {
    case .none: return nil
    case .dense(let tensor): return tensor
    case .rows(let parts):
      let ops = TransformOps.current
      var tensor = ops.fill(0, spec)
      for part in parts { ops.accumulateRows(&tensor, part.values, part.indices, part.axis) }
      return tensor
    }
  }
}

/// The walks that are in a record, in one word: which one owns its fields, how many others are in it, and whether what it
/// saved is to be freed.
struct WalkState {
  var bits: UInt64
  static let freed: UInt64 = 1 << 63
  static let guest: UInt64 = 1 << 44
  var owner: UInt64 { bits & (WalkState.guest - 1) }
  var isFreed: Bool { bits & WalkState.freed != 0 }
  /// No walk is left that reads what was saved.
  var isLeft: Bool { bits & ~WalkState.freed == 0 }
}

/// One walk from outputs back to leaves.
///
/// Walks of several tasks, or of a hook inside of another walk, may meet in a record. The first owns the record's fields;
/// the others keep what they know of it in a table of their own. What the record saved is freed by the last that leaves.
final class BackwardPass {
  private static let walks = Atomic<UInt64>(0)

  /// Keep what was saved, so that the graph can be walked again.
  private let retainsGraph: Bool
  /// Called with each leaf and its complete gradient, once no other use of the leaf is left.
  private let onLeaf: (Recorded, Tensor) -> Void
  /// The same for a leaf whose gradient is kept as rows, and is made of nothing else.
  private let onRows: ((Recorded, [RowPart]) -> Void)?
  private let walk = BackwardPass.walks.wrappingAdd(1, ordering: .relaxed).newValue & (WalkState.guest - 1)
  /// What is known of records that another walk owns.
  private var guests: [ObjectIdentifier: Guest] = [:]
  private var stack: [Recorded] = []
  private var visited: [Recorded] = []
  private var ready: [Recorded] = []

  private struct Guest {
    var pending: Int32 = 0
    var cotangents: [Accumulator]
  }

  init(
    retainsGraph: Bool, onRows: ((Recorded, [RowPart]) -> Void)? = nil, onLeaf: @escaping (Recorded, Tensor) -> Void
  ) {
    self.retainsGraph = retainsGraph
    self.onRows = onRows
    self.onLeaf = onLeaf
  }

  /// Walks without recursion: first the uses of each record are counted, then records whose uses have all been seen are
  /// handled, last made first, so that equal programs are walked in equal order.
  func run(from seeds: [(record: Recorded, output: Int, cotangent: Tensor)]) {
    // Gradients are computed in the dtypes of the forward pass, whatever is around the backward one.
    if Autocast.isOn { return Context.with({ Autocast.set(nil, $0) }) { run(from: seeds) } }
    var isFreed = false
    for seed in seeds { isFreed = isFreed || !visit(seed.record) }
    while !isFreed, let record = stack.popLast() {
      for position in 0..<Int(record.inputCount) {
        guard let edge = record.edge(position) else { continue }
        guard visit(edge.record) else {
          isFreed = true
          break
        }
        count(edge.record, 1)
      }
    }
    if isFreed {
      // Nothing has been written yet: the gradients are as they were.
      stack = []
      for record in visited { leave(record, frees: false) }
      fail(OpError(.freedGraph, op: "backward"))
      return
    }
    visited = []
    for seed in seeds { receive(.dense(seed.cotangent), seed.record, seed.output) }
    // Uses are counted below zero for a record that is ready: once, when an output is seeded twice.
    for seed in seeds where count(seed.record, 0) == 0 {
      count(seed.record, -1)
      ready.append(seed.record)
    }
    while let record = ready.popLast() { handle(record) }
  }

  /// Enters a record, if this walk has not; false when what it saved is gone.
  private func visit(_ record: Recorded) -> Bool {
    var state = WalkState(bits: record.walks.load(ordering: .relaxed))
    if state.owner == walk { return true }
    if !guests.isEmpty, guests[ObjectIdentifier(record)] != nil { return true }
    while true {
      if state.isFreed { return false }
      let owns = state.owner == 0
      let (done, found) = record.walks.weakCompareExchange(
        expected: state.bits, desired: state.bits + (owns ? walk : WalkState.guest), ordering: .acquiringAndReleasing)
      if !done {
        state.bits = found
        continue
      }
      if owns {
        record.pending = 0
        record.cotangent = .none
        if record.outputCount > 1 {
          record.moreCotangents = [Accumulator](repeating: .none, count: record.outputCount - 1)
        }
      } else {
        guests[ObjectIdentifier(record)] = Guest(
          cotangents: [Accumulator](repeating: .none, count: record.outputCount))
      }
      visited.append(record)
      stack.append(record)
      return true
    }
  }

  /// Leaves a record, whose fields another walk may then own. `frees`: lets go of what it saved.
  private func leave(_ record: Recorded, frees: Bool) {
    let share = owns(record) ? walk : WalkState.guest
    var state = WalkState(bits: record.walks.load(ordering: .relaxed))
    while true {
      let left = WalkState(bits: (state.bits - share) | (frees ? WalkState.freed : 0))
      let (done, found) = record.walks.weakCompareExchange(
        expected: state.bits, desired: left.bits, ordering: .acquiringAndReleasing)
      if done {
        if left.isFreed, left.isLeft { record.release() }
        return
      }
      state.bits = found
    }
  }

  @inline(__always)
  private func owns(_ record: Recorded) -> Bool {
    WalkState(bits: record.walks.load(ordering: .relaxed)).owner == walk
  }

  /// Adds to the uses of a record that have not been seen; the sum.
  @discardableResult
  private func count(_ record: Recorded, _ change: Int32) -> Int32 {
    if owns(record) {
      record.pending += change
      return record.pending
    }
    guests[ObjectIdentifier(record)]!.pending += change
    return guests[ObjectIdentifier(record)]!.pending
  }

  private func receive(_ cotangent: Cotangent, _ record: Recorded, _ output: Int) {
    let spec = record.outputSpec(output)
    if !owns(record) {
      guests[ObjectIdentifier(record)]!.cotangents[output].add(cotangent, spec: spec)
    } else if output == 0 {
      record.cotangent.add(cotangent, spec: spec)
    } else {
      record.moreCotangents[output - 1].add(cotangent, spec: spec)
    }
  }

  /// The cotangents that the outputs have received.
  private func taken(_ record: Recorded) -> [Tensor?] {
    guard owns(record) else {
      return guests[ObjectIdentifier(record)]!.cotangents.indices.map {
        guests[ObjectIdentifier(record)]!.cotangents[$0].taken(record.outputSpec($0))
      }
    }
    var cotangents = [record.cotangent.taken(record.spec)]
    if !record.moreCotangents.isEmpty {
      for position in record.moreCotangents.indices {
        cotangents.append(record.moreCotangents[position].taken(record.outputSpec(position + 1)))
      }
      record.moreCotangents = []
    }
    return cotangents
  }

  /// The rows that a leaf has received whose gradient is kept so. A hook takes a dense tensor, and so does a frame, whose
  /// values may be symbolic: there the gradient is dense.
  private func takenRows(_ record: Recorded) -> [RowPart]? {
    guard record.op == nil, owns(record), let watch = record.watch, watch.hooks.isEmpty,
      watch.parameter?.keepsGradientRows == true, StateFrame.current == nil
    else { return nil }
    return record.cotangent.takenRows()
  }

  private func handle(_ record: Recorded) {
    if let onRows, let rows = takenRows(record) {
      leave(record, frees: false)
      onRows(record, rows)
      return
    }
    var cotangents = taken(record)
    if let watch = record.watch { observe(watch, &cotangents) }
    guard record.op != nil else {
      leave(record, frees: false)
      if let cotangent = cotangents[0] { onLeaf(record, cotangent) }
      return
    }
    var inputs: [Cotangent?]
    if cotangents.allSatisfy({ $0 == nil }) {
      inputs = [Cotangent?](repeating: nil, count: Int(record.inputCount))
    } else {
      inputs = record.pullback(cotangents)
    }
    for position in inputs.indices {
      guard case .outside(let region) = inputs[position] else { continue }
      var rest = cotangents[0]!
      cotangents.removeAll()  // so that it is cleared in place
      TransformOps.current.clearRegion(&rest, region)
      inputs[position] = .dense(rest)
    }
    cotangents.removeAll()
    for position in 0..<Int(record.inputCount) {
      guard let edge = record.edge(position) else { continue }
      if position < inputs.count, let cotangent = inputs[position] {
        inputs[position] = nil  // so that the sum that it starts is held nowhere else
        receive(cotangent, edge.record, Int(edge.output))
      }
      if count(edge.record, -1) == 0 { ready.append(edge.record) }
    }
    leave(record, frees: !retainsGraph)
  }

  /// Runs hooks, which may replace the gradient, and keeps gradients that were asked for.
  private func observe(_ watch: Recorded.Watch, _ cotangents: inout [Tensor?]) {
    for entry in watch.hooks {
      if let cotangent = cotangents[entry.output], let changed = entry.hook(cotangent) {
        cotangents[entry.output] = changed
      }
    }
    for (output, cell) in watch.gradients {
      if let cotangent = cotangents[output] { GradientLocks.accumulate(cotangent, into: cell) }
    }
  }
}

/// Lets one task at a time add to a gradient: tasks whose graphs share a leaf may run backward at once.
private enum GradientLocks {
  private static let locks = (0..<64).map { _ in Lock() }

  static func accumulate(_ gradient: Tensor, into cell: Cell) {
    let address = UInt(bitPattern: Unmanaged.passUnretained(cell).toOpaque())
    locks[Int(address >> 6 & 63)].holding { cell.accumulate(gradient) }
  }

  static func accumulate(_ rows: [RowPart], _ spec: TensorSpec, leavingOut row: Int?, into cell: GradientCell) {
    let address = UInt(bitPattern: Unmanaged.passUnretained(cell).toOpaque())
    locks[Int(address >> 6 & 63)].holding { cell.accumulate(rows, spec, leavingOut: row) }
  }
}

extension Tensor {
  /// The record of the highest level, if it is of that level.
  package func record(level: Int32) -> Recorded? {
    guard let record = node.trace as? Recorded, record.level == level else { return nil }
    return record
  }

  /// Computes the gradient of this scalar with respect to every leaf it depends on, and adds it to the leaves' `grad`.
  ///
  /// Several tasks may do so at once, also when their graphs share tensors: each adds its part. `grad` is to be read when
  /// all have returned. A graph that several walk is freed by the first, unless all retain it.
  ///
  /// - Parameters:
  ///   - gradient: the cotangent of this tensor, of its shape; needed unless the tensor has one element.
  ///   - retainGraph: keep what the pass needs, so that it can be run again. By default it is freed as it is used.
  ///   - onReady: called for each parameter when its gradient is complete, in an order that equal programs share. What is
  ///     kept as rows (`keepsGradientRows`) is made dense for the call and stays rows: `gradientRows` has them.
  ///
  /// Traps when the tensor has more than one element and no `gradient` is given, is not recorded, or is not floating.
  public func backward(
    gradient: Tensor? = nil, retainGraph: Bool = false, onReady: ((Parameter, Tensor) -> Void)? = nil
  ) {
    var tensor = self
    if let pending = node.trace as? Pending { tensor = pending.forced(output: Int(node.output)) }
    if tensor.node.trace is Failed { return }
    guard gradient == nil ? tensor.dtype.isFloating : tensor.dtype.isInexact else {
      fail(OpError(.gradientOfDType, op: "backward", arguments: [spec]))
      return
    }
    guard let record = tensor.node.trace as? Recorded, !record.isOver else {
      let ofGraph = (tensor.node.trace as? Symbolic)?.builder.isGraph == true
      let fact = StateFrame.isCapturing([tensor]) ? Fact.noGradientInCapture(ofGraph: ofGraph) : .noGradient
      fail(OpError(fact, op: "backward", arguments: [spec]))
      return
    }
    let seed: Tensor
    if let gradient {
      guard gradient.shape == shape, gradient.dtype == dtype else {
        fail(OpError(.cotangentSpec(expected: spec), op: "backward", arguments: [gradient.spec]))
        return
      }
      seed = gradient.lowered(below: record.level)
    } else {
      guard count == 1 else {
        fail(OpError(.gradientOfNonScalar, op: "backward", arguments: [spec]))
        return
      }
      seed = TransformOps.current.fill(1, spec)
    }
    func tell(_ leaf: Recorded) {
      // A gradient that is an error tensor is not kept.
      if let onReady, let parameter = leaf.watch?.parameter, let sum = parameter.gradient.read() {
        onReady(parameter, sum)
      }
    }
    let pass = BackwardPass(
      retainsGraph: retainGraph,
      onRows: { leaf, rows in
        guard let parameter = leaf.watch?.parameter else { return }
        GradientLocks.accumulate(
          rows, leaf.spec, leavingOut: parameter.rowWithoutGradient, into: parameter.gradient)
        tell(leaf)
      },
      onLeaf: { leaf, gradient in
        GradientLocks.accumulate(gradient, into: leaf.gradientCell(0))
        tell(leaf)
      })
    pass.run(from: [(record, Int(tensor.node.output), seed)])
  }
}

extension Recorded {
  /// The cell that keeps the gradient of an output.
  package func gradientCell(_ output: Int) -> Cell {
    // Made with the leaf and not changed after: several tasks may ask at once.
    if op == nil, let cell = watch?.leafGradient { return cell }
    let watch = self.watch ?? Watch()
    self.watch = watch
    if op == nil {
      let cell = watch.leafGradient ?? Cell(nil, name: "grad")
      watch.leafGradient = cell
      return cell
    }
    let cell = watch.gradients[output] ?? Cell(nil, name: "grad")
    watch.gradients[output] = cell
    return cell
  }
}
