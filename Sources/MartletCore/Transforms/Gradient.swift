import Synchronization

/// Numbers hooks, so that a program can tell whether it was captured with those that are there.
private let hookIDs = Atomic<Int>(0)

extension Tensor {
  /// The same values as a leaf whose gradient `backward()` computes. Inside `vmap`, what is one example of many cannot be
  /// a leaf: use `grad` there.
  public func requiringGradient() -> Tensor {
    guard dtype.isInexact else { return failure(.gradientOfDType, op: "requiringGradient", [self]) }
    let plain = MapScope.innermost == nil ? detached() : detached().resolved()
    if plain.node.trace is Mapped {
      return failure(
        .misuse(
          "the tensor is one example of a vmap",
          rule: "a leaf keeps its gradient, and that of one example cannot be kept",
          remedy: "grad inside vmap"), op: "requiringGradient", [self])
    }
    let level = Context.here.pointee.record_level
    let leaf = Recorded(leaf: spec, level: level, scope: nil)
    _ = leaf.gradientCell(0)  // now, while one task knows it
    return Tensor(node: TensorNode(spec: spec, trace: leaf, inner: plain))
  }

  /// True when operations on this tensor are recorded for gradients.
  public var requiresGradient: Bool {
    var tensor = resolved()
    while let trace = tensor.node.trace {
      if trace is Recorded, !trace.isOver { return true }
      guard let inner = tensor.node.inner else { return false }
      tensor = inner
    }
    return false
  }

  /// The same values without a history: no gradient and no tangent passes through the result.
  public func detached() -> Tensor {
    guard node.trace != nil else { return self }
    return apply(Detach(), self)
  }

  /// The gradient that `backward()` has added up; nil before, and for tensors that do not keep theirs.
  ///
  /// Leaves keep their gradient; other tensors after `retainGrad()`. Inside `withErrors`, after an error, one that is not there
  /// is an error tensor.
  public var grad: Tensor? {
    get {
      let node = resolved().node
      if node.trace is Failed { return self }
      guard let record = node.trace as? Recorded else { return nil }
      let cell = record.op == nil ? record.watch?.leafGradient : record.watch?.gradients[Int(node.output)]
      return cell?.read() ?? ErrorScope.gradient(spec)
    }
    nonmutating set {
      let node = resolved().node
      (node.trace as? Recorded)?.gradientCell(Int(node.output)).write(newValue)
    }
  }

  /// Keeps the gradient of this intermediate result, to be read as `grad` after `backward()`.
  public func retainGrad() {
    let node = resolved().node
    guard let record = node.trace as? Recorded else {
      fail(OpError(.noGradient, op: "retainGrad", arguments: [spec]), [self])
      return
    }
    if record.op != nil { _ = record.gradientCell(Int(node.output)) }
  }

  /// Calls `hook` with the gradient of this tensor during `backward()`; a tensor that it returns replaces the gradient.
  ///
  /// Hooks run in the order in which they were added. The result removes the hook when it is called.
  @discardableResult
  public func registerHook(_ hook: @escaping (Tensor) -> Tensor?) -> () -> Void {
    let node = resolved().node
    guard let record = node.trace as? Recorded else {
      fail(OpError(.noGradient, op: "registerHook", arguments: [spec]), [self])
      return {}
    }
    let watch = record.watch ?? Recorded.Watch()
    record.watch = watch
    let id = hookIDs.wrappingAdd(1, ordering: .relaxed).newValue
    watch.hooks.append((Int(node.output), id, hook))
    return { [weak watch] in watch?.hooks.removeAll { $0.id == id } }
  }
}

/// The same values, through which no derivative passes.
package struct Detach: ViewOp {
  package static let id = OpID(1)
  package static let name = "detach"
  package static let rules: Rules = [.constant, .batched]
  package init() {}
  package func output(for x: TensorSpec) throws(OpError) -> TensorSpec { x }
  package func view(of node: borrowing ViewSource, as spec: TensorSpec) -> (strides: Shape?, offset: Int)? {
    (node.isContiguous ? nil : node.strides, node.offset)
  }
  package func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { [apply(view: self, inputs[0])] }
}

/// Enters a transform: the level that it takes, and a scope that tells when it is over.
package func withTransform<R>(_ body: (TransformScope) -> R) -> R {
  let scope = TransformScope(level: Context.here.pointee.depth + 1)
  defer { scope.isOver = true }
  return Context.with({ $0.pointee.depth += 1 }, { body(scope) })
}

/// Records `f` on fresh leaves for `inputs`. The result stays usable after the scope is over.
struct Recording<R: TensorTree> {
  let leaves: [Recorded?]
  let level: Int32
  let result: R

  init(_ inputs: [Tensor], _ f: ([Tensor]) -> R) {
    var leaves: [Recorded?] = []
    var level: Int32 = 0
    result = withTransform { scope in
      level = scope.level
      let wrapped = inputs.map { input -> Tensor in
        guard input.dtype.isInexact else {
          leaves.append(nil)
          return input
        }
        let leaf = Recorded(leaf: input.spec, level: scope.level, scope: scope)
        leaves.append(leaf)
        return Tensor(node: TensorNode(spec: input.spec, trace: leaf, inner: input))
      }
      return f(wrapped).mapTensors { $0.resolved(above: scope.level) }
    }
    self.leaves = leaves
    self.level = level
  }

  /// The result as seen outside.
  var value: R { result.mapTensors { $0.lowered(below: level) } }

