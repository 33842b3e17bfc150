/// A function that was captured ahead of time: called with other values it runs the captured program.
///
/// A new program is captured when specs of the arguments, the mode of a layer, or the structure of the state change.
/// Calls from several tasks take turns when the function writes cells, else run at once.
public final class Compiled<each Input: TensorTree, Output>: @unchecked Sendable {
  // Sendable: `captures` is guarded by its lock, which is also held while `f` runs.
  private let f: (repeat each Input) -> Output
  private let result: ResultTree<Output>
  private let title: ProgramTitle
  private let limit: Int
  private let lock = Lock()
  private var entries: [CompiledEntry] = []
  /// For each of `entries` the structure of its result.
  private var templates: [Output] = []
  /// So many programs keep the memory in which they run when another is captured.
  private static var arenas: Int { 4 }

  init(_ f: @escaping (repeat each Input) -> Output, _ result: ResultTree<Output>, limit: Int, name: String) {
    self.f = f
    self.limit = max(1, limit)
    self.result = result
    title = ProgramTitle(name)
  }

  /// The programs captured so far.
  public var programs: [Program] { lock.holding { entries.map { $0.capture.program } } }

  /// The program for these arguments, captured now if it has not been.
  public func program(for input: repeat each Input) throws -> Program {
    let (inputs, structure) = flatten(repeat each input)
    return try lock.holding { () throws(OpError) -> Program in
      entries[try entry(inputs, structure, repeat each input)].capture.program
    }
  }

  /// What was made of the function for these arguments, with the time of each operation.
  ///
  /// The program runs as a call does, and writes its state once (before that once more, without a clock, where nobody can tell): a training step that is explained trains, and weights, moments
  /// and random generators are others afterwards. Where the result is recorded for gradients, what the backward pass runs is
  /// explained too (`Explanation.backward`), and no gradients are kept: `withoutGradient { … }` around it shows the call of
  /// inference.
  public func explain(_ input: repeat each Input) throws -> Explanation {
    let (inputs, structure) = flatten(repeat each input)
    return try lock.holding { () throws(OpError) -> Explanation in
      try entries[entry(inputs, structure, repeat each input)].execution.explained(inputs)
    }
  }

  private func flatten(_ input: repeat each Input) -> ([Tensor], [TreeStructure]) {
    var inputs: [Tensor] = []
    var structure: [TreeStructure] = []
    for argument in repeat each input {
      inputs += argument.flattened
      structure.append(argument.structure)
    }
    return (inputs, structure)
  }

  /// Runs the function once, on symbolic tensors of these specs in the structure of `input`.
  private func captured(
    _ specs: [TensorSpec], _ structure: [TreeStructure], watch: CaptureWatch? = nil, _ input: repeat each Input
  ) throws(OpError) -> (Capture, Output) {
    var output: Output?
    let capture = try Capture(specs, structure: structure, inMaps: false, name: title.name, watch: watch) { symbolic in
      var slice = symbolic[...]
      func rebuilt<A: TensorTree>(_ argument: A) -> A { argument.rebuilt(from: &slice) }
      let result = self.f(repeat rebuilt(each input))
      output = result
      return self.result.tensors(result)
    }
    return (capture, output!)
  }

  /// The function captured for a file, for the specs that `specs` makes of those of the arguments.
  package func portable(
    _ input: repeat each Input, specs: ([TensorSpec]) throws(OpError) -> [TensorSpec], watch: @escaping CaptureWatch
  ) throws(OpError) -> PortableCapture {
    let (inputs, structure) = flatten(repeat each input)
    let specs = try specs(inputs.map { $0.spec })
    return try lock.holding { () throws(OpError) -> PortableCapture in
      let (capture, output) = try captured(specs, structure, watch: watch, repeat each input)
      return try PortableCapture(
        capture, name: title.name, inputNames: TreeStructure.names(structure, "input"),
        outputNames: TreeStructure.names(result.structure(output), "output"))
    }
  }

