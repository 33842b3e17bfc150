public import MartletCore

extension Compiled {
  /// Saves the program for arguments like these, with all tensors that it reads: `SavedProgram` runs it in another process,
  /// without the code that built it. The file appears whole or not at all.
  ///
  /// The function is captured anew. It must not change state: dropout and batch normalisation are for `model.eval()`. Of
  /// operations of your own it must have only such that have a decomposition.
  ///
  /// - Parameters:
  ///   - path: The file; `.martlet` is the usual ending.
  ///   - input: What the function is called with; of these tensors only the specs matter.
  ///   - openBatch: Leaves the size of the batch open, which is axis 0 of every input that has axes. The function is then
  ///     captured for batches of 2, 3 and 5: the operations must be the same, and in them may differ only whole numbers that are
  ///     `a·B + c`. What does not fit, a branch on the size or a tensor made for it, is an error with the operation's line.
  /// - Throws: `OpError` for what cannot be saved, `FileError` when the file cannot be written.
  public func save(to path: String, for input: repeat each Input, openBatch: Bool = false) throws {
    let comparison = BatchComparison(isOpen: openBatch)
    for size in comparison.sizes {
      let capture = try portable(
        repeat each input, specs: { (specs) throws(OpError) in try comparison.resized(specs, size) },
        watch: { (program, instruction) throws(OpError) in try comparison.see(program, instruction) })
      if let missing = try comparison.add(capture) {
        // The one before made more operations: captured again, it finds the line of the first of them.
        _ = try portable(
          repeat each input, specs: { (specs) throws(OpError) in try comparison.resized(specs, missing.size) },
          watch: { (program, instruction) throws(OpError) in try missing.see(program, instruction) })
        throw OpError(
          .misuse(
            "the operations are others for another size of the batch",
            rule: "with an open batch, all sizes run the same operations",
            remedy: "no branch on the size, or save without openBatch"), op: "save")
      }
    }
    try comparison.file(path).write(to: path)
  }
}

/// The captures of a function for some sizes of the batch: of one for a batch of fixed size.
final class BatchComparison {
  /// Those for which the function is captured; 0 stands for the sizes as they are.
  let sizes: [Int]
  private var captures: [PortableCapture] = []
  /// Of each capture, its programs' attributes.
  private var attributes: [[HeaderJSON]] = []
  private var current: [HeaderJSON] = []
  private var isOpen: Bool { sizes.count > 1 }
  /// The size of the batch that is captured again to find a line.
  private(set) var size = 0

  init(isOpen: Bool) { sizes = isOpen ? SavedProgram.probes : [0] }

  /// A comparison with one capture, for another size.
  private init(_ capture: PortableCapture, _ attributes: [HeaderJSON], sizes: [Int], size: Int) {
    self.sizes = sizes
    self.size = size
    captures = [capture]
    self.attributes = [attributes]
  }

  /// The specs of the inputs for a size of the batch.
  func resized(_ specs: [TensorSpec], _ size: Int) throws(OpError) -> [TensorSpec] {
    guard isOpen else { return specs }
    let rows = specs.filter { $0.rank > 0 }.map { $0.shape[0] }
    guard let first = rows.first, rows.allSatisfy({ $0 == first }) else {
      throw OpError(
        .misuse(
          rows.isEmpty
            ? "no input has an axis" : "the inputs have \(rows.map(String.init).joined(separator: ", ")) rows",
          rule: "with an open batch, axis 0 of every input is the batch",
          remedy: "what is not part of the batch is read by the function, and becomes a tensor of the program"),
        op: "save", arguments: specs)
    }
    return specs.map { spec in
      var spec = spec
      if spec.rank > 0 { spec.shape[0] = size }
      return spec
    }
  }

  /// An operation of the capture that is being made.
  func see(_ program: Program, _ instruction: Program.Instruction) throws(OpError) {
    guard instruction.op.effect == .none else {
      throw OpError(.misuse("the operation has an effect beside its result", rule: "a saved program has results alone"))
    }
    let tree = try BatchComparison.tree(instruction.op)
    let line = program.instructions.count
    current.append(tree)
    let size = size > 0 ? size : sizes[captures.count]
    for (index, capture) in captures.enumerated() {
      let other = sizes[index]
      guard line < capture.program.instructions.count else {
        throw different("for a batch of \(other) there is no such operation")
      }
      let known = capture.program.instructions[line]
      guard type(of: known.op) == type(of: instruction.op) else {
        throw different("for a batch of \(other) there is \(type(of: known.op).name) in its place")
      }
      guard known.inputs == instruction.inputs else {
        throw different("for a batch of \(other) it reads other values")
      }
      for id in instruction.inputs { try compare(id, program, capture.program, other) }
    }
    let trees = attributes.map { $0[line] } + [tree]
    guard trees.count > 1, BatchSize.merged(trees, at: Array(sizes[..<captures.count]) + [size]) == nil else { return }
    let list = zip(sizes, trees).map { "\($1.text) for B = \($0)" }.joined(separator: ", ")
    throw different(
      "its attributes are \(list)", rule: "what differs between sizes B of the batch is a whole number a·B + c")
  }

