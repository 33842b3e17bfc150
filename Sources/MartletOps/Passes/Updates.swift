package import MartletCore

extension Pass {
  /// Joins the updates of parameters by one optimizer, some at a time, into operations that share the threads among them.
  ///
  /// Gradients of 16 bits that were widened for them are read as they are. A joined update stands where the last of them stood, so nothing between the first and the last may read what one of them yields.
  package static let updates = Pass("updates") { program in
    readNarrowGradients(&program)
    var open: [UpdateKind: UpdateGroup] = [:]
    var groups: [UpdateGroup] = []
    /// For what an open group makes, its kind.
    var kinds: [Program.ValueID: UpdateKind] = [:]
    func close(_ kind: UpdateKind) {
      guard let group = open.removeValue(forKey: kind) else { return }
      groups.append(group)
      for id in group.lines.flatMap({ program.instructions[$0].outputs }) { kinds[id] = nil }
    }
    for (line, instruction) in program.instructions.enumerated() {
      for id in instruction.inputs { kinds[id].map(close) }
      guard let op = instruction.op as? any UpdateOp, program.values[instruction.inputs[0]].device == .cpu else {
        continue
      }
      let kind = UpdateKind(
        op: AnyHashable(op), inputs: instruction.inputs.count,
        dtypes: instruction.inputs.map { program.values[$0].dtype })
      if open[kind]?.lines.count == JoinedUpdates.mostParameters { close(kind) }
      open[kind, default: UpdateGroup(op: op)].lines.append(line)
      for id in instruction.outputs { kinds[id] = kind }
    }
    groups += open.values
    var edits = Edits()
    for group in groups where group.lines.count > 1 {
      let members = group.lines.map { program.instructions[$0] }
      let joined = JoinedUpdates(group.op, count: members.count, inputCount: members[0].inputs.count)
      edits.replace(
        group.lines,
        by: Program.Instruction(
          op: joined, inputs: members.flatMap { $0.inputs }, outputs: members.flatMap { $0.outputs }))
    }
    program = edits.applied(to: program)
  }
}

/// Gradients of 16 bits that are widened to be read by an update are read as they are: the update widens them itself.
private func readNarrowGradients(_ program: inout Program) {
  /// What was widened to float32.
  var narrow: [Program.ValueID: Program.ValueID] = [:]
  for (line, instruction) in program.instructions.enumerated() {
    if let cast = instruction.op as? Cast {
      let source = program.values[instruction.inputs[0]]
      if source.dtype.isHalf && cast.dtype == .float32 { narrow[instruction.outputs[0]] = instruction.inputs[0] }
    } else if instruction.op is any UpdateOp, program.values[instruction.inputs[0]].device == .cpu,
      let source = narrow[instruction.inputs[1]]
    {
      program.instructions[line].inputs[1] = source
    }
  }
}

/// Updates that can be one operation.
private struct UpdateGroup {
  let op: any UpdateOp
  var lines: [Int] = []
}

/// What updates have in common that can be one operation.
private struct UpdateKind: Hashable {
  let op: AnyHashable
  let inputs: Int
  let dtypes: [DType]
}
