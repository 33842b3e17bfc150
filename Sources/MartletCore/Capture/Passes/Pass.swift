internal import CKernels

/// One rewriting of programs. The result computes the same values from the same inputs and state.
package struct Pass: Sendable {
  /// The name by which `MARTLET_PASSES` leaves it out.
  package let name: String
  package let run: @Sendable (inout Program) -> Void
  /// Whether the derivatives of the program, in both directions and again, are those of the program before. It then also runs
  /// before a program is cut in two, forward and backward, so that what passes between the halves is arranged as a whole.
  package let arranges: Bool

  package init(_ name: String, arranges: Bool = false, _ run: @escaping @Sendable (inout Program) -> Void) {
    self.name = name
    self.arranges = arranges
    self.run = run
  }

  /// All passes in their order: those of this room that know no particular operation, with those of the operations between.
  package static let all: [Pass] =
    [.deadCode, .constantFolding] + TransformOps.current.passes + [.deadCode]

  /// What `MARTLET_PASSES` leaves: `off` runs none, `-fusion,-algebra` all but those two, `fusion` that one alone.
  package static let enabled: [Pass] = selected(Environment["MARTLET_PASSES"])

  /// The passes that a list of names chooses.
  package static func selected(_ text: String?) -> [Pass] {
    guard let text, !text.isEmpty else { return all }
    if text == "off" { return [] }
    let names = text.split(separator: ",").map { String($0) }
    for name in names where !all.contains(where: { "-\($0.name)" == name || $0.name == name }) {
      let known = Array(Set(all.map { $0.name })).sorted().joined(separator: ", ")
      fatalError(
        "Martlet: MARTLET_PASSES names no pass \"\(name)\"; there are \(known), each also as -name to leave it out, or off"
      )
    }
    let chosen = names.filter { !$0.hasPrefix("-") }
    return all.filter { pass in
      !names.contains("-\(pass.name)") && (chosen.isEmpty || chosen.contains(pass.name))
    }
  }
}

extension Program {
  /// The program after the passes, each of which is followed by a check of its form where programs are verified.
  package func optimized(_ passes: [Pass] = Pass.enabled) -> Program {
    // A program inside a transform holds constants that the transform follows: operations on them are not alike.
    guard constants.allSatisfy({ $0.tensor.isPlain }) else { return self }
    var program = self
    for pass in passes {
      Context.with({ $0.pointee.flags &= UInt32(CK_ARITHMETIC) }) { pass.run(&program) }
      guard Program.verifies else { continue }
      let faults = program.verify()
      if !faults.isEmpty {
        fatalError(
          "Martlet: the pass \(pass.name) left a malformed program:\n\(faults.joined(separator: "\n"))\n\(program)")
      }
    }
    return program
  }

  /// For each value the last instruction that reads it; -1 for none, `Int.max` for what the program gives back.
  package var lastUses: [Int] {
    var last = [Int](repeating: -1, count: values.count)
    for (line, instruction) in instructions.enumerated() {
      for id in instruction.inputs { last[id] = line }
    }
    for id in results { last[id] = .max }
    return last
  }

  /// The values that the program gives back or writes to cells.
  package var results: [ValueID] { outputs + stateOutputs.map { $0.value } }

  /// For each value the instruction that makes it; nil for inputs, state and constants.
  package var makers: [Int?] {
    var makers = [Int?](repeating: nil, count: values.count)
    for (line, instruction) in instructions.enumerated() {
      for id in instruction.outputs { makers[id] = line }
    }
    return makers
  }

  /// For each value the instructions that read it, once for each operand; `instructions.count` for the caller.
  package var readers: [[Int]] {
    var readers = [[Int]](repeating: [], count: values.count)
    for (line, instruction) in instructions.enumerated() {
      for id in instruction.inputs { readers[id].append(line) }
    }
    for id in results { readers[id].append(instructions.count) }
    return readers
  }

  /// The elements of a constant, by value.
  package var constantTensors: [ValueID: Tensor] {
    Dictionary(constants.map { ($0.value, $0.tensor) }) { first, _ in first }
  }

  /// Reads other values in place of those that `other` names. What is read instead is not renamed again.
  package mutating func rename(_ other: [ValueID: ValueID]) {
    guard !other.isEmpty else { return }
    for line in instructions.indices {
      for position in instructions[line].inputs.indices {
        if let new = other[instructions[line].inputs[position]] { instructions[line].inputs[position] = new }
      }
    }
    for position in outputs.indices {
      if let new = other[outputs[position]] { outputs[position] = new }
    }
    for position in stateOutputs.indices {
      if let new = other[stateOutputs[position].value] { stateOutputs[position].value = new }
    }
  }

  /// A new value.
  package mutating func value(_ spec: TensorSpec) -> ValueID {
    values.append(spec)
    return values.count - 1
  }
}
