internal import CKernels

/// One call of `vmap`: its size and how random keys are drawn in it.
package final class MapScope {
  let transform: TransformScope
  package let size: Int
  package let randomness: Randomness
  package let outer: Unmanaged<MapScope>?
  init(transform: TransformScope, size: Int, randomness: Randomness, outer: Unmanaged<MapScope>?) {
    self.transform = transform
    self.size = size
    self.randomness = randomness
    self.outer = outer
  }
}

/// Whether the examples of a `vmap` share the random numbers drawn inside.
public enum Randomness: Sendable {
  /// Each example draws its own, as a loop over the examples would.
  case different
  /// All examples draw the same.
  case same
}

/// One example of many: the tensor inside has one more axis 0, over the examples.
package final class Mapped: Trace {
  let scope: MapScope
  package override var isOver: Bool { scope.transform.isOver }
  package override var escape: Fact { .escapedTransform("vmap") }

  init(scope: MapScope) {
    self.scope = scope
    super.init(level: scope.transform.level)
  }

  /// What needs no rule: errors, which are in the shapes of one example, and results of no examples, which are empty.
  private func early<O: Op>(_ op: O, _ inputs: [Tensor]) -> [Tensor]? {
    do throws(OpError) {
      let specs = try op.outputs(for: inputs.map { $0.spec })
      for spec in specs where spec.rank >= Shape.maxRank { throw OpError(.ranksExceeded(spec.rank + 1)) }
      guard scope.size == 0 else { return nil }
      return specs.map { spec in
        Mapped.wrap(Tensor.make(spec.with(shape: spec.shape.inserting(0, at: 0))) { _ in }, scope)
      }
    } catch { return failed(op, error, inputs) }
  }

  package override func apply<O: Op>(_ op: O, taking inputs: inout [Tensor]) -> [Tensor] {
    guard O.rules.contains(.batched) else { return apply(op, inputs) }
    if let early = early(op, inputs) { return early }
    let mapped = inputs.map { $0.node.trace?.level == level }
    for position in inputs.indices { inputs[position] = inputs[position].lowered(below: level) }
    let outputs = op.batched(taking: &inputs, mapped: mapped)
    guard outputs.contains(where: { $0.node.trace is Failed }) else { return outputs.map { Mapped.wrap($0, scope) } }
    for position in inputs.indices where mapped[position] {  // the inputs as they were
      inputs[position] = Mapped.wrap(inputs[position], scope)
    }
    return outputs
  }

  static func wrap(_ tensor: Tensor, _ scope: MapScope) -> Tensor {
    Tensor(
      node: TensorNode(
        spec: tensor.spec.with(shape: tensor.shape.removing(at: 0)), trace: Mapped(scope: scope), inner: tensor))
  }

  package override func apply<O: Op>(_ op: O, _ inputs: [Tensor]) -> [Tensor] {
    if let early = early(op, inputs) { return early }
    guard O.rules.contains(.batched) else {
      if let outputs = op.decomposed(inputs) { return outputs }
      return failed(op, OpError(.message("it has no batching rule")), inputs)
    }
    let mapped = inputs.map { $0.node.trace?.level == level }
    let physical = inputs.map { $0.lowered(below: level) }
    return op.batched(physical, mapped: mapped).map { output in
      output.node.trace is Failed ? output : Mapped.wrap(output, scope)
    }
  }
}

/// Runs `f` once for all examples: `axes` tells for each input the axis over the examples, nil for a shared one.
package func mapped<R: TensorTree>(
  _ inputs: [Tensor], axes: [Int?]?, outAxis: Int = 0, randomness: Randomness = .different, _ f: ([Tensor]) -> R
) -> R {
  let axes = axes ?? [Int?](repeating: 0, count: inputs.count)
  var sizes: [Int] = []
  var fact: Fact?
  if axes.count != inputs.count {
    fact = .structure("inAxes has " + ErrorText.counts(axes.count, "entry", "entries", tensors: inputs.count))
  } else {
    for (input, axis) in zip(inputs, axes) {
      guard let axis else { continue }
      let position = axis < 0 ? axis + input.rank : axis
      guard position >= 0, position < input.rank else {
        fact = .axis(axis, rank: input.rank)
        break
      }
      sizes.append(input.shape[position])
    }
    if fact == nil, sizes.isEmpty { fact = .mapWithoutAxis }
    if fact == nil, Set(sizes).count > 1 { fact = .mapSizes(sizes) }
  }
  if let fact {
    let error = failure(fact, op: "vmap", inputs)
    return withoutWrites { f(inputs.map { _ in error }) }.mapTensors { _ in error }
  }
  return withTransform { transform in
    let outer = Context.here.pointee.maps.map { Unmanaged<MapScope>.fromOpaque($0) }
    let scope = MapScope(transform: transform, size: sizes[0], randomness: randomness, outer: outer)
    let ops = TransformOps.current
    let wrapped = zip(inputs, axes).map { input, axis -> Tensor in
      guard let axis else { return input }
      return Mapped.wrap(axis == 0 ? input : ops.moveAxis(input, axis, 0), scope)
    }
    let result = Context.with({ $0.pointee.maps = Unmanaged.passUnretained(scope).toOpaque() }) { f(wrapped) }
    return result.mapTensors { output in
      let output = output.resolved(above: transform.level)
      guard outAxis >= -output.rank - 1, outAxis <= output.rank else {
        return failure(.axis(outAxis, rank: output.rank + 1), op: "vmap", [output])
      }
      let physical: Tensor
      if output.node.trace is Failed { return output }
      if let trace = output.node.trace, trace.level == transform.level {
        physical = output.node.inner!
      } else {
        physical = ops.expand(output, scope.size)
      }
      return outAxis == 0 ? physical : ops.moveAxis(physical, 0, outAxis)
    }
  }
}

