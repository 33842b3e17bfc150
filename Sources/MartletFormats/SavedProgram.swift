public import MartletCore

/// A function that was captured and saved, with the tensors that it reads: it runs without the code that built it.
///
///     let classify = compile { (images: Tensor) in softmax(model(images.cast(to: .float32) / 255), axis: 1) }
///     try classify.save(to: "digits.martlet", for: example, openBatch: true)
///
///     let program = try SavedProgram(contentsOf: "digits.martlet")    // in another process
///     let probabilities = try program(images)[0]
///
/// Several threads may call one program at the same time. It is constant: derivatives pass through it to its inputs, and the
/// tensors in it are no parameters.
///
/// Where the size of the batch is open, each size has a program of its own, made at its first call; the last
/// `keptSizes` of them are kept.
///
/// Source: PyTorch `torch.export`, `torch.jit.save`.
public final class SavedProgram: Sendable {
  /// One input or result.
  public struct Port: Sendable, Hashable, CustomStringConvertible {
    public let name: String
    public let dtype: DType
    let sizes: [BatchSize]

    /// The shape for a size of the batch, which is of no effect where that is not open. Nil where there is none.
    public func shape(batch size: Int = 1) -> Shape? {
      guard sizes.count <= Shape.maxRank else { return nil }
      var shape = Shape()
      for axis in sizes {
        guard let value = axis.value(at: size), value >= 0, value <= Program.greatestInteger else { return nil }
        shape.append(value)
      }
      return shape
    }
    /// `uint8[B, 28, 28]`; `B` is the size of the batch, where it is open.
    public var spec: String { "\(dtype)[\(sizes.map { "\($0)" }.joined(separator: ", "))]" }
    public var description: String { "\(name): \(spec)" }
  }

  /// The path as given.
  public let path: String
  /// What a call takes, in this order.
  public let inputs: [Port]
  /// What a call gives back, in this order.
  public let outputs: [Port]
  /// Whether the size of the batch is open.
  public let hasOpenBatch: Bool
  /// Where the function was compiled: `compile at main.swift:3`.
  public let name: String
  /// The version of Martlet that wrote the file.
  public let version: String
  /// Where the program runs.
  public let device: Device
  /// So many sizes of the batch keep their program and the memory in which it runs.
  public static let keptSizes = 4

  private let file: ProgramFile
  private let lock = Lock()
  /// The newest last. Guarded by the lock.
  private nonisolated(unsafe) var made: [(size: Int, program: Program, execution: Execution)] = []
  /// The batches for which a program with an open one is made when it is read, to see that it can be.
  static let probes = [2, 3, 5]

  /// Reads a program; throws when the file is missing, damaged, malformed, or of a newer format. Nothing in the file is
  /// trusted: every operation is checked by its rule.
  ///
  /// - Parameter device: Where the program is to run; its inputs are to be there.
  public init(contentsOf path: String, device: Device = .current) throws(FileError) {
    Rooms.require(device)
    self.path = path
    self.device = device
    let file = try ProgramFile(contentsOf: path, device: device)
    self.file = file
    let manifest = file.manifest
    (name, version, hasOpenBatch) = (manifest.name, manifest.martlet, manifest.openBatch)
    let sizes = manifest.openBatch ? SavedProgram.probes : [0]
    do throws(ProgramFault) {
      var programs: [Program] = []
      for size in sizes { programs.append(try SavedProgram.program(file, size, device)) }
      let count = manifest.inputs.count
      inputs = try SavedProgram.ports(
        manifest.inputs, programs.map { p in p.inputs[..<count].map { p.values[$0] } }, sizes)
      outputs = try SavedProgram.ports(manifest.outputs, programs.map { p in p.outputs.map { p.values[$0] } }, sizes)
      guard manifest.openBatch == inputs.contains(where: { port in port.sizes.contains { $0.times != 0 } }) else {
        throw ProgramFault("whether the size of its batch is open is not what its inputs say")
      }
      let first = SavedProgram.bound(programs[0], file, device, count)
      made = [(sizes[0], first, Execution(first, name: path))]
    } catch { throw FileError(path, "its program is malformed: \(error)") }
  }

