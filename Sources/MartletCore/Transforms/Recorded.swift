internal import CKernels
import Synchronization

/// An input of a recorded operation: the record that made it, and which of its outputs it is.
package struct Edge {
  package var record: Recorded
  package var output: Int32
}

/// The record of an operation for the backward pass, or a leaf whose gradient is wanted.
package final class Recorded: Trace {
  /// Nil for a leaf.
  package let op: (any Op)?
  package let inputCount: Int32
  package let needs: Positions
  /// The spec of the output; of output 0 when there are several.
  package let spec: TensorSpec
  let scope: TransformScope?

  // The links change only while the record is built, or freed when no walk is left in it.
  @exclusivity(unchecked) private final var edgeA: Recorded?
  @exclusivity(unchecked) private final var edgeB: Recorded?
  @exclusivity(unchecked) private final var outputA: Int32 = 0
  @exclusivity(unchecked) private final var outputB: Int32 = 0
  @exclusivity(unchecked) private final var savedA: Tensor?
  @exclusivity(unchecked) private final var savedB: Tensor?
  @exclusivity(unchecked) private final var savedOut: Tensor?
  /// What is beyond two inputs and one output.
  @exclusivity(unchecked) private final var more: More?
  /// Hooks and kept gradients, rarely there.
  @exclusivity(unchecked) package final var watch: Watch?
  /// The walks that are in this record, as `WalkState` reads it.
  let walks = Atomic<UInt64>(0)
  // What the walk that owns the record knows of it: its uses not yet seen, and the cotangents so far.
  @exclusivity(unchecked) final var pending: Int32 = 0
  @exclusivity(unchecked) final var cotangent: Accumulator = .none
  @exclusivity(unchecked) final var moreCotangents: [Accumulator] = []

  final class More {
    var edges: [Edge?]
    var inputs: [Tensor?]
    var outputs: [Tensor?]
    let specs: [TensorSpec]
    init(edges: [Edge?], inputs: [Tensor?], outputs: [Tensor?], specs: [TensorSpec]) {
      self.edges = edges
      self.inputs = inputs
      self.outputs = outputs
      self.specs = specs
    }
  }

  /// Hooks on a tensor's gradient, and the cell that keeps it.
  package final class Watch {
    package var hooks: [(output: Int, id: Int, hook: (Tensor) -> Tensor?)] = []
    package var gradients: [Int: Cell] = [:]
    /// Where a leaf's gradient is added up.
    package var leafGradient: Cell?
    /// The parameter whose leaf this is.
    package weak var parameter: Parameter?
  }

  package override var isOver: Bool { scope?.isOver ?? false }
  package override var hasValue: Bool { true }

  /// A leaf of a level.
  package init(leaf spec: TensorSpec, level: Int32, scope: TransformScope?) {
    op = nil
    inputCount = 0
    needs = []
    self.spec = spec
    self.scope = scope
    super.init(level: level, isRecord: true)
  }

  /// An operation with at most two inputs and one output, which fills `storage` in the order of `strides`.
  @inline(__always)
  fileprivate init<O: Op>(
    _ op: O, _ spec: TensorSpec, level: Int32, a: Tensor, b: Tensor?, storage: Storage?,
    strides: Shape?
  ) {
    self.op = op
    inputCount = b == nil ? 1 : 2
    self.spec = spec
    var needs = Positions()
    var scope: TransformScope?
    if let trace = a.node.trace {
      let record = unsafeDowncast(trace, to: Recorded.self)
      needs[0] = true
      scope = record.scope
      edgeA = record
      outputA = a.node.output
    }
    if let b, let trace = b.node.trace {
      let record = unsafeDowncast(trace, to: Recorded.self)
      needs[1] = true
      scope = record.scope
      edgeB = record
      outputB = b.node.output
    }
    self.needs = needs
    self.scope = scope
    let saves = op.saves(needs: needs)
    // Inputs are kept with their traces, which the links hold anyway, and lowered when they are read. The output must not
    // hold this record: it is kept as a plain tensor over the same memory.
    if saves.inputs[0] { savedA = a }
    if saves.inputs[1] { savedB = b }
    if saves.outputs[0], let storage {
      savedOut = Tensor(node: TensorNode(spec: spec, strides: strides, offset: 0, storage: storage))
    }
    super.init(level: level, isRecord: true)
  }

  fileprivate init(
    op: any Op, needs: Positions, edges: [Edge?], inputs: [Tensor?], outputs: [Tensor?], specs: [TensorSpec],
    level: Int32, scope: TransformScope?
  ) {
    self.op = op
    inputCount = Int32(edges.count)
    self.needs = needs
    spec = specs[0]
    self.scope = scope
    more = More(edges: edges, inputs: inputs, outputs: outputs, specs: specs)
    super.init(level: level, isRecord: true)
  }

  package var outputCount: Int { more?.specs.count ?? 1 }
  package func outputSpec(_ output: Int) -> TensorSpec { more?.specs[output] ?? spec }

  /// The record behind input `position`; nil when no cotangent is wanted there.
  package func edge(_ position: Int) -> Edge? {
    if let more { return more.edges[position] }
    if position == 0 { return edgeA.map { Edge(record: $0, output: outputA) } }
    return edgeB.map { Edge(record: $0, output: outputB) }
  }

  /// Cotangents of the inputs from those of the outputs.
  func pullback(_ cotangents: [Tensor?]) -> [Cotangent?] {
    let saved: Saved
    if let more {
      let specs = (0..<Int(inputCount)).map { i in more.edges[i].map { $0.record.outputSpec(Int($0.output)) } }
      saved = Saved(inputs: more.inputs, outputs: more.outputs, specs: specs)
    } else {
      let specA = edgeA?.outputSpec(Int(outputA))
      let a = savedA?.lowered(below: level)
      saved =
        inputCount == 1
        ? Saved(inputs: [a], outputs: [savedOut], specs: [specA])
        : Saved(
          inputs: [a, savedB?.lowered(below: level)], outputs: [savedOut],
          specs: [specA, edgeB?.outputSpec(Int(outputB))])
    }
    return op!.vjp(cotangents, saved, needs: needs)
  }

  /// Lets go of what was saved and of the records behind.
  func release() {
    savedA = nil
    savedB = nil
    savedOut = nil
    edgeA = nil
    edgeB = nil
    more = nil
  }

  /// Frees a chain of records without recursion: below a depth of 64 the links are put on a list that the outermost
  /// release empties.
  deinit {
    let here = ck_here()
    if here.pointee.release_depth > 64 {
      if edgeA != nil || edgeB != nil || more != nil {
        Released.add(edgeA, edgeB, more)
      }
      return
    }
    here.pointee.release_depth += 1
    release()
    here.pointee.release_depth -= 1
    if here.pointee.release_depth == 0, here.pointee.released != nil { Released.drain() }
  }

  package override func apply<O: Op>(_ op: O, _ inputs: [Tensor]) -> [Tensor] {
    let lowered = inputs.map { $0.lowered(below: level) }
    if O.rules.contains(.constant) { return applyDown(op, lowered) }
    guard O.rules.contains(.vjp) else {
      // Recorded as its decomposition, whose operations have rules.
      if let outputs = checkedDecomposition(op, inputs) { return outputs }
      return applyDown(op, lowered)
    }
    let (edges, needs) = edges(inputs)
    if O.rules.contains(.recordsAnother), !needs.isEmpty { return recordAnother(op, edges, needs, lowered) }
    return record(op, edges, needs, kept(op, lowered, needs), applyDown(op, lowered))
  }

  private func recordAnother<O: Op>(
    _ op: O, _ edges: [Edge?], _ needs: Positions, _ lowered: [Tensor]
  ) -> [Tensor] {
    do throws(OpError) {
      let specs = lowered.map { $0.spec }
      _ = try op.outputs(for: specs)  // what is recorded in its place is made for inputs that fit
      let found = try op.recording(specs, needs: edges.map { $0 != nil })
      guard let (saving, more) = found else {
        return record(op, edges, needs, kept(op, lowered, needs), applyDown(op, lowered))
      }
      let inputs = lowered + more
      let outputs = record(
        saving, edges + more.map { _ in nil }, needs, kept(saving, inputs, needs), applyDown(saving, inputs))
      return Array(outputs.prefix(op.outputCount))
    } catch { return failed(op, error, lowered) }
  }

  /// Writes over an input that nobody else holds, the tape included: what the vjp will read is kept, and so copied.
  package override func apply<O: Op>(_ op: O, taking inputs: inout [Tensor]) -> [Tensor] {
    guard O.rules.contains(.vjp), O.rules.isDisjoint(with: .constant) else { return apply(op, inputs) }
    let (edges, needs) = edges(inputs)
    for position in inputs.indices { inputs[position] = inputs[position].lowered(below: level) }
    let kept = kept(op, inputs, needs)
    let outputs = MartletCore.apply(op, taking: &inputs)
    guard outputs.contains(where: { $0.node.trace is Failed }) else {
      return record(op, edges, needs, kept, outputs)
    }
    for (position, edge) in edges.enumerated() {  // the inputs as they were
      guard let edge else { continue }
      let input = inputs[position]
      inputs[position] = Tensor(
        node: TensorNode(spec: input.spec, trace: edge.record, output: Int(edge.output), inner: input))
    }
    return outputs
  }

  private func edges(_ inputs: [Tensor]) -> (edges: [Edge?], needs: Positions) {
    var needs = Positions()
    var edges: [Edge?] = []
    for (position, input) in inputs.enumerated() {
      if let record = input.node.trace as? Recorded, record.level == level, input.dtype.isInexact {
        needs[position] = true
        edges.append(Edge(record: record, output: input.node.output))
      } else {
        edges.append(nil)
      }
    }
    return (edges, needs)
  }

  /// The inputs that the vjp will read.
  private func kept<O: Op>(_ op: O, _ lowered: [Tensor], _ needs: Positions) -> [Tensor?] {
    let saves = op.saves(needs: needs)
    return lowered.enumerated().map { saves.inputs[$0.offset] ? $0.element : nil }
  }

  /// The outputs with the record that made them.
  private func record<O: Op>(
    _ op: O, _ edges: [Edge?], _ needs: Positions, _ inputs: [Tensor?], _ outputs: [Tensor]
  ) -> [Tensor] {
    if outputs.contains(where: { $0.node.trace is Failed }) { return outputs }
    if needs.isEmpty || !outputs.contains(where: { $0.dtype.isInexact }) { return outputs }
    let saves = op.saves(needs: needs)
    let record = Recorded(
      op: op, needs: needs, edges: edges, inputs: inputs,
      outputs: outputs.enumerated().map { saves.outputs[$0.offset] ? $0.element : nil },
      specs: outputs.map { $0.spec }, level: level, scope: scope)
    return outputs.enumerated().map { position, output in
      guard output.dtype.isInexact else { return output }
      return Tensor(node: TensorNode(spec: output.spec, trace: record, output: position, inner: output))
    }
  }
}

