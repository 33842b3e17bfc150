internal import CKernels

/// How a captured program runs: by a plan where its values are plain tensors of the CPU; as one operation where they are
/// recorded for gradients, so that the backward pass is a program too; else operation by operation, so that traces, scopes and
/// other devices see what they would see of the function itself.
package final class Execution: @unchecked Sendable {
  // Sendable: `made` is guarded by its lock.
  private let capture: Capture
  /// What error texts call it; nil for a part of a program.
  private let title: ProgramTitle?
  private let captured: Interpreter
  /// Constants of the program that a transform follows.
  private let tracedConstants: [Tensor]
  private let lock = Lock()
  /// One for all numbers of threads, or one for each that has come.
  private var made: [Made] = []
  /// The program for derivatives, from when it is recorded first.
  private var function: CapturedFunction?
  /// What is made at the first run that no trace or scope looks at.
  private final class Made {
    /// The number of threads that the program is made for; nil where that does not matter.
    let threads: Int32?
    /// What ran once for this state.
    let preparation: Preparation?
    let interpreter: Interpreter
    /// For each state input, with what was prepared, whether its cell is written.
    private let overwritten: [Bool]
    /// For different orders in memory of inputs and state; none where plans do not run the program.
    private(set) var plans: [Plan] = []
    private let takesPlans: Bool

    init(_ capture: Capture) {
      var program = capture.program.optimized()
      threads = program.instructions.contains { ($0.op as? any PassMade)?.threads != nil } ? ck_threads() : nil
      preparation = capture.writes ? nil : Preparation(from: &program)
      interpreter = Interpreter(program)
      overwritten =
        capture.overwritten
        + [Bool](repeating: false, count: program.stateInputs.count - capture.overwritten.count)
      takesPlans = Execution.plansAreOn && Blueprint.covers(program)
    }

    /// The plan for tensors that lie like these; nil where the interpreter runs the program.
    func plan(_ inputs: [Tensor], _ state: [Tensor]) -> Plan? {
      guard takesPlans else { return nil }
      if let plan = plans.first(where: { $0.fits(inputs, state: state) }) { return plan }
      guard plans.count < Execution.most else { return nil }
      let plan = Plan(
        interpreter.program, inputs: inputs, state: state, overwritten: overwritten,
        firstSafe: interpreter.firstSafe)
      plans.append(plan)
      return plan
    }
  }
  /// So many orders in memory get plans; beyond, the interpreter runs them.
  private static let most = 8
  private static let plansAreOn = planSwitch(Environment["MARTLET_PLANS"])

  /// What `MARTLET_PLANS` says: off, or on if it is empty or absent.
  package static func planSwitch(_ text: String?) -> Bool {
    switch text {
    case nil, "", "on": true
    case "off": false
    case let other?: fatalError("Martlet: MARTLET_PLANS is \"\(other)\"; it is on, or off")
    }
  }

  init(_ capture: Capture, _ title: ProgramTitle?) {
    self.capture = capture
    self.title = title
    captured = Interpreter(capture.program)
    tracedConstants = capture.program.constants.lazy.map { $0.tensor }.filter { !$0.isPlain }
  }

  /// Runs a program of inputs and constants alone.
  ///
  /// - Parameter name: What errors call it.
  package convenience init(_ program: Program, name: String? = nil) {
    self.init(Capture(program, stateInputs: [], stateOutputs: []), name.map { ProgramTitle($0) })
  }

  /// The results of a program without state. The scopes that say which operations functions are made of have had their effect
  /// on the program.
  package func results(_ inputs: [Tensor]) throws(OpError) -> [Tensor] {
    try Context.with({ $0.pointee.flags &= ~UInt32(CK_ARITHMETIC) }) { () throws(OpError) in try run(inputs, state: [])
    }
  }

  /// The results of a program that writes no state.
  func run(_ inputs: [Tensor], state: [Tensor], times: StepTimes? = nil) throws(OpError) -> [Tensor] {
    try ProgramTitle.during(title) { () throws(OpError) in
      guard isPlain(inputs, state) else {
        if let results = try differentiated(inputs, state) { return results.outputs }
        return try captured.run(inputs, state: state).outputs
      }
      var state = state
      let (plan, interpreter) = try prepared(inputs, &state)
      guard let plan else { return try interpreter.run(inputs, state: state).outputs }
      return try plan.run { (run) throws(OpError) in try run.run(inputs, state: &state, profile: times).outputs }
    }
  }

  /// The results of a program that writes state, which is written when all of it has succeeded.
  func commit(_ inputs: [Tensor], times: StepTimes? = nil) throws(OpError) -> [Tensor] {
    let (outputs, written) = try ProgramTitle.during(title) { () throws(OpError) in try compute(inputs, times) }
    for position in written.indices { capture.stateOutputs[position].write(written[position]) }
    for cell in capture.cleared { cell.write(nil) }
    return outputs
  }

  private func compute(_ inputs: [Tensor], _ times: StepTimes?) throws(OpError) -> (outputs: [Tensor], state: [Tensor])
  {
    var state = capture.takeState()
    do throws(OpError) {
      guard isPlain(inputs, state) else {
        // Functions of the user that are part of the program may read the cells.
        capture.giveBack(state)
        if let results = try differentiated(inputs, state) { return results }
        return try interpret(captured, inputs, &state)
      }
      let (plan, interpreter) = try prepared(inputs, &state)
      guard let plan else { return try interpret(interpreter, inputs, &state) }
      return try plan.run { (run) throws(OpError) in try run.run(inputs, state: &state, profile: times) }
    } catch {
      capture.giveBack(state)
      throw error
    }
  }

  private func interpret(
    _ interpreter: Interpreter, _ inputs: [Tensor], _ state: inout [Tensor]
  ) throws(OpError) -> (outputs: [Tensor], state: [Tensor]) {
    // The cells keep their values until no fault is possible any more; then the last use of a value holds it alone.
    capture.giveBack(state)
    var given: [Tensor] = []
    swap(&given, &state)
    return try interpreter.run(
      inputs, state: consume given, releaseState: { for cell in self.capture.stateOutputs { _ = cell.take() } })
  }

  /// The results where some tensor is recorded for gradients; nil where none is.
  private func differentiated(
    _ inputs: [Tensor], _ state: [Tensor]
  ) throws(OpError) -> (outputs: [Tensor], state: [Tensor])? {
    guard let (function, isWhole) = differentiable(inputs, state) else { return nil }
    let results =
      isWhole ? function.called(inputs + state, recomputes: false) : function.applied(inputs + state)
    if let failed = results.lazy.compactMap({ $0.node.trace as? Failed }).first { throw failed.error }
    let count = capture.program.outputs.count
    return (Array(results.prefix(count)), Array(results.dropFirst(count)))
  }

  /// The program for derivatives where some tensor is recorded for gradients, and whether a call of it is one operation; nil
  /// where none is recorded.
  private func differentiable(_ inputs: [Tensor], _ state: [Tensor]) -> (CapturedFunction, isWhole: Bool)? {
    let traces = (inputs + state + tracedConstants).flatMap { $0.traces }
    // What is captured or pending may be recorded, which cannot be seen: then what is muted is to stay so.
    let isHidden = { (trace: Trace) in trace is Symbolic || trace is Pending }
    guard traces.contains(where: { $0 is Recorded || !capture.muted.isEmpty && isHidden($0) }) else { return nil }
    let function = lock.holding {
      let known = self.function ?? CapturedFunction(capture)
      self.function = known
      return known
    }
    // What is captured or mapped is seen in its parts, as is what scopes look at; functions of the user run each time, and
    // gradients that are rows stay so.
    let isWhole =
      ck_flags() & UInt32(CK_SLOW | CK_BODY) == 0 && traces.allSatisfy { $0 is Recorded || $0 is Dual }
      && !function.body.isLocal && !capture.stateInputs.contains { ($0 as? Parameter)?.keepsGradientRows == true }
    return (function, isWhole)
  }

  /// Whether kernels may be called without a look at traces and scopes.
  private func isPlain(_ inputs: [Tensor], _ state: [Tensor]) -> Bool {
    ck_flags() & UInt32(CK_SLOW) == 0 && tracedConstants.isEmpty && inputs.allSatisfy { $0.isPlain }
      && state.allSatisfy { $0.isPlain }
  }

  /// How a call runs, and the state with what was prepared from it.
  private func prepared(_ inputs: [Tensor], _ state: inout [Tensor]) throws(OpError) -> (Plan?, Interpreter) {
    let (known, plan) = lock.holding {
      let known = current
      return (known, known.preparation == nil ? known.plan(inputs, state) : nil)
    }
    guard let preparation = known.preparation else { return (plan, known.interpreter) }
    state += try preparation.results(state)
    return (lock.holding { known.plan(inputs, state) }, known.interpreter)
  }

  /// What was made for as many threads as the caller may use now; under the lock.
  private var current: Made {
    let threads = ck_threads()
    if let known = made.first(where: { $0.threads == nil || $0.threads == threads }) { return known }
    made.append(Made(capture))
    return made[made.count - 1]
  }

  /// Gives back the memory of plans; the next run takes it again.
  func releaseMemory() {
    lock.holding { function }?.body.releaseMemory()
    for known in lock.holding({ made }) {
      known.preparation?.releaseMemory()
      for plan in lock.holding({ known.plans }) { plan.releaseMemory() }
    }
  }

  /// `explained` of a program without state.
  package func explanation(_ inputs: [Tensor]) throws(OpError) -> Explanation {
    try Context.with({ $0.pointee.flags &= ~UInt32(CK_ARITHMETIC) }) { () throws(OpError) in try explained(inputs) }
  }

  /// Runs the program as a call does, writing state once, with a clock around each operation.
  func explained(_ inputs: [Tensor]) throws(OpError) -> Explanation {
    let state = capture.state
    guard let (function, isWhole) = differentiable(inputs, state), isWhole else { return try explainedRun(inputs).0 }
    let count = capture.program.outputs.count
    let (explanation, outputs) = try ProgramTitle.during(title) { () throws(OpError) in
      let names = capture.program.stateInputs.enumerated().map { (inputs.count + $0.offset, $0.element.name) }
      return try function.explained(inputs + state, results: count, names: Dictionary(uniqueKeysWithValues: names))
    }
    for (cell, value) in zip(capture.stateOutputs, outputs.dropFirst(count)) { cell.write(value) }
    for cell in capture.cleared { cell.write(nil) }
    return explanation
  }

  /// The same of a call that is not recorded, with its results. `names`: what inputs are called.
  func explainedRun(
    _ inputs: [Tensor], names: [Int: String] = [:]
  ) throws(OpError) -> (Explanation, results: [Tensor]) {
    let times = StepTimes()
    let watcher = watcher(inputs)
    // Where nobody can tell, the times are those of a second run: the first makes what is made once.
    let shows =
      capture.writes || capture.program.isLocal
      || capture.program.instructions.contains { $0.op.effect == .ordered }
    if !shows { _ = try run(inputs, state: capture.state) }
    let results =
      capture.writes
      ? try commit(inputs, times: times) : try run(inputs, state: capture.state, times: times)
    let known = watcher == nil ? lock.holding { made.isEmpty ? nil : current } : nil
    let explanation = Explanation(
      known?.interpreter.program ?? capture.program, captured: capture.program,
      prepared: known?.preparation?.count ?? 0, times: times,
      reason: times.blueprint == nil ? watcher ?? obstacle(known?.interpreter.program ?? capture.program) : nil,
      names: names)
    return (explanation, results)
  }

  /// The scope or trace that looks at the operations of a call; nil if `isPlain`.
  private func watcher(_ inputs: [Tensor]) -> String? {
    let flags = ck_flags()
    if flags & UInt32(CK_LAZY) != 0 { return "lazy is around the call" }
    if flags & UInt32(CK_ANOMALY) != 0 { return "withAnomalyDetection is around the call" }
    if flags & UInt32(CK_ORIGINS) != 0 { return "MARTLET_ORIGINS is on" }
    for (position, tensor) in inputs.enumerated() {
      if let trace = tensor.node.trace { return "argument \(position) is \(Execution.name(trace))" }
    }
    for (entry, tensor) in zip(capture.program.stateInputs, capture.state) {
      if let trace = tensor.node.trace { return "\(entry.name) is \(Execution.name(trace))" }
    }
    return nil
  }

  private static func name(_ trace: Trace) -> String {
    switch trace {
    case is Recorded:
      "recorded for gradients, and functions of the user, gradients that are rows, vmap or a capture around the call keep "
        + "it from running as one operation"
    case is Mapped: "one example of a vmap"
    case is Dual: "a value with a tangent"
    case is Symbolic: "symbolic, for the call is captured itself"
    case is Pending: "put off by lazy"
    default: "no plain tensor"
    }
  }

  /// What of a program keeps it from having a plan.
  private func obstacle(_ program: Program) -> String {
    if !Execution.plansAreOn { return "MARTLET_PLANS is off" }
    if let other = program.values.first(where: { $0.device != .cpu }) { return "\(other.device) has no plans" }
    if let op = Blueprint.uncovered(program) { return "\(op) has no kernel of its own on the CPU" }
    if !program.constants.allSatisfy({ $0.tensor.isPlain }) { return "a constant of it is followed by a transform" }
    return "tensors that lie in more than \(Execution.most) orders in memory have come"
  }
}
