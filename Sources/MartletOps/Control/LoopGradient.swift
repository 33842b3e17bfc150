package import MartletCore

/// Cotangents of a loop's inputs, from the inputs and from cotangents of its states.
///
/// Runs the loop again and keeps, on a stack of tensors, what each step's derivative reads; then runs back from the top.
/// Differentiated itself it becomes loops that compute the states of each step anew from the start.
package struct LoopGradient: ControlOp {
  package static var id: OpID { OpTable.loopGradient.id }
  package static var name: String { "loopGradient" }
  package static var rules: Rules { [.batched, .decomposed] }
  package let loop: Loop
  package let reversal: Reversal

  /// The gradient with respect to the inputs in `active`.
  package init(_ loop: Loop, active: [Bool], device: Device) throws(OpError) {
    // What the loop prints and checks, it has printed and checked when it ran first.
    let loop = loop.silent
    self.loop = loop
    reversal = try Reversal.of(loop.body.on(device), active: active, states: loop.states, scanned: 0)
  }

  package var silent: LoopGradient { self }
  package var subprograms: [(name: String, body: Subprogram)] {
    loop.subprograms + [("forward", reversal.split.forward.body), ("backward", reversal.body.body)]
  }
  package var attributes: String { loop.attributes }
  package var canFault: Bool { loop.canFault || reversal.body.body.canFault }
  /// The states of which it takes cotangents.
  package var cotangents: [Int] { reversal.states }
  /// The inputs of which it gives cotangents.
  package var results: [Int] { reversal.states + reversal.shared }
  package var outputCount: Int { results.count }

  package func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try check(inputs, are: loop.body.inputs + cotangents.map { loop.body.inputs[$0] })
    return results.map { inputs[$0] }
  }

  package func run(_ inputs: [Tensor]) throws(OpError) -> [Tensor] {
    let device = inputs[0].device
    if device != reversal.split.forward.body.device { return try here(device).run(inputs) }
    let count = loop.body.inputs.count
    let forward = reversal.split.forward
    let given = Array(inputs.prefix(count))
    var stack: [[Tensor]] = []
    _ = try loop.steps(
      given + forward.constants, loop.condition.on(device), forward.body
    ) { stack.append(Array($0.dropFirst(loop.states))) }
    var states = Array(inputs.dropFirst(count)) + reversal.shared.map { Tensor(repeating: 0, inputs[$0].spec) }
    let shared = reversal.keptShared.map { inputs[$0] } + reversal.body.constants
    while let kept = stack.popLast() { states = try reversal.body.body.run(states + kept + shared) }
    return states
  }

  /// The same for tensors of another device.
  private func here(_ device: Device) throws(OpError) -> LoopGradient {
    let active = loop.body.inputs.indices.map { results.contains($0) }
    return try LoopGradient(loop, active: active, device: device)
  }

  /// Counts the steps; then goes back, and for each step forth again to its states.
  package func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let device = inputs[0].device
    let count = loop.body.inputs.count
    let states = loop.states
    do throws(OpError) {
      if device != reversal.split.forward.body.device { return try here(device).decomposed(inputs) }
      let condition = loop.condition.on(device)
      let body = loop.body.on(device)
      let number = TensorSpec([], .int64, device: device)
      let zero = Tensor(repeating: 0, number)
      let given = Array(inputs.prefix(count))
      let specs = given.map { $0.spec }

      let counting = try Subprogram.traced([number] + specs) { t in
        [t[0] + Tensor(repeating: 1, number)] + body.applied(Array(t.dropFirst()))
      }
      let goesOn = try Subprogram.traced([number] + specs) { t in
        condition.applied(Array(t[1...condition.inputs.count]))
      }
      let steps = apply(
        Loop(
          condition: goesOn.body, body: counting.body, states: states + 1, maximum: loop.maximum),
        [zero] + given + counting.constants)[0]

      // From the start to the states of a step: its number, the states, the last step, the shared tensors.
      let toward = try Subprogram.traced([number] + specs.prefix(states) + [number] + specs.dropFirst(states)) { t in
        [t[0] + Tensor(repeating: 1, number)]
          + body.applied(Array(t[1...states]) + Array(t.dropFirst(states + 2)))
      }
      let isBefore = try Subprogram.traced(toward.body.inputs) { t in [t[0] .< t[states + 1]] }
      let forth = Loop(condition: isBefore.body, body: toward.body, states: states + 1)

      // Back: the number of steps left, cotangents and sums, the inputs.
      let forward = reversal.split.forward
      let sums = results.map { inputs[$0].spec }
      let back = try Subprogram.traced([number] + sums + specs) { t in
        let left = t[0] - Tensor(repeating: 1, number)
        let all = Array(t.dropFirst(1 + sums.count))
        let before = apply(
          forth,
          [Tensor(repeating: 0, number)] + all.prefix(states) + [left] + all.dropFirst(states)
            + toward.constants
        ).dropFirst()
        let here = Array(before + all.dropFirst(states))
        let kept = forward.applied(here).dropFirst(states)
        return [left] + reversal.body.applied(Array(t[1...sums.count]) + kept + reversal.keptShared.map { here[$0] })
      }
      let isLeft = try Subprogram.traced(back.body.inputs) { t in [t[0].cast(to: .bool)] }
      let start = Array(inputs.dropFirst(count)) + reversal.shared.map { Tensor(repeating: 0, inputs[$0].spec) }
      return Array(
        apply(
          Loop(condition: isLeft.body, body: back.body, states: sums.count + 1),
          [steps] + start + given + back.constants
        ).dropFirst())
    } catch { return fail(error, inputs, count: outputCount) }
  }

  /// The gradient of the loop over examples, in which every input that it is taken of has their axis.
  package func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let size = zip(inputs, mapped).first { $1 }!.0.shape[0]
    let device = inputs[0].device
    let count = loop.body.inputs.count
    do throws(OpError) {
      var wanted = Array(mapped.prefix(count))
      for position in results { wanted[position] = true }
      let rule = try loop.batched(mapped: wanted, size: size, device: device)
      let given = try rule.inputs(Array(inputs.prefix(count)), Array(mapped.prefix(count)))
      let places = results.map { $0 + rule.masks }
      let op = try LoopGradient(rule.op, active: given.indices.map { places.contains($0) }, device: device)
      let known = Dictionary(uniqueKeysWithValues: zip(reversal.states, inputs.indices.dropFirst(count)))
      let cotangents = op.cotangents.map { state -> Tensor in
        guard let position = known[state - rule.masks] else { return Tensor(repeating: 0, given[state].spec) }
        return allMapped(inputs[position], mapped[position], size)
      }
      let gradients = apply(op, given + cotangents)
      return places.map { gradients[op.results.firstIndex(of: $0)!] }
    } catch { return failed(self, error, inputs) }
  }
}

/// In files it is the loop with the inputs of which it gives cotangents: what follows is made anew.
extension LoopGradient {
  private enum Keys: CodingKey { case loop, active }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Keys.self)
    let loop = try container.decode(Loop.self, forKey: .loop)
    let active = try container.decode([Bool].self, forKey: .active)
    try loop.validate()
    guard active.count == loop.body.inputs.count else {
      throw OpError(
        .misuse("it has \(active.count) marks for \(loop.body.inputs.count) inputs", rule: "one mark for each input"))
    }
    try self.init(loop, active: active, device: loop.body.device)
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Keys.self)
    try container.encode(loop, forKey: .loop)
    try container.encode(loop.body.inputs.indices.map { results.contains($0) }, forKey: .active)
  }
}
