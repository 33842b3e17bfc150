/// A function that was captured ahead of time: called with other values it runs the captured program.
///
/// A new program is captured when specs of the arguments, the mode of a layer, or the structure of the state change.
/// Calls from several tasks take turns when the function writes cells, else run at once.
public final class Compiled<each Input: TensorTree, Output: TensorTree>: @unchecked Sendable {
  // Sendable: `captures` is guarded by its lock, which is also held while `f` runs.
  private let f: (repeat each Input) -> Output
  private let line: String
  private struct Entry {
    let capture: Capture
    let interpreter: Interpreter
    let template: Output
  }
  private let lock = Lock()
  private var entries: [Entry] = []

  init(_ f: @escaping (repeat each Input) -> Output, line: String) {
    self.f = f
    self.line = line
  }

  /// The programs captured so far.
  public var programs: [Program] { lock.holding { entries.map { $0.capture.program } } }

  /// The program for these arguments, captured now if it has not been.
  public func program(for input: repeat each Input) throws -> Program {
    let (inputs, structure) = flatten(repeat each input)
    return try lock.holding { () throws(OpError) -> Program in
      try entry(inputs, structure, repeat each input).capture.program
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

  /// The program for these arguments. Called while the lock is held.
  private func entry(_ inputs: [Tensor], _ structure: [TreeStructure], _ input: repeat each Input) throws(OpError)
    -> Entry
  {
    if let known = entries.first(where: { $0.capture.fits(inputs, structure: structure, inMaps: false) }) {
      return known
    }
    var template: Output?
    let capture = try Capture(inputs, structure: structure, inMaps: false, line: line) { symbolic in
      var slice = symbolic[...]
      func rebuilt<A: TensorTree>(_ argument: A) -> A { argument.rebuilt(from: &slice) }
      let output = self.f(repeat rebuilt(each input))
      template = output
      return output.flattened
    }
    let empty = template!.mapTensors { Tensor(node: TensorNode(spec: $0.spec, trace: Placeholder.shared)) }
    let entry = Entry(capture: capture, interpreter: Interpreter(capture.program), template: empty)
    entries.append(entry)
    return entry
  }

  /// Runs the captured program on these arguments.
  ///
  /// Traps, or yields error tensors inside `withErrors`, where the function itself would. State is written only when the
  /// whole program has succeeded.
  public func callAsFunction(_ input: repeat each Input) -> Output {
    let (inputs, structure) = flatten(repeat each input)
    var template: Output?
    do throws(OpError) {
      // State is read, and written, by one call at a time; a program that only reads it runs outside of the lock.
      var state: [Tensor] = []
      var outputs: [Tensor]?
      let entry = try lock.holding { () throws(OpError) -> Entry in
        let entry = try self.entry(inputs, structure, repeat each input)
        template = entry.template
        if entry.capture.stateOutputs.isEmpty, entry.capture.cleared.isEmpty {
          state = entry.capture.state
        } else {
          outputs = try commit(entry, inputs)
        }
        return entry
      }
      if let outputs { return entry.template.replacing(outputs) }
      return entry.template.replacing(try entry.interpreter.run(inputs, state: state).outputs)
    } catch {
      let failed = fail(error, inputs)[0]
      let result = template ?? withoutWrites { self.f(repeat (each input).mapTensors { _ in failed }) }
      return result.mapTensors { _ in failed }
    }
  }

  private func commit(_ entry: Entry, _ inputs: [Tensor]) throws(OpError) -> [Tensor] {
    let capture = entry.capture
    let (outputs, state) = try entry.interpreter.run(
      inputs, state: capture.state,
      releaseState: { for cell in capture.stateOutputs { _ = cell.take() } })
    for (cell, value) in zip(capture.stateOutputs, state) { cell.write(value) }
    for cell in capture.cleared { cell.write(nil) }
    return outputs
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
public func compile<each Input: TensorTree, Output: TensorTree>(
  _ f: @escaping (repeat each Input) -> Output, file: String = #fileID, line: Int = #line
) -> Compiled<repeat each Input, Output> {
  Compiled(f, line: "\(file):\(line)")
}