  /// The program for one size of the batch, with the weights as inputs.
  private static func program(_ file: ProgramFile, _ size: Int, _ device: Device) throws(ProgramFault) -> Program {
    let tree = try BatchSize.instantiated(file.program, size)
    let program: Program = try tree.decoded(userInfo: [Program.device: device])
    guard program.inputs.count == file.manifest.inputs.count + file.tensors.count else {
      throw ProgramFault("it takes \(program.inputs.count) inputs")
    }
    for (weight, (tensor, id)) in zip(
      file.manifest.weights, zip(file.tensors, program.inputs[file.manifest.inputs.count...]))
    {
      let spec = program.values[id]
      guard tensor.dtype == spec.dtype, weight.isRepeated || tensor.shape == spec.shape else {
        throw ProgramFault("\(weight.name) is \(tensor.spec), and the program takes \(spec)")
      }
    }
    return program
  }

  /// The program with the weights as constants.
  private static func bound(_ program: Program, _ file: ProgramFile, _ device: Device, _ count: Int) -> Program {
    var program = program
    program.constants = zip(program.inputs[count...], file.tensors).map { id, tensor in
      var tensor = tensor
      let shape = program.values[id].shape
      if tensor.shape != shape {
        for size in shape.reversed() { tensor = TransformOps.current.expand(tensor, size) }
      }
      return (id, tensor)
    }
    program.inputs.removeSubrange(count...)
    return program
  }

  /// Names with the specs that they have for some sizes of the batch.
  private static func ports(_ names: [String], _ specs: [[TensorSpec]], _ sizes: [Int]) throws(ProgramFault) -> [Port] {
    guard specs.allSatisfy({ $0.count == names.count }) else {
      throw ProgramFault("it has \(specs[0].count) inputs or results where \(names.count) have names")
    }
    var ports: [Port] = []
    for (index, name) in names.enumerated() {
      let all = specs.map { $0[index] }
      guard all.allSatisfy({ $0.rank == all[0].rank && $0.dtype == all[0].dtype }) else {
        throw ProgramFault("\(name) has another number of axes or dtype for another size of the batch")
      }
      var axes: [BatchSize] = []
      for axis in 0..<all[0].rank {
        let values = all.map { $0.shape[axis] }
        guard let size = values.count == 1 ? BatchSize(constant: values[0]) : BatchSize(values, at: sizes) else {
          throw ProgramFault("\(name) has sizes \(values) along axis \(axis) for B = \(sizes), which are no a·B + c")
        }
        axes.append(size)
      }
      ports.append(Port(name: name, dtype: all[0].dtype, sizes: axes))
    }
    return ports
  }

  // MARK: calls

  /// Runs the program.
  ///
  /// - Parameter given: The inputs in their order, with the specs that `inputs` says.
  /// - Returns: The results in the order of `outputs`.
  /// - Throws: `OpError` when the inputs are not such, or a value in them is one that an operation refuses (an index out of
  ///   range).
  public func callAsFunction(_ given: [Tensor]) throws -> [Tensor] {
    let execution = try prepared(given).execution
    return try withErrors { try execution.results(given) }
  }

  /// Runs the program.
  public func callAsFunction(_ given: Tensor...) throws -> [Tensor] { try self(given) }

  /// What was made of the program for these inputs, with the time of each operation.
  public func explain(_ given: [Tensor]) throws -> Explanation {
    let execution = try prepared(given).execution
    return try withErrors { try execution.explanation(given) }
  }

  /// What was made of the program for these inputs, with the time of each operation.
  public func explain(_ given: Tensor...) throws -> Explanation { try explain(given) }

  /// The program for a size of the batch, which is of no effect where that is not open: its text, and `graphviz`.
  public func program(batch size: Int = 2) throws -> Program { try made(for: hasOpenBatch ? size : 0).program }

  /// The number of operations.
  public var operationCount: Int { lock.holding { made[0].program.instructions.count } }
  /// The bytes of the tensors in the file.
  public var weightBytes: Int { file.tensors.reduce(0) { $0 + $1.spec.byteCount } }

