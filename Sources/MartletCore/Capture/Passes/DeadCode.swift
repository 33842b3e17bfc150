extension Pass {
  /// Leaves out operations and constants whose results nobody reads; those with an effect stay.
  package static let deadCode = Pass("deadCode") { program in
    var isRead = [Bool](repeating: false, count: program.values.count)
    for id in program.results { isRead[id] = true }
    var kept: [Program.Instruction] = []
    for instruction in program.instructions.reversed() {
      guard instruction.op.effect == .ordered || instruction.outputs.contains(where: { isRead[$0] }) else { continue }
      for id in instruction.inputs { isRead[id] = true }
      kept.append(instruction)
    }
    program.instructions = kept.reversed()
    program.constants.removeAll { !isRead[$0.value] }
  }
}
