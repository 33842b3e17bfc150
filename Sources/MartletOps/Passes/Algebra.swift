package import MartletCore

extension Pass {
  /// Simplifies by rules that change no bit of the results but the sign of zeros and the last bit of denormal numbers: what is
  /// undone at once, products by powers of two, casts to the same dtype, views of views, parts that are added up to a whole.
  package static let algebra = Pass("algebra") { program in
    var algebra = Algebra(program)
    for line in program.instructions.indices { algebra.simplify(line) }
    program = algebra.simplified()
  }
}

private struct Algebra {
  private var program: Program
  private var constants: [Program.ValueID: Tensor]
  /// For values that were met, the lines that make them.
  private var makers: [Program.ValueID: Int] = [:]
  /// How many operands read each value, those left out that nobody needs any more.
  private var uses: [Int]
  private var edits = Edits()

  init(_ program: Program) {
    self.program = program
    constants = program.constantTensors
    uses = program.readers.map { $0.count }
  }

  mutating func simplify(_ line: Int) {
    program.instructions[line].inputs = program.instructions[line].inputs.map { edits.current($0) }
    let instruction = program.instructions[line]
    guard let result = instruction.outputs.first else { return }
    makers[result] = line
    guard let x = instruction.inputs.first else { return }
    let isSame = program.values[x] == program.values[result]
    switch instruction.op {
    case is Detach: replace(line, by: x)
    case let op as Cast where op.dtype == program.values[x].dtype: replace(line, by: x)
    case is Expand where isSame: replace(line, by: x)
    case is Negate:
      if let inner = maker(x), inner.op is Negate { replace(line, by: inner.inputs[0]) }
    case is Divide where isSame:
      if number(instruction.inputs[1]) == 1 { replace(line, by: x) }
    case is Multiply where isSame: simplifyProduct(line)
    case let op as Permute: simplify(op, line)
    case let op as Reshape: simplify(op, line)
    case let op as SliceAdd: simplify(op, line)
    default: break
    }
  }

  func simplified() -> Program { edits.applied(to: program) }

  // MARK: rules

  private mutating func simplifyProduct(_ line: Int) {
    let (x, factor) = (program.instructions[line].inputs[0], program.instructions[line].inputs[1])
    guard let scale = number(factor) else { return }
    if scale == 1 {
      replace(line, by: x)
    } else if let inner = maker(x), inner.op is Multiply, let first = number(inner.inputs[1]),
      program.values[inner.inputs[0]] == program.values[x], isPowerOfTwo(scale), isPowerOfTwo(first),
      isOneFactor(scale, first, program.values[x].dtype)
    {
      let product = Tensor(repeating: scale * first, program.values[factor])
      let id = value(product.spec)
      program.constants.append((id, product))
      constants[id] = product
      replace(line, by: Multiply(), [inner.inputs[0], id])
    }
  }

  /// Whether a product by two powers of two can be one: what lies between them would then be lost only where the result is.
  private func isOneFactor(_ a: Double, _ b: Double, _ dtype: DType) -> Bool {
    let grows = abs(a) >= 1 && abs(b) >= 1, shrinks = abs(a) <= 1 && abs(b) <= 1
    return grows && abs(a * b) <= 32768 || shrinks && abs(a * b) >= 1 / 65536 && dtype != .float16
  }

  private mutating func simplify(_ op: Permute, _ line: Int) {
    let x = program.instructions[line].inputs[0]
    guard let inner = maker(x) else {
      if op.isIdentity { replace(line, by: x) }
      return
    }
    if let first = inner.op as? Permute {
      let both = Permute(order: Shape(op.order.map { first.order[$0] }))
      if both.isIdentity { replace(line, by: inner.inputs[0]) } else { replace(line, by: both, inner.inputs) }
    } else if op.isIdentity {
      replace(line, by: x)
    } else if op.isTransposition, isReadOnce(x) {
      // (a b)^T = b^T a^T: the product is made in the order in which it is wanted, also behind a cast.
      if inner.op is Matmul {
        replace(line, by: Matmul(), turned(inner, line))
      } else if inner.op is Cast, isReadOnce(inner.inputs[0]), let product = maker(inner.inputs[0]),
        product.op is Matmul
      {
        let operands = turned(product, line)
        let spec = program.values[inner.inputs[0]].transposed
        replace(line, by: inner.op, [insert(Matmul(), operands, spec, line)])
      }
    }
  }

