package import MartletCore

extension Pass {
  /// Joins elementwise operations over one shape into chains that read and write memory once.
  ///
  /// An operation joins the chain of an operand unless what else it reads depends on that chain by a way around it.
  package static let fusion = Pass("fusion") { program in
    var fusion = Fusion(program)
    fusion.group()
    fusion.duplicateCheapSteps()
    program = fusion.rewritten()
  }
}

private struct Fusion {
  /// What one chain may hold: the limits of the kernel's tables.
  static let mostSteps = 40
  static let mostInputs = 12
  static let mostResults = 4

  private let program: Program
  private let makers: [Int?]
  /// For an instruction with an effect, the one with an effect before it.
  private var effectBefore: [Int: Int] = [:]
  private var readers: [[Int]]
  /// The chain of an instruction.
  private var chain: [Int?]
  private var members: [[Int]] = []
  /// For each chain those upon which it depends as a whole, itself among them.
  private var reached: [[UInt64]] = []
  /// For each chain instructions of others that it duplicates in place of reading their results.
  private var copies: [Set<Int>] = []
  /// For each instruction the chains upon which it depends, by bits.
  private var upstream: [[UInt64]] = []

  init(_ program: Program) {
    self.program = program
    makers = program.makers
    chain = [Int?](repeating: nil, count: program.instructions.count)
    readers = program.readers
    let effects = program.instructions.indices.filter { program.instructions[$0].op.effect == .ordered }
    for (earlier, later) in zip(effects, effects.dropFirst()) { effectBefore[later] = earlier }
  }

  private func isElementwise(_ line: Int) -> Bool {
    let instruction = program.instructions[line]
    return instruction.op is any Elementwise
      && (instruction.inputs + instruction.outputs).allSatisfy {
        !program.values[$0].dtype.isComplex && program.values[$0].device == .cpu
      }
  }

  private func shape(_ line: Int) -> Shape { program.values[program.instructions[line].outputs[0]].shape }

  private func contains(_ set: [UInt64], _ bit: Int) -> Bool {
    bit >> 6 < set.count && set[bit >> 6] & (1 << UInt64(bit & 63)) != 0
  }
  private func merge(_ set: inout [UInt64], _ other: [UInt64]) {
    while set.count < other.count { set.append(0) }
    for word in other.indices { set[word] |= other[word] }
  }
  private func insert(_ set: inout [UInt64], _ bit: Int) {
    while set.count <= bit >> 6 { set.append(0) }
    set[bit >> 6] |= 1 << UInt64(bit & 63)
  }

  /// Chains upon which the values depend that instructions read from outside of `inside`; effects depend on earlier ones.
  private func dependencies(_ lines: [Int], outside inside: Set<Int>) -> [UInt64] {
    var set: [UInt64] = []
    for line in lines {
      if let earlier = effectBefore[line] { merge(&set, reach(earlier)) }
      for id in program.instructions[line].inputs {
        guard let maker = makers[id] else { continue }
        if let its = chain[maker], inside.contains(its) { continue }
        merge(&set, reach(maker))
      }
    }
    return set
  }

  /// The chains upon which an instruction's results depend, its own among them: a chain runs as a whole.
  private func reach(_ line: Int) -> [UInt64] { chain[line].map { reached[$0] } ?? upstream[line] }

  mutating func group() {
    for (line, instruction) in program.instructions.enumerated() {
      upstream.append(dependencies([line], outside: []))
      guard isElementwise(line) else { continue }
      var own = members.count
      members.append([line])
      copies.append([])
      reached.append(upstream[line])
      insert(&reached[own], own)
      chain[line] = own
      let candidates = Set(
        instruction.inputs.compactMap { makers[$0] }.filter { shape($0) == shape(line) }.compactMap { chain[$0] })
      for other in candidates.sorted() where fits(own, other) {
        for member in members[own] { chain[member] = other }
        members[other] = (members[other] + members[own]).sorted()
        members[own] = []
        merge(&reached[other], reached[own])
        // What depended on the one depends on all of both.
        for earlier in upstream.indices where chain[earlier] != other && contains(upstream[earlier], own) {
          insert(&upstream[earlier], other)
        }
        for third in reached.indices where third != other && contains(reached[third], own) {
          insert(&reached[third], other)
        }
        own = other
      }
      spread(own)
    }
  }

