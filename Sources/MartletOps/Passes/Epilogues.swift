package import MartletCore

extension Pass {
  /// Joins convolutions whose kernels stay the same from call to call with what follows them: a factor and a summand of each
  /// channel, as those of a batch norm in evaluation, go into kernels and bias; a tensor that is added and a rectifier are
  /// applied as the result is written. The kernels are packed as the device reads them.
  ///
  /// oneDNN's rectifier takes NaN for 0, which operations alone do not: where images may hold NaN, `MARTLET_PASSES=-epilogues`
  /// shows them.
  package static let epilogues = Pass("epilogues") { program in
    guard program.stateOutputs.isEmpty, program.values.allSatisfy({ $0.device == .cpu }),
      program.instructions.contains(where: { $0.op is Convolution })
    else { return }
    Rooms.require(.cpu)  // which says how convolutions are prepared
    guard let prepare = FusedConvolution.prepare else { return }
    var epilogues = Epilogues(program, prepare)
    // A convolution that cannot be joined stays; what was made for it is dead code then.
    for line in program.instructions.indices { try? epilogues.join(line) }
    program = epilogues.rewritten()
  }
}

private struct Epilogues {
  private var program: Program
  private let prepare: @Sendable (FusedConvolution, TensorSpec, Bool) -> ConvolutionPacking?
  private let orders: Orders
  private let makers: [Int?]
  private let readers: [[Int]]
  /// Whether a value of the program as it was stays the same from call to call.
  private let isStable: [Bool]
  private var edits = Edits()

  init(
    _ program: Program, _ prepare: @escaping @Sendable (FusedConvolution, TensorSpec, Bool) -> ConvolutionPacking?
  ) {
    self.program = program
    self.prepare = prepare
    orders = Orders(program)
    makers = program.makers
    readers = program.readers
    isStable = program.isStable
  }

  /// What is known of `y = factor · convolution + offset + added`, by numbers of each channel `[O]` or for all `[]`.
  private struct Tail {
    var factor: Program.ValueID?
    var offset: Program.ValueID?
    var added: Program.ValueID?
    var bounds: ConvolutionBounds?
    /// The instructions that it stands for.
    var lines: [Int] = []
    /// What the last of them yields.
    var result: Program.ValueID
  }

  mutating func join(_ line: Int) throws {
    let instruction = program.instructions[line]
    guard let op = instruction.op as? Convolution, isStable[instruction.inputs[1]], !isStable[instruction.inputs[0]],
      [.float32, .bfloat16].contains(program.values[instruction.inputs[0]].dtype),
      instruction.inputs.count == 2 || isStable[instruction.inputs[2]]
    else { return }
    let x = instruction.inputs[0]
    let kernels = program.values[instruction.inputs[1]].shape
    var tail = Tail(result: instruction.outputs[0])
    if instruction.inputs.count == 3 { tail.offset = try wide(instruction.inputs[2], line) }
    while tail.bounds == nil, let next = reader(of: tail.result), try extend(&tail, by: next, kernels[0]) {}
    let isLast = orders.isChannelsLast(x) && orders[instruction.outputs[0]] != nil
    var fused = FusedConvolution(
      op.window, kernels: kernels, hasBias: tail.offset != nil, adds: tail.added != nil, bounds: tail.bounds)
    guard let packing = prepare(fused, program.values[x], isLast) else { return }
    fused = fused.with(packing)
    let last = tail.lines.last ?? line
    var weight = instruction.inputs[1]
    if let factor = tail.factor {
      let alongKernels = Shape([kernels[0]] + [Int](repeating: 1, count: kernels.rank - 1))
      let isNumber = program.values[factor].count == 1 && kernels[0] != 1
      weight = try append(
        Multiply(), [wide(weight, last), isNumber ? factor : reshaped(factor, alongKernels, last)], last)
      let dtype = program.values[x].dtype
      if dtype != .float32 { weight = try append(Cast(dtype: dtype), [weight], last) }
    }
    var inputs = [x, try append(PackKernels(fused, x: program.values[x]), [weight], last)]
    if var bias = tail.offset {
      if program.values[bias].shape != [kernels[0]] {
        bias = try append(Contiguous(), [append(Expand(shape: [kernels[0]]), [bias], last)], last)
      }
      inputs.append(bias)
    }
    if let added = tail.added { inputs.append(added) }
    let joined = Program.Instruction(op: fused, inputs: inputs, outputs: [tail.result])
    edits.replace([line] + tail.lines, by: joined)
  }

