package import MartletCore

extension Pass {
  /// Lays images with their channels next to each other where most of the work is convolutions that have their fastest
  /// algorithms there: those of many channels, and those of each channel by itself. Operations between
  /// them keep the order. What is given back lies as before.
  package static let channelsLast = Pass("channelsLast", arranges: true) { program in
    guard program.values.allSatisfy({ $0.device == .cpu }), isWorthwhile(program) else { return }
    var turning = ChannelsLast(program)
    for instruction in program.instructions { turning.append(instruction) }
    program = turning.rewritten()
  }

  /// Whether more than half of the multiplications are in such convolutions.
  private static func isWorthwhile(_ program: Program) -> Bool {
    var (all, wide) = (0.0, 0.0)
    for instruction in program.instructions {
      guard let op = program.planar(instruction) else { continue }
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
      let isWide =
        op.window.groups == 1
        ? kernels[1] >= 16 && kernels[1] % 8 == 0
        : kernels[1] == 1
      if isWide, kernels[0] >= 16, kernels[0] % 8 == 0 { wide += work }
    }
    return wide > 0.5 * all
  }
}

extension Program {
  /// A convolution over two axes of a type that has fast algorithms.
  fileprivate func planar(_ instruction: Instruction) -> (any ConvolutionOp)? {
    guard let op = instruction.op as? any ConvolutionOp, op.window.axes == 2,
      [.float32, .bfloat16].contains(values[instruction.inputs[0]].dtype)
    else { return nil }
    return op
  }
}

/// A program that is written anew, instruction by instruction.
private struct ChannelsLast {
  private var program: Program
  private var instructions: [Program.Instruction] = []
  private let before: Orders
  private let constants: Set<Program.ValueID>
  private var orders: Orders
  /// Images in the other order.
  private var turned: [Program.ValueID: Program.ValueID] = [:]
  private var slices: [Region: [Program.ValueID: Program.ValueID]] = [:]

  init(_ program: Program) {
    self.program = program
    before = Orders(program)
    constants = Set(program.constants.map { $0.value })
    orders = before
  }

  mutating func append(_ given: Program.Instruction) {
    var instruction = given
    if let op = program.planar(instruction) {
      if let (region, window) = strided(instruction, op.window) {
        instruction.inputs[0] = sliced(instruction.inputs[0], region)
        instruction.op =
          op is Convolution ? Convolution(window) : ConvolutionWeightGradient(window, kernel: [1, 1])
      }
      instruction.inputs[0] = channelsLast(instruction.inputs[0])
      if instruction.op is ConvolutionWeightGradient { instruction.inputs[1] = channelsLast(instruction.inputs[1]) }
    } else if keepsOrder(instruction.op) {
      join(&instruction)
    }
    write(instruction)
  }

  private func keepsOrder<O: Op>(_: O) -> Bool { O.keepsOrder }

  /// Element by element, images of both orders would be read across memory: one copy costs less. Constants lie as they do.
  private mutating func join(_ instruction: inout Program.Instruction) {
    let result = program.values[instruction.outputs[0]].shape
    let images = instruction.inputs.indices.filter { position in
      program.values[instruction.inputs[position]].shape == result && !constants.contains(instruction.inputs[position])
    }
    guard result.rank == 4, images.count > 1,
      images.contains(where: { orders[instruction.inputs[$0]] != nil && orders.isChannelsLast(instruction.inputs[$0]) })
    else { return }
    for position in images where orders[instruction.inputs[position]] == nil {
      instruction.inputs[position] = channelsLast(instruction.inputs[position])
    }
  }

  private mutating func write(_ instruction: Program.Instruction) {
    instructions.append(instruction)
    orders.follow(instruction, program.values)
  }

  private mutating func append(_ op: any Op, _ input: Program.ValueID, _ shape: Shape) -> Program.ValueID {
    let result = program.value(program.values[input].with(shape: shape))
    write(Program.Instruction(op: op, inputs: [input], outputs: [result]))
    return result
  }

  /// What a 1×1 kernel that moves by several steps sees of its images: a product of matrices then computes the rest.
  private func strided(
    _ instruction: Program.Instruction, _ window: ConvolutionWindow
  ) -> (Region, ConvolutionWindow)? {
    guard !(instruction.op is ConvolutionInputGradient), window.stride != [1, 1], window.groups == 1,
      window.low == [0, 0], window.high == [0, 0]
    else { return nil }
    let isForward = instruction.op is Convolution
    let kernels = program.values[isForward ? instruction.inputs[1] : instruction.outputs[0]].shape
    guard kernels[2] == 1, kernels[3] == 1 else { return nil }
    let x = program.values[instruction.inputs[0]].shape
    let y = program.values[isForward ? instruction.outputs[0] : instruction.inputs[1]].shape
    let region = Region(
      starts: [0, 0, 0, 0], sizes: [x[0], x[1], y[2], y[3]], steps: [1, 1, window.stride[0], window.stride[1]])
    let ones = ConvolutionWindow(axes: 2)
    return (
      region,
      ConvolutionWindow(
        stride: ones.stride, dilation: ones.dilation, low: ones.low, high: ones.high, groups: 1,
        isPrecise: window.isPrecise)
    )
  }

  private mutating func sliced(_ id: Program.ValueID, _ region: Region) -> Program.ValueID {
    if let known = slices[region]?[id] { return known }
    let result = append(Slice(region: region), id, region.sizes)
    slices[region, default: [:]][id] = result
    return result
  }

  private mutating func channelsLast(_ id: Program.ValueID) -> Program.ValueID {
    let shape = program.values[id].shape
    let isAmbiguous = orders[id] == nil && shape[1] == 1 && shape.elementCount > shape[0]
    if orders.isChannelsLast(id), !isAmbiguous { return id }
    if let known = turned[id] { return known }
    let last = Shape([0] + Array(2..<shape.rank) + [1])
    let first = Shape([0, shape.rank - 1] + Array(1..<shape.rank - 1))
    let moved = Shape(last.map { shape[$0] })
    // The single channel of an image is next to itself in both orders, and what is made of it shall not be row-major.
    let copy =
      isAmbiguous
      ? append(Reshape(shape: moved), id, moved)
      : append(Contiguous(), append(Permute(order: last), id, moved), moved)
    let result = append(Permute(order: first), copy, shape)
    turned[id] = result
    return result
  }

  /// The program; what leaves it lies as it did.
  mutating func rewritten() -> Program {
    var back: [Program.ValueID: Program.ValueID] = [:]
    for id in program.results where back[id] == nil && orders[id] != before[id] {
      back[id] = append(Contiguous(), id, program.values[id].shape)
    }
    program.instructions = instructions
    for position in program.outputs.indices {
      program.outputs[position] = back[program.outputs[position]] ?? program.outputs[position]
    }
    for position in program.stateOutputs.indices {
      let id = program.stateOutputs[position].value
      program.stateOutputs[position].value = back[id] ?? id
    }
    return program
  }
}
