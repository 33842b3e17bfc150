/// Cuts a program, whose last inputs are cotangents and whose last outputs are gradients, in two: forward, which computes the
/// other outputs and what the rest reads of it, and backward, the rest.
struct Seam {
  private(set) var forward: Program
  private(set) var backward: Program
  /// What the backward half reads beside the cotangents, in the order of its inputs.
  private(set) var sources: [Split.Source] = []
  private let joint: Program
  private let kept: [Bool]
  private let makers: [Int?]
  private var orders: Orders
  /// Values of the forward half that the backward half makes again: views, and what follows from kept inputs alone.
  private var isMadeAgain: [Bool]
  /// Values that the backward half has.
  private var isThere: [Bool]
  private var residualCount = 0

  /// - Parameters:
  ///   - outputs: How many outputs are not gradients.
  ///   - kept: For each input that is no cotangent, whether the backward half has it in any case.
  ///   - remakes: Whether it makes again what follows from these.
  init(_ program: Program, outputs: Int, kept: [Bool], remakes: Bool) {
    var joint = program
    Pass.deadCode.run(&joint)
    joint = joint.optimized(Pass.enabled.filter { $0.arranges })
    self.joint = joint
    self.kept = kept
    makers = joint.makers
    isMadeAgain = [Bool](repeating: false, count: joint.values.count)
    isThere = isMadeAgain
    orders = Orders(of: joint, inputs: [Shape?](repeating: nil, count: joint.inputs.count))
    (forward, backward) = (joint, joint)
    forward.inputs = Array(joint.inputs.prefix(kept.count))
    forward.outputs = Array(joint.outputs.prefix(outputs))
    backward.inputs = Array(joint.inputs.dropFirst(kept.count))
    backward.outputs = Array(joint.outputs.dropFirst(outputs))
    backward.instructions = []
    cut(remakes)
  }

  private mutating func cut(_ remakes: Bool) {
    var isForward = [Bool](repeating: false, count: joint.instructions.count)
    var isRead = [Bool](repeating: false, count: joint.values.count)
    for id in forward.outputs { isRead[id] = true }
    var isPulledBack = isRead.map { _ in false }
    for id in backward.inputs { isPulledBack[id] = true }
    for instruction in joint.instructions where instruction.inputs.contains(where: { isPulledBack[$0] }) {
      for id in instruction.outputs { isPulledBack[id] = true }
    }
    for (line, instruction) in joint.instructions.enumerated().reversed()
    where instruction.op.effect == .ordered && !instruction.inputs.contains(where: { isPulledBack[$0] })
      || instruction.outputs.contains(where: { isRead[$0] })
    {
      isForward[line] = true
      for id in instruction.inputs { isRead[id] = true }
    }
    forward.instructions = joint.instructions.indices.filter { isForward[$0] }.map { joint.instructions[$0] }

    var followsKept = [Bool](repeating: false, count: joint.values.count)
    for (id, kept) in zip(forward.inputs, kept) where kept && remakes { followsKept[id] = true }
    for (id, _) in joint.constants {
      followsKept[id] = remakes
      isThere[id] = true
    }
    for id in backward.inputs { isThere[id] = true }
    for instruction in joint.instructions {
      let follows = remakes && instruction.op.effect == .none && instruction.inputs.allSatisfy { followsKept[$0] }
      let isView = orders.follow(instruction, joint.values)
      for id in instruction.outputs {
        followsKept[id] = follows
        isMadeAgain[id] = follows || isView
      }
    }

    for (line, instruction) in joint.instructions.enumerated() where !isForward[line] { write(instruction) }
    for id in backward.outputs { fetch(id) }
    forward.values = backward.values
  }

  private mutating func write(_ instruction: Program.Instruction) {
    for id in instruction.inputs { fetch(id) }
    backward.instructions.append(instruction)
    for id in instruction.outputs { isThere[id] = true }
  }

