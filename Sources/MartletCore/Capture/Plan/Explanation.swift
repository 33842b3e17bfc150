#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// When each operation of one run of a plan began and ended; empty when the run had no plan.
final class StepTimes {
  /// The plan's, from when it begins to run.
  var blueprint: Blueprint?
  private(set) var entries:
    [(line: Int, start: ContinuousClock.Instant, end: ContinuousClock.Instant, method: String?)] = []

  func append(_ line: Int, from start: ContinuousClock.Instant, to end: ContinuousClock.Instant, method: String?) {
    entries.append((line, start, end, method))
  }
}

/// What was made of a captured function: its program after the passes, its memory and the time of each operation.
///
/// The text counts the **operations** of the program and the **calls** of kernels: views (`reshape`, `transpose`, slices) are
/// operations without a call. In a chain `fused {add(0, 1); 3 = tanh(2)}` the first numbers are those of its inputs, and its
/// steps are numbered on from there; a step with `n =` before it is a result of the chain, and sums, means, maxima and minima at
/// its end are others. `program.graphviz` draws what runs, and `programs[0].graphviz` of the compiled function what was captured.
public struct Explanation: Sendable, CustomStringConvertible {
  /// One operation of a run.
  public struct Step: Sendable {
    /// The operation with its attributes; a chain names its parts.
    public let operation: String
    /// How it was computed, where the fastest of several ways is taken: the algorithm of a convolution, with the operands that
    /// it copies into another layout at each run. Nil for others.
    public let method: String?
    /// The specs of its results.
    public let results: [TensorSpec]
    /// Microseconds from the start of the run.
    public let start: Double
    /// Microseconds.
    public let duration: Double
  }
  /// The program after the passes.
  public let program: Program
  /// The number of operations before the passes.
  public let capturedCount: Int
  /// The number of operations that depend on state and constants alone, and ran once for them.
  public let preparedCount: Int
  /// The operations in their order; empty without a plan.
  public let steps: [Step]
  /// Bytes of the arena in which everything lies that only one run needs; 0 without a plan.
  public let arenaBytes: Int
  /// What these values would take if no memory were used twice.
  public let temporaryBytes: Int
  /// Why no plan is shown: the program runs operation by operation. Nil where it has a plan.
  public let reasonForNoPlan: String?
  /// What the backward pass runs for this call, where its result is recorded for gradients; nil where it is not. The rest is
  /// then the forward half, which also gives what the backward half reads.
  public var backward: Explanation? { halves.first }
  /// What values are called that are state.
  private let names: [Program.ValueID: String]
  /// For each of `steps` its line in the program.
  private let stepLines: [Int]
  /// The backward half or nothing, as a struct cannot hold itself.
  private var halves: [Explanation] = []

  /// The same, as the forward half of a call that is recorded.
  func followed(by backward: Explanation) -> Explanation {
    var explanation = self
    explanation.halves = [backward]
    return explanation
  }

  /// What inputs are called, by their positions.
  init(
    _ program: Program, captured: Program, prepared: Int, times: StepTimes, reason: String?, names: [Int: String]
  ) {
    self.program = program
    let inputs = names.map { (program.inputs[$0.key], $0.value) }
    self.names = Dictionary(program.stateInputs.map { ($0.value, $0.name) } + inputs) { first, _ in first }
    reasonForNoPlan = reason
    preparedCount = prepared
    capturedCount = captured.instructions.count
    let first = times.entries.first?.start ?? .now
    stepLines = times.entries.map { $0.line }
    steps = times.entries.map { entry in
      let instruction = program.instructions[entry.line]
      let attributes = instruction.op.attributes
      return Step(
        operation: type(of: instruction.op).name + (attributes.isEmpty ? "" : " {\(attributes)}"),
        method: entry.method, results: instruction.outputs.map { program.values[$0] },
        start: (entry.start - first) / .microseconds(1),
        duration: (entry.end - entry.start) / .microseconds(1))
    }
    arenaBytes = times.blueprint?.arenaBytes ?? 0
    temporaryBytes = times.blueprint?.temporaryBytes ?? 0
  }