/// Applies `f`, written for one example, to all examples at once.
///
/// - Parameters:
///   - inAxes: for each tensor of the arguments, in their order, the axis over the examples, or nil for a tensor that all
///     examples share. By default axis 0 of every tensor.
///   - outAxis: where the axis over the examples stands in the results.
///   - randomness: whether random numbers drawn in `f` differ from example to example.
///
/// Traps when the sizes of the mapped axes differ, or nothing is mapped.
public func vmap<A: TensorTree, R: TensorTree>(
  inAxes: [Int?]? = nil, outAxis: Int = 0, randomness: Randomness = .different, _ f: @escaping (A) -> R
) -> (A) -> R {
  { a in mapped(a.flattened, axes: inAxes, outAxis: outAxis, randomness: randomness) { f(a.replacing($0)) } }
}

/// Applies `f`, written for one example of each of 2 arguments, to all examples at once.
public func vmap<A: TensorTree, B: TensorTree, R: TensorTree>(
  inAxes: [Int?]? = nil, outAxis: Int = 0, randomness: Randomness = .different, _ f: @escaping (A, B) -> R
) -> (A, B) -> R {
  { a, b in
    let inputs = a.flattened + b.flattened
    return mapped(inputs, axes: inAxes, outAxis: outAxis, randomness: randomness) {
      var rest = $0[...]
      return f(a.rebuilt(from: &rest), b.rebuilt(from: &rest))
    }
  }
}

/// Applies `f`, written for one example of each of 3 arguments, to all examples at once.
public func vmap<A: TensorTree, B: TensorTree, C: TensorTree, R: TensorTree>(
  inAxes: [Int?]? = nil, outAxis: Int = 0, randomness: Randomness = .different, _ f: @escaping (A, B, C) -> R
) -> (A, B, C) -> R {
  { a, b, c in
    let inputs = a.flattened + b.flattened + c.flattened
    return mapped(inputs, axes: inAxes, outAxis: outAxis, randomness: randomness) {
      var rest = $0[...]
      return f(a.rebuilt(from: &rest), b.rebuilt(from: &rest), c.rebuilt(from: &rest))
    }
  }
}

/// Applies `f`, written for one example of each of 4 arguments, to all examples at once.
public func vmap<A: TensorTree, B: TensorTree, C: TensorTree, D: TensorTree, R: TensorTree>(
  inAxes: [Int?]? = nil, outAxis: Int = 0, randomness: Randomness = .different, _ f: @escaping (A, B, C, D) -> R
) -> (A, B, C, D) -> R {
  { a, b, c, d in
    let inputs = a.flattened + b.flattened + c.flattened + d.flattened
    return mapped(inputs, axes: inAxes, outAxis: outAxis, randomness: randomness) {
      var rest = $0[...]
      return f(a.rebuilt(from: &rest), b.rebuilt(from: &rest), c.rebuilt(from: &rest), d.rebuilt(from: &rest))
    }
  }
}

extension MapScope {
  /// The innermost `vmap` being run by the calling thread.
  package static var innermost: MapScope? {
    ck_here().pointee.maps.map { Unmanaged<MapScope>.fromOpaque($0).takeUnretainedValue() }
  }

  /// A tensor whose leading axes are those of the scopes that want different random numbers, outermost first, as seen by
  /// one example.
  package static func mapped(_ tensor: Tensor) -> Tensor {
    var scopes: [MapScope] = []
    var scope = innermost
    while let current = scope {
      if current.randomness == .different { scopes.insert(current, at: 0) }
      scope = current.outer?.takeUnretainedValue()
    }
    // The outermost scope has the lowest level, so its axis is taken off first and is the last inside.
    func wrap(_ tensor: Tensor, _ scopes: ArraySlice<MapScope>) -> Tensor {
      guard let scope = scopes.first else { return tensor }
      return wrap(Mapped.wrap(tensor, scope), scopes.dropFirst())
    }
    return wrap(tensor, scopes[...])
  }
}
