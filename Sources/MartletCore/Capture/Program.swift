internal import CKernels

/// A captured function: operations in an order in which they can run, each value assigned once.
public struct Program: Sendable {
  /// The number of a value.
  public typealias ValueID = Int

  /// One operation.
  public struct Instruction: Sendable {
    public var op: any Op
    public var inputs: [ValueID]
    public var outputs: [ValueID]

    package init(op: any Op, inputs: [ValueID], outputs: [ValueID]) {
      self.op = op
      self.inputs = inputs
      self.outputs = outputs
    }
  }

  /// The spec of each value.
  public var values: [TensorSpec] = []
  /// Values given by the caller.
  public var inputs: [ValueID] = []
  /// Values read from cells, with the cells' names.
  public var stateInputs: [(value: ValueID, name: String)] = []
  /// Tensors that the function used without making them.
  public var constants: [(value: ValueID, tensor: Tensor)] = []
  public var instructions: [Instruction] = []
  /// Values given back to the caller.
  public var outputs: [ValueID] = []
  /// Values written into cells.
  public var stateOutputs: [(value: ValueID, name: String)] = []

  public init() {}
}

extension Program: CustomStringConvertible {
  /// The program as text, one operation a line.
  public var description: String {
    var lines: [String] = ["program {"]
    for id in inputs { lines.append("  %\(id) = input \(values[id])") }
    for (id, name) in stateInputs { lines.append("  %\(id) = state \"\(name)\" \(values[id])") }
    for (id, tensor) in constants {
      let value = tensor.count == 1 ? " = \(tensor.shortValue)" : ""
      lines.append("  %\(id) = constant \(values[id])\(value)")
    }
    for instruction in instructions {
      let results = instruction.outputs.map { "%\($0)" }.joined(separator: ", ")
      let arguments = instruction.inputs.map { "%\($0)" }.joined(separator: ", ")
      let specs = instruction.outputs.map { "\(values[$0])" }.joined(separator: ", ")
      let attributes = instruction.op.attributes
      let name = type(of: instruction.op).name
      lines.append(
        "  \(results) = \(name)(\(arguments))\(attributes.isEmpty ? "" : " {\(attributes)}") -> \(specs)")
      for (name, body) in (instruction.op as? any ControlOp)?.subprograms ?? [] {
        let text = "\(body.program)".split(separator: "\n")
        lines.append("    \(name) = \(text[0])")
        lines += text.dropFirst().map { "    \($0)" }
      }
    }
    for (id, name) in stateOutputs { lines.append("  state \"\(name)\" = %\(id)") }
    lines.append("  return \(outputs.map { "%\($0)" }.joined(separator: ", "))")
    lines.append("}")
    return lines.joined(separator: "\n")
  }
}

extension Program {
  /// The program as a drawing in Graphviz's language: operations as boxes, what comes from outside and goes there as ellipses.
  public var graphviz: String {
    var lines = ["digraph {", "  node [shape=box]"]
    var source = [String?](repeating: nil, count: values.count)
    func node(_ name: String, _ label: [String], _ shape: String = "") {
      let text = label.filter { !$0.isEmpty }.map(RecordedGraph.escaped).joined(separator: "\\n")
      lines.append("  \(name) [label=\"\(text)\"\(shape.isEmpty ? "" : ", shape=\(shape)")]")
    }
    func outside(_ id: ValueID, _ label: String) {
      node("v\(id)", [label, "\(values[id])"], "ellipse")
      source[id] = "v\(id)"
    }
    for (number, id) in inputs.enumerated() { outside(id, "input \(number)") }
    for (id, name) in stateInputs { outside(id, name) }
    for (id, tensor) in constants { outside(id, tensor.count == 1 ? tensor.shortValue : "constant") }
    for (number, instruction) in instructions.enumerated() {
      let specs = instruction.outputs.map { "\(values[$0])" }.joined(separator: ", ")
      node("n\(number)", [type(of: instruction.op).name, instruction.op.attributes, specs])
      for id in instruction.inputs { lines.append("  \(source[id] ?? "v\(id)") -> n\(number)") }
      for id in instruction.outputs { source[id] = "n\(number)" }
    }
    for (number, id) in outputs.enumerated() {
      node("out\(number)", ["result \(number)"], "ellipse")
      lines.append("  \(source[id] ?? "v\(id)") -> out\(number)")
    }
    for (number, entry) in stateOutputs.enumerated() {
      node("state\(number)", ["new \(entry.name)"], "ellipse")
      lines.append("  \(source[entry.value] ?? "v\(entry.value)") -> state\(number)")
    }
    lines.append("}")
    return lines.joined(separator: "\n")
  }
}

