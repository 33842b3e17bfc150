package import MartletCore

extension Pass {
  /// Joins matrix products with what follows them: a bias, a tensor that is added, then an activation, then a cast of 16-bit
  /// floats to float32, where the device computes all of it as the result is written. Between the steps nothing is rounded to
  /// 16 bits.
  package static let matmulEpilogues = Pass("matmulEpilogues") { program in
    guard program.instructions.contains(where: { $0.op is Matmul && program.values[$0.outputs[0]].device == .cpu })
    else {
      return
    }
    Rooms.require(.cpu)  // which says what is fast
    guard let isFast = FusedMatmul.isFast else { return }
    let readers = program.readers
    /// Updates widen gradients themselves.
    func isForUpdates(_ id: Program.ValueID) -> Bool {
      readers[id].allSatisfy { $0 < program.instructions.count && program.instructions[$0].op is any UpdateOp }
    }
    var edits = Edits()
    for line in program.instructions.indices {
      let product = program.instructions[line]
      guard product.op is Matmul else { continue }
      let (a, b) = (program.values[product.inputs[0]], program.values[product.inputs[1]])
      guard a.device == .cpu, b.rank == 2 else { continue }
      var tail = MatmulTail(result: product.outputs[0])
      while !tail.widens, readers[tail.result].count == 1, let next = readers[tail.result].first,
        next < program.instructions.count, !edits.isGone(next), let longer = tail.extended(by: next, program),
        isFast(longer.op, a, b), !(longer.widens && isForUpdates(longer.result))
      { tail = longer }
      guard let last = tail.lines.last else { continue }
      var inputs = product.inputs
      if var bias = tail.bias {
        if program.values[bias].rank != 1 {
          let row = Reshape(shape: [b.shape[1]])
          guard let made = try? edits.insert(row, [bias], before: last, of: &program) else { continue }
          bias = made[0]
        }
        inputs.append(bias)
      }
      if let added = tail.added { inputs.append(added) }
      let joined = Program.Instruction(op: tail.op, inputs: inputs, outputs: [tail.result])
      edits.replace([line] + tail.lines, by: joined)
    }
    program = edits.applied(to: program)
  }
}

/// What is known of `y = f(product + bias + added)`.
private struct MatmulTail {
  var bias: Program.ValueID?
  var added: Program.ValueID?
  var function: FusedMatmul.Function?
  var widens = false
  /// The instructions after the product that it stands for.
  var lines: [Int] = []
  /// What the last of them yields.
  var result: Program.ValueID

  init(result: Program.ValueID) { self.result = result }

  var op: FusedMatmul { FusedMatmul(hasBias: bias != nil, adds: added != nil, function: function, widens: widens) }

  /// With one more instruction; nil where that is none that a product can be joined with.
  func extended(by line: Int, _ program: Program) -> MatmulTail? {
    let instruction = program.instructions[line]
    guard instruction.outputs.count == 1 else { return nil }
    let (before, after) = (program.values[result], program.values[instruction.outputs[0]])
    var longer = self
    if let cast = instruction.op as? Cast {
      guard cast.dtype == .float32, before.dtype == .bfloat16, added == nil else { return nil }
      longer.widens = true
    } else if before != after || function != nil {
      return nil
    } else if let function = FusedMatmul.Function(instruction.op) {
      longer.function = function
    } else if instruction.op is Add {
      let other = instruction.inputs[instruction.inputs[0] == result ? 1 : 0]
      let (spec, sum) = (program.values[other], program.values[result])
      guard spec.dtype == sum.dtype else { return nil }
      if spec == sum, added == nil {
        longer.added = other
      } else if spec.rank > 0, spec.count == spec.shape[spec.rank - 1], spec.count == sum.shape[sum.rank - 1],
        bias == nil, added == nil
      {
        longer.bias = other
      } else {
        return nil
      }
    } else {
      return nil
    }
    longer.lines.append(line)
    longer.result = instruction.outputs[0]
    return longer
  }
}
