package import MartletCore

extension Pass {
  /// Computes a large elementwise result again where it is read much later, as the activation that a backward part needs, if
  /// what it is made of stays in memory until then anyway. So one of the two is not held meanwhile.
  ///
  /// Casts of weights are left alone: they are made once in a step.
  package static let recomputation = Pass("recomputation") { program in
    let readers = program.readers
    let last = program.lastUses
    let isGiven = Set(program.inputs + program.constants.map { $0.value })
    /// Results that must stay as they are, because something is made of them again.
    var isHeld = [Bool](repeating: false, count: program.values.count)
    var edits = Edits()
    // Backwards, so that what is made again is known before what it is made of.
    for (line, instruction) in program.instructions.enumerated().reversed() {
      guard instruction.op is any Elementwise, !(instruction.op is Cast), let old = instruction.outputs.first,
        !isHeld[old],
        program.values[old].byteCount >= Self.largeBytes, last[old] < program.instructions.count,
        let late = firstLate(readers[old], after: line, distance: Self.longDistance(program)),
        instruction.inputs.allSatisfy({ isGiven.contains($0) || last[$0] >= late })
      else { continue }
      let new = program.value(program.values[old])
      edits.insert(
        Program.Instruction(op: instruction.op, inputs: instruction.inputs, outputs: [new]), before: late)
      for reader in readers[old] where reader >= late {
        program.instructions[reader].inputs = program.instructions[reader].inputs.map { $0 == old ? new : $0 }
      }
      for id in instruction.inputs { isHeld[id] = true }
    }
    program = edits.applied(to: program)
  }

  /// Of results that are worth it.
  private static let largeBytes = 1 << 20
  /// Instructions between two readers during which others make values of their own.
  private static func longDistance(_ program: Program) -> Int { max(16, program.instructions.count / 16) }

  /// The first of the later readers, which come long after an instruction and the earlier ones.
  private static func firstLate(_ readers: [Int], after line: Int, distance: Int) -> Int? {
    zip([line] + readers, readers).first { $1 - $0 >= distance }?.1
  }
}
