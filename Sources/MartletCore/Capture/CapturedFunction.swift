/// A captured program as a function of its inputs and of the state that it reads, for derivatives: its results are followed by
/// the new state, and nothing passes through what `withoutGradient` muted.
final class CapturedFunction: Sendable {
  let body: Subprogram
  /// What its last inputs always are.
  private let tensors: [Tensor]
  /// Whether some of these carry a trace: then the function is that of one call.
  let isTraced: Bool
  /// Which results depend on a differentiated input, for each set of such inputs.
  private final class Reached: Sendable {
    let outputs: [Bool]
    init(_ outputs: [Bool]) { self.outputs = outputs }
  }

  init(_ capture: Capture) {
    var program = capture.program.detaching(capture.muted)
    program.inputs += program.stateInputs.map { $0.value }
    program.outputs += program.stateOutputs.map { $0.value }
    program.stateInputs = []
    program.stateOutputs = []
    // A trace is to see the operation that uses its tensor.
    let traced = program.constants.filter { !$0.tensor.isPlain }
    program.constants.removeAll { !$0.tensor.isPlain }
    program.inputs += traced.map { $0.value }
    let derived = Derived(program)
    body = derived.body
    tensors = traced.map { $0.tensor } + derived.constants
    isTraced = !traced.isEmpty
  }

  /// Its operations one by one, for the inputs and the state.
  func applied(_ given: [Tensor]) -> [Tensor] { body.applied(given + tensors) }

  /// The function as one operation, for the inputs and the state.
  func called(_ given: [Tensor], recomputes: Bool) -> [Tensor] {
    let given = given + tensors
    let outputs = apply(Call(body, recomputes: recomputes), given)
    // Traces that are pending cannot be seen.
    guard !outputs.contains(where: { $0.node.trace is Failed || $0.node.trace is Pending }) else { return outputs }
    let active = given.map { $0.isDifferentiated }
    let reached = body.derived("reached", active) { Reached(body.reached(from: active, smoothly: true)) }
    return zip(outputs, reached.outputs).map { $1 || !$0.isDifferentiated ? $0 : $0.detached() }
  }

  /// Runs it as a call that is recorded, and then back from ones, with a clock around each operation.
  ///
  /// - Parameters:
  ///   - results: How many of its results the backward pass begins at; the others are state.
  ///   - names: What its inputs are called.
  func explained(
    _ given: [Tensor], results: Int, names: [Int: String]
  ) throws(OpError) -> (Explanation, results: [Tensor]) {
    let given = given + tensors
    let plain = given.map { $0.lowered(below: 0) }
    let needs = given.map { $0.isDifferentiated }
    guard body.reached(from: needs, smoothly: true).prefix(results).contains(true) else {
      return try body.explained(plain, names: names)
    }
    let halves = try Call(body, recomputes: false).halves(given.map { $0.spec }, needs: needs)
    let (forward, outputs) = try halves.forward.body.explained(plain + halves.forward.constants, names: names)
    let back = halves.backward(from: halves.results.map { $0 < results })
    var read = halves.results.filter { $0 < results }.map { TransformOps.current.fill(1, outputs[$0].spec) }
    var namesBack: [Int: String] = [:]
    for source in halves.sources {
      switch source {
      case .input(let position):
        namesBack[read.count] = names[position]
        read.append(plain[position])
      case .residual(let position): read.append(outputs[body.outputs.count + position])
      }
    }
    let (backward, _) = try back.body.body.explained(
      read + halves.backward.constants + back.body.constants, names: namesBack)
    return (forward.followed(by: backward), Array(outputs.prefix(body.outputs.count)))
  }
}

extension Tensor {
  /// Whether some transform takes derivatives of it.
  fileprivate var isDifferentiated: Bool { traces.contains { $0 is Recorded || $0 is Dual } }

  /// The traces that it carries, from the innermost transform outwards; without those that are over.
  var traces: [Trace] {
    var traces: [Trace] = []
    var tensor = self
    while let trace = tensor.node.trace {
      if !trace.isOver { traces.append(trace) }
      guard let inner = tensor.node.inner else { break }
      tensor = inner
    }
    return traces
  }
}

extension Program {
  /// The same, where derivatives do not pass through these values.
  fileprivate func detaching(_ muted: Set<ValueID>) -> Program {
    guard !muted.isEmpty else { return self }
    var program = self
    var constant: [ValueID: ValueID] = [:]
    program.instructions = []
    for var instruction in instructions {
      instruction.inputs = instruction.inputs.map { constant[$0] ?? $0 }
      program.instructions.append(instruction)
      for id in instruction.outputs where muted.contains(id) && values[id].dtype.isInexact {
        let detached = program.value(values[id])
        constant[id] = detached
        program.instructions.append(Instruction(op: Detach(), inputs: [id], outputs: [detached]))
      }
    }
    program.outputs = outputs.map { constant[$0] ?? $0 }
    program.stateOutputs = stateOutputs.map { (constant[$0.value] ?? $0.value, $0.name) }
    return program
  }
}
