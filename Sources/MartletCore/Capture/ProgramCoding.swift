extension Program {
  /// Sizes, numbers of axes and all other integers of a program in a file are at most this.
  package static let greatestInteger = Int(Int32.max)
  /// The most bytes that one value of a program in a file may have: 1 TiB.
  package static let greatestValue = 1 << 40

  /// The program as a function of its inputs alone, with the tensors that were its constants and its state: they are further
  /// inputs, behind the others. What no result depends on is left out.
  ///
  /// - Parameter state: The tensors of `stateInputs`. The program must not write state.
  package func closed(over state: [Tensor]) -> (program: Program, tensors: [(name: String, tensor: Tensor)]) {
    var program = self
    Pass.deadCode.run(&program)
    let reads = program.lastUses
    var tensors: [(name: String, tensor: Tensor)] = []
    for (entry, tensor) in zip(program.stateInputs, state) where reads[entry.value] >= 0 {
      program.inputs.append(entry.value)
      tensors.append((entry.name, tensor))
    }
    for (number, constant) in program.constants.enumerated() {
      program.inputs.append(constant.value)
      tensors.append(("constant.\(number)", constant.tensor))
    }
    program.stateInputs = []
    program.constants = []
    return (program, tensors)
  }
}

/// A program of inputs and results alone as files have it: values are numbered in the order in which they are made, the inputs
/// first, so that each is made once and before it is read. Specs are those of the inputs; the rules give all others.
extension Program: Codable {
  private enum Keys: CodingKey { case inputs, instructions, outputs }
  private enum PortKeys: CodingKey { case dtype, shape }
  private enum InstructionKeys: CodingKey { case op, attributes, inputs }

  /// The device for which programs are read: `decoder.userInfo[Program.device]`, else the current one.
  package static let device = CodingUserInfoKey(rawValue: "martlet.device")!

  /// Throws for a program that reads or writes state or has constants: `closed(over:)` makes inputs of them.
  public func encode(to encoder: any Encoder) throws {
    guard stateInputs.isEmpty, stateOutputs.isEmpty, constants.isEmpty else {
      throw ProgramFault("the program has state or constants, which are not part of its text")
    }
    var numbers: [ValueID: Int] = [:]
    var container = encoder.container(keyedBy: Keys.self)
    var ports = container.nestedUnkeyedContainer(forKey: .inputs)
    for id in inputs {
      numbers[id] = numbers.count
      var port = ports.nestedContainer(keyedBy: PortKeys.self)
      try port.encode(values[id].dtype, forKey: .dtype)
      try port.encode(values[id].shape, forKey: .shape)
    }
    var list = container.nestedUnkeyedContainer(forKey: .instructions)
    for instruction in instructions {
      var item = list.nestedContainer(keyedBy: InstructionKeys.self)
      try item.encode(type(of: instruction.op).name, forKey: .op)
      try instruction.op.encode(to: item.superEncoder(forKey: .attributes))
      try item.encode(instruction.inputs.map { numbers[$0]! }, forKey: .inputs)
      for id in instruction.outputs { numbers[id] = numbers.count }
    }
    try container.encode(outputs.map { numbers[$0]! }, forKey: .outputs)
  }

  public init(from decoder: any Decoder) throws {
    self.init()
    let device = decoder.userInfo[Program.device] as? Device ?? .current
    let container = try decoder.container(keyedBy: Keys.self)
    var ports = try container.nestedUnkeyedContainer(forKey: .inputs)
    while !ports.isAtEnd {
      let port = try ports.nestedContainer(keyedBy: PortKeys.self)
      let dtype = try port.decode(DType.self, forKey: .dtype)
      let shape = try port.decode(Shape.self, forKey: .shape)
      inputs.append(try made(TensorSpec(shape, dtype, device: device), by: "input \(inputs.count)"))
    }
    var list = try container.nestedUnkeyedContainer(forKey: .instructions)
    while !list.isAtEnd {
      let item = try list.nestedContainer(keyedBy: InstructionKeys.self)
      let name = try item.decode(String.self, forKey: .op)
      let place = "operation \(instructions.count) (\(name))"
      guard let type = TransformOps.current.operations[name] else {
        let names = TransformOps.current.operations.keys.sorted()
        let hint = Spelling.nearest(to: name, in: names).map { "; did you mean \"\($0)\"?" } ?? ""
        throw ProgramFault("\(place) is not known\(hint)")
      }
      let ids = try item.decode([Int].self, forKey: .inputs)
      guard !ids.isEmpty else { throw ProgramFault("\(place) has no inputs") }
      for id in ids where !values.indices.contains(id) {
        throw ProgramFault("\(place) reads value \(id), and there are \(values.count) before it")
      }
      let specs = ids.map { values[$0] }
      for spec in specs where spec.device != specs[0].device {
        throw ProgramFault("\(place) has inputs on two devices")
      }
      let op: any Op
      let results: [TensorSpec]
      do {
        op = try type.init(from: item.superDecoder(forKey: .attributes))
        results = try op.outputs(for: specs)
      } catch let error as OpError {
        throw ProgramFault("\(place) is refused: \(problem(error, specs, type))")
      } catch { throw ProgramFault("\(place): \(error)") }
      var outputs: [ValueID] = []
      for spec in results { outputs.append(try made(spec, by: place)) }
      instructions.append(Instruction(op: op, inputs: ids, outputs: outputs))
    }
    outputs = try container.decode([Int].self, forKey: .outputs)
    for (number, id) in outputs.enumerated() where !values.indices.contains(id) {
      throw ProgramFault("output \(number) is value \(id), and there are \(values.count)")
    }
    let faults = verify()
    if let fault = faults.first { throw ProgramFault(fault) }
  }

  /// A new value, if it is of a possible size.
  private mutating func made(_ spec: TensorSpec, by maker: String) throws(ProgramFault) -> ValueID {
    guard spec.shape.allSatisfy({ $0 >= 0 && $0 <= Program.greatestInteger }),
      let bytes = spec.checkedByteCount, bytes <= Program.greatestValue
    else { throw ProgramFault("\(maker) makes \(spec), which is no possible tensor of a saved program") }
    return value(spec)
  }
}

/// What a rule found wrong, in one line.
private func problem(_ error: OpError, _ arguments: [TensorSpec], _ type: any Op.Type) -> String {
  var error = error
  error.op = ""
  error.arguments = arguments
  error.argumentNames = type.argumentNames
  return ErrorText.text(error, places: false).split(separator: "\n").first.map { String($0) } ?? ""
}
