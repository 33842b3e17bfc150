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
      update(spec) { ops.accumulateRegion(&$0, value, region) }
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

/// One walk from outputs back to leaves.
struct BackwardPass {
  private static let walks = Atomic<Int>(0)

  /// Keep what was saved, so that the graph can be walked again.
  var retainsGraph: Bool
  /// Called with each leaf and its complete gradient, once no other use of the leaf is left.
  var onLeaf: (Recorded, Tensor) -> Void

  /// Walks without recursion: first the uses of each record are counted, then records whose uses have all been seen are
  /// handled, last made first, so that equal programs are walked in equal order.
  func run(from seeds: [(record: Recorded, output: Int, cotangent: Tensor)]) {
    let walk = BackwardPass.walks.wrappingAdd(1, ordering: .relaxed).newValue
    var stack: [Recorded] = []
    var visited: [Recorded] = []
    var fault: Fact?
    func visit(_ record: Recorded) {
      if record.walk == walk { return }
      if record.isFreed { fault = .freedGraph }
      if record.walk != 0 { fault = .message("another backward pass, or this one by a hook, is walking this graph") }
      record.walk = walk
      visited.append(record)
      record.pending = 0
      record.cotangent = .none
      record.moreCotangents =
        record.outputCount > 1 ? [Accumulator](repeating: .none, count: record.outputCount - 1) : []
      stack.append(record)
    }
    for seed in seeds { visit(seed.record) }
    while fault == nil, let record = stack.popLast() {
      for position in 0..<Int(record.inputCount) {
        guard let edge = record.edge(position) else { continue }
        visit(edge.record)
        edge.record.pending += 1
      }
    }
    if let fault {
      // Nothing has been written yet: the gradients are as they were.
      for record in visited where record.walk == walk { record.walk = 0 }
      fail(OpError(fault, op: "backward"))
      return
    }
    visited.removeAll()
    var ready: [Recorded] = []
    for seed in seeds {
      receive(.dense(seed.cotangent), seed.record, seed.output)
    }
    for seed in seeds where seed.record.pending == 0 {
      seed.record.pending = -1  // once, when an output is seeded twice
      ready.append(seed.record)
    }
    while let record = ready.popLast() { handle(record, &ready) }
  }

  private func receive(_ cotangent: Cotangent, _ record: Recorded, _ output: Int) {
    if output == 0 {
      record.cotangent.add(cotangent, spec: record.spec)
    } else {
      record.moreCotangents[output - 1].add(cotangent, spec: record.outputSpec(output))
    }
  }

  private func handle(_ record: Recorded, _ ready: inout [Recorded]) {
    record.walk = 0
    var cotangents = [record.cotangent.taken(record.spec)]
    for position in record.moreCotangents.indices {
      cotangents.append(record.moreCotangents[position].taken(record.outputSpec(position + 1)))
    }
    record.moreCotangents = []
    if let watch = record.watch { observe(watch, &cotangents) }
    guard record.op != nil else {
      if let cotangent = cotangents[0] { onLeaf(record, cotangent) }
      return
    }
    let inputs: [Cotangent?]
    if cotangents.allSatisfy({ $0 == nil }) {
      inputs = [Cotangent?](repeating: nil, count: Int(record.inputCount))
    } else {
      inputs = record.pullback(cotangents)
    }
    cotangents.removeAll()
    for position in 0..<Int(record.inputCount) {
      guard let edge = record.edge(position) else { continue }
      if position < inputs.count, let cotangent = inputs[position] {
        receive(cotangent, edge.record, Int(edge.output))
      }
      edge.record.pending -= 1
      if edge.record.pending == 0 { ready.append(edge.record) }
    }
    if !retainsGraph { record.free() }
  }

  /// Runs hooks, which may replace the gradient, and keeps gradients that were asked for.
  private func observe(_ watch: Recorded.Watch, _ cotangents: inout [Tensor?]) {
    for entry in watch.hooks {
      if let cotangent = cotangents[entry.output], let changed = entry.hook(cotangent) {
        cotangents[entry.output] = changed
      }
    }
    for (output, cell) in watch.gradients {
      if let cotangent = cotangents[output] { cell.accumulate(cotangent) }
    }
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
  /// - Parameters:
  ///   - gradient: the cotangent of this tensor, of its shape; needed unless the tensor has one element.
  ///   - retainGraph: keep what the pass needs, so that it can be run again. By default it is freed as it is used.
  ///   - onReady: called for each parameter when its gradient is complete, in an order that equal programs share.
  ///
  /// Traps when the tensor has more than one element and no `gradient` is given, is not recorded, or is not floating.
  public func backward(
    gradient: Tensor? = nil, retainGraph: Bool = false, onReady: ((Parameter, Tensor) -> Void)? = nil
  ) {
    var tensor = self
    if let pending = node.trace as? Pending { tensor = pending.forced(output: Int(node.output)) }
    if tensor.node.trace is Failed { return }
    guard tensor.dtype.isFloating else {
      fail(OpError(.gradientOfDType, op: "backward", arguments: [spec]))
      return
    }
    guard let record = tensor.node.trace as? Recorded, !record.isOver else {
      fail(OpError(.noGradient, op: "backward", arguments: [spec]))
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
    let pass = BackwardPass(retainsGraph: retainGraph) { leaf, gradient in
      leaf.gradientCell(0).accumulate(gradient)
      if let onReady, let parameter = leaf.watch?.parameter { onReady(parameter, parameter.grad!) }
    }
    pass.run(from: [(record, Int(tensor.node.output), seed)])
  }
}

extension Recorded {
  /// The cell that keeps the gradient of an output.
  package func gradientCell(_ output: Int) -> Cell {
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
