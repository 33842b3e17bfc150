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
    var other: [Program.ValueID: Program.ValueID] = [:]
    var contents: [Content: Program.ValueID] = [:]
    for (id, tensor) in program.constants where tensor.spec.byteCount <= 64 && tensor.device == .cpu {
      guard let bytes = tensor.withUnsafeBytes({ [UInt8]($0) }) else { continue }
      let content = Content(spec: tensor.spec, bytes: bytes)
      if let known = contents[content] { other[id] = known } else { contents[content] = id }
    }
    var known: [Key: [Program.ValueID]] = [:]
    var kept: [Program.Instruction] = []
    for var instruction in program.instructions {
      for position in instruction.inputs.indices {
        if let new = other[instruction.inputs[position]] { instruction.inputs[position] = new }
      }
      if instruction.op.effect == .none {
        let key = Key(op: hashable(instruction.op), inputs: instruction.inputs)
        if let outputs = known[key] {
          for (id, first) in zip(instruction.outputs, outputs) { other[id] = first }
          continue
        }
        known[key] = instruction.outputs
      }
      kept.append(instruction)
    }
    program.instructions = kept
    program.rename(other)
    program.constants.removeAll { other[$0.value] != nil }
  }
}

private func hashable(_ op: any Op) -> AnyHashable {
  func open<O: Op>(_ op: O) -> AnyHashable { AnyHashable(op) }
  return open(op)
}
