/// A function captured for a file: a program that only reads state, with what it reads.
package struct PortableCapture {
  package let program: Program
  /// The cells that the program reads, in the order of its `stateInputs`.
  package let cells: [Cell]
  /// The tensors in them.
  package let state: [Tensor]
  /// Where the function was compiled: `compile at main.swift:3`.
  package let name: String
  package let inputNames: [String]
  package let outputNames: [String]

  /// Throws when the program writes state.
  init(_ capture: Capture, name: String, inputNames: [String], outputNames: [String]) throws(OpError) {
    let written = (capture.stateOutputs + capture.cleared).map { $0.isGenerator ? "a random generator" : $0.name }
    guard written.isEmpty else {
      var shown = written.prefix(4).joined(separator: ", ")
      if written.count > 4 { shown += " and \(written.count - 4) others" }
      throw OpError(
        .misuse(
          "the program writes \(shown)", rule: "a saved program computes from its inputs alone, and changes nothing",
          remedy: "model.eval() before it is captured: no dropout, no running statistics; no training step"), op: "save"
      )
    }
    program = capture.program
    cells = capture.stateInputs
    state = cells.map { $0.read()! }
    self.name = name
    self.inputNames = inputNames
    self.outputNames = outputNames
    for (cell, tensor) in zip(cells, state) where !tensor.isPlain { throw PortableCapture.traced(cell.name) }
    for constant in program.constants where !constant.tensor.isPlain { throw PortableCapture.traced("a constant") }
  }

  private static func traced(_ what: String) -> OpError {
    OpError(
      .misuse(
        "\(what) belongs to a transform", rule: "what a saved program holds has values",
        remedy: "save outside of grad, jvp, vmap and lazy"), op: "save")
  }
}

extension TreeStructure {
  /// Names for the tensors of some values: `input` of one tensor, `input0`, `input1` of two, the names of its parts for one
  /// value of named parts.
  static func names(_ values: [TreeStructure], _ base: String) -> [String] {
    if values.count == 1, case .named = values[0] { return values[0].names("") }
    return values.enumerated().flatMap { $1.names(values.count == 1 ? base : "\(base)\($0)") }
  }

  private func names(_ base: String) -> [String] {
    switch self {
    case .tensor: [base]
    case .none: []
    case .list(let parts): parts.enumerated().flatMap { $1.names("\(base).\($0)") }
    case .named(let keys, let parts):
      zip(keys, parts).flatMap { $1.names(base.isEmpty ? $0 : "\(base).\($0)") }
    }
  }
}
