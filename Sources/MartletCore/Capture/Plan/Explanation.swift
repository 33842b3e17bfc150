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
  var entries: [(line: Int, start: ContinuousClock.Instant, end: ContinuousClock.Instant)] = []
}

/// What was made of a captured function: its program after the passes, its memory and the time of each operation.
public struct Explanation: Sendable, CustomStringConvertible {
  /// One operation of a run.
  public struct Step: Sendable {
    /// The operation with its attributes; a chain names its parts.
    public let operation: String
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
  /// The operations in their order; empty where the program runs operation by operation, without a plan.
  public let steps: [Step]
  /// Bytes of the arena in which everything lies that only one run needs; 0 without a plan.
  public let arenaBytes: Int
  /// What these values would take if no memory were used twice.
  public let temporaryBytes: Int

  init(_ program: Program, captured: Program, prepared: Int, times: StepTimes) {
    self.program = program
    preparedCount = prepared
    capturedCount = captured.instructions.count
    let first = times.entries.first?.start ?? .now
    steps = times.entries.map { entry in
      let instruction = program.instructions[entry.line]
      let attributes = instruction.op.attributes
      return Step(
        operation: type(of: instruction.op).name + (attributes.isEmpty ? "" : " {\(attributes)}"),
        results: instruction.outputs.map { program.values[$0] }, start: (entry.start - first) / .microseconds(1),
        duration: (entry.end - entry.start) / .microseconds(1))
    }
    arenaBytes = times.blueprint?.arenaBytes ?? 0
    temporaryBytes = times.blueprint?.temporaryBytes ?? 0
  }

  /// Microseconds of the operations together.
  public var total: Double { steps.reduce(0) { $0 + $1.duration } }

  public var description: String {
    var lines = ["\(program.instructions.count) operations (\(capturedCount) captured)"]
    if preparedCount > 0 { lines[0] += ", and \(preparedCount) that run once for the state" }
    guard !steps.isEmpty else { return lines[0] + ", run one by one without a plan\n\(program)" }
    func mib(_ bytes: Int) -> String { fixed(Double(bytes) / 1_048_576, 1) + " MiB" }
    lines.append("arena \(mib(arenaBytes)) for values of \(mib(temporaryBytes)) together")
    lines.append("\(fixed(total, 1)) us in \(steps.count) calls; by kind:")
    var kinds: [String: (count: Int, time: Double)] = [:]
    for step in steps {
      let name = step.operation.split(separator: " ").first.map { String($0) } ?? step.operation
      kinds[name, default: (0, 0)].count += 1
      kinds[name]!.time += step.duration
    }
    for (name, sum) in kinds.sorted(by: { $0.value.time > $1.value.time }) {
      lines.append("  \(padded(fixed(sum.time, 1), 10)) us  \(padded("\(sum.count)", 4)) x  \(name)")
    }
    lines.append("one by one:")
    for step in steps {
      let results = step.results.map { "\($0)" }.joined(separator: ", ")
      lines.append("  \(padded(fixed(step.duration, 1), 10)) us  \(step.operation) -> \(results)")
    }
    return lines.joined(separator: "\n")
  }

  /// The run as events of Chrome's trace format (JSON), for `chrome://tracing` and Perfetto.
  public var chromeTrace: String {
    let events = steps.map { step in
      let results = step.results.map { "\($0)" }.joined(separator: ", ")
      return """
        {"name": \(quotedJSON(step.operation.split(separator: " ").first.map { String($0) } ?? "")), "ph": "X", "pid": 1, \
        "tid": 1, "ts": \(step.start), "dur": \(step.duration), "args": {"operation": \(quotedJSON(step.operation)), \
        "results": \(quotedJSON(results))}}
        """
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
