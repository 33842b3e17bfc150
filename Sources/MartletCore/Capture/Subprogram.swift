internal import CKernels

/// A program with inputs and outputs alone, as the body of an operation: whatever its function used from outside is among
/// its inputs.
///
/// It holds no tensors, so that it means the same on every device and can be written to a file. Two are equal when they are
/// the same object.
package final class Subprogram: @unchecked Sendable, Hashable {
  // Sendable: what changes is guarded by `lock`.
  package let program: Program
  package let inputs: [TensorSpec]
  package let outputs: [TensorSpec]
  /// Whether some operation in it may report a fault.
  package let canFault: Bool
  /// Whether some operation in it does something beside computing.
  package let hasEffect: Bool
  /// Whether functions of this process are part of it, as in `customGradient`: these may read what is not given to them, so
  /// that derivatives have to run them anew each time.
  package let isLocal: Bool
  private let execution: Execution
  private let interpreter: Interpreter
  private let lock = Lock()
  private var derivations: [AnyHashable: AnyObject] = [:]

  package init(_ program: Program) {
    self.program = program
    inputs = program.inputs.map { program.values[$0] }
    outputs = program.outputs.map { program.values[$0] }
    canFault = program.instructions.contains { $0.op.canFault }
    hasEffect = program.instructions.contains { $0.op.effect == .ordered }
    isLocal = program.isLocal
    interpreter = Interpreter(program)
    execution = Execution(program)
    guard Program.verifies else { return }
    let faults = program.verify()
    if !faults.isEmpty || !program.constants.isEmpty || !program.stateInputs.isEmpty {
      fatalError("Martlet: a subprogram is malformed:\n\(faults.joined(separator: "\n"))\n\(program)")
    }
  }

  package static func == (a: Subprogram, b: Subprogram) -> Bool { a === b }
  package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }

  /// The device of its values.
  package var device: Device { (inputs.first ?? outputs.first)?.device ?? .cpu }

  /// The same operations on another device.
  package func on(_ device: Device) -> Subprogram {
    if device == self.device { return self }
    return derived("device", device) {
      var program = program
      for id in program.values.indices { program.values[id].device = device }
      return Subprogram(program)
    }
  }

  /// What is made of the subprogram once for each `kind` and `key`.
  package func derived<V: AnyObject, K: Hashable & Sendable, E: Error>(
    _ kind: String, _ key: K, _ make: () throws(E) -> V
  ) throws(E) -> V {
    let key = AnyHashable(DerivationKey(kind: kind, key: AnyHashable(key)))
    if let known = lock.holding({ derivations[key] }) { return unsafeDowncast(known, to: V.self) }
    let made = try make()
    return lock.holding {
      if let known = derivations[key] { return unsafeDowncast(known, to: V.self) }
      derivations[key] = made
      return made
    }
  }
}

private struct DerivationKey: Hashable {
  let kind: String
  let key: AnyHashable
}

extension Subprogram {
  /// Runs it on plain tensors: by a plan on the CPU, else operation by operation.
  package func run(_ inputs: [Tensor]) throws(OpError) -> [Tensor] { try execution.run(inputs, state: []) }

  /// Runs it on plain tensors with a clock around each operation.
  func explained(
    _ inputs: [Tensor], names: [Int: String]
  ) throws(OpError) -> (Explanation, results: [Tensor]) {
    try execution.explainedRun(inputs, names: names)
  }

  /// Gives back the memory that runs by plans hold between them, also of what was made of it and of what it runs.
  package func releaseMemory() {
    execution.releaseMemory()
    for instruction in program.instructions {
      for (_, body) in (instruction.op as? any ControlOp)?.subprograms ?? [] { body.releaseMemory() }
    }
    for derivation in lock.holding({ Array(derivations.values) }) {
      switch derivation {
      case let body as Subprogram: body.releaseMemory()
      case let derived as Derived: derived.body.releaseMemory()
      case let split as Split: split.releaseMemory()
      default: break
      }
    }
  }

  /// Its operations one by one, seen by whatever traces the inputs carry.
  package func applied(_ inputs: [Tensor]) -> [Tensor] {
    do throws(OpError) { return try interpreter.run(inputs, state: []).outputs } catch {
      return fail(error, inputs, count: outputs.count)
    }
  }

