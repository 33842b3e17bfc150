package import MartletCore

extension Pass {
  /// Joins sums, means, maxima and minima with the chain that makes what they reduce: it is reduced as it is made, and need not
  /// be written if nobody else reads it.
  ///
  /// The chain runs as before, so what is joined with it is only moved up.
  package static let reductions = Pass("reductions") { program in
    guard program.instructions.contains(where: { isJoinable($0.op) }) else { return }
    var orders = Orders(program)
    var readers = program.readers
    let makers = program.makers
    var edits = Edits()
    for line in program.instructions.indices {
      let instruction = program.instructions[line]
      guard isJoinable(instruction.op), let reduction = instruction.op as? any Reduction else { continue }
      let source = instruction.inputs[0]
      guard let maker = makers[source], let chain = Chain(program, maker),
        (chain.instruction.inputs + chain.instruction.outputs).allSatisfy({
          isForward(orders[$0], program.values[$0].shape)
        }),
        let joined = chain.joined(
          reduction, of: source, as: instruction.outputs[0], keeping: readers[source].contains { $0 != line })
      else { continue }
      program.instructions[maker] = joined
      edits.remove(line)
      readers[source].removeAll { $0 == line }
      orders.follow(joined, program.values)
    }
    program = edits.applied(to: program)
  }

  /// Whether elements lie in the order of their axes, perhaps with gaps and repetitions.
  private static func isForward(_ strides: Shape?, _ shape: Shape) -> Bool {
    guard let strides else { return true }
    let steps = (0..<shape.rank).filter { shape[$0] > 1 && strides[$0] != 0 }.map { strides[$0] }
    return zip(steps, steps.dropFirst()).allSatisfy { $0 >= $1 }
  }

  private static func isJoinable(_ op: any Op) -> Bool { op is Sum || op is Mean || op is Max || op is Min }
}

/// A chain, or one elementwise operation as a chain of one step.
private struct Chain {
  let instruction: Program.Instruction
  private let inputs: [TensorSpec]
  private let steps: [Fused.Step]
  private let specs: [TensorSpec]
  private let results: [Fused.Result]

  init?(_ program: Program, _ line: Int) {
    instruction = program.instructions[line]
    inputs = instruction.inputs.map { program.values[$0] }
    if let fused = instruction.op as? Fused {
      (steps, specs, results) = (fused.body.steps, fused.body.specs, fused.body.results)
    } else {
      guard instruction.op is any Elementwise, inputs[0].device == .cpu else { return nil }
      steps = [Fused.Step(op: instruction.op, operands: Array(inputs.indices))]
      specs = [program.values[instruction.outputs[0]]]
      results = [Fused.Result(step: 0)]
    }
  }

  /// The chain with one more result, `new`, that `reduction` makes of `source`; without `source` itself if that is not kept.
  func joined(
    _ reduction: any Reduction, of source: Program.ValueID, as new: Program.ValueID, keeping: Bool
  ) -> Program.Instruction? {
    guard let place = instruction.outputs.firstIndex(of: source) else { return nil }
    var results = results
    var outputs = instruction.outputs
    let step = results[place].step
    if !keeping {
      results.remove(at: place)
      outputs.remove(at: place)
    }
    results.append(Fused.Result(step: step, reduction: reduction))
    outputs.append(new)
    let fused = Fused(inputs: inputs, steps: steps, specs: specs, results: results)
    return fused.map { Program.Instruction(op: $0, inputs: instruction.inputs, outputs: outputs) }
  }
}
