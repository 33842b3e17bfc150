import Martlet
import MartletCore
import MartletFormats
import MartletOps
import Testing

/// Every operation can be written into a file and read again, and nothing that a file says of it ends the process.
@Suite struct LawsSaved {
  /// A program of one operation on inputs like those of a case.
  private static func program(_ c: OpCase, _ device: Device) throws -> Program {
    let specs = c.inputs.map { TensorSpec($0.shape, $0.dtype, device: device) }
    let results = try c.op.outputs(for: specs)
    var program = Program()
    program.values = specs + results
    program.inputs = Array(specs.indices)
    program.outputs = Array(specs.count..<program.values.count)
    program.instructions = [Program.Instruction(op: c.op, inputs: program.inputs, outputs: program.outputs)]
    return program
  }

  private static func parsed(_ text: String) throws -> HeaderJSON {
    try Array(text.utf8).withBytes { try HeaderJSON(parsing: $0) }
  }

  @Test(arguments: Row.all) func operationsComeBack(_ row: Row) throws {
    for c in row.cases("saved", share: 1) {
      expect("saved", c, .current) {
        guard !row.table.isMadeByPasses else {
          let error = #expect(throws: ProgramFault.self) { try HeaderJSON(encoding: c.op) }
          return error?.reason == "\(row.table) is made by a pass, and is not saved"
            ? nil : "\(String(describing: error))"
        }
        let program = try Self.program(c, .current)
        let text = try HeaderJSON(encoding: program).text
        let read: Program = try Self.parsed(text).decoded(userInfo: [Program.device: Device.current])
        let op = read.instructions[0].op
        func isSame<O: Op>(_ a: O, _ b: any Op) -> Bool { a == b as? O }
        // Subprograms are the same only as objects; that they are written alike, the reader has checked.
        if !(c.op is any ControlOp), !isSame(c.op, op) { return "came back as \(op)" }
        if read.values != program.values || read.outputs != program.outputs { return "came back with other values" }
        return nil
      }
    }
  }

  /// What a file says is read without trust: programs whose text was changed at random are refused, or run.
  ///
  /// `MARTLET_FUZZ` changes so many times as many; `MARTLET_FUZZ_ROW` takes one operation, `MARTLET_FUZZ_LOG` names a file that
  /// holds the last program before it is read.
  @Test(arguments: Row.all) func changedProgramsDoNotEndTheProcess(_ row: Row) throws {
    // The reference is too slow for what changes may ask of it.
    guard Device.current != .reference, !row.table.isMadeByPasses,
      Environment["MARTLET_FUZZ_ROW"] ?? "\(row.table)" == "\(row.table)"
    else { return }
    let rounds = (Environment["MARTLET_FUZZ"].flatMap { Int($0) } ?? 1) * 40
    var random = Numbers("\(Laws.seed) fuzz \(row.table)")
    let texts = try row.cases("fuzz", share: 0.2).shuffledPrefix(12, &random).map { c in
      try HeaderJSON(encoding: Self.program(c, .current)).text
    }
    guard !texts.isEmpty else { return }
    for _ in 0..<rounds {
      var tree = try Self.parsed(texts[Int(random.word() % UInt64(texts.count))])
      for _ in 0...(random.word() % 3) { tree = Mutation.changed(tree, &random) }
      try Self.tried(tree, &random)
      Laws.count("saved, changed")
    }
  }

  /// Whether an operation may take more than some steps: what a loop that does not end does, is its program's affair.
  private static func isLong(_ op: any Op) -> Bool {
    switch op {
    case let op as Loop where op.maximum.map { $0 > 1000 } ?? true: return true
    case let op as LoopGradient: return isLong(op.loop)
    case let op as Scan where op.length > 1000: return true
    default: break
    }
    let subprograms = (op as? any ControlOp)?.subprograms ?? []
    return subprograms.contains { $0.body.program.instructions.contains { isLong($0.op) } }
  }