  /// Gradients of the inputs, from cotangents of the result's tensors.
  func pullback(_ cotangents: [Tensor], inputs: [Tensor], retainsGraph: Bool) -> [Tensor] {
    var found: [ObjectIdentifier: Tensor] = [:]
    var seeds: [(record: Recorded, output: Int, cotangent: Tensor)] = []
    for (output, cotangent) in zip(result.flattened, cotangents) {
      if let record = output.record(level: level) { seeds.append((record, Int(output.node.output), cotangent)) }
    }
    BackwardPass(retainsGraph: retainsGraph) { leaf, gradient in found[ObjectIdentifier(leaf)] = gradient }
      .run(from: seeds)
    return zip(leaves, inputs).map { leaf, input in
      leaf.flatMap { found[ObjectIdentifier($0)] } ?? TransformOps.current.fill(0, input.spec)
    }
  }
}

/// The value of `f` at `x`, and the gradient.
private func valueAndGradient<T: TensorTree>(_ x: T, _ f: (T) -> Tensor) -> (Tensor, T) {
  let inputs = x.flattened
  guard inputs.contains(where: { $0.dtype.isInexact }) else {
    let error = failure(.gradientOfDType, op: "grad", inputs)
    return (error, x.mapTensors { _ in error })
  }
  let recording = Recording(inputs) { f(x.replacing($0)) }
  let value = recording.value
  if value.node.trace is Failed { return (value, x.mapTensors { _ in value }) }
  guard value.dtype.isFloating, value.count == 1 else {
    let fact: Fact = value.dtype.isFloating ? .gradientOfNonScalar : .gradientOfDType
    let error = failure(fact, op: "grad", [value])
    return (error, x.mapTensors { _ in error })
  }
  let seed = TransformOps.current.fill(1, value.spec)
  return (value, x.replacing(recording.pullback([seed], inputs: inputs, retainsGraph: false)))
}

// One function for each number of arguments: a parameter pack in the result cannot be called at once (Swift 6.3).

/// The gradient of a scalar function with respect to its first argument.
///
/// `f` is ordinary Swift: it may branch and loop on values. The first argument is a tensor or a tree of tensors, and the
/// gradient has its structure; further arguments, of any type, are passed on. Gradients of gradients work to any order.
///
/// Traps when the result is not a floating scalar, or the first argument holds no floating tensor.
public func grad<T: TensorTree>(_ f: @escaping (T) -> Tensor) -> (T) -> T {
  { x in valueAndGradient(x, f).1 }
}

/// The value of a scalar function and its gradient with respect to the first argument.
public func valueAndGrad<T: TensorTree>(
  _ f: @escaping (T) -> Tensor
) -> (T) -> (Tensor, T) {
  { x in valueAndGradient(x, f) }
}

/// The gradient of a scalar function of 2 arguments with respect to the first.
public func grad<T: TensorTree, A>(_ f: @escaping (T, A) -> Tensor) -> (T, A) -> T {
  { x, a in valueAndGradient(x) { f($0, a) }.1 }
}

/// The value of a scalar function of 2 arguments and its gradient with respect to the first.
public func valueAndGrad<T: TensorTree, A>(
  _ f: @escaping (T, A) -> Tensor
) -> (T, A) -> (Tensor, T) {
  { x, a in valueAndGradient(x) { f($0, a) } }
}

/// The gradient of a scalar function of 3 arguments with respect to the first.
public func grad<T: TensorTree, A, B>(_ f: @escaping (T, A, B) -> Tensor) -> (T, A, B) -> T {
  { x, a, b in valueAndGradient(x) { f($0, a, b) }.1 }
}

/// The value of a scalar function of 3 arguments and its gradient with respect to the first.
public func valueAndGrad<T: TensorTree, A, B>(
  _ f: @escaping (T, A, B) -> Tensor
) -> (T, A, B) -> (Tensor, T) {
  { x, a, b in valueAndGradient(x) { f($0, a, b) } }
}

/// The gradient of a scalar function of 4 arguments with respect to the first.
public func grad<T: TensorTree, A, B, C>(_ f: @escaping (T, A, B, C) -> Tensor) -> (T, A, B, C) -> T {
  { x, a, b, c in valueAndGradient(x) { f($0, a, b, c) }.1 }
}

/// The value of a scalar function of 4 arguments and its gradient with respect to the first.
public func valueAndGrad<T: TensorTree, A, B, C>(
  _ f: @escaping (T, A, B, C) -> Tensor
) -> (T, A, B, C) -> (Tensor, T) {
  { x, a, b, c in valueAndGradient(x) { f($0, a, b, c) } }
}

/// The value of `f` at `x`, and the function that maps a cotangent of the value to the cotangent of `x`.
///
/// The pullback may be called any number of times.
public func vjp<T: TensorTree, R: TensorTree>(_ f: (T) -> R, _ x: T) -> (value: R, pullback: (R) -> T) {
  let inputs = x.flattened
  let recording = Recording(inputs) { f(x.replacing($0)) }
  let value = recording.value
  return (
    value,
    { cotangent in
      if let failed = value.flattened.first(where: { $0.node.trace is Failed }) { return x.mapTensors { _ in failed } }
      let given = cotangent.flattened
      let specs = value.flattened.map { $0.spec }
      guard given.count == specs.count else {
        let error = failure(
          .structure(ErrorText.counts(given.count, "cotangent", tensors: specs.count)), op: "vjp", given)
        return x.mapTensors { _ in error }
      }
      for (cotangent, spec) in zip(given, specs) where cotangent.shape != spec.shape || cotangent.dtype != spec.dtype {
        let error = failure(.cotangentSpec(expected: spec), op: "vjp", [cotangent])
        return x.mapTensors { _ in error }
      }
      return x.replacing(recording.pullback(given, inputs: inputs, retainsGraph: true))
    }
  )
}
