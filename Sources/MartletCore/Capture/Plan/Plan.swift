internal import CKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A program made ready for the CPU: kernels looked up and memory laid out, so that a run only calls kernels.
///
/// Several threads may run one plan at the same time, each with an arena of its own.
package final class Plan: @unchecked Sendable {
  // Sendable: what changes is `idle`, under its lock.
  package let blueprint: Blueprint
  /// The strides of the inputs and of the state for which the plan was made.
  private let strides: [Shape?]
  private let lock = Lock()
  private var idle: [PlanRun] = []

  /// A plan for a program that `Blueprint.covers` takes, and for tensors that lie like these.
  init(_ program: Program, inputs: [Tensor], state: [Tensor], overwritten: [Bool], firstSafe: Int) {
    strides = (inputs + state).map { $0.node.strides }
    blueprint = Blueprint(program, strides: strides, overwritten: overwritten, firstSafe: firstSafe)
  }

  /// Whether the plan was made for tensors that lie like these.
  func fits(_ inputs: [Tensor], state: [Tensor]) -> Bool {
    var position = 0
    for tensor in inputs {
      if tensor.node.strides != strides[position] { return false }
      position += 1
    }
    for tensor in state {
      if tensor.node.strides != strides[position] { return false }
      position += 1
    }
    return true
  }

  /// Gives back the memory that no run uses; the next run takes it again.
  func releaseMemory() { lock.holding { idle = [] } }

  /// Lends the memory and the calls of one run.
  func run<R>(_ body: (PlanRun) throws(OpError) -> R) throws(OpError) -> R {
    let known = lock.holding { idle.popLast() }
    let run: PlanRun
    if let known { run = known } else { run = try PlanRun(blueprint) }
    defer { lock.holding { idle.append(run) } }
    return try body(run)
  }
}

/// The memory of one run of a plan at a time, and its calls of kernels.
final class PlanRun {
  private struct Step {
    let kernel: UnsafeMutableRawPointer
    let op: UnsafeRawPointer
    let inputs: UnsafePointer<Unmanaged<TensorNode>>
    let inputCount: Int32
    let outputCount: Int32
    let line: Int32
  }
  /// A buffer whose memory is given anew at each run. Its nodes lie in `stand`, which then points to that memory.
  private struct Given {
    let kind: Blueprint.Buffer.Kind
    let bytes: Int
    let stand: Unmanaged<Storage>
  }
  /// Where a result comes from.
  private struct Source {
    enum Kind { case input, state, constant, memory }
    let kind: Kind
    /// The number of the input, of the state, of the constant or of an entry of `given`.
    let index: Int
    let spec: TensorSpec
    let strides: Shape?
    let offset: Int
  }

  let blueprint: Blueprint
  private let arena: Storage?
  private var nodes: [TensorNode?]
  private var steps: [Step] = []
  private let arguments: UnsafeMutableBufferPointer<Unmanaged<TensorNode>>
  private var boxes: [OpBox] = []
  @exclusivity(unchecked) private var given: [Given] = []
  /// For each of `given` what its nodes lie in.
  private var stands: [Storage] = []
  /// For each of `given` its memory, where that is fresh in this run.
  @exclusivity(unchecked) private var fresh: [Storage?] = []
  @exclusivity(unchecked) private var outputs: [Source] = []
  @exclusivity(unchecked) private var stateOutputs: [Source] = []
  /// Results that are constants, or views of them.
  @exclusivity(unchecked) private var constants: [Tensor] = []

  init(_ blueprint: Blueprint) throws(OpError) {
    self.blueprint = blueprint
    let program = blueprint.program
    if blueprint.arenaBytes > 0 {
      guard let arena = Storage(bytes: blueprint.arenaBytes) else {
        throw OpError(.outOfMemory(bytes: blueprint.arenaBytes))
      }
      self.arena = arena
    } else {
      arena = nil
    }
    let calls = program.instructions.indices.filter { !blueprint.isView[$0] }
    arguments = .allocate(
      capacity: calls.reduce(0) { $0 + program.instructions[$1].inputs.count + program.instructions[$1].outputs.count })
    nodes = [TensorNode?](repeating: nil, count: program.values.count)
    makeNodes(calls)
    var next = arguments.baseAddress!
    for line in calls {
      let instruction = program.instructions[line]
      let box = OpBox(instruction.op)
      boxes.append(box)
      let first = next
      for id in instruction.inputs + instruction.outputs {
        next.initialize(to: .passUnretained(nodes[id]!))
        next += 1
      }
      steps.append(
        Step(
          kernel: box.kernel, op: box.pointer, inputs: first, inputCount: Int32(instruction.inputs.count),
          outputCount: Int32(instruction.outputs.count), line: Int32(line)))
    }
  }

