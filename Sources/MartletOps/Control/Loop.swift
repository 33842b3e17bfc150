package import MartletCore

/// A body that runs as long as a condition holds: TensorFlow's `tf.while_loop`.
///
/// Inputs: states, then tensors that every step shares. The body takes them all; the condition takes all or the first of
/// them.
package struct Loop: ControlOp {
  package static var id: OpID { OpTable.loop.id }
  package static var name: String { "loop" }
  package static var rules: Rules { [.vjp, .jvp, .batched] }
  package let condition: Subprogram
  package let body: Subprogram
  package let states: Int
  /// So many steps at most; more are an error.
  package let maximum: Int?

  package init(condition: Subprogram, body: Subprogram, states: Int, maximum: Int? = nil) {
    self.condition = condition
    self.body = body
    self.states = states
    self.maximum = maximum
  }

  package var subprograms: [(name: String, body: Subprogram)] { [("condition", condition), ("body", body)] }
  package var attributes: String { "states=\(states)" + (maximum.map { ", maximum=\($0)" } ?? "") }
  package var outputCount: Int { body.outputs.count }
  package var canFault: Bool { maximum != nil || condition.canFault || body.canFault }

  package var silent: Loop { Loop(condition: condition.silent, body: body.silent, states: states, maximum: maximum) }

  /// That condition and body belong together.
  func validate() throws(OpError) {
    guard states >= 0, states <= body.inputs.count, body.outputs.count == states, (maximum ?? 0) >= 0,
      Array(body.inputs.prefix(states)) == body.outputs, condition.inputs.count <= body.inputs.count,
      condition.outputs.count == 1, condition.outputs[0].dtype == .bool, condition.outputs[0].rank == 0
    else {
      throw OpError(
        .misuse("the body gives other states than it takes", rule: "a condition and a body of the same states"))
    }
  }

  package func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try validate()
    try check(inputs, are: body.inputs)
    try check(Array(inputs.prefix(condition.inputs.count)), are: condition.inputs)
    return body.on(inputs.first?.device ?? body.device).outputs
  }

  package func run(_ inputs: [Tensor]) throws(OpError) -> [Tensor] {
    let device = inputs.first?.device ?? body.device
    return try steps(inputs, condition.on(device), body.on(device)) { _ in }
  }

  /// The states at the end; `each` is given all that the body gives in each step.
  func steps(
    _ inputs: [Tensor], _ condition: Subprogram, _ body: Subprogram, _ each: ([Tensor]) -> Void
  ) throws(OpError) -> [Tensor] {
    var arguments = inputs
    var count = 0
    while isTrue(try condition.run(Array(arguments.prefix(condition.inputs.count)))[0]) {
      if count == maximum { throw Loop.exceeded(count) }
      let outputs = try body.run(arguments)
      for state in 0..<states { arguments[state] = outputs[state] }
      each(outputs)
      count += 1
    }
    return Array(arguments.prefix(states))
  }

  static func exceeded(_ maximum: Int) -> OpError {
    OpError(
      .misuse(
        "the condition still holds after \(ErrorText.counted(maximum, "step"))",
        rule: "at most `maximum` steps", remedy: "a larger maximum, or a condition that comes to its end"),
      op: "whileLoop")
  }

  package func saves(needs: Positions) -> Saves { Saves(inputs: Positions(bits: .max)) }
  package func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let inputs = saved.inputs.map { $0! }
    do throws(OpError) {
      let op = try LoopGradient(self, active: saved.specs.map { $0 != nil }, device: inputs[0].device)
      let given = op.cotangents.map { ct[$0] ?? Tensor(repeating: 0, inputs[$0].spec) }
      var gradients = [Cotangent?](repeating: nil, count: inputs.count)
      for (position, gradient) in zip(op.results, apply(op, inputs + given)) where saved.specs[position] != nil {
        gradients[position] = .dense(gradient)
      }
      return gradients
    } catch {
      let failed = fail(error, inputs)[0]
      return saved.specs.map { $0.map { _ in .dense(failed) } }
    }
  }

  package func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    // It runs once more beside the loop itself, and says nothing of that.
    let (condition, body) = (condition.silent, body.silent.on(inputs[0].device))
    let active = body.closed(t.map { $0 != nil }, states: states, smoothly: true)
    let moving = Array(active.prefix(states))
    guard moving.contains(true) else { return moving.map { _ in nil } }
    do throws(OpError) {
      let rule = try body.jvp(active: active, results: moving, withValues: true)
      let count = inputs.count
      let moved = active.indices.filter { active[$0] }
      let carried = moved.indices.filter { moved[$0] < states }
      // States, their tangents, shared tensors, their tangents.
      let order =
        Array(0..<states) + carried.map { count + $0 } + Array(states..<count)
        + moved.indices.filter { moved[$0] >= states }.map { count + $0 }
      let all = inputs + moved.map { t[$0] ?? Tensor(repeating: 0, inputs[$0].spec) }
      let arranged = rule.body.arranged(
        inputs: order + Array(count + moved.count..<rule.body.inputs.count),
        outputs: Array(rule.body.outputs.indices))
      let given = order.map { all[$0] } + rule.constants
      // The condition sees the same tensors, of which it reads its own.
      let condition = condition.on(inputs[0].device)
      let whether = try Subprogram.traced(given.map { $0.spec }) { symbolic in
        condition.applied(condition.inputs.indices.map { symbolic[order.firstIndex(of: $0)!] })
      }
      let op = Loop(
        condition: whether.body, body: arranged, states: states + carried.count, maximum: maximum)
      let results = apply(op, given)
      var tangents = [Tensor?](repeating: nil, count: states)
      for (place, position) in carried.enumerated() { tangents[moved[position]] = results[states + place] }
      return tangents
    } catch { return fail(error, inputs, count: outputs.count) }
  }

  /// Goes on until no example wants more; those that have ended keep their states.
  package func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let size = zip(inputs, mapped).first { $1 }!.0.shape[0]
    do throws(OpError) {
      let rule = try batched(mapped: mapped, size: size, device: inputs[0].device)
      let results = apply(rule.op, try rule.inputs(inputs, mapped))
      return (0..<states).map { state in
        let result = results[state + rule.masks]
        return rule.mapped[state] ? result : allMapped(result, false, size)
      }
    } catch { return failed(self, error, inputs) }
  }

  /// The loop over examples.
  struct Batched {
    let op: Loop
    /// Which inputs have the axis of the examples.
    let mapped: [Bool]
    /// 1 where the first state says which examples go on.
    let masks: Int
    let size: Int
    /// What follows the loop's own inputs.
    let constants: [Tensor]
    /// Whether an example goes on at the start.
    let start: Derived?

    /// The inputs of `op`, from those of the loop, of which some have the axis of the examples.
    func inputs(_ given: [Tensor], _ isMapped: [Bool]) throws(OpError) -> [Tensor] {
      let all = given.indices.map { mapped[$0] ? allMapped(given[$0], isMapped[$0], size) : given[$0] }
      return (start.map { $0.applied(Array(all.prefix($0.body.inputs.count - $0.constants.count))) } ?? []) + all
        + constants
    }
  }

  func batched(mapped: [Bool], size: Int, device: Device) throws(OpError) -> Batched {
    let body = body.on(device)
    let condition = condition.on(device)
    var mapped = body.closed(mapped, states: states, smoothly: false)
    guard condition.reached(from: Array(mapped.prefix(condition.inputs.count)), smoothly: false)[0] else {
      let rule = try body.batched(mapped: mapped, results: Array(mapped.prefix(states)), size: size)
      let specs = rule.body.inputs
      let isMapped = mapped
      // It reads no mapped tensor, and one example of the others stands for all.
      let whether = try Subprogram.traced(specs) { given in
        condition.applied(
          condition.inputs.indices.map { isMapped[$0] ? Tensor(repeating: 0, condition.inputs[$0]) : given[$0] })
      }
      let op = Loop(
        condition: whether.body.arranged(inputs: Array(specs.indices), outputs: [0]), body: rule.body, states: states,
        maximum: maximum)
      return Batched(op: op, mapped: mapped, masks: 0, size: size, constants: rule.constants, start: nil)
    }
    for state in 0..<states { mapped[state] = true }
    let step = try body.batched(mapped: mapped, results: [Bool](repeating: true, count: states), size: size)
    let isRead = Array(mapped.prefix(condition.inputs.count))
    let whether = try condition.batched(mapped: isRead, results: [true], size: size)
    let mask = TensorSpec([size], .bool, device: device)
    let specs = [mask] + Array(step.body.inputs.prefix(body.inputs.count))
    let isMapped = mapped
    let masked = try Subprogram.traced(specs) { given in
      let all = Array(given.dropFirst())
      let next = step.applied(guarded(all, isMapped, by: given[0]))
      let states = next.indices.map { choose(given[0], next[$0], all[$0]) }
      return [given[0] .& whether.applied(Array((states + all.dropFirst(states.count)).prefix(isRead.count)))[0]]
        + states
    }
    let any = try Subprogram.traced(masked.body.inputs) { given in [given[0].cast(to: .int32).max().cast(to: .bool)] }
    let op = Loop(
      condition: any.body, body: masked.body, states: states + 1, maximum: maximum)
    return Batched(op: op, mapped: mapped, masks: 1, size: size, constants: masked.constants, start: whether)
  }
}