  /// What depends on a chain depends on all upon which its members depend.
  private mutating func spread(_ own: Int) {
    guard members[own].count > 1 else { return }
    let whole = reached[own]
    for line in members[own][0]..<upstream.count where chain[line] != own && contains(upstream[line], own) {
      merge(&upstream[line], whole)
    }
    for other in reached.indices where other != own && contains(reached[other], own) { merge(&reached[other], whole) }
  }

  /// Whether two chains can be one: neither depends on the other by a way around, and the kernel's tables hold both.
  private func fits(_ a: Int, _ b: Int) -> Bool {
    let both = members[a] + members[b]
    guard both.count <= Fusion.mostSteps else { return false }
    let set = dependencies(both, outside: [a, b])
    guard !contains(set, a), !contains(set, b) else { return false }
    let inside = Set(both)
    // Some of the results may be duplicated by their readers; what is left is counted again at the end.
    let results = both.filter { isRead($0, outside: inside) }.count
    return inputs(both).count <= Fusion.mostInputs && results <= 2 * Fusion.mostResults
  }

  /// Whether a result is read by the caller, or by an instruction that is not among `lines` and does not duplicate it.
  private func isRead(_ line: Int, outside lines: Set<Int>) -> Bool {
    readers[program.instructions[line].outputs[0]].contains { reader in
      guard reader < chain.count else { return true }
      if lines.contains(reader) { return false }
      return chain[reader].map { !copies[$0].contains(line) } ?? true
    }
  }

  /// Lets chains duplicate cheap steps of an earlier one, which would have to keep their results: the forward pass then
  /// leaves one operand for the backward pass in place of several intermediate results.
  mutating func duplicateCheapSteps() {
    for a in members.indices where members[a].count > 1 {
      // The results that only one other chain reads.
      var wanted: [Int: [Int]] = [:]
      for line in members[a] {
        let others = Set(readers[program.instructions[line].outputs[0]].map { $0 < chain.count ? chain[$0] : nil })
        guard others.count <= 2, let b = others.subtracting([a]).first ?? nil, others.isSubset(of: [a, b]) else {
          continue
        }
        wanted[b, default: []].append(line)
      }
      for (b, lines) in wanted.sorted(by: { $0.key < $1.key }) where members[b].count > 1 {
        duplicate(lines, of: a, in: b)
      }
    }
  }

  private mutating func duplicate(_ lines: [Int], of a: Int, in b: Int) {
    var slice = Set(lines)
    var open = lines
    var inputs = Set<Program.ValueID>()
    while let line = open.popLast() {
      guard Fusion.isCheap(program.instructions[line].op) else { return }
      for id in program.instructions[line].inputs {
        guard let maker = makers[id], chain[maker] == a else {
          // What the chain duplicates itself is nowhere in memory.
          if let maker = makers[id], copies[a].contains(maker) { return }
          inputs.insert(id)
          continue
        }
        if slice.insert(maker).inserted { open.append(maker) }
      }
    }
    let saved = Set(lines.map { program.instructions[$0].outputs[0] })
    let read = self.inputs(members[b] + copies[b])
    let count = program.values[program.instructions[lines[0]].outputs[0]].count
    let added = inputs.subtracting(read).filter { program.values[$0].count == count }
    guard added.count < saved.count, members[b].count + copies[b].union(slice).count <= Fusion.mostSteps,
      read.subtracting(saved).union(inputs).count <= Fusion.mostInputs
    else { return }
    copies[b].formUnion(slice)
    for id in inputs { readers[id].append(members[b][0]) }
  }

  /// Operations that cost less than reading their result from memory.
  private static func isCheap(_ op: any Op) -> Bool {
    switch op {
    case is Add, is Subtract, is Multiply, is Negate, is Abs, is Sign, is Relu, is Clamp, is ClampGradient, is Compare,
      is Logic, is LogicalNot, is Select, is Cast, is Maximum, is Minimum:
      true
    default: false
    }
  }