  /// The same without what it prints and checks: for running it once more.
  package var silent: Subprogram {
    guard hasEffect else { return self }
    return derived("silent", 0) {
      var program = program
      var same: [Program.ValueID: Program.ValueID] = [:]
      program.instructions = []
      for instruction in self.program.instructions {
        var instruction = instruction
        instruction.inputs = instruction.inputs.map { same[$0] ?? $0 }
        if instruction.op is any PassThrough {
          same[instruction.outputs[0]] = instruction.inputs[0]
        } else {
          if let control = instruction.op as? any ControlOp { instruction.op = control.silent }
          program.instructions.append(instruction)
        }
      }
      program.outputs = program.outputs.map { same[$0] ?? $0 }
      return Subprogram(program)
    }
  }
}

/// In files a subprogram is its program.
extension Subprogram: Codable {
  package convenience init(from decoder: any Decoder) throws { self.init(try Program(from: decoder)) }
  package func encode(to encoder: any Encoder) throws { try program.encode(to: encoder) }
}

extension Subprogram {
  /// Which outputs depend on the inputs in `active`; `smoothly`: in a way through which a derivative may pass.
  package func reached(from active: [Bool], smoothly: Bool) -> [Bool] {
    var reached = [Bool](repeating: false, count: program.values.count)
    func counts(_ id: Program.ValueID) -> Bool { !smoothly || program.values[id].dtype.isInexact }
    for (id, isActive) in zip(program.inputs, active) where isActive && counts(id) { reached[id] = true }
    for instruction in program.instructions where instruction.inputs.contains(where: { reached[$0] }) {
      if smoothly, type(of: instruction.op).rules.contains(.constant) { continue }
      for id in instruction.outputs where counts(id) { reached[id] = true }
    }
    return program.outputs.map { reached[$0] }
  }

  /// The inputs in `active`, with those states that come to depend on them in a loop: state `i` is input and output `i`.
  package func closed(_ active: [Bool], states: Int, smoothly: Bool) -> [Bool] {
    var active = active
    while true {
      let reached = reached(from: active, smoothly: smoothly)
      var grown = active
      for state in 0..<states where reached[state] { grown[state] = true }
      if grown == active { return active }
      active = grown
    }
  }
}

extension Subprogram {
  /// The same with inputs and outputs in another order, or fewer outputs.
  package func arranged(inputs: [Int], outputs: [Int]) -> Subprogram {
    var program = program
    program.inputs = inputs.map { self.program.inputs[$0] }
    program.outputs = outputs.map { self.program.outputs[$0] }
    return Subprogram(program)
  }

  /// The same with inputs more that it does not read, before the one at `position`.
  package func widened(with tensors: [Tensor], at position: Int) -> Subprogram {
    if tensors.isEmpty { return self }
    var program = program
    program.inputs.insert(contentsOf: tensors.map { program.value($0.spec) }, at: position)
    return Subprogram(program)
  }
}

/// A subprogram made of others by a rule, with the tensors that its last inputs always are.
package final class Derived: Sendable {
  package let body: Subprogram
  package let constants: [Tensor]
  package init(body: Subprogram, constants: [Tensor]) {
    self.body = body
    self.constants = constants
  }
  /// Its operations one by one.
  package func applied(_ inputs: [Tensor]) -> [Tensor] { body.applied(inputs + constants) }
}

extension Subprogram {
  /// Traces a function of tensors of these specs, which uses no traced tensors but those it is given.
  package static func traced(
    _ specs: [TensorSpec], _ f: ([Tensor]) throws(OpError) -> [Tensor]
  ) throws(OpError) -> Derived {
    try clean { (depth) throws(OpError) in
      let builder = ProgramBuilder(level: depth + 1, name: "a rule of control flow")
      defer { builder.isOver = true }
      let symbolic = specs.map { builder.symbolic(builder.value($0)) }
      builder.program.inputs = Array(specs.indices)
      Context.here.pointee.depth = depth + 1
      let outputs = try f(symbolic)
      if let failed = outputs.lazy.compactMap({ $0.node.trace as? Failed }).first { throw failed.error }
      builder.program.outputs = outputs.map { builder.id(of: $0) }
      return Derived(builder.program)
    }
  }