  private func different(_ problem: String, rule: String? = nil) -> OpError {
    OpError(
      .misuse(
        problem, rule: rule ?? "with an open batch, all sizes run the same operations on the same values",
        remedy: "no branch on the size of the batch, and no number made of it; or save without openBatch"))
  }

  /// A tensor that the operation reads and the program did not make.
  private func compare(_ id: Int, _ program: Program, _ known: Program, _ other: Int) throws(OpError) {
    let here = program.constants.first { $0.value == id }?.tensor
    let there = known.constants.first { $0.value == id }?.tensor
    guard let here, let there else {
      if here == nil, there == nil { return }
      throw different("for a batch of \(other) it reads other values")
    }
    if here.node === there.node { return }
    if here.spec == there.spec, bytes(here) == bytes(there) { return }
    if here.dtype == there.dtype, here.rank == there.rank, let a = BatchComparison.element(here),
      a == BatchComparison.element(there)
    {
      return
    }
    throw different(
      here.spec == there.spec
        ? "there is a tensor \(here.spec) that has other elements for a batch of \(other)"
        : "there is a tensor \(here.spec), which is \(there.spec) for a batch of \(other)",
      rule: "a tensor of the program is the same for all sizes of the batch, or all its elements are equal")
  }

  private func bytes(_ tensor: Tensor) -> [UInt8]? { tensor.withUnsafeBytes { Array($0) } }

  /// The bytes that all elements of a tensor have; nil where they differ or there are none.
  private static func element(_ tensor: Tensor) -> [UInt8]? {
    let size = tensor.dtype.size
    return tensor.withUnsafeBytes { bytes -> [UInt8]? in
      guard bytes.count >= size else { return nil }
      let first = bytes[..<size]
      for start in stride(from: size, to: bytes.count, by: size)
      where !bytes[start..<start + size].elementsEqual(first) { return nil }
      return Array(first)
    } ?? nil
  }

  private static func tree(_ op: any Op) throws(OpError) -> HeaderJSON {
    do { return try HeaderJSON(encoding: op) } catch {
      throw OpError(.misuse("\(error)", rule: "a saved program consists of Martlet's own operations"))
    }
  }

  /// A whole capture. A comparison that finds the line where it ends before the others, if it does.
  func add(_ capture: PortableCapture) throws(OpError) -> BatchComparison? {
    defer {
      captures.append(capture)
      attributes.append(current)
      current = []
    }
    guard let first = captures.first else { return nil }
    let isShorter = capture.program.instructions.count < first.program.instructions.count
    guard !isShorter, capture.program.outputs == first.program.outputs,
      zip(capture.cells, first.cells).allSatisfy({ $0 === $1 }), capture.cells.count == first.cells.count
    else {
      return BatchComparison(capture, current, sizes: [sizes[captures.count], sizes[0]], size: sizes[0])
    }
    // A result that no operation made.
    for (known, size) in zip(captures, sizes) {
      for id in capture.program.outputs {
        do throws(OpError) { try compare(id, capture.program, known.program, size) } catch {
          var error = error
          error.op = "save"
          throw error
        }
      }
    }
    return nil
  }

  /// What is to be written.
  func file(_ path: String) throws -> ProgramFile {
    let first = captures[0]
    let closed = captures.map { $0.program.closed(over: $0.state) }
    var trees: [HeaderJSON] = []
    do {
      for capture in closed {
        let tree = try HeaderJSON(encoding: capture.program)
        // What cannot be read again is not written.
        let device = capture.program.values.first?.device ?? .current
        _ = try tree.decoded(Program.self, userInfo: [Program.device: device])
        trees.append(tree)
      }
    } catch let fault as ProgramFault { throw FileError(path, "cannot be saved: \(fault)") }
    guard let program = isOpen ? BatchSize.merged(trees, at: sizes) : trees[0] else {
      throw different("the program is another for another size of the batch")
    }
    var names: Set<String> = []
    var weights: [ProgramFile.Weight] = []
    var tensors: [Tensor] = []
    for (index, (name, tensor)) in closed[0].tensors.enumerated() {
      // Cells of models without names have one.
      let unique = (1...).lazy.map { $0 == 1 ? name : "\(name)#\($0)" }.first { !names.contains($0) }!
      names.insert(unique)
      let isRepeated = closed.contains { $0.tensors[index].tensor.shape != tensor.shape }
      weights.append(ProgramFile.Weight(name: unique, isRepeated: isRepeated))
      guard isRepeated else {
        tensors.append(tensor)
        continue
      }
      let element = BatchComparison.element(tensor) ?? []
      tensors.append(
        Tensor.make(TensorSpec([], tensor.dtype, device: tensor.device)) { $0.copyBytes(from: element) })
    }
    let manifest = ProgramFile.Manifest(
      martlet: martletVersion, name: first.name, openBatch: isOpen, inputs: first.inputNames,
      outputs: first.outputNames, weights: weights)
    return ProgramFile(manifest: manifest, program: program, tensors: tensors)
  }
}