/// Links of records that wait to be released.
private final class Released {
  private var objects: [AnyObject] = []

  static func add(_ a: AnyObject?, _ b: AnyObject?, _ c: AnyObject?) {
    let list: Released
    if let pointer = ck_here().pointee.released {
      list = Unmanaged<Released>.fromOpaque(pointer).takeUnretainedValue()
    } else {
      list = Released()
      ck_here().pointee.released = Unmanaged.passRetained(list).toOpaque()
    }
    if let a { list.objects.append(a) }
    if let b { list.objects.append(b) }
    if let c { list.objects.append(c) }
  }

  static func drain() {
    let here = ck_here()
    let list = Unmanaged<Released>.fromOpaque(here.pointee.released!).takeRetainedValue()
    here.pointee.release_depth += 1
    here.pointee.released = Unmanaged.passUnretained(list).toOpaque()
    while let object = list.objects.popLast() { withExtendedLifetime(object) {} }
    here.pointee.released = nil
    here.pointee.release_depth -= 1
  }
}

/// Puts links aside when a release is nested too deep; true when it did.
package func releaseLater(_ a: AnyObject?, _ b: AnyObject? = nil) -> Bool {
  guard ck_here().pointee.release_depth > 64 else { return false }
  if a != nil || b != nil { Released.add(a, b, nil) }
  return true
}

