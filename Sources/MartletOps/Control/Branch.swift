package import MartletCore

/// One of two subprograms, as the predicate says: TensorFlow's `tf.cond`. Both take the inputs behind the predicate.
package struct Branch: ControlOp {
  package static var id: OpID { OpTable.branch.id }
  package static var name: String { "branch" }
  package static var rules: Rules { [.vjp, .jvp, .batched] }
  package static var argumentNames: [String] { ["predicate"] }
  package let then: Subprogram
  package let otherwise: Subprogram

  package init(then: Subprogram, otherwise: Subprogram) {
    self.then = then
    self.otherwise = otherwise
  }

  package var subprograms: [(name: String, body: Subprogram)] { [("then", then), ("else", otherwise)] }
  package var attributes: String { "" }
  package var outputCount: Int { then.outputs.count }

  package var silent: Branch { Branch(then: then.silent, otherwise: otherwise.silent) }

  package func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard then.inputs == otherwise.inputs, then.outputs == otherwise.outputs else {
      throw OpError(.misuse("the branches are of different kinds", rule: "both have the same inputs and results"))
    }
    guard let predicate = inputs.first else { throw OpError(.numberOfInputs(0, expected: "a predicate at least")) }
    try check(inputs, are: [TensorSpec([], .bool)] + then.inputs)
    return then.on(predicate.device).outputs
  }

  package func run(_ inputs: [Tensor]) throws(OpError) -> [Tensor] {
    let taken = isTrue(inputs[0]) ? then : otherwise
    return try taken.on(inputs[0].device).run(Array(inputs.dropFirst()))
  }

  package func saves(needs: Positions) -> Saves { Saves(inputs: Positions(bits: .max)) }
  package func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let active = saved.specs.dropFirst().map { $0 != nil }
    let results = ct.map { $0 != nil }
    let inputs = saved.inputs.map { $0! }
    let gradients = choosing(inputs[0], Array(inputs.dropFirst()) + ct.compactMap { $0 }, count: inputs.count) {
      (taken: Subprogram) throws(OpError) in try taken.silent.vjp(active: active, results: results)
    }
    var rest = gradients[...]
    return [nil] + active.map { $0 ? rest.popFirst().map { .dense($0) } : nil }
  }

  package func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    let active = t.dropFirst().map { $0 != nil }
    let results = zip(
      then.reached(from: active, smoothly: true), otherwise.reached(from: active, smoothly: true)
    ).map { $0 || $1 }
    guard results.contains(true) else { return results.map { _ in nil } }
    let tangents = choosing(inputs[0], Array(inputs.dropFirst()) + t.compactMap { $0 }, count: outputs.count) {
      (taken: Subprogram) throws(OpError) in try taken.silent.jvp(active: active, results: results, withValues: false)
    }
    var rest = tangents[...]
    return results.map { $0 ? rest.popFirst() : nil }
  }

  /// With one predicate for all examples one branch runs for all; else both run, and each example takes from its own.
  ///
  /// No derivative enters the branch that an example does not take: what it reads is constant there. A tensor that all
  /// examples share has no such guard, so that a branch not taken whose derivative is infinite yields NaN for it.
  package func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let size = zip(inputs, mapped).first { $1 }!.0.shape[0]
    let operands = Array(inputs.dropFirst())
    let mapped = Array(mapped.dropFirst())
    let results = then.outputs.map { _ in true }
    let predicate = inputs[0]
    guard predicate.rank == 1 else {
      return choosing(predicate, operands, count: results.count) { (taken: Subprogram) throws(OpError) in
        try taken.batched(mapped: mapped, results: results, size: size)
      }
    }
    do throws(OpError) {
      let device = predicate.device
      let first = try then.on(device).batched(mapped: mapped, results: results, size: size)
      let second = try otherwise.on(device).batched(mapped: mapped, results: results, size: size)
      let yes = first.applied(guarded(operands, mapped, by: predicate))
      let no = second.applied(guarded(operands, mapped, by: apply(LogicalNot(), predicate)))
      return zip(yes, no).map { choose(predicate, $0, $1) }
    } catch { return failed(self, error, inputs) }
  }

  /// One of what a rule makes of the two subprograms.
  private func choosing(
    _ predicate: Tensor, _ operands: [Tensor], count: Int, _ rule: (Subprogram) throws(OpError) -> Derived
  ) -> [Tensor] {
    do throws(OpError) {
      let first = try rule(then.on(predicate.device))
      let second = try rule(otherwise.on(predicate.device))
      let op = Branch(
        then: first.body.widened(with: second.constants, at: first.body.inputs.count),
        otherwise: second.body.widened(with: first.constants, at: operands.count))
      return apply(op, [predicate] + operands + first.constants + second.constants)
    } catch { return fail(error, operands, count: count) }
  }
}

/// The only element of a plain bool tensor.
func isTrue(_ predicate: Tensor) -> Bool {
  predicate.device == .cpu
    ? predicate.node.pointer.load(as: UInt8.self) != 0 : predicate.item(as: Bool.self)
}

/// `a` for the examples where the mask holds, else `b`.
func choose(_ mask: Tensor, _ a: Tensor, _ b: Tensor) -> Tensor {
  let aligned = mask.reshaped(Shape([mask.shape[0]] + [Int](repeating: 1, count: a.rank - 1)))
  return apply(Select(), [aligned, a, b])[0]
}

/// The same values, through which derivatives pass only for the examples where the mask holds.
func guarded(_ operands: [Tensor], _ mapped: [Bool], by mask: Tensor) -> [Tensor] {
  zip(operands, mapped).map { operand, isMapped in
    isMapped && operand.dtype.isInexact ? choose(mask, operand, operand.detached()) : operand
  }
}
