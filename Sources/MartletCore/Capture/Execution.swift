internal import CKernels

/// How a captured program runs: by a plan where its values are plain tensors of the CPU, else operation by operation, so that
/// traces, scopes and other devices see what they would see of the function itself.
package final class Execution: @unchecked Sendable {
  // Sendable: `made` is guarded by its lock.
  private let program: Program
  /// Where the state comes from; nil for a program without any.
  private let capture: Capture?
  private let title: ProgramTitle
  private let captured: Interpreter
  private let lock = Lock()
  private var made: Made?
  /// What is made at the first run that no trace or scope looks at.
  private struct Made {
    let interpreter: Interpreter
    /// For different orders in memory of inputs and state; none where plans do not run the program.
    var plans: [Plan]
    let takesPlans: Bool
  }
  /// So many orders in memory get plans; beyond, the interpreter runs them.
  private static let most = 8
  private static let plansAreOn = Environment["MARTLET_PLANS"] != "off"

  init(_ capture: Capture, _ title: ProgramTitle) {
    self.capture = capture
    self.title = title
    program = capture.program
    captured = Interpreter(program)
  }

  /// Runs a program of inputs and constants alone.
  ///
  /// - Parameter name: What errors call it.
  package init(_ program: Program, name: String) {
    self.program = program
    capture = nil
    title = ProgramTitle(name)
    captured = Interpreter(program)
  }

  /// The results of a program without state. The scopes that say which operations functions are made of have had their effect
  /// on the program.
  package func results(_ inputs: [Tensor]) throws(OpError) -> [Tensor] {
    try Context.with({ $0.pointee.flags &= ~UInt32(CK_ARITHMETIC) }) { () throws(OpError) in try run(inputs, state: [])
    }
  }

  /// The results of a program that writes no state.
  func run(_ inputs: [Tensor], state: [Tensor], times: StepTimes? = nil) throws(OpError) -> [Tensor] {
    try title.during { () throws(OpError) in try compute(inputs, state, times) }
  }

  private func compute(_ inputs: [Tensor], _ state: [Tensor], _ times: StepTimes?) throws(OpError) -> [Tensor] {
    guard isPlain(inputs, state) else { return try captured.run(inputs, state: state).outputs }
    let (plan, interpreter) = prepared(inputs, state)
    guard let plan else { return try interpreter.run(inputs, state: state).outputs }
    let owned = [Bool](repeating: false, count: state.count)
    return try plan.run { (run) throws(OpError) in
      try run.run(inputs, state: state, owned: owned, profile: times).outputs
    }
  }

  /// The results of a program that writes state, which is written when all of it has succeeded.
  func commit(
    _ inputs: [Tensor], state: inout [Tensor], times: StepTimes? = nil
  ) throws(OpError) -> [Tensor] {
    let (outputs, written) = try title.during { () throws(OpError) in try compute(inputs, taking: &state, times) }
    for (cell, value) in zip(capture?.stateOutputs ?? [], written) { cell.write(value) }
    for cell in capture?.cleared ?? [] { cell.write(nil) }
    return outputs
  }

  private func compute(
    _ inputs: [Tensor], taking state: inout [Tensor], _ times: StepTimes?
  ) throws(OpError) -> (outputs: [Tensor], state: [Tensor]) {
    if let capture, isPlain(inputs, state) {
      let (plan, interpreter) = prepared(inputs, state)
      guard let plan else { return try interpret(interpreter, inputs, &state) }
      var owned = [Bool](repeating: false, count: state.count)
      for (position, cell) in capture.stateInputs.enumerated() where capture.overwritten[position] {
        state[position] = cell.take()!
        owned[position] = state[position].isSoleOwner
      }
      do throws(OpError) {
        return try plan.run { [state] (run) throws(OpError) in
          try run.run(inputs, state: state, owned: owned, profile: times)
        }
      } catch {
        for (position, cell) in capture.stateInputs.enumerated() where capture.overwritten[position] {
          cell.write(state[position])
        }
        throw error
      }
    }
    return try interpret(captured, inputs, &state)
  }

  private func interpret(
    _ interpreter: Interpreter, _ inputs: [Tensor], _ state: inout [Tensor]
  ) throws(OpError) -> (outputs: [Tensor], state: [Tensor]) {
    var given: [Tensor] = []
    swap(&given, &state)  // so that the last use of a value holds it alone
    return try interpreter.run(
      inputs, state: consume given, releaseState: { for cell in self.capture?.stateOutputs ?? [] { _ = cell.take() } })
  }

  /// Whether kernels may be called without a look at traces and scopes.
  private func isPlain(_ inputs: [Tensor], _ state: [Tensor]) -> Bool {
    ck_flags() & UInt32(CK_SLOW) == 0 && inputs.allSatisfy { $0.isPlain } && state.allSatisfy { $0.isPlain }
  }

  private func prepared(_ inputs: [Tensor], _ state: [Tensor]) -> (Plan?, Interpreter) {
    lock.holding {
      if made == nil {
        let interpreter = Interpreter(program.optimized())
        made = Made(
          interpreter: interpreter, plans: [],
          takesPlans: Execution.plansAreOn && Blueprint.covers(interpreter.program))
      }
      let known = made!
      guard known.takesPlans else { return (nil, known.interpreter) }
      if let plan = known.plans.first(where: { $0.fits(inputs, state: state) }) { return (plan, known.interpreter) }
      guard known.plans.count < Execution.most else { return (nil, known.interpreter) }
      let plan = Plan(
        known.interpreter.program, inputs: inputs, state: state, overwritten: capture?.overwritten ?? [],
        firstSafe: known.interpreter.firstSafe)
      made!.plans.append(plan)
      return (plan, known.interpreter)
    }
  }

  /// Gives back the memory of plans; the next run takes it again.
  func releaseMemory() {
    for plan in lock.holding({ made?.plans ?? [] }) { plan.releaseMemory() }
  }

  /// `explained` of a program without state.
  package func explanation(_ inputs: [Tensor]) throws(OpError) -> Explanation {
    try Context.with({ $0.pointee.flags &= ~UInt32(CK_ARITHMETIC) }) { () throws(OpError) in try explained(inputs) }
  }

  /// Runs the program once, writing state as any run does, with a clock around each operation.
  func explained(_ inputs: [Tensor]) throws(OpError) -> Explanation {
    var state = capture?.state ?? []
    let times = StepTimes()
    if capture?.writes == true {
      _ = try commit(inputs, state: &state, times: times)
    } else {
      _ = try run(inputs, state: state, times: times)
    }
    let running = lock.holding { made?.interpreter.program }
    return Explanation(running ?? program, captured: program, times: times)
  }
}