extension Program {
  /// Whether captured programs are verified: `MARTLET_VERIFY=1`.
  package static let verifies = Environment.isOn("MARTLET_VERIFY")

  /// What is wrong with the program; empty when it is well-formed: values are assigned once and before their use, and
  /// have the specs that the rules give.
  public func verify() -> [String] {
    var faults: [String] = []
    var assigned = Set<ValueID>()
    func assign(_ id: ValueID, _ what: String) {
      if !values.indices.contains(id) { return faults.append("\(what): %\(id) does not exist") }
      if !assigned.insert(id).inserted { faults.append("\(what): %\(id) is assigned twice") }
    }
    for id in inputs { assign(id, "input") }
    for (id, name) in stateInputs { assign(id, "state \(name)") }
    for (id, tensor) in constants {
      assign(id, "constant")
      if values.indices.contains(id), tensor.spec != values[id] { faults.append("constant %\(id) has another spec") }
    }
    for (line, instruction) in instructions.enumerated() {
      let what = "instruction \(line) (\(type(of: instruction.op).name))"
      for id in instruction.inputs where !assigned.contains(id) {
        faults.append("\(what): %\(id) is used before it is assigned")
      }
      for id in instruction.outputs { assign(id, what) }
      for (name, body) in (instruction.op as? any ControlOp)?.subprograms ?? [] {
        faults += body.program.verify().map { "\(what), \(name): \($0)" }
      }
      guard (instruction.inputs + instruction.outputs).allSatisfy(values.indices.contains) else { continue }
      do throws(OpError) {
        let specs = try instruction.op.outputs(for: instruction.inputs.map { values[$0] })
        if specs != instruction.outputs.map({ values[$0] }) { faults.append("\(what): the rule gives other specs") }
      } catch { faults.append("\(what): the rule refuses: \(error)") }
    }
    for id in outputs where !assigned.contains(id) { faults.append("output %\(id) is not assigned") }
    for (id, name) in stateOutputs where !assigned.contains(id) {
      faults.append("state \(name) = %\(id) is not assigned")
    }
    if Set(stateOutputs.map { $0.name }).count != stateOutputs.count { faults.append("a cell is written twice") }
    return faults
  }
}

/// Sees an operation of a capture, with the program before it; what it throws gets the line that called the operation.
package typealias CaptureWatch = (Program, Program.Instruction) throws(OpError) -> Void

