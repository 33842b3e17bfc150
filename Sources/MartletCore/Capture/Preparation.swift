/// The part of a program that depends on state and constants alone: run once for these tensors, not at each call.
///
/// A network in evaluation thus folds and packs its weights once. That a cell still holds the tensor which was read is seen
/// by identity; the tensors are kept for that until the next call or `releaseMemory`, so that nothing writes over them.
final class Preparation: @unchecked Sendable {
  // Sendable: `known` is guarded by `lock`.
  private let interpreter: Interpreter
  /// The positions of the state that it reads.
  private let positions: [Int]
  private let lock = Lock()
  private var known: (state: [Tensor], results: [Tensor])?

  /// The number of operations that run once.
  var count: Int { interpreter.program.instructions.count }

  /// Takes that part out of a program, which then reads its results as further state; nil where there is none, and for
  /// programs that write state.
  init?(from program: inout Program) {
    guard program.stateOutputs.isEmpty, program.constants.allSatisfy({ $0.tensor.isPlain }),
      let split = EarlyPart(program)
    else { return nil }
    program = split.rest
    interpreter = Interpreter(split.early)
    positions = split.positions
  }

  /// Its results for this state.
  func results(_ state: [Tensor]) throws(OpError) -> [Tensor] {
    try lock.holding { () throws(OpError) in
      if let known, isCurrent(known.state, state) { return known.results }
      known = nil
      let read = positions.map { state[$0] }
      let results = try interpreter.run([], state: read).outputs
      known = (read, results)
      return results
    }
  }

  private func isCurrent(_ known: [Tensor], _ state: [Tensor]) -> Bool {
    for (index, position) in positions.enumerated() where known[index].node !== state[position].node { return false }
    return true
  }

  func releaseMemory() { lock.holding { known = nil } }
}

extension Program {
  /// For each value whether it depends on state and constants alone, and is worth keeping from call to call.
  package var isStable: [Bool] {
    var isStable = [Bool](repeating: false, count: values.count)
    for (id, _) in stateInputs { isStable[id] = true }
    for (id, _) in constants { isStable[id] = true }
    for instruction in instructions {
      guard instruction.op.effect == .none, !instruction.op.canFault, !instruction.inputs.isEmpty,
        instruction.inputs.allSatisfy({ isStable[$0] })
      else { continue }
      // What is much larger than what it is made of is made anew: it costs memory to keep.
      func bytes(_ ids: [ValueID]) -> Int { ids.reduce(0) { $0 + values[$1].byteCount } }
      let isView = instruction.op is any ViewOp
      guard isView || bytes(instruction.outputs) <= max(16 * bytes(instruction.inputs), 1 << 16) else { continue }
      for id in instruction.outputs { isStable[id] = true }
    }
    return isStable
  }
}

/// A program in two: what depends on state and constants alone, and the rest.
private struct EarlyPart {
  var early: Program
  var rest: Program
  /// For each state input of `early` its position among those of the program.
  var positions: [Int]

  init?(_ program: Program) {
    let isStable = program.isStable
    let isEarly = program.instructions.map { !$0.outputs.isEmpty && $0.outputs.allSatisfy { isStable[$0] } }
    // Views are cheaper to make again than to keep.
    var isLate = isEarly.map { !$0 }
    var needed = Set(program.results)
    var crossing: [Program.ValueID] = []
    for (line, instruction) in program.instructions.enumerated().reversed() {
      if isEarly[line] {
        let wanted = instruction.outputs.filter { needed.contains($0) }
        if wanted.isEmpty { continue }
        guard instruction.op is any ViewOp else {
          crossing += wanted
          continue
        }
        isLate[line] = true
      }
      needed.formUnion(instruction.inputs)
    }
    if crossing.isEmpty { return nil }
    rest = program
    rest.instructions = program.instructions.indices.filter { isLate[$0] }.map { program.instructions[$0] }
    rest.stateInputs += crossing.map { ($0, "prepared") }
    early = program
    early.inputs = []
    early.outputs = crossing
    early.instructions = program.instructions.indices.filter { isEarly[$0] }.map { program.instructions[$0] }
    Pass.deadCode.run(&early)
    let read = Set(early.instructions.flatMap { $0.inputs })
    positions = program.stateInputs.indices.filter { read.contains(program.stateInputs[$0].value) }
    early.stateInputs = positions.map { program.stateInputs[$0] }
    early.constants = program.constants.filter { read.contains($0.value) }
    let used = Set(rest.instructions.flatMap { $0.inputs } + rest.results)
    rest.constants = program.constants.filter { used.contains($0.value) }
  }
}
