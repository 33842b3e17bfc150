extension Pass {
  /// Computes once what is computed twice from the same values. Random operations are functions of their keys, so that they
  /// need no exception.
  package static let commonSubexpressions = Pass("commonSubexpressions") { program in
    struct Key: Hashable {
      let op: AnyHashable
      let inputs: [Program.ValueID]
    }
    struct Content: Hashable {
      let spec: TensorSpec
      let bytes: [UInt8]
    }
    var edits = Edits()
    var contents: [Content: Program.ValueID] = [:]
    for (id, tensor) in program.constants where tensor.spec.byteCount <= 64 && tensor.device == .cpu {
      guard let bytes = tensor.withUnsafeBytes({ [UInt8]($0) }) else { continue }
      let content = Content(spec: tensor.spec, bytes: bytes)
      if let known = contents[content] { edits.redirect(id, to: known) } else { contents[content] = id }
    }
    var known: [Key: [Program.ValueID]] = [:]
    for (line, instruction) in program.instructions.enumerated() where instruction.op.effect == .none {
      let key = Key(op: hashable(instruction.op), inputs: instruction.inputs.map { edits.current($0) })
      guard let outputs = known[key] else {
        known[key] = instruction.outputs
        continue
      }
      edits.remove(line)
      for (id, first) in zip(instruction.outputs, outputs) { edits.redirect(id, to: first) }
    }
    program = edits.applied(to: program)
    program.constants.removeAll { edits.current($0.value) != $0.value }
  }
}

private func hashable(_ op: any Op) -> AnyHashable {
  func open<O: Op>(_ op: O) -> AnyHashable { AnyHashable(op) }
  return open(op)
}