/// Runs `body`, which lets links go, one level deeper in the count of nested releases.
package func releasing(_ body: () -> Void) {
  let here = ck_here()
  here.pointee.release_depth += 1
  body()
  here.pointee.release_depth -= 1
  if here.pointee.release_depth == 0, here.pointee.released != nil { Released.drain() }
}

/// The level of a tensor that is recorded over a value of its own; -1 for a plain tensor, -2 for other traces.
@inline(__always)
private func recordLevel(_ node: TensorNode) -> Int32 {
  guard let trace = node.trace else { return -1 }
  guard trace.isRecord, node.value != nil else { return -2 }
  let record = unsafeDowncast(trace, to: Recorded.self)
  return record.scope == nil || !record.isOver ? record.level : -2
}

@inline(__always)
private func records<O: Op>(_: O.Type) -> Bool {
  ck_flags() & ~UInt32(CK_ARITHMETIC) == 0 && O.rules.isSuperset(of: .vjp) && O.rules.isDisjoint(with: .constant)
}

// Recording without arrays, for the common cases; nil when the case is not one of them or has an error, which the
// general way then reports.

@inline(__always)
func recordUnary<O: UnaryOp>(_ op: O, _ x: Tensor) -> Tensor? {
  let level = recordLevel(x.node)
  guard level >= 0, records(O.self), x.node.spec.dtype.isInexact else { return nil }
  guard let spec = try? op.output(for: x.node.spec), spec.dtype.isInexact,
    let kernel = Kernels.find(O.self, spec.device), let storage = Storage(for: spec)
  else { return nil }
  let value = x.node.value.unsafelyUnwrapped
  let strides = Order.strides(O.self, spec, value)
  let record = Recorded(op, spec, level: level, a: x, b: nil, storage: storage, strides: strides)
  let result = TensorNode(spec: spec, strides: strides, storage: storage, record: record)
  guard Kernels.launch(kernel, op, value, result).code == 0 else { return nil }
  return Tensor(node: result)
}

