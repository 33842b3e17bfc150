/// How the values of a program lie in memory: found for its inputs and state, then followed from instruction to instruction.
package struct Orders {
  /// A tensor without elements of its own for each value, which lies as the value does.
  private var prototypes: [Tensor?]
  private static let nowhere = Storage(bytes: 64)!

  /// All values of a program, for inputs and state in row-major order.
  package init(_ program: Program) {
    self.init(of: program, inputs: [Shape?](repeating: nil, count: program.inputs.count + program.stateInputs.count))
    for instruction in program.instructions { follow(instruction, program.values) }
  }

  /// What a program reads.
  ///
  /// - Parameter inputs: The strides of the inputs, then of the state.
  init(of program: Program, inputs: [Shape?]) {
    prototypes = [Tensor?](repeating: nil, count: program.values.count)
    for (id, strides) in zip(program.inputs + program.stateInputs.map { $0.value }, inputs) {
      set(id, program.values[id], strides, 0)
    }
    for (id, tensor) in program.constants { set(id, tensor.spec, tensor.node.strides, tensor.node.offset) }
  }

  private mutating func set(_ id: Program.ValueID, _ spec: TensorSpec, _ strides: Shape?, _ offset: Int) {
    while prototypes.count <= id { prototypes.append(nil) }
    prototypes[id] = Tensor(node: TensorNode(spec: spec, strides: strides, offset: offset, storage: Orders.nowhere))
  }

  /// Notes how the results of an instruction lie.
  ///
  /// - Returns: Whether the instruction only names memory anew.
  @discardableResult
  package mutating func follow(_ instruction: Program.Instruction, _ values: [TensorSpec]) -> Bool {
    let inputs = instruction.inputs.map { prototypes[$0]! }
    if let op = instruction.op as? any ViewOp {
      let node = inputs[0].node
      let source = ViewSource(
        shape: node.spec.shape, strides: node.elementStrides, isContiguous: node.strides == nil, offset: node.offset)
      if let (strides, offset) = op.view(of: source, as: values[instruction.outputs[0]]) {
        set(instruction.outputs[0], values[instruction.outputs[0]], strides, offset)
        return true
      }
    }
    for id in instruction.outputs {
      set(id, values[id], instruction.op.strides(of: values[id], for: inputs), 0)
    }
    return false
  }

  /// The strides of a value; nil for row-major order.
  package subscript(_ id: Program.ValueID) -> Shape? { prototypes[id]!.node.strides }

  /// Where the first element lies in the memory, in elements.
  func offset(_ id: Program.ValueID) -> Int { prototypes[id]!.node.offset }

  /// The order of axes in which a value that lies in another than row-major order lies without gaps; nil for others.
  func permutation(_ id: Program.ValueID) -> [Int]? {
    let node = prototypes[id]!.node
    guard let strides = node.strides else { return nil }
    let shape = node.spec.shape
    let order = strides.indices.sorted { (strides[$0], shape[$0]) > (strides[$1], shape[$1]) }
    var step = 1
    for axis in order.reversed() {
      guard strides[axis] == step || shape[axis] == 1 else { return nil }
      step *= shape[axis]
    }
    return order
  }

  /// Whether images `[N, C, spatial…]` lie with their channels next to each other.
  package func isChannelsLast(_ id: Program.ValueID) -> Bool {
    let node = prototypes[id]!.node
    return Order.isChannelsLast(node.spec.shape, node.elementStrides)
  }
}
