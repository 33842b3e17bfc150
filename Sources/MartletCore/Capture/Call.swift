/// A call of a program as one operation: of a compiled function whose result is recorded, or of one that is checkpointed.
///
/// Its derivatives are programs too: recorded, the body also gives what its derivative reads, and the backward pass runs
/// that; or it keeps nothing but its inputs, and the backward pass computes the body again.
package struct Call: ControlOp {
  package static let id = OpID(2)
  package static let name = "call"
  package static let rules: Rules = [.vjp, .jvp, .batched, .recordsAnother]
  package let body: Subprogram
  /// Whether the derivative computes the body again instead of keeping what it reads.
  package let recomputes: Bool
  /// How it is differentiated, where it is recorded and keeps what that reads.
  private let split: Split?

  package init(_ body: Subprogram, recomputes: Bool) {
    self.init(body, recomputes: recomputes, split: nil)
  }

  private init(_ body: Subprogram, recomputes: Bool, split: Split?) {
    self.body = body
    self.recomputes = recomputes
    self.split = split
  }

  package var subprograms: [(name: String, body: Subprogram)] { [("body", body)] }
  package var attributes: String { recomputes ? "recomputes" : "" }
  package var outputCount: Int { body.outputs.count }
  package var silent: Call { Call(body.silent, recomputes: recomputes) }

  package func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try check(inputs, are: body.inputs)
    return body.on(inputs.first?.device ?? body.device).outputs
  }

  package func run(_ inputs: [Tensor]) throws(OpError) -> [Tensor] {
    let body = body.on(inputs.first?.device ?? body.device)
    // What is computed again to save memory must not leave an arena behind.
    defer { if recomputes { body.releaseMemory() } }
    return try body.run(inputs)
  }

  package func decomposed(_ inputs: [Tensor]) -> [Tensor]? { body.applied(inputs) }

  package func recording(_ inputs: [TensorSpec], needs: [Bool]) throws(OpError) -> (op: Call, more: [Tensor])? {
    guard !recomputes else { return nil }
    let split = try halves(inputs, needs: needs)
    return (Call(split.forward.body, recomputes: false, split: split), split.forward.constants)
  }

  /// The body with what it gives its derivative, and the derivative.
  func halves(_ inputs: [TensorSpec], needs: [Bool]) throws(OpError) -> Split {
    let body = body.on(inputs[0].device)
    return try body.derived("recording", needs) { () throws(OpError) in
      try body.split(
        active: needs, results: body.reached(from: needs, smoothly: true), kept: needs.map { _ in true },
        remakes: false)
    }
  }

  package func saves(needs: Positions) -> Saves {
    guard let split else { return Saves(inputs: Positions(bits: .max)) }
    var saves = Saves()
    let first = firstResidual(split)
    for source in split.sources {
      switch source {
      case .input(let position): saves.inputs[position] = true
      case .residual(let position): saves.outputs[first + position] = true
      }
    }
    return saves
  }

  /// The outputs from which on the body gives what its derivative reads.
  private func firstResidual(_ split: Split) -> Int { body.outputs.count - split.residualCount }

  package func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let active: [Int]
    let gradients: [Tensor]
    if let split {
      let half = split.backward(from: split.results.map { ct[$0] != nil })
      active = half.active
      let first = firstResidual(split)
      let read = split.sources.map { source in
        switch source {
        case .input(let position): saved.input(position)
        case .residual(let position): saved.output(first + position)
        }
      }
      gradients =
        active.isEmpty
        ? [] : called(half.body, split.results.compactMap { ct[$0] } + read + split.backward.constants)
    } else if body.isLocal {
      active = Array(saved.specs.indices)
      let inputs = saved.inputs.map { $0! }
      let recording = Recording(inputs) { body.silent.applied($0) }
      let given = zip(ct, recording.result).map { $0 ?? TransformOps.current.fill(0, $1.spec) }
      gradients = recording.pullback(given, inputs: inputs, retainsGraph: false)
    } else {
      active = saved.specs.indices.filter { saved.specs[$0] != nil }
      let inputs = saved.inputs.map { $0! }
      gradients = called(inputs, count: active.count) { (body) throws(OpError) in
        (
          try body.silent.vjp(active: saved.specs.map { $0 != nil }, results: ct.map { $0 != nil }),
          inputs + ct.compactMap { $0 }
        )
      }
    }
    var cotangents = [Cotangent?](repeating: nil, count: saved.specs.count)
    for (position, gradient) in zip(active, gradients) where saved.specs[position] != nil {
      cotangents[position] = .dense(gradient)
    }
    return cotangents
  }

  package func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    let active = t.map { $0 != nil }
    let results = body.reached(from: active, smoothly: true)
    guard results.contains(true) else { return results.map { _ in nil } }
    if body.isLocal { return forward(inputs, t) { body.silent.applied($0) } }
    let tangents = called(inputs, count: outputs.count) { (body) throws(OpError) in
      (try body.silent.jvp(active: active, results: results, withValues: false), inputs + t.compactMap { $0 })
    }
    var rest = tangents[...]
    return results.map { $0 ? rest.popFirst() : nil }
  }

  package func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    if body.isLocal { return MartletCore.mapped(inputs, axes: mapped.map { $0 ? 0 : nil }) { body.applied($0) } }
    let size = zip(inputs, mapped).first { $1 }!.0.shape[0]
    return called(inputs, count: outputCount) { (body) throws(OpError) in
      (try body.batched(mapped: mapped, results: body.outputs.map { _ in true }, size: size), inputs)
    }
  }

  /// A call of what a rule makes of the body.
  private func called(
    _ inputs: [Tensor], count: Int, _ rule: (Subprogram) throws(OpError) -> (Derived, [Tensor])
  ) -> [Tensor] {
    do throws(OpError) {
      let (derived, given) = try rule(body.on(inputs[0].device))
      return called(derived, given)
    } catch { return fail(error, inputs, count: count) }
  }

  private func called(_ derived: Derived, _ given: [Tensor]) -> [Tensor] {
    apply(Call(derived.body, recomputes: recomputes), given + derived.constants)
  }

  // In files: how it is differentiated is made anew where it is.
  private enum CodingKeys: CodingKey { case body, recomputes }
  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      try container.decode(Subprogram.self, forKey: .body),
      recomputes: try container.decode(Bool.self, forKey: .recomputes))
  }
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(body, forKey: .body)
    try container.encode(recomputes, forKey: .recomputes)
  }
}
