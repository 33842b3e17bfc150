package import MartletCore

extension Pass {
  /// Simplifies by rules that change no bit of the results: what is undone at once, products by powers of two, casts to the
  /// same dtype, views of views, parts that are added up to a whole.
  package static let algebra = Pass("algebra") { program in
    var makers: [Program.ValueID: Int] = [:]
    var other: [Program.ValueID: Program.ValueID] = [:]
    var constants = program.constantTensors
    /// How many operands read each value, those left out that nobody needs any more.
    var uses = program.readers.map { $0.count }
    /// Whether one operand alone reads a value.
    func isReadOnce(_ id: Program.ValueID) -> Bool { uses[id] == 1 }
    func value(_ spec: TensorSpec) -> Program.ValueID {
      uses.append(0)
      return program.value(spec)
    }
    func count(_ operands: [Program.ValueID]) {
      for id in operands { uses[id] += 1 }
    }
    /// Operands read no more, nor do those of what nobody reads then.
    func forget(_ operands: [Program.ValueID]) {
      var open = operands
      while let id = open.popLast() {
        uses[id] -= 1
        guard uses[id] == 0, let maker = makers[id].map({ program.instructions[$0] }), maker.op.effect == .none,
          maker.outputs.allSatisfy({ uses[$0] == 0 })
        else { continue }
        open += maker.inputs
      }
    }
    /// Instructions that are to stand before others.
    var before: [Int: [Program.Instruction]] = [:]
    func insert(_ instruction: Program.Instruction, _ line: Int) {
      count(instruction.inputs)
      before[line, default: []].append(instruction)
    }
    /// A matrix with its axes exchanged.
    func transposed(_ id: Program.ValueID, _ line: Int) -> Program.ValueID {
      if let maker = makers[id], let op = program.instructions[maker].op as? Permute, op.isTransposition {
        return program.instructions[maker].inputs[0]
      }
      let result = value(program.values[id].transposed)
      insert(Program.Instruction(op: Permute(order: [1, 0]), inputs: [id], outputs: [result]), line)
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
      func becomes(_ id: Program.ValueID) {
        other[instruction.outputs[0]] = id
        uses[id] += uses[instruction.outputs[0]]
        forget(instruction.inputs)
      }
      /// Reads the operand of `inner` by `op`.
      func becomes(_ op: any Op, _ inputs: [Program.ValueID]) {
        count(inputs)
        forget(instruction.inputs)
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
        } else if op.isTransposition, isReadOnce(x), let inner = maker(0) {
          // (a b)^T = b^T a^T: the product is made in the order in which it is wanted, also behind a cast.
          func turned(_ product: Program.Instruction) -> [Program.ValueID] {
            [transposed(product.inputs[1], line), transposed(product.inputs[0], line)]
          }
          if inner.op is Matmul {
            becomes(Matmul(), turned(inner))
          } else if inner.op is Cast, isReadOnce(inner.inputs[0]),
            let product = makers[inner.inputs[0]].map({ program.instructions[$0] }), product.op is Matmul
          {
            let operands = turned(product)
            let id = value(program.values[inner.inputs[0]].transposed)
            insert(Program.Instruction(op: Matmul(), inputs: operands, outputs: [id]), line)
            becomes(inner.op, [id])
          }
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
          let id = value(product.spec)
          program.constants.append((id, product))
          constants[id] = product
          becomes(Multiply(), [inner.inputs[0], id])
        }
      case let op as SliceAdd:
        // What is added to zeros part by part, as the gradient of a split, is the parts side by side.
        var parts = [(region: op.region, value: instruction.inputs[1])]
        var base = x
        while isReadOnce(base), let line = makers[base], let inner = program.instructions[line].op as? SliceAdd {
          parts.append((inner.region, program.instructions[line].inputs[1]))
          base = program.instructions[line].inputs[0]
        }
        guard isReadOnce(base), let line = makers[base], let first = program.instructions[line].op as? Embed else {
          break
        }
        parts.append((first.region, program.instructions[line].inputs[0]))
        guard let (axis, order) = tiling(parts.map { $0.region }, program.values[x].shape) else { break }
        let values = order.map { parts[$0].value }
        becomes(Concat(axis: axis, sizes: values.map { program.values[$0].shape[axis] }), values)
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

extension TensorSpec {
  /// A matrix with its axes exchanged.
  fileprivate var transposed: TensorSpec { with(shape: [shape[1], shape[0]]) }
}

/// The axis along which regions follow each other so that together they are the whole, and their order along it.
private func tiling(_ regions: [Region], _ shape: Shape) -> (axis: Int, order: [Int])? {
  guard let axis = (0..<shape.rank).first(where: { regions[0].sizes[$0] != shape[$0] }) else { return nil }
  let order = regions.indices.sorted { regions[$0].starts[axis] < regions[$1].starts[axis] }
  var next = 0
  for index in order {
    let region = regions[index]
    guard region.starts[axis] == next, region.sizes[axis] == 1 || region.steps[axis] == 1 else { return nil }
    for other in 0..<shape.rank where other != axis {
      guard region.sizes[other] == shape[other], shape[other] == 1 || region.steps[other] == 1 else { return nil }
    }
    next += region.sizes[axis]
  }
  return next == shape[axis] ? (axis, order) : nil
}

/// Whether a product by a number only changes the exponent.
private func isPowerOfTwo(_ number: Double) -> Bool { number.isNormal && number.significand == 1 }