  /// Reads a program, and runs it if it can be read and is small.
  private static func tried(_ tree: HeaderJSON, _ random: inout Numbers) throws {
    if let log = Environment["MARTLET_FUZZ_LOG"] { try Mutation.write(tree.text, to: log) }
    let program: Program
    do { program = try tree.decoded(userInfo: [Program.device: Device.current]) } catch { return }
    guard program.values.allSatisfy({ $0.byteCount <= 1 << 16 && $0.device == .current }) else { return }
    guard !program.instructions.contains(where: { $0.op is CopyTo || Self.isLong($0.op) }) else { return }
    Laws.count("saved, changed and run")
    let seed = "\(random.word())"
    let inputs = program.inputs.enumerated().map { position, id in
      let spec = program.values[id]
      let values: Values = spec.dtype.isInexact ? .between(-2, 2) : .below(random.word() & 1 == 0 ? 2 : 5)
      return Input(spec.shape, spec.dtype, values).tensor("\(seed) \(position)", on: spec.device)
    }
    let run = {
      _ = try? withErrors { try Execution(program, name: "changed").results(inputs) }
      _ = try? withErrors {
        let leaves = inputs.map { $0.dtype.isFloating ? $0.requiringGradient() : $0 }
        let results = try Execution(program, name: "changed").results(leaves).filter { $0.dtype.isFloating }
        for result in results { result.sum().backward(retainGraph: true) }
      }
    }
    if Device.current == .delayed { Laws.delayed.holding(run) } else { run() }
  }
}

extension [OpCase] {
  /// Some of the cases.
  func shuffledPrefix(_ count: Int, _ random: inout Numbers) -> [OpCase] {
    guard self.count > count else { return self }
    var rest = self
    return (0..<count).map { _ in rest.remove(at: Int(random.word() % UInt64(rest.count))) }
  }
}

/// Random changes of a tree.
enum Mutation {
  private static let numbers = [
    -1, 0, 1, 2, 3, 4, 7, 8, 9, 63, 64, 255, 1000, 65536, 1 << 20, -2, -7, Int(Int32.max), -Int(Int32.max),
    Int(Int32.max) / 2, Int.max, Int.min + 1,
  ]
  private static let texts = [
    "0x0", "0x7ff8000000000001", "0x7ff0000000000000", "0xfff0000000000000", "0x3ff0000000000000",
    "0xbff0000000000000", "0x41dfffffffc00000", "0x7fefffffffffffff", "0x1", "nan", "inf", "-inf", "0.0", "-1.0", "2.0",
    "1e300", "float32", "float64", "int64", "bool", "uint8", "complex64", "bfloat16", "cpu", "reference", "matmul",
    "add",
    "sum", "", "\u{e9}",
  ]

  /// With one part changed.
  static func changed(_ tree: HeaderJSON, _ random: inout Numbers) -> HeaderJSON {
    var parts = 0
    count(tree, &parts)
    var target = Int(random.word() % UInt64(parts))
    return walked(tree, &target, &random)
  }

  private static func count(_ tree: HeaderJSON, _ parts: inout Int) {
    parts += 1
    switch tree {
    case .array(let items): for item in items { count(item, &parts) }
    case .object(let members): for member in members { count(member.value, &parts) }
    default: break
    }
  }

  private static func walked(_ tree: HeaderJSON, _ target: inout Int, _ random: inout Numbers) -> HeaderJSON {
    target -= 1
    if target == -1 { return other(tree, &random) }
    switch tree {
    case .array(let items): return .array(items.map { walked($0, &target, &random) })
    case .object(let members):
      return .object(members.map { HeaderJSON.Member(key: $0.key, value: walked($0.value, &target, &random)) })
    default: return tree
    }
  }

  private static func other(_ tree: HeaderJSON, _ random: inout Numbers) -> HeaderJSON {
    func below(_ count: Int) -> Int { Int(random.word() % UInt64(max(1, count))) }
    switch tree {
    case .integer(let value):
      return .integer(below(3) == 0 ? (below(2) == 0 ? value &+ 1 : value &- 1) : numbers[below(numbers.count)])
    case .string: return .string(texts[below(texts.count)])
    case .bool(let value): return below(8) == 0 ? .null : .bool(!value)
    case .null: return .integer(numbers[below(numbers.count)])
    case .array(var items):
      switch below(4) {
      case 0 where !items.isEmpty: items.remove(at: below(items.count))
      case 1 where !items.isEmpty: items.append(items[below(items.count)])
      case 2 where !items.isEmpty: items.insert(items[below(items.count)], at: 0)
      default: items.append(.integer(numbers[below(numbers.count)]))
      }
      return .array(items)
    case .object(var members):
      if members.isEmpty || below(3) == 0 {
        members.append(HeaderJSON.Member(key: "other", value: .integer(1)))
      } else if below(2) == 0 {
        members.remove(at: below(members.count))
      } else {
        let index = below(members.count)
        members[index] = HeaderJSON.Member(key: members[index].key, value: .null)
      }
      return .object(members)
    }
  }

  static func write(_ text: String, to path: String) throws {
    var file = try AtomicFile(path: path)
    try file.write(Array(text.utf8))
    try file.commit()
  }
}
