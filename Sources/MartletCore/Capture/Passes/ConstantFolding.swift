extension Pass {
  /// Computes what depends on constants alone, unless the result is much larger than what it is made of.
  package static let constantFolding = Pass("constantFolding") { program in
    var constants = program.constantTensors
    var edits = Edits()
    for (line, instruction) in program.instructions.enumerated() {
      let inputs = instruction.inputs.compactMap { constants[$0] }
      guard instruction.op.effect == .none, inputs.count == instruction.inputs.count, !inputs.isEmpty else { continue }
      let read = inputs.reduce(0) { $0 + $1.spec.byteCount }
      let written = instruction.outputs.reduce(0) { $0 + program.values[$1].byteCount }
      // A fault is for the run to report, which knows the line.
      guard written <= max(read, 4096), !instruction.op.canFault else { continue }
      // So is a failure that only the kernel notices.
      guard let results = try? catchingErrors({ apply(any: instruction.op, inputs) }) else { continue }
      edits.remove(line)
      for (id, result) in zip(instruction.outputs, results) {
        constants[id] = result
        program.constants.append((id, result))
      }
    }
    program = edits.applied(to: program)
  }
}