@inline(__always)
func recordBinary<O: BinaryOp>(_ op: O, _ a: Tensor, _ b: Tensor) -> Tensor? {
  let levelA = recordLevel(a.node)
  let levelB = recordLevel(b.node)
  let level = max(levelA, levelB)
  guard level >= 0, min(levelA, levelB) == -1 || levelA == levelB, records(O.self), a.node.spec.dtype.isInexact,
    b.node.spec.dtype.isInexact, a.node.spec.device == b.node.spec.device
  else { return nil }
  guard let spec = try? op.output(for: a.node.spec, b.node.spec), spec.dtype.isInexact,
    let kernel = Kernels.find(O.self, spec.device), let storage = Storage(for: spec)
  else { return nil }
  let (left, right) = (a.node.value.unsafelyUnwrapped, b.node.value.unsafelyUnwrapped)
  let strides = Order.strides(O.self, spec, left, right)
  let record = Recorded(op, spec, level: level, a: a, b: b, storage: storage, strides: strides)
  let result = TensorNode(spec: spec, strides: strides, storage: storage, record: record)
  let status = Kernels.launch(kernel, op, left, right, result)
  guard status.code == 0 else { return nil }
  return Tensor(node: result)
}

@inline(__always)
func recordView<O: ViewOp>(_ op: O, _ x: Tensor) -> Tensor? {
  let level = recordLevel(x.node)
  guard level >= 0, records(O.self), x.node.spec.dtype.isInexact, let spec = try? op.output(for: x.node.spec)
  else { return nil }
  let node = x.node.value.unsafelyUnwrapped
  let source = ViewSource(
    shape: node.spec.shape, strides: node.elementStrides, isContiguous: node.strides == nil, offset: node.offset)
  guard let layout = op.view(of: source, as: spec) else { return nil }
  let storage = node.storage.unsafelyUnwrapped
  let record = Recorded(op, spec, level: level, a: x, b: nil, storage: nil, strides: nil)
  return Tensor(
    node: TensorNode(spec: spec, strides: layout.strides, offset: layout.offset, storage: storage, record: record))
}
