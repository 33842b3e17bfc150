/// Where the values of a program lie: the part of a plan that all its runs share.
///
/// Values that are views share a buffer with what they view, and results take over the buffer of an operand that ends there.
/// Buffers that live within a run lie in one arena; what outlives it has memory of its own.
package struct Blueprint {
  /// A stretch of memory.
  struct Buffer {
    enum Kind: Equatable {
      /// Lies in the arena.
      case temporary
      /// Given back to the caller, or to a cell: fresh at each run.
      case escaping
      case input(Int)
      case state(Int)
      /// The memory of a state input, written over when nobody else holds it, else fresh.
      case stateResult(Int)
      case constant(Int)
    }
    var kind: Kind
    var bytes: Int
    /// The instructions between which it is in use.
    var first: Int
    var last: Int
    /// Its place in the arena.
    var offset = 0
  }
  /// Where a value lies in its buffer; strides and offset in elements.
  struct Place {
    var buffer: Int
    var strides: Shape?
    var offset: Int
  }

  let program: Program
  var buffers: [Buffer] = []
  var places: [Place?]
  /// Instructions that only name memory anew.
  private(set) var isView: [Bool]
  /// The size of the arena.
  private(set) var arenaBytes = 0
  /// The sum of the buffers that lie in it, as if none were reused.
  var temporaryBytes: Int { buffers.reduce(0) { $0 + ($1.kind == .temporary ? $1.bytes : 0) } }

  /// What plans do not run: operations without a kernel on the CPU, and those of the user.
  static func covers(_ program: Program) -> Bool {
    guard program.values.allSatisfy({ $0.device == .cpu && $0.checkedByteCount != nil }) else { return false }
    return program.constants.allSatisfy { $0.tensor.isPlain } && uncovered(program) == nil
  }

  /// The name of the first operation without a kernel on the CPU, or of the user.
  static func uncovered(_ program: Program) -> String? {
    func hasKernel<O: Op>(_ op: O) -> Bool { O.id != .custom && Kernels.hasKernel(O.self, .cpu) }
    Rooms.require(.cpu)
    return program.instructions.first { !($0.op is any ViewOp) && !hasKernel($0.op) }.map { type(of: $0.op).name }
  }

  /// Lays out a program that `covers` takes.
  ///
  /// - Parameters:
  ///   - inputs: The strides of the inputs, then of the state.
  ///   - overwritten: For each state input whether its cell is written by the program.
  ///   - firstSafe: The first instruction from which on no fault can be reported, so that state may be overwritten.
  init(_ program: Program, strides inputs: [Shape?], overwritten: [Bool], firstSafe: Int) {
    self.program = program
    places = [Place?](repeating: nil, count: program.values.count)
    isView = [Bool](repeating: false, count: program.instructions.count)
    var orders = Orders(of: program, inputs: inputs)
    func given(_ id: Program.ValueID, _ kind: Buffer.Kind) {
      buffers.append(Buffer(kind: kind, bytes: program.values[id].byteCount, first: -1, last: .max))
      places[id] = Place(buffer: buffers.count - 1, strides: orders[id], offset: orders.offset(id))
    }
    for (index, id) in program.inputs.enumerated() { given(id, .input(index)) }
    for (index, entry) in program.stateInputs.enumerated() { given(entry.value, .state(index)) }
    for (index, constant) in program.constants.enumerated() { given(constant.value, .constant(index)) }
    let last = program.lastUses
    // The last use of each buffer, by any value that lies in it.
    var end = buffers.map { _ in -1 }
    for (id, place) in places.enumerated() { if let place { end[place.buffer] = max(end[place.buffer], last[id]) } }
    for (line, instruction) in program.instructions.enumerated() {
      isView[line] = orders.follow(instruction, program.values)
      if isView[line] {
        let (buffer, id) = (places[instruction.inputs[0]]!.buffer, instruction.outputs[0])
        places[id] = Place(buffer: buffer, strides: orders[id], offset: orders.offset(id))
        end[buffer] = max(end[buffer], last[id])
        continue
      }
      var taken = Set<Int>()
      for (output, id) in instruction.outputs.enumerated() {
        let strides = orders[id]
        let source = takeover(instruction, output, strides, line: line, end: end, taken: taken)
        if let source { taken.insert(source) }
        switch source.map({ buffers[$0].kind }) {
        case .temporary?, .stateResult?:
          places[id] = Place(buffer: source!, strides: strides, offset: 0)
          end[source!] = max(last[id], line)
        case .state(let index)? where overwritten[index] && line >= firstSafe:
          add(id, .stateResult(index), strides, line, last[id], &end)
        default:
          add(id, .temporary, strides, line, last[id], &end)
        }
      }
    }
    for id in program.results {
      let buffer = places[id]!.buffer
      if buffers[buffer].kind == .temporary { buffers[buffer].kind = .escaping }
    }
    for buffer in buffers.indices { buffers[buffer].last = end[buffer] }
    layOut()
  }

  private mutating func add(
    _ id: Program.ValueID, _ kind: Buffer.Kind, _ strides: Shape?, _ line: Int, _ last: Int, _ end: inout [Int]
  ) {
    buffers.append(Buffer(kind: kind, bytes: program.values[id].byteCount, first: line, last: last))
    end.append(max(line, last))
    places[id] = Place(buffer: buffers.count - 1, strides: strides, offset: 0)
  }

  /// The buffer of the operand that a result may be written over: no value in it is read later or given back, it lies as the
  /// result will, and no other operand lies in it.
  private func takeover(
    _ instruction: Program.Instruction, _ output: Int, _ strides: Shape?, line: Int, end: [Int], taken: Set<Int>
  ) -> Int? {
    guard let position = instruction.op.takeover(output: output), position < instruction.inputs.count else {
      return nil
    }
    let id = instruction.inputs[position]
    let place = places[id]!
    guard end[place.buffer] <= line, !taken.contains(place.buffer), place.offset == 0, place.strides == strides,
      program.values[id] == program.values[instruction.outputs[output]],
      buffers[place.buffer].bytes == program.values[id].byteCount
    else { return nil }
    let others = instruction.inputs.indices.filter { $0 != position }
    return others.contains { places[instruction.inputs[$0]]!.buffer == place.buffer } ? nil : place.buffer
  }

  /// Gives each temporary buffer a place in the arena, the largest first, at the lowest one that no buffer in use at the
  /// same time has.
  private mutating func layOut() {
    let order = buffers.indices.filter { buffers[$0].kind == .temporary }
      .sorted { (buffers[$0].bytes, $1) > (buffers[$1].bytes, $0) }
    var placed: [Int] = []  // by offset
    for buffer in order {
      let size = Blueprint.rounded(buffers[buffer].bytes)
      var offset = 0
      for other in placed {
        let there = buffers[other]
        guard there.first <= buffers[buffer].last, buffers[buffer].first <= there.last else { continue }
        if offset + size <= there.offset { break }
        offset = max(offset, there.offset + Blueprint.rounded(there.bytes))
      }
      buffers[buffer].offset = offset
      arenaBytes = max(arenaBytes, offset + size)
      let at = placed.firstIndex { buffers[$0].offset > offset } ?? placed.count
      placed.insert(buffer, at: at)
    }
  }

  /// Whole cache lines, so that two threads never write to one.
  private static func rounded(_ bytes: Int) -> Int { max(64, (bytes + 63) & ~63) }
}