  /// What instructions read that others make.
  private func inputs(_ lines: [Int]) -> Set<Program.ValueID> {
    let inside = Set(lines)
    var inputs = Set<Program.ValueID>()
    for line in lines {
      for id in program.instructions[line].inputs where makers[id].map({ inside.contains($0) }) != true {
        inputs.insert(id)
      }
    }
    return inputs
  }

  /// The program with a chain in place of its members, in an order in which it can run.
  mutating func rewritten() -> Program {
    let whole = instructions()
    // Chains of which every result is duplicated where it is read.
    let unread = Set(
      members.indices.filter { own in
        let inside = Set(members[own])
        return !members[own].contains { isRead($0, outside: inside) }
      })
    let single = chain.map { $0.flatMap { whole[$0] != nil || unread.contains($0) ? $0 : nil } }
    // A chain stands where its last member stood; what lies between and needs it moves behind it.
    var result = program
    result.instructions = []
    var isDone = [Bool](repeating: false, count: program.instructions.count)
    // Depth first, without recursion: an instruction is put down when all its operands have been.
    func needed(_ line: Int) -> [Int] {
      let operands = single[line].flatMap { whole[$0]?.inputs } ?? program.instructions[line].inputs
      return operands.compactMap { makers[$0] } + [effectBefore[line]].compactMap { $0 }
    }
    func lead(_ line: Int) -> Int { single[line].map { members[$0].last! } ?? line }
    let limit = program.instructions.indices.reduce(1) { $0 + needed($1).count + 1 }
    for start in program.instructions.indices
    where lead(start) == start && single[start].map({ unread.contains($0) }) != true {
      var stack = [start]
      while let line = stack.last {
        if isDone[line] {
          stack.removeLast()
          continue
        }
        let open = needed(line).map(lead).filter { !isDone[$0] }
        if open.isEmpty {
          isDone[line] = true
          result.instructions.append(single[line].map { whole[$0]! } ?? program.instructions[line])
          stack.removeLast()
        } else {
          stack += open
        }
        if stack.count > limit { fatalError("Martlet: fusion made a circle") }
      }
    }
    return result
  }

  /// The chains as operations. One that the kernel does not take falls apart; then those before it must keep for its members
  /// what it would have duplicated.
  private mutating func instructions() -> [Int: Program.Instruction] {
    while true {
      var whole: [Int: Program.Instruction] = [:]
      var isWhole = true
      for (own, lines) in members.enumerated() where lines.count > 1 {
        let inside = Set(lines)
        guard lines.contains(where: { isRead($0, outside: inside) }) else { continue }
        if let fused = instruction(own) {
          whole[own] = fused
        } else {
          for line in lines { chain[line] = nil }
          members[own] = []
          isWhole = copies[own].isEmpty && isWhole
          copies[own] = []
        }
      }
      if isWhole { return whole }
    }
  }

  private func instruction(_ own: Int) -> Program.Instruction? {
    let lines = (members[own] + copies[own]).sorted()
    var inputs: [Program.ValueID] = []
    let outside = self.inputs(lines)
    for line in lines {
      for id in program.instructions[line].inputs where outside.contains(id) && !inputs.contains(id) {
        inputs.append(id)
      }
    }
    var operand: [Program.ValueID: Int] = [:]
    for (position, id) in inputs.enumerated() { operand[id] = position }
    var steps: [Fused.Step] = []
    var results: [Fused.Result] = []
    var outputs: [Program.ValueID] = []
    let inside = Set(members[own])
    for (position, line) in lines.enumerated() {
      let instruction = program.instructions[line]
      steps.append(Fused.Step(op: instruction.op, operands: instruction.inputs.map { operand[$0]! }))
      let id = instruction.outputs[0]
      operand[id] = inputs.count + position
      if inside.contains(line), isRead(line, outside: inside) {
        results.append(Fused.Result(step: position))
        outputs.append(id)
      }
    }
    let fused = Fused(
      inputs: inputs.map { program.values[$0] }, steps: steps,
      specs: lines.map { program.values[program.instructions[$0].outputs[0]] }, results: results)
    return fused.map { Program.Instruction(op: $0, inputs: inputs, outputs: outputs) }
  }
}
