package import MartletCore

extension Pass {
  /// Joins the updates of parameters by one optimizer, some at a time, into operations that share the threads among them.
  ///
  /// It stands where the last of them stood, so nothing between the first and the last may read what one of them yields.
  package static let updates = Pass("updates") { program in
    var open: [UpdateKind: UpdateGroup] = [:]
    var groups: [UpdateGroup] = []
    /// For what an open group makes, its kind.
    var kinds: [Program.ValueID: UpdateKind] = [:]
    for (line, instruction) in program.instructions.enumerated() {
      for id in instruction.inputs {
        guard let kind = kinds[id], let group = open.removeValue(forKey: kind) else { continue }
        groups.append(group)
        for id in group.lines.flatMap({ program.instructions[$0].outputs }) { kinds[id] = nil }
      }
      guard let op = instruction.op as? any UpdateOp, program.values[instruction.inputs[0]].device == .cpu else {
        continue
      }
      let kind = UpdateKind(
        op: AnyHashable(op), inputs: instruction.inputs.count,
        dtypes: instruction.inputs.map { program.values[$0].dtype })
      if open[kind]?.lines.count == JoinedUpdates.mostParameters { groups.append(open.removeValue(forKey: kind)!) }
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