  /// The position of the program for these arguments. Called while the lock is held.
  private func entry(_ inputs: [Tensor], _ structure: [TreeStructure], _ input: repeat each Input) throws(OpError)
    -> Int
  {
    for position in entries.indices
    where entries[position].capture.fits(inputs, structure: structure, inMaps: false) { return position }
    // Of several programs the one that is most like the call tells what is new; of equal ones the last.
    let differences = entries.reversed().map { $0.capture.difference(inputs, structure: structure) }
    if let least = differences.min(by: { $0.isLess(than: $1) }) { try grow(least) }
    let (capture, output) = try captured(inputs.map { $0.spec }, structure, repeat each input)
    let empty = result.mapping(output) { Tensor(node: TensorNode(spec: $0.spec, trace: Placeholder.shared)) }
    // Programs for many shapes would each keep an arena: the older ones give theirs back, and those for another state of
    // what the function uses, as the first step has before an optimizer has moments.
    for (position, older) in entries.enumerated()
    where position <= entries.count - Self.arenas || !older.capture.holds { older.execution.releaseMemory() }
    entries.append(CompiledEntry(capture: capture, execution: Execution(capture, title)))
    templates.append(empty)
    return entries.count - 1
  }

  /// Another program is needed: said with `MARTLET_LOG=compile`, and an error beyond the limit.
  private func grow(_ difference: CaptureDifference) throws(OpError) {
    Log.compile("\(title.name) is captured again (\(entries.count + 1)): \(difference.reason)")
    guard entries.count >= limit else { return }
    let remedy =
      difference.kind == .specs
      ? "pad batches to few sizes, leave out a smaller last batch, or give compile a larger limit; "
        + "save(to:for:openBatch: true) makes a SavedProgram, which takes batches of any size"
      : "give compile a larger limit, or compile a function for each"
    throw OpError(
      .misuse(
        "the function was captured \(limit) times, and a call needs another program: \(difference.reason)",
        rule: "each shape, dtype and mode has a program of its own, at most \(limit) with this `limit`",
        remedy: remedy),
      op: "compile")
  }

  /// Runs the captured program on these arguments.
  ///
  /// Traps, or yields error tensors inside `withErrors`, where the function itself would. State is written only when the
  /// whole program has succeeded.
  public func callAsFunction(_ input: repeat each Input) -> Output {
    let (inputs, structure) = flatten(repeat each input)
    var position: Int?
    do throws(OpError) {
      // State is read, and written, by one call at a time; a program that only reads it runs outside of the lock.
      var state: [Tensor] = []
      var outputs: [Tensor] = []
      var waiting: Execution?
      try lock.holding { () throws(OpError) in
        let found = try entry(inputs, structure, repeat each input)
        position = found
        let entry = entries[found]
        if entry.capture.writes {
          outputs = try entry.execution.commit(inputs)
        } else {
          state = entry.capture.state
          waiting = entry.execution
        }
      }
      if let waiting { outputs = try waiting.run(inputs, state: state) }
      return result.replacing(lock.holding { templates[position!] }, outputs)
    } catch {
      let failed = fail(error, inputs)[0]
      if let position { return result.mapping(lock.holding { templates[position] }) { _ in failed } }
      return result.mapping(withoutWrites { self.f(repeat (each input).mapTensors { _ in failed }) }) { _ in failed }
    }
  }

  /// The compiled function as a function, for callers that want one: `batches.map(step.function)`, `grad(loss.function)`.
  public var function: (repeat each Input) -> Output { { (input: repeat each Input) in self(repeat each input) } }
}

/// A captured function and how it runs; outside of `Compiled`, so that a call needs no metadata of its types.
private struct CompiledEntry {
  let capture: Capture
  let execution: Execution
}

/// What error texts call a compiled function: `compile at main.swift:3`.
final class ProgramTitle: Sendable {
  let name: String
  init(_ name: String) { self.name = name }

  /// That of the program that is running here.
  static var current: String? {
    Context.here.pointee.program.map { Unmanaged<ProgramTitle>.fromOpaque($0).takeUnretainedValue().name }
  }

  /// Runs a program, under its own title if it has one.
  static func during<R>(_ title: ProgramTitle?, _ body: () throws(OpError) -> R) throws(OpError) -> R {
    guard let title else { return try body() }
    let here = Context.here
    let outer = here.pointee.program
    here.pointee.program = Unmanaged.passUnretained(title).toOpaque()
    defer { here.pointee.program = outer }
    return try body()
  }
}

