// What the rules of control flow make of a subprogram, by running its operations under the same traces as any function.

private struct ActiveKey: Hashable, Sendable {
  var active: [Bool]
  var results: [Bool]
  var size = 0
  /// Of a split: the inputs that are kept anyway, and whether what follows from them is made again.
  var kept: [Bool] = []
  var remakes = false
  let device: Device
}

extension Subprogram {
  /// From the inputs and the tangents of those in `active`: tangents of the outputs in `results`, after the outputs
  /// themselves where `withValues`.
  package func jvp(active: [Bool], results: [Bool], withValues: Bool) throws(OpError) -> Derived {
    try derived(withValues ? "jvp" : "tangents", ActiveKey(active: active, results: results, device: device)) {
      () throws(OpError) in
      let moved = inputs.indices.filter { active[$0] }
      return try Subprogram.traced(inputs + moved.map { inputs[$0] }) { given in
        withTransform { scope in
          var primals = Array(given.prefix(inputs.count))
          for (position, tangent) in zip(moved, given.dropFirst(inputs.count)) {
            primals[position] = Tensor(
              node: TensorNode(
                spec: tangent.spec, trace: Dual(scope: scope, tangent: tangent), inner: primals[position]))
          }
          let outputs = applied(primals)
          let values = outputs.map { $0.lowered(below: scope.level) }
          let tangents = outputs.indices.filter { results[$0] }.map { position -> Tensor in
            if let dual = outputs[position].node.trace as? Dual, dual.level == scope.level { return dual.tangent }
            return TransformOps.current.fill(0, outputs[position].spec)
          }
          return withValues ? values + tangents : tangents
        }
      }
    }
  }

  /// From the inputs and cotangents of the outputs in `results`: cotangents of the inputs in `active`.
  package func vjp(active: [Bool], results: [Bool]) throws(OpError) -> Derived {
    try derived("vjp", ActiveKey(active: active, results: results, device: device)) { () throws(OpError) in
      let seeded = outputs.indices.filter { results[$0] }
      return try Subprogram.traced(inputs + seeded.map { outputs[$0] }) { given in
        let recording = Leaves(Array(given.prefix(inputs.count)), active)
        let values = withTransform { _ in applied(recording.inputs) }
        return recording.pullback(
          zip(seeded, given.dropFirst(inputs.count)).map { (values[$0], $1) }, specs: inputs)
      }
    }
  }

  /// Over one more axis 0 of `size` examples, which inputs in `mapped` have, and outputs in `results`. These are all that
  /// depend on mapped inputs, and perhaps others.
  package func batched(mapped: [Bool], results: [Bool], size: Int) throws(OpError) -> Derived {
    let key = ActiveKey(active: mapped, results: results, size: size, device: device)
    return try derived("batched", key) { () throws(OpError) in
      let specs = zip(inputs, mapped).map { $1 ? $0.with(shape: $0.shape.inserting(size, at: 0)) : $0 }
      return try Subprogram.traced(specs) { given in
        withTransform { transform in
          // Keys are drawn outside of subprograms; inside of them random numbers are functions of their inputs.
          let scope = MapScope(transform: transform, size: size, randomness: .same, outer: nil)
          return zip(applied(zip(given, mapped).map { $1 ? Mapped.wrap($0, scope) : $0 }), results).map {
            output, isMapped in
            if let trace = output.node.trace, trace.level == transform.level { return output.node.inner! }
            return isMapped && !output.isError ? TransformOps.current.expand(output, size) : output
          }
        }
      }
    }
  }
}

/// Inputs of which some are leaves of a transform of its own.
private struct Leaves {
  let inputs: [Tensor]
  let leaves: [Recorded?]
  let level: Int32

  init(_ given: [Tensor], _ active: [Bool]) {
    let level = Context.here.pointee.depth + 1
    let scope = TransformScope(level: level)
    let leaves = zip(given, active).map { input, isActive in
      isActive && input.dtype.isInexact ? Recorded(leaf: input.spec, level: level, scope: scope) : nil
    }
    inputs = zip(given, leaves).map { input, leaf in
      leaf.map { Tensor(node: TensorNode(spec: input.spec, trace: $0, inner: input)) } ?? input
    }
    self.leaves = leaves
    self.level = level
  }