/// Makes a program from operations on symbolic tensors.
package final class ProgramBuilder {
  var program = Program()
  let level: Int32
  /// What captures, and where it was asked for: `compile at main.swift:3`.
  let name: String
  /// A graph, which is defined outside of any scope.
  let isGraph: Bool
  var isOver = false
  /// What `withoutGradient` mutes is to stay without a derivative when the program is differentiated later.
  var detachesMuted = false
  /// What `withoutGradient` muted, where it is not detached.
  private(set) var muted: Set<Program.ValueID> = []
  private var constants: [ObjectIdentifier: Program.ValueID] = [:]
  /// Sees each operation before it becomes part of the program, of a capture for a file.
  let watch: CaptureWatch?
  /// The names of a graph's placeholders.
  var names: [Program.ValueID: String] = [:]

  init(level: Int32, name: String, isGraph: Bool = false, watch: CaptureWatch? = nil) {
    self.level = level
    self.name = name
    self.isGraph = isGraph
    self.watch = watch
  }

  func value(_ spec: TensorSpec) -> Program.ValueID {
    program.values.append(spec)
    return program.values.count - 1
  }

  func symbolic(_ id: Program.ValueID) -> Tensor {
    Tensor(node: TensorNode(spec: program.values[id], trace: Symbolic(builder: self, id: id)))
  }

  /// The value of a tensor in this program; a tensor from elsewhere becomes a constant.
  func id(of tensor: Tensor) -> Program.ValueID {
    let tensor = tensor.resolved()
    if let symbolic = tensor.node.trace as? Symbolic, symbolic.builder === self { return symbolic.id }
    if let id = constants[ObjectIdentifier(tensor.node)] { return id }
    let id = value(tensor.spec)
    program.constants.append((id, tensor))  // keeps the node alive, so that its identity stays its own
    constants[ObjectIdentifier(tensor.node)] = id
    return id
  }

  /// The value of a tensor if it has one here; nil for a tensor from elsewhere that has not been used.
  func known(_ tensor: Tensor) -> Program.ValueID? {
    let tensor = tensor.resolved()
    if let symbolic = tensor.node.trace as? Symbolic, symbolic.builder === self { return symbolic.id }
    return constants[ObjectIdentifier(tensor.node)]
  }

  /// What texts call a value of a graph.
  func title(_ id: Program.ValueID) -> String {
    if let name = names[id] { return "\(name) (\(program.values[id]))" }
    if let entry = program.stateInputs.first(where: { $0.value == id }) { return "variable \(entry.name)" }
    if program.constants.contains(where: { $0.value == id }) { return "a constant (\(program.values[id]))" }
    let maker = program.instructions.first { $0.outputs.contains(id) }
    return "the result of \(maker.map { type(of: $0.op).name } ?? "an operation")"
  }

  /// An operation of the user's as what it is made of: only that has a form outside of this process.
  func inlined<O: Op>(_ op: O, _ inputs: [Tensor]) throws(OpError) -> [Tensor] {
    if let results = op.decomposed(inputs) { return results }
    throw OpError(
      .misuse(
        "the operation exists in this program alone", rule: "a saved program consists of Martlet's own operations",
        remedy: "state its meaning in them: func decomposed(_ inputs: [Tensor])"))
  }

  func append<O: Op>(_ op: O, _ inputs: [Tensor]) throws(OpError) -> [Tensor] {
    let specs = try op.outputs(for: inputs.map { $0.spec })
    let ids = inputs.map(id(of:))
    let outputs = specs.map(value)
    let instruction = Program.Instruction(op: op, inputs: ids, outputs: outputs)
    try watch?(program, instruction)
    program.instructions.append(instruction)
    return outputs.map(symbolic)
  }

  /// Appends an operation, or reports what is wrong with it.
  func apply<O: Op>(_ op: O, _ inputs: [Tensor]) -> [Tensor] {
    do throws(OpError) {
      for input in inputs where input.device != inputs[0].device { throw OpError(.devicesDiffer) }
      // In files a call is what it calls: there is nothing to compute again, nor to keep.
      if watch != nil, O.id == .custom || O.self == Call.self { return try inlined(op, inputs) }
      let results = try append(op, inputs)
      let here = ck_here()
      guard here.pointee.flags & UInt32(CK_NO_RECORD) != 0, level <= here.pointee.mute_level, O.self != Detach.self
      else { return results }
      if detachesMuted { return results.map { $0.dtype.isInexact ? MartletCore.apply(Detach(), $0) : $0 } }
      muted.formUnion(program.instructions[program.instructions.count - 1].outputs)
      return results
    } catch { return failed(op, error, inputs) }
  }
}

/// A value of a program that is being captured.
package final class Symbolic: Trace {
  let builder: ProgramBuilder
  let id: Program.ValueID

  init(builder: ProgramBuilder, id: Program.ValueID) {
    self.builder = builder
    self.id = id
    super.init(level: builder.level)
  }
  package override var isOver: Bool { builder.isOver }
  package override var escape: Fact { .escapedCapture(capture: builder.name) }
  var valueFact: Fact {
    if builder.isGraph { return .valueOfGraph(graph: builder.name) }
    return isOver ? .escapedCapture(capture: builder.name) : .valueOfSymbolic(capture: builder.name)
  }

  package override func apply<O: Op>(_ op: O, _ inputs: [Tensor]) -> [Tensor] { builder.apply(op, inputs) }
}