/// How the tensors in a compiled function's result are read and exchanged; a tuple of trees is no tree itself.
struct ResultTree<Output> {
  let tensors: (Output) -> [Tensor]
  let structure: (Output) -> [TreeStructure]
  let replacing: (Output, [Tensor]) -> Output

  func mapping(_ output: Output, _ change: (Tensor) -> Tensor) -> Output {
    replacing(output, tensors(output).map(change))
  }
}

/// The trace of tensors that stand for a result's structure.
package final class Placeholder: Trace, @unchecked Sendable {
  static let shared = Placeholder(level: 0)
  package override var isOver: Bool { true }
}

/// Captures `f` ahead of time: it runs once on symbolic tensors, and later calls run the captured program.
///
/// Parameters, moments and random generators that `f` reads and writes are part of the program, and so are `backward()` and
/// optimizer steps. `f` must not depend on the values of its tensors: `item()` inside is an error that says so.
///
/// All else from outside is a constant of the program, with the value that it had then: tensors, also those that require
/// gradients, and Swift's numbers and arrays. What is to change is a `Parameter`, a `Buffer` or an argument.
///
/// Each shape, dtype and mode has a program of its own; at most `limit`, beyond which a call is an error that names what
/// changed. `MARTLET_LOG=compile` prints a line with the reason for each. What runs is the program after some passes
/// (`MARTLET_PASSES=off` leaves them out), laid out over one arena of memory (`MARTLET_PLANS=off` runs it operation by
/// operation): values are the same but for rounding, where products are transposed, and where chains of 16-bit operations are
/// rounded once. `explain` shows it with the time of each operation, and `save(to:for:)` writes it into a file. Where the result
/// is recorded for gradients, the backward pass is a program too, and the call keeps what that reads: inference belongs into
/// `withoutGradient { … }`.
public func compile<each Input: TensorTree, Output: TensorTree>(
  _ f: @escaping (repeat each Input) -> Output, limit: Int = 64, file: String = #fileID, line: Int = #line
) -> Compiled<repeat each Input, Output> {
  let result = ResultTree<Output>(
    tensors: { $0.flattened }, structure: { [$0.structure] }, replacing: { $0.replacing($1) })
  return Compiled(f, result, limit: limit, name: "compile at \(file):\(line)")
}

/// Captures the forward pass of a model ahead of time, as `compile { model($0) }` does.
public func compile<Model: Module>(
  _ model: Model, limit: Int = 64, file: String = #fileID, line: Int = #line
) -> Compiled<Model.Input, Model.Output> where Model.Input: TensorTree, Model.Output: TensorTree {
  compile({ (input: Model.Input) in model(input) }, limit: limit, file: file, line: line)
}

/// Captures a function of two results ahead of time, as `valueAndGrad` yields.
public func compile<each Input: TensorTree, A: TensorTree, B: TensorTree>(
  _ f: @escaping (repeat each Input) -> (A, B), limit: Int = 64, file: String = #fileID, line: Int = #line
) -> Compiled<repeat each Input, (A, B)> {
  let result = ResultTree<(A, B)>(
    tensors: { $0.0.flattened + $0.1.flattened }, structure: { [$0.0.structure, $0.1.structure] }
  ) {
    var slice = $1[...]
    return ($0.0.rebuilt(from: &slice), $0.1.rebuilt(from: &slice))
  }
  return Compiled(f, result, limit: limit, name: "compile at \(file):\(line)")
}

/// Captures a function of three results ahead of time.
public func compile<each Input: TensorTree, A: TensorTree, B: TensorTree, C: TensorTree>(
  _ f: @escaping (repeat each Input) -> (A, B, C), limit: Int = 64, file: String = #fileID, line: Int = #line
) -> Compiled<repeat each Input, (A, B, C)> {
  let result = ResultTree<(A, B, C)>(
    tensors: { $0.0.flattened + $0.1.flattened + $0.2.flattened },
    structure: { [$0.0.structure, $0.1.structure, $0.2.structure] }
  ) {
    var slice = $1[...]
    return ($0.0.rebuilt(from: &slice), $0.1.rebuilt(from: &slice), $0.2.rebuilt(from: &slice))
  }
  return Compiled(f, result, limit: limit, name: "compile at \(file):\(line)")
}