  /// Cotangents of the leaves, in the order of the inputs.
  func pullback(_ given: [(output: Tensor, cotangent: Tensor)], specs: [TensorSpec]) -> [Tensor] {
    if let failed = given.first(where: { $0.output.isError })?.output {
      return leaves.compactMap { $0 }.map { _ in failed }
    }
    var found: [ObjectIdentifier: Tensor] = [:]
    let seeds = given.compactMap { output, cotangent in
      output.record(level: level).map { (record: $0, output: Int(output.node.output), cotangent: cotangent) }
    }
    BackwardPass(retainsGraph: false) { leaf, gradient in found[ObjectIdentifier(leaf)] = gradient }.run(from: seeds)
    return zip(leaves, specs).compactMap { leaf, spec in
      leaf.map { found[ObjectIdentifier($0)] ?? TransformOps.current.fill(0, spec) }
    }
  }
}

/// A subprogram in two halves: forward, which also gives what its derivative keeps, and backward, which reads that.
package final class Split: Sendable, Hashable {
  /// What a step back reads beside cotangents.
  package enum Source: Sendable, Hashable {
    /// An input of the subprogram.
    case input(Int)
    /// One of the outputs that the forward half has beside those of the subprogram.
    case residual(Int)
  }
  /// Inputs: those of the subprogram. Outputs: the same, then the residuals.
  package let forward: Derived
  /// From cotangents of `results`, then what `sources` name, to cotangents of the `active` inputs.
  package let backward: Derived
  package let sources: [Source]
  package let active: [Int]
  package let results: [Int]
  /// The number of outputs that the forward half has beside those of the subprogram.
  package var residualCount: Int {
    sources.reduce(0) { if case .residual = $1 { $0 + 1 } else { $0 } }
  }

  package static func == (a: Split, b: Split) -> Bool { a === b }
  package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }

  func releaseMemory() {
    forward.body.releaseMemory()
    backward.body.releaseMemory()
  }

  fileprivate init(_ forward: Derived, _ backward: Derived, _ sources: [Source], active: [Int], results: [Int]) {
    self.forward = forward
    self.backward = backward
    self.sources = sources
    self.active = active
    self.results = results
  }
}

extension Subprogram {
  /// The two halves of the derivative of the `results` with respect to the inputs in `active`.
  ///
  /// The body runs on recorded leaves over one builder, and backward under a second builder above it. Both are laid out as
  /// one program and then cut: what the second half takes from the first is what has to be kept, beside the inputs that are
  /// `kept` anyway. Views of it are made again, and what follows from such inputs where `remakes`.
  package func split(
    active: [Bool], results: [Bool], kept: [Bool], remakes: Bool = true
  ) throws(OpError) -> Split {
    let active = zip(active, inputs).map { $0 && $1.dtype.isInexact }
    let key = ActiveKey(active: active, results: results, kept: kept, remakes: remakes, device: device)
    return try derived("split", key) { () throws(OpError) in
      try Subprogram.clean { (depth) throws(OpError) in
        let first = ProgramBuilder(level: depth + 1, name: "a rule of control flow")
        let second = ProgramBuilder(level: depth + 3, name: "a rule of control flow")
        defer {
          first.isOver = true
          second.isOver = true
        }
        let symbolic = inputs.map { first.symbolic(first.value($0)) }
        first.program.inputs = Array(inputs.indices)
        Context.here.pointee.depth = depth + 1
        let recording = Leaves(symbolic, active)
        let values = withTransform { _ in applied(recording.inputs) }
        if let failed = values.lazy.compactMap({ $0.node.trace as? Failed }).first { throw failed.error }
        first.program.outputs = values.map { first.id(of: $0.lowered(below: recording.level)) }

        Context.here.pointee.depth = depth + 3
        let seeded = outputs.indices.filter { results[$0] }
        let cotangents = seeded.map { second.symbolic(second.value(outputs[$0])) }
        second.program.inputs = Array(seeded.indices)
        let gradients = recording.pullback(zip(seeded, cotangents).map { (values[$0], $1) }, specs: inputs)
        if let failed = gradients.lazy.compactMap({ $0.node.trace as? Failed }).first { throw failed.error }
        second.program.outputs = gradients.map { second.id(of: $0) }

        let joint = Program.joined(first, second)
        let seam = Seam(joint, outputs: outputs.count, kept: kept, remakes: remakes)
        return Split(
          Derived(seam.forward), Derived(seam.backward), seam.sources, active: inputs.indices.filter { active[$0] },
          results: seeded)
      }
    }
  }
}