  /// Microseconds of the operations together, of the forward half where the call is recorded.
  public var total: Double { steps.reduce(0) { $0 + $1.duration } }

  public var description: String {
    guard let backward else { return text }
    return "forward, recorded for gradients:\n\(text)\nbackward, from gradients of all results:\n\(backward)"
  }

  private var text: String {
    var lines = ["\(ErrorText.counted(program.instructions.count, "operation")) (\(capturedCount) captured)"]
    if preparedCount > 0 {
      lines[0] += ", and \(preparedCount) that \(preparedCount == 1 ? "runs" : "run") once for the state"
    }
    if let reasonForNoPlan { return lines[0] + ", without a plan: \(reasonForNoPlan)\n\(program)" }
    func size(_ bytes: Int) -> String {
      bytes < 1024
        ? ErrorText.counted(bytes, "byte")
        : bytes < 1_048_576 ? fixed(Double(bytes) / 1024, 1) + " KiB" : fixed(Double(bytes) / 1_048_576, 1) + " MiB"
    }
    lines.append("arena \(size(arenaBytes)) for values of \(size(temporaryBytes)) together")
    lines.append("\(fixed(total, 1)) us in \(ErrorText.counted(steps.count, "call")) (views need none); by kind:")
    var kinds: [String: (count: Int, time: Double)] = [:]
    for step in steps {
      let name = step.operation.split(separator: " ").first.map { String($0) } ?? step.operation
      kinds[name, default: (0, 0)].count += 1
      kinds[name]!.time += step.duration
    }
    for (name, sum) in kinds.sorted(by: { $0.value.time > $1.value.time }) {
      lines.append("  \(padded(fixed(sum.time, 1), 10)) us  \(padded("\(sum.count)", 4)) x  \(name)")
    }
    lines.append("one by one, with the numbers of values in the program and the names of state:")
    for (step, line) in zip(steps, stepLines) {
      let instruction = program.instructions[line]
      let specs = step.results.map { "\($0)" }.joined(separator: ", ")
      let results = instruction.outputs.map { "%\($0)" }.joined(separator: ", ")
      let operands = instruction.inputs.map { names[$0] ?? "%\($0)" }.joined(separator: ", ")
      let attributes = instruction.op.attributes.isEmpty ? "" : " {\(instruction.op.attributes)}"
      let method = step.method.map { " by \($0)" } ?? ""
      lines.append(
        "  \(padded(fixed(step.duration, 1), 10)) us  \(results) = \(type(of: instruction.op).name)(\(operands))"
          + "\(attributes)\(method) -> \(specs)")
    }
    return lines.joined(separator: "\n")
  }

  /// The run as events of Chrome's trace format (JSON), for `chrome://tracing` and Perfetto.
  public var chromeTrace: String {
    var events: [String] = []
    var start = 0.0
    for half in [self] + halves {
      for step in half.steps {
        let results = step.results.map { "\($0)" }.joined(separator: ", ")
        events.append(
          """
          {"name": \(quotedJSON(step.operation.split(separator: " ").first.map { String($0) } ?? "")), "ph": "X", \
          "pid": 1, "tid": 1, "ts": \(start + step.start), "dur": \(step.duration), \
          "args": {"operation": \(quotedJSON(step.operation)), \
          "method": \(quotedJSON(step.method ?? "")), "results": \(quotedJSON(results))}}
          """)
      }
      start += half.steps.last.map { $0.start + $0.duration } ?? 0
    }
    return "{\"traceEvents\": [\n\(events.joined(separator: ",\n"))\n], \"displayTimeUnit\": \"ns\"}\n"
  }
}

private func padded(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(0, width - text.count)) + text
}

/// A number with so many digits after the point.
private func fixed(_ number: Double, _ digits: Int) -> String {
  let scale = pow(10, Double(digits))
  let whole = Int((number * scale).rounded())
  guard digits > 0 else { return "\(whole)" }
  let rest = String(abs(whole) % Int(scale))
  return (whole < 0 ? "-" : "") + "\(abs(whole) / Int(scale))." + String(repeating: "0", count: digits - rest.count)
    + rest
}
