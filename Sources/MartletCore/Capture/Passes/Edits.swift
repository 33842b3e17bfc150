/// What a pass changes in a program, all at once in the end: until then lines keep the numbers by which makers and readers
/// are known.
package struct Edits {
  private var before: [Int: [Program.Instruction]] = [:]
  private var gone = Set<Int>()
  private var other: [Program.ValueID: Program.ValueID] = [:]

  package init() {}

  /// Leaves an instruction out.
  package mutating func remove(_ line: Int) { gone.insert(line) }

  package func isGone(_ line: Int) -> Bool { gone.contains(line) }

  /// Puts one instruction in the place of several, where the last of them stands: all that they read is made there. Nothing
  /// before the last may read what they made.
  package mutating func replace(_ lines: [Int], by instruction: Program.Instruction) {
    gone.formUnion(lines)
    insert(instruction, before: lines.max()!)
  }

  /// Puts an instruction before a line, behind what was put there earlier; also where that line is left out.
  package mutating func insert(_ instruction: Program.Instruction, before line: Int) {
    before[line, default: []].append(instruction)
  }

  /// Puts an operation before a line, and adds its results to the program.
  package mutating func insert(
    _ op: any Op, _ inputs: [Program.ValueID], before line: Int, of program: inout Program
  ) throws(OpError) -> [Program.ValueID] {
    let specs = try op.outputs(for: inputs.map { program.values[$0] })
    let outputs = specs.map { program.value($0) }
    insert(Program.Instruction(op: op, inputs: inputs, outputs: outputs), before: line)
    return outputs
  }

  /// Lets all who read a value read another one, which may be replaced too.
  package mutating func redirect(_ id: Program.ValueID, to new: Program.ValueID) { other[id] = new }

  /// What is read in place of a value; the value itself where that is nothing else.
  package func current(_ id: Program.ValueID) -> Program.ValueID {
    var id = id
    while let next = other[id] { id = next }
    return id
  }

  /// The program after the changes.
  package func applied(to program: Program) -> Program {
    var result = program
    if !before.isEmpty || !gone.isEmpty {
      result.instructions = program.instructions.enumerated().flatMap { line, instruction in
        (before[line] ?? []) + (gone.contains(line) ? [] : [instruction])
      }
    }
    result.rename(other.mapValues { current($0) })
    return result
  }
}
