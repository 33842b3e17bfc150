/// Runs programs one operation after the other; the reference for plans.
package final class Interpreter: Sendable {
  let program: Program
  /// For each instruction, the values that are not needed after it.
  private let dead: [[Program.ValueID]]
  /// From this instruction on no operation can report a fault, so that state may be overwritten in place.
  package let firstSafe: Int

  package init(_ program: Program) {
    self.program = program
    var last = [Int](repeating: -1, count: program.values.count)
    for (line, instruction) in program.instructions.enumerated() {
      for id in instruction.inputs + instruction.outputs { last[id] = line }
    }
    for id in program.outputs + program.stateOutputs.map({ $0.value }) { last[id] = .max }
    for (id, _) in program.constants { last[id] = .max }
    var dead = [[Program.ValueID]](repeating: [], count: program.instructions.count)
    for (id, line) in last.enumerated() where line >= 0 && line < dead.count { dead[line].append(id) }
    self.dead = dead
    firstSafe = (program.instructions.lastIndex { $0.op.canFault } ?? -1) + 1
  }

  /// Runs the program on `inputs` and on what `state` yields for each state input.
  ///
  /// `releaseState` is called before the first instruction that may write over state: the owner of the state lets go of it.
  package func run(
    _ inputs: [Tensor], state: consuming [Tensor], releaseState: () throws(OpError) -> Void = {}
  ) throws(OpError) -> (outputs: [Tensor], state: [Tensor]) {
    var values = [Tensor?](repeating: nil, count: program.values.count)
    for (id, tensor) in zip(program.inputs, inputs) { values[id] = tensor }
    for (position, entry) in program.stateInputs.enumerated() { values[entry.value] = state[position] }
    state = []  // so that the last use of a value holds it alone
    for (id, tensor) in program.constants { values[id] = tensor }
    var released = false
    for (line, instruction) in program.instructions.enumerated() {
      if !released, line >= firstSafe {
        released = true
        try settle()
        try releaseState()
      }
      // A value that dies here is handed over, so that its memory can be taken.
      var arguments: [Tensor] = []
      arguments.reserveCapacity(instruction.inputs.count)
      for id in instruction.inputs { arguments.append(values[id].unsafelyUnwrapped) }
      for id in dead[line] { values[id] = nil }
      let results = apply(any: instruction.op, taking: &arguments)
      if let failed = results.first?.node.trace as? Failed { throw failed.error }
      for (id, result) in zip(instruction.outputs, results) where !isDead(id, line) { values[id] = result }
    }
    if !released { try settle() }
    return (program.outputs.map { values[$0]! }, program.stateOutputs.map { values[$0.value]! })
  }

  /// A device that queues its work reports faults late: before anything of the state changes they must be known.
  private func settle() throws(OpError) {
    guard firstSafe > 0, let device = program.values.first?.device else { return }
    try Executors.synchronize(device)
  }

  private func isDead(_ id: Program.ValueID, _ line: Int) -> Bool { dead[line].contains(id) }
}

/// `apply(taking:)` for an operation of which only the protocol is known.
private func apply(any op: any Op, taking inputs: inout [Tensor]) -> [Tensor] {
  func open<O: Op>(_ op: O, _ inputs: inout [Tensor]) -> [Tensor] { apply(op, taking: &inputs) }
  return open(op, &inputs)
}
