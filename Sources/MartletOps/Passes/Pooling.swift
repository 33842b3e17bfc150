package import MartletCore

extension Pass {
  /// Moves rectifiers behind max pooling, in both directions: the largest of what is rectified is what the largest becomes, and
  /// fewer elements are rectified, and kept for the gradient. Sums over planes of what pooling hands back are those of what it
  /// is given.
  ///
  /// Where no element of a window is positive, none gets a gradient before and after, wherever its index points.
  package static let pooling = Pass("pooling", arranges: true) { program in
    var pooling = Pooling(program)
    for line in program.instructions.indices { pooling.move(line) }
    for line in program.instructions.indices { pooling.sum(line) }
    program = pooling.moved()
  }
}

private struct Pooling {
  private var program: Program
  private let readers: [[Int]]
  private let makers: [Int?]
  private var edits = Edits()

  init(_ program: Program) {
    self.program = program
    readers = program.readers
    makers = program.makers
  }

  /// The rectifier whose result a pooling reads, if only its own gradient reads it too.
  mutating func move(_ line: Int) {
    let pool = program.instructions[line]
    guard pool.op is MaxPool, case let rectified = pool.inputs[0], let relu = makers[rectified],
      program.instructions[relu].op is Relu, !isNormalized(program.instructions[relu].inputs[0]),
      case let others = readers[rectified].filter({ $0 != line }), !others.isEmpty
    else { return }
    var gradients: [(rectifier: Int, unpool: Int)] = []
    for rectifier in others {
      guard let unpool = unpool(rectifier, of: rectified) else { return }
      gradients.append((rectifier, unpool))
    }
    // The index says nothing else: of equal elements that are not positive it is now another.
    guard Set(readers[pool.outputs[1]]) == Set(gradients.map { $0.unpool }) else { return }

    let (pooled, largest) = (pool.outputs[0], program.value(program.values[pool.outputs[0]]))
    program.instructions[line].inputs[0] = program.instructions[relu].inputs[0]
    program.instructions[line].outputs[0] = largest
    edits.remove(relu)
    edits.insert(Program.Instruction(op: Relu(), inputs: [largest], outputs: [pooled]), before: line + 1)
    for (rectifier, unpool) in gradients {
      let cotangent = program.instructions[unpool].inputs[0]
      let slope = program.value(program.values[cotangent])
      edits.insert(
        Program.Instruction(op: program.instructions[rectifier].op, inputs: [cotangent, pooled], outputs: [slope]),
        before: unpool)
      program.instructions[unpool].inputs[0] = slope
      edits.remove(rectifier)
      edits.redirect(program.instructions[rectifier].outputs[0], to: program.instructions[unpool].outputs[0])
    }
  }

  /// Where a line is the gradient of the rectifier of `y` behind that of a pooling which nothing else reads, that of the
  /// pooling.
  private func unpool(_ line: Int, of y: Program.ValueID) -> Int? {
    guard line < program.instructions.count, case let rectifier = program.instructions[line],
      rectifier.op as? ClampGradient == Relu.slope, rectifier.inputs[1] == y, rectifier.inputs[0] != y,
      let unpool = makers[rectifier.inputs[0]], program.instructions[unpool].op is Unpool,
      readers[rectifier.inputs[0]] == [line]
    else { return nil }
    return unpool
  }

  /// Whether a value is that of a normalisation, which takes the rectifier itself.
  private func isNormalized(_ id: Program.ValueID) -> Bool {
    guard let maker = makers[id] else { return false }
    let instruction = program.instructions[maker]
    return instruction.op is Normalize || instruction.op is Reshape && isNormalized(instruction.inputs[0])
  }

  /// A sum over whole planes of what max pooling hands back.
  mutating func sum(_ line: Int) {
    let instruction = program.instructions[line]
    guard let op = instruction.op as? Sum,
      let maker = makers[edits.current(instruction.inputs[0])], program.instructions[maker].op is Unpool,
      // Indices of the user may be wrong, which unpooling finds.
      let pool = makers[program.instructions[maker].inputs[1]], program.instructions[pool].op is MaxPool,
      (2..<program.values[instruction.inputs[0]].shape.rank).allSatisfy({ op.axes[$0] })
    else { return }
    program.instructions[line].inputs[0] = program.instructions[maker].inputs[0]
  }

  func moved() -> Program { edits.applied(to: program) }
}
