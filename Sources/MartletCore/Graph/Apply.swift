internal import CKernels

// Every operation goes through `apply`. Plain inputs run at once, by the paths for one, two and three inputs that allocate
// only the result (a node and its storage); else the trace of the highest level decides.

/// Runs or records an operation with one input.
public func apply<O: UnaryOp>(_ op: O, _ x: Tensor) -> Tensor {
  if x.node.trace == nil, ck_flags() & UInt32(CK_SLOW) == 0 { return runUnary(op, x) }
  if let recorded = recordUnary(op, x) { return recorded }
  return applyTraced(op, [x])[0]
}

/// Runs or records an operation with two inputs.
public func apply<O: BinaryOp>(_ op: O, _ a: Tensor, _ b: Tensor) -> Tensor {
  if a.node.trace == nil, b.node.trace == nil, ck_flags() & UInt32(CK_SLOW) == 0 {
    return runBinary(op, a, b)
  }
  if let recorded = recordBinary(op, a, b) { return recorded }
  return applyTraced(op, [a, b])[0]
}

/// Runs or records an operation whose result may share its input's memory.
public func apply<O: ViewOp>(view op: O, _ x: Tensor) -> Tensor {
  if x.node.trace == nil, ck_flags() & UInt32(CK_SLOW) == 0 { return runView(op, x) }
  if let recorded = recordView(op, x) { return recorded }
  return applyTraced(op, [x])[0]
}

/// Runs or records an operation with any number of inputs and outputs.
public func apply<O: Op>(_ op: O, _ inputs: [Tensor]) -> [Tensor] {
  if ck_flags() & UInt32(CK_SLOW) == 0, inputs.allSatisfy({ $0.node.trace == nil }) {
    do throws(OpError) { return try op.evaluate(inputs, reusable: []) } catch { return failed(op, error, inputs) }
  }
  return applyTraced(op, inputs)
}

/// Like `apply`, and the operation may write its results over those inputs that nobody else holds.
///
/// The caller gives its references away, so that an input held nowhere else is seen to be free.
package func apply<O: Op>(_ op: O, taking inputs: inout [Tensor]) -> [Tensor] {
  if ck_flags() & UInt32(CK_SLOW) == 0, inputs.allSatisfy({ $0.node.trace == nil }) {
    var reusable = Positions()
    // Those from 63 on share a bit, which must not speak for one that has other owners.
    for position in inputs.indices.prefix(63) where inputs[position].isSoleOwner { reusable[position] = true }
    do throws(OpError) { return try op.evaluate(inputs, reusable: reusable) } catch {
      return failed(op, error, inputs)
    }
  }
  // With no scope that changes how operations are handled, the highest trace decides. One that is over is the other way.
  if ck_flags() & ~UInt32(CK_ARITHMETIC | CK_FORCED) == 0, op.takeover(output: 0) != nil,
    inputs.allSatisfy({ $0.node.trace?.isOver != true })
  {
    return highest(inputs)!.apply(op, taking: &inputs)
  }
  return applyTraced(op, inputs)
}

/// The trace of the highest level.
private func highest(_ inputs: [Tensor]) -> Trace? {
  var top: Trace?
  for input in inputs {
    if let trace = input.node.trace, top == nil || trace.level > top!.level { top = trace }
  }
  return top
}

extension Tensor {
  /// True when this variable holds the only reference to the elements, so that they may be overwritten.
  package var isSoleOwner: Bool {
    mutating get {
      guard isKnownUniquelyReferenced(&node) else { return false }
      ck_own_alone(Unmanaged.passUnretained(node).toOpaque())
      return node.trace == nil && isKnownUniquelyReferenced(&node.storage)
        && node.storage.unsafelyUnwrapped.isPooled
    }
  }
}

@inline(__always)
func runUnary<O: UnaryOp>(_ op: O, _ x: Tensor) -> Tensor {
  let spec: TensorSpec
  do throws(OpError) { spec = try op.output(for: x.node.spec) } catch { return failed(op, error, [x]) }
  guard let kernel = Kernels.find(O.self, spec.device), let storage = Storage(for: spec) else {
    return runSlowly(op, [x])
  }
  let result = TensorNode(spec: spec, strides: Order.strides(O.self, spec, x.node), offset: 0, storage: storage)
  let status = Kernels.launch(kernel, op, x.node, result)
  if status.code != 0 { return failed(op, status, [x]) }
  return Tensor(node: result)
}

