/// How the values of a program lie in memory when its inputs and state are in row-major order, for passes that place copies.
package struct Orders {
  private let program: Program
  /// A tensor without elements of its own for each value, which lies as the value does.
  private var prototypes: [Tensor?]
  private static let nowhere = Storage(bytes: 64)!

  package init(_ program: Program) {
    self.program = program
    prototypes = [Tensor?](repeating: nil, count: program.values.count)
    for id in program.inputs + program.stateInputs.map({ $0.value }) { set(id, program.values[id], nil, 0) }
    for (id, tensor) in program.constants { set(id, tensor.spec, tensor.node.strides, tensor.node.offset) }
    for instruction in program.instructions { follow(instruction, program.values) }
  }

  private mutating func set(_ id: Program.ValueID, _ spec: TensorSpec, _ strides: Shape?, _ offset: Int) {
    while prototypes.count <= id { prototypes.append(nil) }
    prototypes[id] = Tensor(node: TensorNode(spec: spec, strides: strides, offset: offset, storage: Orders.nowhere))
  }

  /// Notes how the results of an instruction lie.
  package mutating func follow(_ instruction: Program.Instruction, _ values: [TensorSpec]) {
    let inputs = instruction.inputs.map { prototypes[$0]! }
    if let op = instruction.op as? any ViewOp {
      let node = inputs[0].node
      let source = ViewSource(
        shape: node.spec.shape, strides: node.elementStrides, isContiguous: node.strides == nil, offset: node.offset)
      if let (strides, offset) = op.view(of: source, as: values[instruction.outputs[0]]) {
        return set(instruction.outputs[0], values[instruction.outputs[0]], strides, offset)
      }
    }
    for id in instruction.outputs {
      set(id, values[id], instruction.op.strides(of: values[id], for: inputs), 0)
    }
  }

  /// The strides of a value; nil for row-major order.
  package subscript(_ id: Program.ValueID) -> Shape? { prototypes[id]!.node.strides }

  /// Whether images `[N, C, spatial…]` lie with their channels next to each other.
  package func isChannelsLast(_ id: Program.ValueID) -> Bool {
    let node = prototypes[id]!.node
    return Order.isChannelsLast(node.spec.shape, node.elementStrides)
  }
}
