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
  /// Nodes whose memory is given anew at each run.
  private struct Given {
    let kind: Blueprint.Buffer.Kind
    let bytes: Int
    let nodes: Range<Int>
  }

  let blueprint: Blueprint
  private let arena: Storage?
  private var nodes: [TensorNode?]
  private var steps: [Step] = []
  private let arguments: UnsafeMutableBufferPointer<Unmanaged<TensorNode>>
  private var boxes: [OpBox] = []
  private var given: [Given] = []
  /// The nodes of `given`, one buffer after the other.
  private var givenNodes: [TensorNode] = []
  /// For each buffer its entry in `given`; -1 for those that have none.
  private var entry: [Int]

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
    entry = [Int](repeating: -1, count: blueprint.buffers.count)
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
    var lying: [[TensorNode]] = blueprint.buffers.map { _ in [] }
    for id in used.sorted() {
      let place = blueprint.places[id]!
      let buffer = blueprint.buffers[place.buffer]
      let spec = program.values[id]
      switch buffer.kind {
      case .temporary:
        nodes[id] = TensorNode(
          spec: spec, strides: place.strides, offset: buffer.offset / spec.dtype.size + place.offset, storage: arena!)
      case .constant(let index):
        nodes[id] = TensorNode(
          spec: spec, strides: place.strides, offset: place.offset,
          storage: program.constants[index].tensor.node.storage!)
      default:
        let node = TensorNode(spec: spec, strides: place.strides, offset: place.offset, storage: PlanRun.nowhere)
        node.storage = nil
        nodes[id] = node
        lying[place.buffer].append(node)
      }
    }
    for (index, buffer) in blueprint.buffers.enumerated() {
      switch buffer.kind {
      case .temporary, .constant: continue
      default: break
      }
      entry[index] = given.count
      given.append(
        Given(kind: buffer.kind, bytes: buffer.bytes, nodes: givenNodes.count..<givenNodes.count + lying[index].count))
      givenNodes += lying[index]
    }
  }

  private static let nowhere = Storage(bytes: 64)!
  /// Whether what lies in the arena from the run before is made NaN: `MARTLET_POISON=1`.
  private static let poisons = Environment.isOn("MARTLET_POISON")

  /// Runs the program once.
  ///
  /// - Parameters:
  ///   - state: The tensors of the cells that are read.
  ///   - owned: For each state input its tensor, when nobody else holds its memory, so that it may be written over.
  /// - Returns: The results and what is to be written to cells. A result that lies in the memory of an owned state is to be
  ///   that state's tensor.
  func run(
    _ inputs: [Tensor], state: [Tensor], owned: [Bool], profile: StepTimes? = nil
  ) throws(OpError) -> (outputs: [Tensor], state: [Tensor]) {
    profile?.blueprint = blueprint
    var storages = [Storage?](repeating: nil, count: given.count)
    defer { for node in givenNodes { node.storage = nil } }
    for (position, part) in given.enumerated() {
      let storage: Storage
      switch part.kind {
      case .input(let index): storage = based(inputs[index])
      case .state(let index): storage = based(state[index])
      case .stateResult(let index) where owned[index]: storage = state[index].node.storage!
      default:
        guard let fresh = Storage(bytes: part.bytes) else { throw OpError(.outOfMemory(bytes: part.bytes)) }
        storage = fresh
      }
      storages[position] = storage
      for node in part.nodes { givenNodes[node].storage = storage }
    }
    if PlanRun.poisons, let arena { memset(arena.pointer, 0xff, arena.bytes) }
    for step in steps {
      let start = profile == nil ? nil : ContinuousClock.now
      let status = Unmanaged<AnyKernel>.fromOpaque(step.kernel)._withUnsafeGuaranteedRef {
        $0.run(
          step.op,
          KernelArguments(
            inputs: step.inputs, Int(step.inputCount), outputs: step.inputs + Int(step.inputCount),
            Int(step.outputCount)))
      }
      if status.code != 0 { try recover(step, status) }
      if let start { profile?.entries.append((Int(step.line), start, .now)) }
    }
    func result(_ id: Program.ValueID) -> Tensor {
      let place = blueprint.places[id]!
      let spec = blueprint.program.values[id]
      switch blueprint.buffers[place.buffer].kind {
      case .input(let index) where blueprint.program.inputs[index] == id: return inputs[index]
      case .state(let index) where blueprint.program.stateInputs[index].value == id: return state[index]
      case .stateResult(let index)
      where owned[index] && place.offset == 0 && state[index].node.strides == place.strides:
        return state[index]
      case .constant(let index):
        let tensor = blueprint.program.constants[index].tensor
        if blueprint.program.constants[index].value == id { return tensor }
        return Tensor(
          node: TensorNode(spec: spec, strides: place.strides, offset: place.offset, storage: tensor.node.storage!))
      default:
        return Tensor(
          node: TensorNode(
            spec: spec, strides: place.strides, offset: place.offset, storage: storages[entry[place.buffer]]!))
      }
    }
    return (blueprint.program.outputs.map(result), blueprint.program.stateOutputs.map { result($0.value) })
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
      results = try plan.run { (run) throws(OpError) in try run.run(inputs, state: [], owned: []).outputs }
    }
    return results
  }
}