  /// Sees to it that the backward half has a value.
  private mutating func fetch(_ id: Program.ValueID) {
    guard !isThere[id] else { return }
    isThere[id] = true
    if let position = forward.inputs.firstIndex(of: id), kept[position] {
      sources.append(.input(position))
      backward.inputs.append(id)
    } else if isMadeAgain[id], let maker = makers[id] {
      write(joint.instructions[maker])
    } else {
      sources.append(.residual(residualCount))
      residualCount += 1
      keep(id)
    }
  }

  /// Hands a value from one half to the other; as it lies, for what leaves a program is in row-major order.
  private mutating func keep(_ id: Program.ValueID) {
    guard let order = orders.permutation(id) else {
      forward.outputs.append(id)
      backward.inputs.append(id)
      return
    }
    let spec = joint.values[id]
    let turned = backward.value(spec.with(shape: Shape(order.map { spec.shape[$0] })))
    let back = order.indices.map { axis in order.firstIndex(of: axis)! }
    let permute = TransformOps.current.permute
    forward.instructions.append(Program.Instruction(op: permute(order), inputs: [id], outputs: [turned]))
    forward.outputs.append(turned)
    backward.inputs.append(turned)
    backward.instructions.append(Program.Instruction(op: permute(back), inputs: [turned], outputs: [id]))
  }
}

extension Split {
  /// The backward half for cotangents of some of the `results`, and the inputs that get a gradient then: where none arrives
  /// there is none, rather than zeros.
  func backward(from given: [Bool]) -> Pruned {
    backward.body.derived("pruned", given) { Pruned(backward.body.program, given: given, active: active) }
  }

  /// The part of a backward half to which cotangents come.
  final class Pruned: Sendable {
    /// Inputs: the cotangents that are given, and the others of the whole backward half.
    let body: Derived
    let active: [Int]

    init(_ backward: Program, given: [Bool], active: [Int]) {
      var program = backward
      // All that depends on cotangents is linear in them: what depends on missing ones alone is zero.
      var isMissing = [Bool](repeating: false, count: program.values.count)
      var isThere = isMissing
      for (id, isGiven) in zip(program.inputs, given) {
        isThere[id] = isGiven
        isMissing[id] = !isGiven
      }
      program.inputs = zip(program.inputs, given).filter { $1 }.map { $0.0 } + program.inputs.dropFirst(given.count)
      program.instructions = []
      var zeros: [Program.ValueID: Program.ValueID] = [:]
      for var instruction in backward.instructions {
        if instruction.inputs.contains(where: { isThere[$0] }) {
          for (position, id) in instruction.inputs.enumerated() where isMissing[id] {
            if zeros[id] == nil {
              let zero = program.value(program.values[id])
              program.constants.append((zero, TransformOps.current.fill(0, program.values[id])))
              zeros[id] = zero
            }
            instruction.inputs[position] = zeros[id]!
          }
          for id in instruction.outputs { isThere[id] = true }
        } else if instruction.inputs.contains(where: { isMissing[$0] }) {
          for id in instruction.outputs { isMissing[id] = true }
          continue
        }
        program.instructions.append(instruction)
      }
      let arriving = zip(active, backward.outputs).filter { isThere[$1] }
      program.outputs = arriving.map { $0.1 }
      self.active = arriving.map { $0.0 }
      body = Derived(program)
    }
  }
}

extension Program {
  /// A program and one that was captured above it, and uses its values, as one: the inputs and outputs of both.
  static func joined(_ first: ProgramBuilder, _ second: ProgramBuilder) -> Program {
    var joint = first.program
    let (upper, start) = (second.program, joint.values.count)
    joint.values += upper.values
    var other: [ValueID: ValueID] = [:]
    for (id, tensor) in upper.constants {
      if let symbolic = tensor.node.trace as? Symbolic, symbolic.builder === first {
        other[id] = symbolic.id
      } else {
        joint.constants.append((start + id, tensor))
      }
    }
    func here(_ ids: [ValueID]) -> [ValueID] { ids.map { other[$0] ?? start + $0 } }
    for instruction in upper.instructions {
      joint.instructions.append(
        Instruction(op: instruction.op, inputs: here(instruction.inputs), outputs: here(instruction.outputs)))
    }
    joint.inputs += here(upper.inputs)
    joint.outputs += here(upper.outputs)
    return joint
  }
}
