package import MartletCore

extension Pass {
  /// Simplifies by rules that change no bit of the results: what is undone at once, products by powers of two, casts to the
  /// same dtype, views of views.
  package static let algebra = Pass("algebra") { program in
    var makers: [Program.ValueID: Int] = [:]
    var other: [Program.ValueID: Program.ValueID] = [:]
    var constants = program.constantTensors
    var uses = [Int](repeating: 0, count: program.values.count)
    for id in program.instructions.flatMap({ $0.inputs }) + program.results { uses[id] += 1 }
    /// Instructions that are to stand before others.
    var before: [Int: [Program.Instruction]] = [:]
    /// A matrix with its axes exchanged.
    func transposed(_ id: Program.ValueID, _ line: Int) -> Program.ValueID {
      if let maker = makers[id], let op = program.instructions[maker].op as? Permute, op.isTransposition {
        return program.instructions[maker].inputs[0]
      }
      let spec = program.values[id]
      let result = program.value(spec.with(shape: [spec.shape[1], spec.shape[0]]))
      before[line, default: []].append(
        Program.Instruction(op: Permute(order: [1, 0]), inputs: [id], outputs: [result]))
      return result
    }
    for line in program.instructions.indices {
      for position in program.instructions[line].inputs.indices {
        if let new = other[program.instructions[line].inputs[position]] {
          program.instructions[line].inputs[position] = new
        }
      }
      let instruction = program.instructions[line]
      func maker(_ position: Int) -> Program.Instruction? {
        makers[instruction.inputs[position]].map { program.instructions[$0] }
      }
      /// The number that every element of an operand is.
      func number(_ id: Program.ValueID) -> Double? {
        constants[id].flatMap { $0.count == 1 && $0.dtype.isFloating ? $0.item() : nil }
      }
      func becomes(_ id: Program.ValueID) { other[instruction.outputs[0]] = id }
      /// Reads the operand of `inner` by `op`.
      func becomes(_ op: any Op, _ inputs: [Program.ValueID]) {
        program.instructions[line] = Program.Instruction(op: op, inputs: inputs, outputs: instruction.outputs)
      }
      if let first = instruction.outputs.first { makers[first] = line }
      guard let x = instruction.inputs.first, let result = instruction.outputs.first else { continue }
      let isSame = program.values[x] == program.values[result]
      switch instruction.op {
      case is Detach: becomes(x)
      case let op as Cast where op.dtype == program.values[x].dtype: becomes(x)
      case let op as Permute:
        if let inner = maker(0), let first = inner.op as? Permute {
          let both = Permute(order: Shape(op.order.map { first.order[$0] }))
          if both.isIdentity { becomes(inner.inputs[0]) } else { becomes(both, inner.inputs) }
        } else if op.isIdentity {
          becomes(x)
        } else if let inner = maker(0), inner.op is Matmul, op.isTransposition, uses[x] == 1 {
          // (a b)^T = b^T a^T: the product is made in the order in which it is wanted.
          becomes(Matmul(), [transposed(inner.inputs[1], line), transposed(inner.inputs[0], line)])
        }
      case let op as Reshape:
        let inner = maker(0).flatMap { $0.op is Reshape ? $0.inputs[0] : nil }
        let source = inner ?? x
        if program.values[source] == program.values[result] {
          becomes(source)
        } else if inner != nil {
          becomes(op, [source])
        }
      case is Expand where isSame: becomes(x)
      case is Negate:
        if let inner = maker(0), inner.op is Negate { becomes(inner.inputs[0]) }
      case is Multiply:
        guard let scale = number(instruction.inputs[1]), isSame else { break }
        if scale == 1 {
          becomes(x)
        } else if let inner = maker(0), inner.op is Multiply, let first = number(inner.inputs[1]),
          program.values[inner.inputs[0]] == program.values[x], isPowerOfTwo(scale), isPowerOfTwo(first),
          abs(scale * first) <= 65536, abs(scale * first) >= 1 / 65536
        {
          let product = Tensor(repeating: scale * first, program.values[instruction.inputs[1]])
          let id = program.value(product.spec)
          program.constants.append((id, product))
          constants[id] = product
          becomes(Multiply(), [inner.inputs[0], id])
        }
      case is Divide:
        if isSame, number(instruction.inputs[1]) == 1 { becomes(x) }
      default: break
      }
    }
    program.instructions = program.instructions.enumerated().flatMap { line, instruction in
      (before[line] ?? []) + (other[instruction.outputs.first ?? -1] == nil ? [instruction] : [])
    }
    program.rename(other)
  }
}

extension Permute {
  /// Whether it exchanges the axes of a matrix.
  fileprivate var isTransposition: Bool { order == [1, 0] }
  /// Whether it leaves every axis in its place.
  fileprivate var isIdentity: Bool { (0..<order.rank).allSatisfy { order[$0] == $0 } }
}

/// Whether a product by a number only changes the exponent.
private func isPowerOfTwo(_ number: Double) -> Bool { number.isNormal && number.significand == 1 }
