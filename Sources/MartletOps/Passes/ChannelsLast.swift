package import MartletCore

extension Pass {
  /// Lays images with their channels next to each other where most of the work is convolutions of many channels: those have
  /// the fastest algorithms for such images, and operations between them keep the order. What is given back lies as before.
  package static let channelsLast = Pass("channelsLast") { program in
    guard program.values.allSatisfy({ $0.device == .cpu }), isWorthwhile(program) else { return }
    let before = Orders(program)
    var orders = before
    var instructions: [Program.Instruction] = []
    func append(_ op: any Op, _ input: Program.ValueID, _ shape: Shape) -> Program.ValueID {
      let result = program.value(program.values[input].with(shape: shape))
      let instruction = Program.Instruction(op: op, inputs: [input], outputs: [result])
      instructions.append(instruction)
      orders.follow(instruction, program.values)
      return result
    }
    /// The same images in the other order.
    var turned: [Program.ValueID: Program.ValueID] = [:]
    func channelsLast(_ id: Program.ValueID) -> Program.ValueID {
      if orders.isChannelsLast(id) { return id }
      if let known = turned[id] { return known }
      let shape = program.values[id].shape
      let last = Shape([0] + Array(2..<shape.rank) + [1])
      let first = Shape([0, shape.rank - 1] + Array(1..<shape.rank - 1))
      let moved = Shape(last.map { shape[$0] })
      let result = append(
        Permute(order: first), append(Contiguous(), append(Permute(order: last), id, moved), moved), shape)
      turned[id] = result
      return result
    }
    for given in program.instructions {
      var instruction = given
      if let op = instruction.op as? any ConvolutionOp, op.window.axes == 2 {
        instruction.inputs[0] = channelsLast(instruction.inputs[0])
        if instruction.op is ConvolutionWeightGradient { instruction.inputs[1] = channelsLast(instruction.inputs[1]) }
      }
      instructions.append(instruction)
      orders.follow(instruction, program.values)
    }
    // What leaves the program lies as it did.
    var back: [Program.ValueID: Program.ValueID] = [:]
    for id in program.results where back[id] == nil && orders[id] != before[id] {
      back[id] = append(Contiguous(), id, program.values[id].shape)
    }
    program.instructions = instructions
    for position in program.outputs.indices {
      program.outputs[position] = back[program.outputs[position]] ?? program.outputs[position]
    }
    for position in program.stateOutputs.indices {
      program.stateOutputs[position].value =
        back[program.stateOutputs[position].value] ?? program.stateOutputs[position].value
    }
  }

  /// Whether more than half of the multiplications are in convolutions whose channels fill vectors.
  private static func isWorthwhile(_ program: Program) -> Bool {
    var (all, wide) = (0.0, 0.0)
    for instruction in program.instructions {
      guard let op = instruction.op as? any ConvolutionOp, op.window.axes == 2 else { continue }
      let specs = (instruction.inputs.prefix(2) + instruction.outputs).map { program.values[$0] }
      // Images, kernels and images, of which one is the result.
      let (kernels, images): (Shape, Shape)
      switch instruction.op {
      case is Convolution: (kernels, images) = (specs[1].shape, specs[2].shape)
      case is ConvolutionInputGradient: (kernels, images) = (specs[1].shape, specs[0].shape)
      default: (kernels, images) = (specs[2].shape, specs[1].shape)
      }
      let work = Double(kernels.elementCount) * Double(images.elementCount) / Double(max(1, images[1]))
      all += work
      let isWide = op.window.groups == 1 ? kernels[1] >= 16 && kernels[1] % 8 == 0 : kernels[1] == 1
      if isWide, kernels[0] >= 16, kernels[0] % 8 == 0 { wide += work }
    }
    return wide > 0.5 * all
  }
}