  deinit { arguments.deallocate() }

  private func makeNodes(_ calls: [Int]) {
    let program = blueprint.program
    var used = Set<Program.ValueID>()
    for line in calls { used.formUnion(program.instructions[line].inputs + program.instructions[line].outputs) }
    // For each buffer its entry in `given`.
    var entry: [Int: Int] = [:]
    for (index, buffer) in blueprint.buffers.enumerated() {
      switch buffer.kind {
      case .temporary, .constant: continue
      default: break
      }
      let stand = Storage(borrowing: PlanRun.nowhere.pointer, bytes: buffer.bytes, owner: PlanRun.nowhere)
      entry[index] = given.count
      stands.append(stand)
      fresh.append(nil)
      given.append(Given(kind: buffer.kind, bytes: buffer.bytes, stand: .passUnretained(stand)))
    }
    func storage(_ buffer: Int) -> (Storage, offset: Int) {
      switch blueprint.buffers[buffer].kind {
      case .temporary: (arena!, blueprint.buffers[buffer].offset)
      case .constant(let index): (program.constants[index].tensor.node.storage!, 0)
      default: (stands[entry[buffer]!], 0)
      }
    }
    for id in used.sorted() {
      let place = blueprint.places[id]!
      let spec = program.values[id]
      let (storage, start) = storage(place.buffer)
      nodes[id] = TensorNode(
        spec: spec, strides: place.strides, offset: start / spec.dtype.size + place.offset, storage: storage)
    }
    func source(_ id: Program.ValueID) -> Source {
      let place = blueprint.places[id]!
      let spec = program.values[id]
      func made(_ kind: Source.Kind, _ index: Int) -> Source {
        Source(kind: kind, index: index, spec: spec, strides: place.strides, offset: place.offset)
      }
      switch blueprint.buffers[place.buffer].kind {
      case .input(let index) where program.inputs[index] == id: return made(.input, index)
      case .state(let index) where program.stateInputs[index].value == id: return made(.state, index)
      case .constant(let index):
        let tensor = program.constants[index].tensor
        let isWhole = program.constants[index].value == id
        constants.append(
          isWhole
            ? tensor
            : Tensor(
              node: TensorNode(spec: spec, strides: place.strides, offset: place.offset, storage: tensor.node.storage!))
        )
        return made(.constant, constants.count - 1)
      default: return made(.memory, entry[place.buffer]!)
      }
    }
    outputs = program.outputs.map(source)
    stateOutputs = program.stateOutputs.map { source($0.value) }
  }

  private static let nowhere = Storage(bytes: 64)!
  /// Whether what lies in the arena from the run before is made NaN: `MARTLET_POISON=1`.
  private static let poisons = Environment.isOn("MARTLET_POISON")

  /// Runs the program once.
  ///
  /// - Parameter state: The tensors of the cells that are read. Those of cells that the program writes, when nobody else holds
  ///   their memory, are written over; a result that lies there is that tensor.
  func run(
    _ inputs: [Tensor], state: inout [Tensor], profile: StepTimes? = nil
  ) throws(OpError) -> (outputs: [Tensor], state: [Tensor]) {
    profile?.blueprint = blueprint
    defer { for position in fresh.indices where fresh[position] != nil { fresh[position] = nil } }
    try bind(inputs, &state)
    if PlanRun.poisons, let arena { memset(arena.pointer, 0xff, arena.bytes) }
    for index in steps.indices {
      let step = steps[index]
      if profile != nil { ck_here().pointee.note = nil }
      let start = profile == nil ? nil : ContinuousClock.now
      let status = Unmanaged<AnyKernel>.fromOpaque(step.kernel)._withUnsafeGuaranteedRef {
        $0.run(
          step.op,
          KernelArguments(
            inputs: step.inputs, Int(step.inputCount), outputs: step.inputs + Int(step.inputCount),
            Int(step.outputCount)))
      }
      if status.code != 0 { try recover(step, status) }
      if let start { profile?.append(Int(step.line), from: start, to: .now, method: methodUsed(step)) }
    }
    return (
      outputs.map { result($0, inputs, state) }, stateOutputs.map { result($0, inputs, state) }
    )
  }

  /// How the kernel of a step did its work, if it said so; not what those of a subprogram said.
  private func methodUsed(_ step: Step) -> String? {
    guard let note = ck_here().pointee.note, !(blueprint.program.instructions[Int(step.line)].op is any ControlOp)
    else {
      return nil
    }
    return String(cString: note)
  }

