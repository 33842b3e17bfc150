package import MartletCore

extension Pass {
  /// Joins a normalisation and the rectifier behind it, in both directions: neither what is rectified nor the cotangent
  /// behind the rectifier is in memory. Comes when the order of images is settled.
  package static let normalizeRelu = Pass("normalizeRelu") { program in
    guard program.values.allSatisfy({ $0.device == .cpu }) else { return }
    var norms = RectifiedNorms(program)
    for line in program.instructions.indices { norms.join(line) }
    program = norms.joined()
  }
}

private struct RectifiedNorms {
  private var program: Program
  private let orders: Orders
  private let readers: [[Int]]
  private var edits = Edits()

  init(_ program: Program) {
    self.program = program
    orders = Orders(program)
    readers = program.readers
  }

  mutating func join(_ line: Int) {
    let norm = program.instructions[line]
    guard let op = norm.op as? Normalize, op.sets.isRectified(program.values[norm.inputs[0]].shape),
      let (relu, read) = reader(of: norm.outputs[0]), program.instructions[relu].op is Relu
    else { return }
    let y = program.instructions[relu].outputs[0]
    remove(relu, leaving: read)
    let gradients = Set(readers[y]).sorted().compactMap { gradient($0, of: y, norm) }
    guard !gradients.isEmpty else {
      program.instructions[line].op = NormalizeRelu(op.sets, keepsFactors: false)
      return
    }
    let factors = program.value(op.sets.factors(program.values[norm.inputs[0]]))
    program.instructions[line].op = NormalizeRelu(op.sets, keepsFactors: true)
    program.instructions[line].outputs.append(factors)
    for (rectifier, gradient, op) in gradients {
      remove(rectifier, leaving: program.instructions[rectifier].inputs[0])
      program.instructions[gradient].op = NormalizeReluGradient(op)
      program.instructions[gradient].inputs.insert(factors, at: 4)
    }
  }

  /// The one instruction that reads a value or that value in another shape, and what it reads.
  private func reader(of id: Program.ValueID) -> (line: Int, read: Program.ValueID)? {
    guard readers[id].count == 1, let line = readers[id].first, line < program.instructions.count else { return nil }
    guard program.instructions[line].op is Reshape else { return (line, id) }
    return reader(of: program.instructions[line].outputs[0])
  }

  /// The gradient of a rectifier, if that is what an instruction is, and behind it that of the normalisation before it: where
  /// nothing else reads what passes from one to the other, and no copy has to be made of what the first one reads.
  private func gradient(
    _ line: Int, of y: Program.ValueID, _ norm: Program.Instruction
  ) -> (rectifier: Int, norm: Int, op: NormalizeGradient)? {
    guard line < program.instructions.count, case let rectifier = program.instructions[line],
      rectifier.op as? ClampGradient == Relu.slope, rectifier.inputs[1] == y,
      program.values[rectifier.inputs[0]] == program.values[y], orders[rectifier.inputs[0]] == orders[y],
      let (behind, read) = reader(of: rectifier.outputs[0]),
      let op = program.instructions[behind].op as? NormalizeGradient, op.sets == (norm.op as? Normalize)?.sets,
      program.instructions[behind].inputs[0] == read, program.instructions[behind].inputs[1] == norm.inputs[0]
    else { return nil }
    return (line, behind, op)
  }

  private mutating func remove(_ line: Int, leaving id: Program.ValueID) {
    edits.remove(line)
    edits.redirect(program.instructions[line].outputs[0], to: id)
  }

  func joined() -> Program { edits.applied(to: program) }
}