  /// Runs `body`, given the depth of transforms here, as if nothing were around it.
  static func clean<R>(_ body: (Int32) throws(OpError) -> R) throws(OpError) -> R {
    try Context.with({ here in
      here.pointee.flags = 0
      here.pointee.lazy = nil
      here.pointee.maps = nil
      here.pointee.frame = nil
    }) { () throws(OpError) in try body(Context.here.pointee.depth) }
  }
}

extension Derived {
  /// Of a program without state whose constants are plain.
  package convenience init(_ program: Program) {
    var program = program.simplified()
    let constants = program.constants
    program.inputs += constants.map { $0.value }
    program.constants = []
    self.init(body: Subprogram(program), constants: constants.map { $0.tensor })
  }
}

extension Program {
  /// Whether functions of this process are part of it.
  var isLocal: Bool {
    instructions.contains {
      type(of: $0.op).id == .custom || ($0.op as? any ControlOp)?.subprograms.contains { $0.body.isLocal } == true
    }
  }

  /// After those passes that leave it as differentiable as it was. What nobody reads is left out in any case.
  func simplified() -> Program {
    let passes: [Pass] = [.deadCode, .constantFolding, .commonSubexpressions, .deadCode]
    return optimized(
      passes.filter { pass in pass.name == Pass.deadCode.name || Pass.enabled.contains { $0.name == pass.name } })
  }
}

/// An operation that runs subprograms: it has no loop in C, and runs on every device.
package protocol ControlOp: Op {
  /// Its subprograms, with what dumps call them.
  var subprograms: [(name: String, body: Subprogram)] { get }
  /// Runs on plain tensors of one device that fit.
  func run(_ inputs: [Tensor]) throws(OpError) -> [Tensor]
  /// The same without what its subprograms print and check.
  var silent: Self { get }
}

extension ControlOp {
  package var effect: Effect { subprograms.contains { $0.body.hasEffect } ? .ordered : .none }
  package var canFault: Bool { subprograms.contains { $0.body.canFault } }

  package func evaluate(_ inputs: [Tensor], reusable: Positions) throws(OpError) -> [Tensor] {
    _ = try outputs(for: inputs.map { $0.spec })
    return try run(inputs)
  }

  /// The kernel of every such operation, for plans.
  package func runKernel(_ arguments: borrowing KernelArguments) -> KernelStatus {
    var inputs: [Tensor] = []
    inputs.reserveCapacity(arguments.inputCount)
    for position in 0..<arguments.inputCount { inputs.append(arguments.tensor(position)) }
    do throws(OpError) {
      for (position, result) in try run(inputs).enumerated() {
        result.write(to: arguments.outputTensor(position).node)
      }
      return .ok
    } catch { return KernelStatus.keeping(error) }
  }

  /// That inputs have these specs but for the device, which all share.
  package func check(_ inputs: [TensorSpec], are wanted: [TensorSpec]) throws(OpError) {
    guard inputs.count == wanted.count else {
      throw OpError(.numberOfInputs(inputs.count, expected: "\(wanted.count)"))
    }
    for input in inputs where input.device != inputs[0].device { throw OpError(.devicesDiffer) }
    for (position, (input, wanted)) in zip(inputs, wanted).enumerated() {
      if input.dtype != wanted.dtype { throw OpError(.dtype(argument: position, expected: "\(wanted.dtype)")) }
      if input.shape != wanted.shape {
        throw OpError(.argumentShape(argument: position, expected: "\(wanted.shape)"))
      }
    }
  }
}

extension KernelStatus {
  // Errors of operations inside of a kernel, on their way out; each is taken once.
  private static let lock = Lock()
  nonisolated(unsafe) private static var errors: [Int64: OpError] = [:]
  nonisolated(unsafe) private static var count: Int64 = 0
  private static let inner: Int32 = 4

  /// The status of a kernel that runs operations, when one of them has failed.
  static func keeping(_ error: OpError) -> KernelStatus {
    lock.holding {
      count += 1
      errors[count] = error
      return KernelStatus(code: inner, value: count)
    }
  }

  /// The error of an operation inside of the kernel.
  var innerError: OpError? {
    guard code == KernelStatus.inner else { return nil }
    return KernelStatus.lock.holding { KernelStatus.errors.removeValue(forKey: value) }
  }
}