@inline(__always)
func runBinary<O: BinaryOp>(_ op: O, _ a: Tensor, _ b: Tensor) -> Tensor {
  let spec: TensorSpec
  do throws(OpError) { spec = try op.output(for: a.node.spec, b.node.spec) } catch { return failed(op, error, [a, b]) }
  guard a.node.spec.device == b.node.spec.device, let kernel = Kernels.find(O.self, spec.device),
    let storage = Storage(for: spec)
  else { return runSlowly(op, [a, b]) }
  let result = TensorNode(
    spec: spec, strides: Order.strides(O.self, spec, a.node, b.node), offset: 0, storage: storage)
  let status = Kernels.launch(kernel, op, a.node, b.node, result)
  if status.code != 0 { return failed(op, status, [a, b]) }
  return Tensor(node: result)
}

func runView<O: ViewOp>(_ op: O, _ x: Tensor) -> Tensor {
  do throws(OpError) { return try op.evaluateView(x, try op.output(for: x.node.spec)) } catch {
    return failed(op, error, [x])
  }
}

/// No kernel, no memory, or different devices: by the decomposition, or an error that says so.
@inline(never)
private func runSlowly<O: Op>(_ op: O, _ inputs: [Tensor]) -> Tensor {
  do throws(OpError) { return try op.evaluate(inputs, reusable: [])[0] } catch { return failed(op, error, inputs)[0] }
}

/// The trace of the highest level handles the operation.
@inline(never)
package func applyTraced<O: Op>(_ op: O, _ inputs: [Tensor]) -> [Tensor] {
  guard ck_flags() & UInt32(CK_ORIGINS | CK_ANOMALY) != 0 else { return applyHighest(op, inputs) }
  let results = applyHighest(op, inputs)
  if Origins.areOn { for result in results { Origins.note(result, O.name) } }
  Anomalies.inspect(O.name, inputs, results)
  return results
}

private func applyHighest<O: Op>(_ op: O, _ inputs: [Tensor]) -> [Tensor] {
  var inputs = inputs
  for position in inputs.indices {
    while let trace = inputs[position].node.trace, trace.isOver {
      guard trace.hasValue, let inner = inputs[position].node.inner else {
        return failed(op, OpError(trace.escape), inputs)
      }
      inputs[position] = inner
    }
  }
  let top = highest(inputs)
  let here = ck_here()
  if here.pointee.flags & UInt32(CK_LAZY) != 0, top == nil || here.pointee.lazy_level >= top!.level {
    return Pending.apply(op, inputs, level: here.pointee.lazy_level)
  }
  guard let top else {
    do throws(OpError) { return try op.evaluate(inputs, reusable: []) } catch { return failed(op, error, inputs) }
  }
  // What a body does with tensors from outside is part of it: it may run at another time, or not at all.
  if here.pointee.flags & UInt32(CK_BODY) != 0, let builder = BodyFrame.innermost?.builder, top.level < builder.level {
    return builder.apply(op, inputs)
  }
  if top is Recorded, here.pointee.flags & UInt32(CK_NO_RECORD) != 0, top.level <= here.pointee.mute_level {
    return applyDown(op, inputs.map { $0.lowered(below: top.level) })
  }
  return top.apply(op, inputs)
}

/// Applies to inputs that a trace has lowered.
@inline(__always)
package func applyDown<O: Op>(_ op: O, _ inputs: [Tensor]) -> [Tensor] { apply(op, inputs) }

/// An operation as its decomposition, which may rely on the rule; nil when there is none.
func checkedDecomposition<O: Op>(_ op: O, _ inputs: [Tensor]) -> [Tensor]? {
  do throws(OpError) { _ = try op.outputs(for: inputs.map { $0.spec }) } catch { return failed(op, error, inputs) }
  return op.decomposed(inputs)
}

/// Applies an operation of which only the protocol is known.
package func apply(any op: any Op, _ inputs: [Tensor]) -> [Tensor] {
  func open<O: Op>(_ op: O) -> [Tensor] { apply(op, inputs) }
  return open(op)
}