  private func made(for size: Int) throws -> (program: Program, execution: Execution) {
    if let known = known(size) { return known }
    // Outside of the lock: calls for other sizes go on. Two that make the same one keep the first.
    let count = inputs.count
    let program: Program
    do throws(ProgramFault) { program = try SavedProgram.program(file, size, device) } catch {
      throw OpError(
        .misuse(
          "there is no program for a batch of \(size): \(error)",
          rule: "each operation takes what the one before makes",
          remedy: "a larger batch"), op: path)
    }
    let execution = Execution(SavedProgram.bound(program, file, device, count), name: path)
    return lock.holding {
      if let known = made.first(where: { $0.size == size }) { return (known.program, known.execution) }
      made.append((size, program, execution))
      if made.count > SavedProgram.keptSizes { made.removeFirst() }
      return (program, execution)
    }
  }

  private func known(_ size: Int) -> (program: Program, execution: Execution)? {
    lock.holding {
      guard let index = made.firstIndex(where: { $0.size == size }) else { return nil }
      let entry = made.remove(at: index)
      made.append(entry)
      return (entry.program, entry.execution)
    }
  }

  /// What runs for these inputs; throws when they are not those of the program.
  private func prepared(_ given: [Tensor]) throws -> (program: Program, execution: Execution) {
    guard given.count == inputs.count else {
      throw refused(
        given, given.count == 1 ? "1 input was given" : "\(given.count) inputs were given",
        "it takes \(inputs.count): \(list(inputs))", nil)
    }
    var size = 0
    if hasOpenBatch {
      size = -1
      search: for (port, tensor) in zip(inputs, given) where port.sizes.count == tensor.rank {
        for (axis, expected) in port.sizes.enumerated() where expected.times != 0 {
          let (rest, remainder) = (tensor.shape[axis] - expected.plus).quotientAndRemainder(dividingBy: expected.times)
          if rest >= 0, remainder == 0 { size = rest }
          break search
        }
      }
    }
    for (number, (port, tensor)) in zip(inputs, given).enumerated() {
      guard tensor.dtype == port.dtype else {
        throw refused(
          given, "\(port.name) is \(tensor.dtype)", "input \(number), \(port.name), is \(port.spec)",
          "cast(to: .\(port.dtype))")
      }
      guard size >= 0, let shape = port.shape(batch: size), shape == tensor.shape else {
        let batch = hasOpenBatch && size >= 0 && port.sizes.contains { $0.times != 0 } ? ", here with B = \(size)" : ""
        throw refused(
          given, "\(port.name) has the shape \(tensor.shape)", "input \(number), \(port.name), is \(port.spec)\(batch)",
          hasOpenBatch
            ? nil : "the shapes that it was saved for, or save(to:for:openBatch: true) for any size of the batch")
      }
      guard tensor.device == device else {
        throw refused(
          given, "\(port.name) is on the device \(tensor.device)", "the program runs on \(device)",
          "to(_:), or SavedProgram(contentsOf:device:)")
      }
    }
    return try made(for: size)
  }

  private func refused(_ given: [Tensor], _ problem: String, _ rule: String, _ remedy: String?) -> OpError {
    var error = OpError(.misuse(problem, rule: rule, remedy: remedy), op: path, arguments: given.map { $0.spec })
    error.argumentNames = inputs.map { $0.name }
    return error
  }

  private func list(_ ports: [Port]) -> String { ports.map { "\($0)" }.joined(separator: ", ") }
}

extension SavedProgram: CustomStringConvertible {
  /// Inputs, results, and how large the program is.
  public var description: String {
    var lines = ["program of \(name), saved by Martlet \(version)"]
    for port in inputs { lines.append("  input  \(port)") }
    for port in outputs { lines.append("  output \(port)") }
    let operations = ErrorText.counted(operationCount, "operation")
    lines.append("  \(operations), \(ErrorText.counted(file.tensors.count, "tensor")) of \(weightBytes) bytes")
    return lines.joined(separator: "\n")
  }
}