  /// The one instruction that reads a value.
  private func reader(of id: Program.ValueID) -> Int? {
    guard readers[id].count == 1, let line = readers[id].first, line < program.instructions.count,
      !edits.isGone(line)
    else { return nil }
    return line
  }

  private mutating func extend(_ tail: inout Tail, by line: Int, _ channels: Int) throws -> Bool {
    let instruction = program.instructions[line]
    let result = instruction.outputs[0]
    guard instruction.outputs.count == 1, program.values[result] == program.values[tail.result] else { return false }
    switch instruction.op {
    case is Relu: tail.bounds = ConvolutionBounds(low: 0, high: .infinity)
    case let op as Clamp:
      // NaN: no bound.
      let (low, high) = (op.low.isNaN ? -.infinity : op.low, op.high.isNaN ? .infinity : op.high)
      guard low <= high else { return false }
      tail.bounds = ConvolutionBounds(low: low, high: high)
    case is Add, is Subtract, is Multiply, is Divide:
      let isFirst = instruction.inputs[0] == tail.result
      let other = instruction.inputs[isFirst ? 1 : 0]
      if let numbers = try perChannel(other, channels, program.values[result], line) {
        guard tail.added == nil, isFirst || instruction.op is Add || instruction.op is Multiply else { return false }
        switch instruction.op {
        case is Add: tail.offset = try tail.offset.map { try append(Add(), [$0, numbers], line) } ?? numbers
        case is Subtract:
          tail.offset =
            try tail.offset.map { try append(Subtract(), [$0, numbers], line) } ?? append(Negate(), [numbers], line)
        default:
          func scaled(_ id: Program.ValueID) throws -> Program.ValueID {
            try append(instruction.op, [id, numbers], line)
          }
          if instruction.op is Divide, tail.factor == nil { return false }
          tail.factor = try tail.factor.map(scaled) ?? numbers
          tail.offset = try tail.offset.map(scaled)
        }
      } else {
        // The tensor must lie like the result, which is written over it.
        guard instruction.op is Add, tail.added == nil, program.values[other] == program.values[result],
          orders[other] == orders[result]
        else { return false }
        tail.added = other
      }
    default: return false
    }
    tail.lines.append(line)
    tail.result = result
    return true
  }

  /// A stable operand that broadcasts along the channels alone, as `[O]` or `[]`.
  private mutating func perChannel(
    _ id: Program.ValueID, _ channels: Int, _ result: TensorSpec, _ line: Int
  ) throws -> Program.ValueID? {
    let spec = program.values[id]
    guard isStable[id], spec.dtype == result.dtype, spec.rank <= result.rank else { return nil }
    for axis in 0..<spec.rank where spec.shape[axis] != 1 {
      guard axis + result.rank - spec.rank == 1, spec.shape[axis] == channels else { return nil }
    }
    return try reshaped(wide(id, line), spec.count == 1 ? [] : [channels], line)
  }

  /// The value in float32: what it was before it was rounded.
  private mutating func wide(_ id: Program.ValueID, _ line: Int) throws -> Program.ValueID {
    let spec = program.values[id]
    if spec.dtype == .float32 { return id }
    if id < makers.count, let maker = makers[id] {
      let instruction = program.instructions[maker]
      if instruction.op is Cast, program.values[instruction.inputs[0]].dtype == .float32 {
        return instruction.inputs[0]
      }
      if instruction.op is Reshape { return try reshaped(wide(instruction.inputs[0], line), spec.shape, line) }
    }
    return try append(Cast(dtype: .float32), [id], line)
  }

  private mutating func reshaped(_ id: Program.ValueID, _ shape: Shape, _ line: Int) throws -> Program.ValueID {
    try program.values[id].shape == shape ? id : append(Reshape(shape: shape), [id], line)
  }

  /// A new instruction on stable values, before a line.
  private mutating func append(_ op: any Op, _ inputs: [Program.ValueID], _ line: Int) throws -> Program.ValueID {
    try edits.insert(op, inputs, before: line, of: &program)[0]
  }

  func rewritten() -> Program {
    var result = edits.applied(to: program)
    Pass.deadCode.run(&result)
    return result
  }
}