  /// Points the nodes to the memory of this run.
  private func bind(_ inputs: [Tensor], _ state: inout [Tensor]) throws(OpError) {
    for position in given.indices {
      let pointer: UnsafeMutableRawPointer
      switch given[position].kind {
      case .input(let index): pointer = inputs[index].node.pointer
      case .state(let index): pointer = state[index].node.pointer
      case .stateResult(let index) where state[index].isSoleOwner: pointer = state[index].node.pointer
      default:
        let bytes = given[position].bytes
        guard let storage = Storage(bytes: bytes) else { throw OpError(.outOfMemory(bytes: bytes)) }
        fresh[position] = storage
        pointer = storage.pointer
      }
      given[position].stand._withUnsafeGuaranteedRef { $0.stand(for: pointer) }
    }
  }

  private func result(_ source: Source, _ inputs: [Tensor], _ state: [Tensor]) -> Tensor {
    switch source.kind {
    case .input: return inputs[source.index]
    case .state: return state[source.index]
    case .constant: return constants[source.index]
    case .memory:
      let storage: Storage
      switch given[source.index].kind {
      case .input(let index): storage = based(inputs[index])
      case .state(let index): storage = based(state[index])
      case .stateResult(let index) where fresh[source.index] == nil:
        if source.offset == 0, state[index].node.strides == source.strides { return state[index] }
        storage = based(state[index])
      default: storage = fresh[source.index]!
      }
      return Tensor(
        node: TensorNode(spec: source.spec, strides: source.strides, offset: source.offset, storage: storage))
    }
  }

  /// The memory of a tensor, beginning at its first element: the nodes over it were made without knowing its offset.
  private func based(_ tensor: Tensor) -> Storage {
    let storage = tensor.node.storage!
    if tensor.node.offset == 0 { return storage }
    let skipped = tensor.node.offset * tensor.dtype.size
    return Storage(borrowing: storage.pointer + skipped, bytes: storage.bytes - skipped, owner: storage)
  }

  /// A kernel that does not take these dtypes leaves the operation to its decomposition; other faults are thrown.
  private func recover(_ step: Step, _ status: KernelStatus) throws(OpError) {
    let instruction = blueprint.program.instructions[Int(step.line)]
    let inputs = instruction.inputs.map { Tensor(node: nodes[$0]!) }
    func report<O: Op>(_ op: O) -> [Tensor] { failed(op, status.error(op, inputs), inputs) }
    let isUnsupported = status.code == KernelStatus.unsupported.code
    let results = (isUnsupported ? instruction.op.decomposed(inputs) : nil) ?? report(instruction.op)
    for (id, result) in zip(instruction.outputs, results) {
      if let failed = result.node.trace as? Failed { throw failed.error }
      result.write(to: nodes[id]!)
    }
  }
}

/// An operation at a fixed address, with its kernel.
private final class OpBox {
  let pointer: UnsafeRawPointer
  let kernel: UnsafeMutableRawPointer
  private let release: () -> Void

  init(_ op: any Op) {
    func open<O: Op>(_ op: O) -> (UnsafeRawPointer, UnsafeMutableRawPointer, () -> Void) {
      let pointer = UnsafeMutablePointer<O>.allocate(capacity: 1)
      pointer.initialize(to: op)
      return (
        UnsafeRawPointer(pointer), Kernels.find(O.self, .cpu)!,
        {
          pointer.deinitialize(count: 1)
          pointer.deallocate()
        }
      )
    }
    (pointer, kernel, release) = open(op)
  }
  deinit { release() }
}

extension Tensor {
  /// Copies the elements to the memory of a node of the same spec.
  package func write(to node: TensorNode) {
    withUnsafeBytes { bytes in
      let size = dtype.size
      guard let strides = node.strides else {
        return node.pointer.copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
      }
      var index = Shape(repeating: 0, count: rank)
      var position = 0
      for source in 0..<count {
        (node.pointer + position * size).copyMemory(from: bytes.baseAddress! + source * size, byteCount: size)
        var axis = rank - 1
        while axis >= 0 {
          index[axis] += 1
          position += strides[axis]
          if index[axis] < shape[axis] { break }
          position -= index[axis] * strides[axis]
          index[axis] = 0
          axis -= 1
        }
      }
    }
  }
}

extension Program {
  /// The results of the program for these inputs, by a plan if there can be one. It must not have state.
  package func run(_ inputs: [Tensor], planned: Bool, times: Int = 1) throws(OpError) -> [Tensor] {
    let interpreter = Interpreter(self)
    guard planned, Blueprint.covers(self) else { return try interpreter.run(inputs, state: []).outputs }
    let plan = Plan(self, inputs: inputs, state: [], overwritten: [], firstSafe: interpreter.firstSafe)
    var results: [Tensor] = []
    for _ in 0..<times {
      var state: [Tensor] = []
      results = try plan.run { (run) throws(OpError) in try run.run(inputs, state: &state).outputs }
    }
    return results
  }
}