  private mutating func simplify(_ op: Reshape, _ line: Int) {
    let instruction = program.instructions[line]
    let inner = maker(instruction.inputs[0]).flatMap { $0.op is Reshape ? $0.inputs[0] : nil }
    let source = inner ?? instruction.inputs[0]
    if program.values[source] == program.values[instruction.outputs[0]] {
      replace(line, by: source)
    } else if inner != nil {
      replace(line, by: op, [source])
    }
  }

  /// What is added to zeros part by part, as the gradient of a split, is the parts side by side.
  private mutating func simplify(_ op: SliceAdd, _ line: Int) {
    let x = program.instructions[line].inputs
    var parts = [(region: op.region, value: x[1])]
    var base = x[0]
    while isReadOnce(base), let inner = maker(base), let addition = inner.op as? SliceAdd {
      parts.append((addition.region, inner.inputs[1]))
      base = inner.inputs[0]
    }
    guard isReadOnce(base), let inner = maker(base), let first = inner.op as? Embed else { return }
    parts.append((first.region, inner.inputs[0]))
    guard let (axis, order) = tiling(parts.map { $0.region }, program.values[x[0]].shape) else { return }
    let values = order.map { parts[$0].value }
    replace(line, by: Concat(axis: axis, sizes: values.map { program.values[$0].shape[axis] }), values)
  }

  // MARK: what rules ask

  private func maker(_ id: Program.ValueID) -> Program.Instruction? { makers[id].map { program.instructions[$0] } }

  /// The number that every element of an operand is.
  private func number(_ id: Program.ValueID) -> Double? {
    constants[id].flatMap { $0.count == 1 && $0.dtype.isFloating ? $0.item() : nil }
  }

  /// Whether one operand alone reads a value.
  private func isReadOnce(_ id: Program.ValueID) -> Bool { uses[id] == 1 }

  // MARK: what rules change

  /// Lets all who read the result of a line read another value.
  private mutating func replace(_ line: Int, by id: Program.ValueID) {
    let instruction = program.instructions[line]
    edits.remove(line)
    edits.redirect(instruction.outputs[0], to: id)
    uses[id] += uses[instruction.outputs[0]]
    forget(instruction.inputs)
  }

  private mutating func replace(_ line: Int, by op: any Op, _ inputs: [Program.ValueID]) {
    let instruction = program.instructions[line]
    for id in inputs { uses[id] += 1 }
    forget(instruction.inputs)
    program.instructions[line] = Program.Instruction(op: op, inputs: inputs, outputs: instruction.outputs)
  }

  private mutating func insert(
    _ op: any Op, _ inputs: [Program.ValueID], _ spec: TensorSpec, _ line: Int
  ) -> Program.ValueID {
    let result = value(spec)
    for id in inputs { uses[id] += 1 }
    edits.insert(Program.Instruction(op: op, inputs: inputs, outputs: [result]), before: line)
    return result
  }

  private mutating func value(_ spec: TensorSpec) -> Program.ValueID {
    uses.append(0)
    return program.value(spec)
  }

  /// Operands read no more, nor do those of what nobody reads then.
  private mutating func forget(_ operands: [Program.ValueID]) {
    var open = operands
    while let id = open.popLast() {
      uses[id] -= 1
      guard uses[id] == 0, let maker = maker(id), maker.op.effect == .none,
        maker.outputs.allSatisfy({ uses[$0] == 0 })
      else { continue }
      open += maker.inputs
    }
  }

  /// The operands of a product of which the transpose is made.
  private mutating func turned(_ product: Program.Instruction, _ line: Int) -> [Program.ValueID] {
    [transposed(product.inputs[1], line), transposed(product.inputs[0], line)]
  }

  private mutating func transposed(_ id: Program.ValueID, _ line: Int) -> Program.ValueID {
    if let maker = maker(id), let op = maker.op as? Permute, op.isTransposition { return maker.inputs[0] }
    return insert(Permute(order: [1, 0]), [id], program.values[id].transposed, line)
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
