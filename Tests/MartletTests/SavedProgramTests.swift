import Foundation
import Martlet
import MartletCore
import MartletFormats
import MartletOps
import Testing

/// A file that is removed with the test.
private final class SomeFile {
  let path = FileManager.default.temporaryDirectory.appending(path: "program-\(UUID()).martlet").path
  deinit { try? FileManager.default.removeItem(atPath: path) }

  var bytes: [UInt8] {
    get { [UInt8](FileManager.default.contents(atPath: path) ?? Data()) }
    set { _ = FileManager.default.createFile(atPath: path, contents: Data(newValue)) }
  }

  /// Where the digits of the checksum are.
  static let seal = 8 + "{\"__metadata__\":{\"checksum\":\"".utf8.count

  /// The bytes with the checksum that belongs to them.
  func setSealed(_ new: [UInt8]) {
    var new = new
    guard new.count >= SomeFile.seal + 8 else { return bytes = new }
    new.replaceSubrange(SomeFile.seal..<SomeFile.seal + 8, with: repeatElement(UInt8(ascii: "0"), count: 8))
    let digits = String(new.withUnsafeBytes { checksum($0) }, radix: 16)
    let text = String(repeating: "0", count: 8 - digits.count) + digits
    new.replaceSubrange(SomeFile.seal..<SomeFile.seal + 8, with: Array(text.utf8))
    bytes = new
  }

  /// Exchanges one text in the header, of the same length or with the header's length put right.
  func replace(_ old: String, _ new: String) {
    var all = bytes
    let length = Int(all.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
    var header = String(decoding: all[8..<8 + length], as: UTF8.self)
    #expect(header.contains(old), "\(old) is not in \(header)")
    header = header.replacing(old, with: new)
    all.replaceSubrange(8..<8 + length, with: Array(header.utf8))
    withUnsafeBytes(of: UInt64(header.utf8.count)) { all.replaceSubrange(0..<8, with: $0) }
    setSealed(all)
  }
}

/// A small network after the manner of LeNet, on images of 12×12.
private func network() -> Sequential {
  let generator = Generator(seed: 3)
  return Sequential {
    Conv2d(1, 4, kernelSize: 3, padding: 1, generator: generator)
    BatchNorm2d(4)
    ReLU()
    MaxPool2d(kernelSize: 2)
    Flatten()
    Dropout(0.5)
    Linear(4 * 6 * 6, 5, generator: generator)
  }
}

private func pictures(_ count: Int) -> Tensor {
  Tensor((0..<count * 144).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ $0 / 7) }, shape: [count, 12, 12])
}

private func classifier(_ model: Sequential) -> Compiled<Tensor, Tensor> {
  compile { (images: Tensor) in
    let scaled = (images.cast(to: .float32) / 255 - 0.1307) / 0.3081
    return softmax(model(scaled.reshaped(-1, 1, 12, 12)), axis: 1)
  }
}

/// What is said of a program that cannot be saved.
private func refusal<each I: TensorTree, O: TensorTree>(
  _ f: Compiled<repeat each I, O>, _ input: repeat each I, openBatch: Bool = true
) -> String {
  let file = SomeFile()
  defer { #expect(!FileManager.default.fileExists(atPath: file.path)) }
  do { try f.save(to: file.path, for: repeat each input, openBatch: openBatch) } catch {
    return withoutDevice(plainText(error)).replacing(file.path, with: "FILE")
  }
  return "no error"
}

@Suite struct SavedProgramTests {
  @Test func aNetworkWithItsPreprocessingTravels() throws {
    let model = network()
    model.eval()
    let classify = classifier(model)
    let file = SomeFile()
    try classify.save(to: file.path, for: pictures(3))
    let program = try SavedProgram(contentsOf: file.path)
    #expect(program.inputs.map { $0.description } == ["input: uint8[3, 12, 12]"])
    #expect(program.outputs.map { $0.description } == ["output: float32[3, 5]"])
    #expect(!program.hasOpenBatch && program.version == martletVersion)
    let results = try program(pictures(3))
    #expect(results.count == 1 && allClose(results[0], classify(pictures(3)), absolute: 1e-6))
    // The weights are those of then.
    for parameter in model.parameters { parameter.value = parameter.value * 0 }
    #expect(try program(pictures(3))[0].array(as: Float.self) == results[0].array(as: Float.self))
  }

  @Test func theBatchIsOpen() throws {
    let model = network()
    model.eval()
    let classify = classifier(model)
    let file = SomeFile()
    try classify.save(to: file.path, for: pictures(1), openBatch: true)
    let program = try SavedProgram(contentsOf: file.path)
    #expect(program.inputs[0].spec == "uint8[B, 12, 12]" && program.outputs[0].spec == "float32[B, 5]")
    // More sizes than are kept, and some again.
    for size in [1, 2, 7, 64, 5, 3, 9, 1, 64] {
      let found = try program(pictures(size))[0]
      #expect(found.shape == [size, 5])
      #expect(allClose(found, classify(pictures(size)), absolute: 1e-6), "\(size)")
    }
    #expect(program.inputs[0].shape(batch: 6) == [6, 12, 12])
    #expect(program.description.contains("  input  input: uint8[B, 12, 12]\n  output output: float32[B, 5]\n"))
    #expect(try program.program(batch: 4).description.contains("float32[4, 5]"))
    #expect(try program.explain(pictures(2)).program.outputs.count == 1)
  }

  @Test func sizesThatAreMadeOfTheBatchTravel() throws {
    // 3·B rows, B + 1 rows, tensors of one number for each example, and a mean over the batch.
    let f = compile { (x: Tensor) in
      let b = x.shape[0]
      let state = Tensor(repeating: 0.5, [b, 4], dtype: .float32)
      let rows = concat([x, x * 2, x + state], axis: 0)
      return ["rows": rows, "ends": concat([x, x[..<1]], axis: 0), "mean": rows.reshaped(b, 12).mean(axis: 0)]
    }
    let file = SomeFile()
    try f.save(to: file.path, for: Tensor.zeros([4, 4]), openBatch: true)
    let program = try SavedProgram(contentsOf: file.path)
    #expect(
      program.outputs.map { $0.description } == [
        "ends: float32[B + 1, 4]", "mean: float32[12]", "rows: float32[3·B, 4]",
      ])
    #expect(program.weightBytes < 64)
    for size in [1, 2, 6] {
      let x = count([size, 4])
      let (expected, found) = (f(x), try program(x))
      for (port, tensor) in zip(program.outputs, found) {
        expectSame(tensor, expected[port.name]!)
      }
    }
  }

  @Test func severalInputsAndNames() throws {
    let table = viewAsComplex(Tensor([1, 2, 4, -1, 0.5, 3] as [Double]).reshaped(3, 2))
    let f = compile { (x: [String: Tensor], y: Tensor) in
      [viewAsReal(viewAsComplex(x["pairs"]!) * table), y.sum(axis: 0)]
    }
    let file = SomeFile()
    let pairs = count([3, 2], dtype: .float64)
    try f.save(to: file.path, for: ["pairs": pairs], Tensor([true, false]))
    let program = try SavedProgram(contentsOf: file.path)
    #expect(program.inputs.map { $0.description } == ["input0.pairs: float64[3, 2]", "input1: bool[2]"])
    #expect(program.outputs.map { $0.name } == ["output.0", "output.1"])
    for (found, expected) in zip(
      try program(pairs, Tensor([true, false])), f(["pairs": pairs], Tensor([true, false])))
    {
      expectSame(found, expected)
    }
  }

  @Test func operationsOfOnesOwnTravelAsWhatTheyAreMadeOf() throws {
    let own = customGradient({ (x: Tensor) in exp(x) + 1 }) { _, _, _, _ in [nil] }
    let f = compile { (x: Tensor) in checkpointed({ (y: Tensor) in own(y) * 2 })(x) }
    let file = SomeFile()
    try f.save(to: file.path, for: Tensor.ones([3]), openBatch: true)
    let program = try SavedProgram(contentsOf: file.path)
    #expect(try program.program().instructions.map { type(of: $0.op).name } == ["exp", "add", "multiply"])
    expectSame(try program(count([5]))[0], f(count([5])))
  }

  private struct Own: UnaryOp {
    static var id: OpID { .custom }
    static var name: String { "own" }
    func output(for x: TensorSpec) throws(OpError) -> TensorSpec { x }
    func evaluate(_ inputs: [Tensor], reusable: Positions) throws(OpError) -> [Tensor] { inputs }
  }

  @Test func whatCannotBeSavedIsRefused() throws {
    let model = network()
    let optimizer = SGD(model.parameters, learningRate: 0.1)
    #expect(
      refusal(classifier(model), pictures(2), openBatch: false) == """
        save: the program writes 1.running_mean, 1.running_var, 1.num_batches_tracked, a random generator
          rule: a saved program computes from its inputs alone, and changes nothing
          try: model.eval() before it is captured: no dropout, no running statistics; no training step
        """)
    model.eval()
    let step = compile { (x: Tensor) in
      let loss = model(x).sum()
      loss.backward()
      optimizer.step()
      return loss.detached()
    }
    #expect(refusal(step, Tensor.ones([2, 1, 12, 12]), openBatch: false).contains("6.bias.grad, 6.weight.grad"))
    let text = refusal(compile { (x: Tensor) in apply(Own(), x) }, Tensor.ones([2]), openBatch: false)
    #expect(
      text.hasPrefix(
        """
        own: the operation exists in this program alone
          with x: float32[2]
          rule: a saved program consists of Martlet's own operations
          try: state its meaning in them: func decomposed(_ inputs: [Tensor])
        """), "\(text)")
    #expect(
      refusal(compile { (x: Tensor, y: Tensor) in x.sum() + y.sum() }, Tensor.ones([2]), Tensor.ones([3])) == """
        save: the inputs have 2, 3 rows
          with input 0: float32[2], input 1: float32[3]
          rule: with an open batch, axis 0 of every input is the batch
          try: what is not part of the batch is read by the function, and becomes a tensor of the program
        """)
  }

  /// What an open batch cannot be, each with what is said of it.
  @Test func batchesThatCannotBeOpen() {
    func text(_ f: @escaping (Tensor) -> Tensor) -> String { refusal(compile(f), Tensor.ones([2, 4])) }
    #expect(
      text { $0.shape[0] == 2 ? relu($0) : tanh($0) }.hasPrefix(
        """
        tanh: for a batch of 2 there is relu in its place
          with x: float32[3, 4]
          rule: with an open batch, all sizes run the same operations on the same values
          try: no branch on the size of the batch, and no number made of it; or save without openBatch
        """))
    #expect(
      text { $0.shape[0] == 5 ? relu($0) : tanh($0) }.hasPrefix("relu: for a batch of 2 there is tanh in its place"))
    #expect(
      text { x in (0..<x.shape[0]).reduce(x) { y, _ in exp(y) } }.hasPrefix("exp: for a batch of 2 there is no such"))
    // The operations that only smaller batches have.
    #expect(text { $0.shape[0] < 5 ? relu(exp($0)) : exp($0) }.hasPrefix("relu: for a batch of 5 there is no such"))
    #expect(
      text { $0.sum() / Double($0.shape[0]) }.hasPrefix(
        "divide: there is a tensor float32[] that has other elements for a batch of 2"))
    #expect(
      text { $0 + Tensor.range(to: Double($0.shape[0])).reshaped(-1, 1) }.contains(
        "there is a tensor float32[3, 1], which is float32[2, 1] for a batch of 2"))
    #expect(
      text { Tensor.range(to: Double($0.shape[0])) }.hasPrefix(
        "save: there is a tensor float32[3], which is float32[2] for a batch of 2"))
    #expect(
      text { x in matmul(x, x.transposed()).reshaped(x.shape[0] * x.shape[0]) }.contains(
        "its attributes are {\"shape\":[4]} for B = 2, {\"shape\":[9]} for B = 3, {\"shape\":[25]} for B = 5"))
    #expect(text { x in [relu(x), exp(x)][x.shape[0] % 2] }.contains("for another size of the batch"))
    #expect(
      text { x in matmul(x, Tensor.ones([x.shape[0] + 2, 1])) }.contains("matmul: the inner sizes differ: 4 ≠ 5"))
  }

  @Test(.disabled(if: isSanitized)) func refusalsNameTheLine() throws {
    var line = 0
    let f = compile { (x: Tensor) -> Tensor in
      if x.shape[0] == 2 { return relu(x) }
      line = #line + 1
      let y = tanh(x)
      return y * 2
    }
    let error = #expect(throws: OpError.self) {
      try f.save(to: SomeFile().path, for: Tensor.ones([2]), openBatch: true)
    }
    let place = error?.origins.first ?? ""
    #expect(place.contains("called at MartletTests/SavedProgramTests.swift:\(line), inside compile at"), "\(place)")
  }

  @Test func wrongCallsThrow() throws {
    let f = compile { (x: Tensor, labels: Tensor) in
      matmul(x, Tensor.ones([4, 2])) + labels.cast(to: .float32).reshaped(-1, 1)
    }
    let file = SomeFile()
    try f.save(to: file.path, for: Tensor.ones([2, 4]), Tensor([1, 2]), openBatch: true)
    let program = try SavedProgram(contentsOf: file.path)
    func text(_ inputs: Tensor...) -> String {
      do { _ = try program(inputs) } catch { return withoutDevice(plainText(error)).replacing(file.path, with: "FILE") }
      return "no error"
    }
    #expect(
      text(Tensor.ones([2, 4])) == """
        FILE: 1 input was given
          with input0: float32[2, 4]
          rule: it takes 2: input0: float32[B, 4], input1: int64[B]
        """)
    #expect(
      text(Tensor.ones([2, 4]), Tensor([1, 2] as [Float])) == """
        FILE: input1 is float32
          with input0: float32[2, 4], input1: float32[2]
          rule: input 1, input1, is int64[B]
          try: cast(to: .int64)
        """)
    #expect(
      text(Tensor.ones([3, 4]), Tensor([1, 2])) == """
        FILE: input1 has the shape [2]
          with input0: float32[3, 4], input1: int64[2]
          rule: input 1, input1, is int64[B], here with B = 3
        """)
    #expect(
      text(Tensor.ones([3, 5]), Tensor([1, 2, 3])).contains("rule: input 0, input0, is float32[B, 4], here with B = 3"))
    #expect(text(Tensor.ones([4]), Tensor([1, 2, 3])).contains("FILE: input0 has the shape [4]"))
    #expect(text(Tensor.ones([0, 4]), Tensor([] as [Int])) == "no error")
    #expect(text(Tensor.ones([3, 4]), Tensor([1, 2, 3])) == "no error")
  }

  @Test func valuesThatAnOperationRefusesThrow() throws {
    let table = Tensor.ones([4, 2])
    let f = compile { (i: Tensor) in table[i] }
    let file = SomeFile()
    try f.save(to: file.path, for: Tensor([0, 1]), openBatch: true)
    let program = try SavedProgram(contentsOf: file.path)
    #expect(try program(Tensor([3, 0, 1]))[0].shape == [3, 2])
    let error = #expect(throws: OpError.self) { try program(Tensor([0, 9])) }
    #expect(error.map { plainText($0) }?.contains("index 9 is out of range for axis 0 of size 4") == true)
  }

  @Test func manyThreadsCallOneProgram() async throws {
    let file = SomeFile()
    let weights = count([8, 3])
    let f = compile { (x: Tensor) in tanh(matmul(x, weights)) }
    try f.save(to: file.path, for: Tensor.ones([2, 8]), openBatch: true)
    let program = try SavedProgram(contentsOf: file.path)
    let device = Device.current
    let sound = try await withThrowingTaskGroup(of: Bool.self) { group in
      for task in 0..<8 {
        group.addTask {
          for round in 0..<20 {
            let size = (task + round) % 6 + 1
            let x = Tensor.range(to: Double(size * 8), device: device).reshaped(size, 8) / 50
            let expected = tanh(matmul(x, Tensor.range(to: 24, device: device).reshaped(8, 3)))
            guard allClose(try program(x)[0], expected) else { return false }
          }
          return true
        }
      }
      return try await group.reduce(true) { $0 && $1 }
    }
    #expect(sound)
  }
}

/// Files that are not what was written.
@Suite struct ProgramFileTests {
  private static func saved() throws -> SomeFile {
    let file = SomeFile()
    let weights = count([4, 3])
    let f = compile { (x: Tensor) in softmax(matmul(x, weights) * 0.5, axis: 1) }
    try f.save(to: file.path, for: Tensor.ones([2, 4]), openBatch: true)
    return file
  }

  private func text(_ file: SomeFile) -> String {
    do { _ = try SavedProgram(contentsOf: file.path) } catch { return "\(error)".replacing(file.path, with: "FILE") }
    return "no error"
  }

  @Test func theFileIsWhatThePageSays() throws {
    let file = try Self.saved()
    let header = String(decoding: file.bytes.dropFirst(8), as: UTF8.self)
    #expect(header.hasPrefix("{\"__metadata__\":{\"checksum\":\""))
    #expect(header.contains("\"format\":\"martlet program 1\",\"manifest\":\"{"))
    #expect(
      header.contains(
        #"{\"attributes\":{\"axis\":1},\"inputs\":[4],\"op\":\"softmax\"}],\"outputs\":[5]}"#), "\(header.prefix(900))")
    #expect(header.contains(#"{\"dtype\":\"float32\",\"shape\":[{\"*B\":1,\"+\":0},4]}"#))
    // Other programs read the weights.
    #expect(try Safetensors(contentsOf: file.path).tensor(named: "constant.0").shape == [4, 3])
    // Equal programs give equal files.
    #expect(try Self.saved().bytes.count == file.bytes.count)
  }

  @Test func damagedFilesAreRefused() throws {
    let file = try Self.saved()
    let whole = file.bytes
    #expect(text(file) == "no error")
    for count in stride(from: 0, to: whole.count, by: 7) {
      file.bytes = Array(whole[..<count])
      #expect(text(file) != "no error", "\(count)")
    }
    for place in whole.indices {
      var bytes = whole
      bytes[place] ^= UInt8(1 << (place % 8))
      file.bytes = bytes
      #expect(text(file) != "no error", "byte \(place)")
    }
    var bytes = whole
    bytes[whole.count - 1] ^= 1
    file.bytes = bytes
    #expect(text(file) == "FILE: is damaged: its checksum is not the one written")
    file.bytes = whole + [0]
    #expect(text(file) == "FILE: is damaged: it has 1 byte after its last tensor")
  }

  @Test func missingAndForeignFiles() throws {
    let file = SomeFile()
    #expect(text(file) == "FILE: does not exist")
    try State([("w", Tensor.ones([2]))]).write(safetensors: file.path)
    #expect(
      text(file) == "FILE: is no saved program: its format is not \"martlet program 1\"; weights are read by "
        + "State(safetensors:)")
    let program = try Self.saved()
    let weights = #expect(throws: FileError.self) { _ = try State(safetensors: program.path) }
    #expect(
      weights?.reason == "is a saved program, not the weights of a model: SavedProgram(contentsOf:) reads it")
    program.replace("martlet program 1", "martlet program 2")
    #expect(
      text(program) == "FILE: is of the format \"martlet program 2\", and Martlet \(martletVersion) reads "
        + "\"martlet program 1\": use the version that wrote it or a newer one, or save the program again with this one"
    )
  }

  /// Texts that were changed with care, so that the checksum is right.
  @Test(arguments: [
    (#"\"op\":\"softmax\""#, #"\"op\":\"sofmax\""#, "operation 2 (sofmax) is not known; did you mean \"softmax\"?"),
    (#"\"op\":\"softmax\""#, #"\"op\":\"fused\""#, "operation 2 (fused): fused is made by a pass, and is not saved"),
    (#"{\"axis\":1}"#, #"{\"axis\":2}"#, "operation 2 (softmax) is refused: axis 2 is out of range for 2 axes"),
    (#"{\"axis\":1}"#, #"{\"axis\":-1}"#, "operation 2 (softmax) is refused: axis -1 is out of range for 2 axes"),
    (
      #"{\"axis\":1}"#, #"{\"axis\":3000000000}"#,
      "operation 2 (softmax): instructions.2.attributes.axis is 3000000000, which is too large"
    ),
    (
      #"{\"axis\":1}"#, #"{\"axis\":\"1\"}"#,
      "operation 2 (softmax): instructions.2.attributes.axis is a string, and is to be a whole number"
    ),
    (#"{\"axis\":1}"#, #"{\"axis\":1,\"b\":0}"#, "instructions: 2: attributes: has the unknown field \"b\""),
    (#"{\"axis\":1}"#, "{}", "operation 2 (softmax): instructions.2.attributes has no \"axis\""),
    (#"\"inputs\":[4]"#, #"\"inputs\":[5]"#, "operation 2 (softmax) reads value 5, and there are 5 before it"),
    (#"\"inputs\":[4]"#, #"\"inputs\":[-1]"#, "operation 2 (softmax) reads value -1, and there are 5 before it"),
    (#"\"inputs\":[4]"#, #"\"inputs\":[]"#, "operation 2 (softmax) has no inputs"),
    (#"\"inputs\":[4]"#, #"\"inputs\":[4,4]"#, "operation 2 (softmax) is refused: "),
    (#"\"outputs\":[5]"#, #"\"outputs\":[6]"#, "output 0 is value 6, and there are 6"),
    (#"\"outputs\":[5]"#, #"\"outputs\":[5,5]"#, "it has 2 inputs or results where 1 have names"),
    (#"{\"*B\":1,\"+\":0},4"#, #"{\"*B\":2,\"+\":1},2"#, "is refused: the inner sizes differ"),
    (#"{\"*B\":1,\"+\":0},4"#, "2,4", "whether the size of its batch is open is not what its inputs say"),
    (#"{\"*B\":1,\"+\":0},4"#, #"{\"*B\":-1,\"+\":0},4"#, "input 0 makes float32[-2, 4], which is no possible tensor"),
    (#"{\"*B\":1,\"+\":0},4"#, #"{\"*B\":2000000000,\"+\":0},4"#, "is "),
    (#"\"dtype\":\"float32\""#, #"\"dtype\":\"float33\""#, "there is no dtype \"float33\""),
    (#"\"name\":\"constant.0\""#, #"\"name\":\"constant.9\""#, "has no tensor \"constant.9\""),
    (
      #"\"openBatch\":true"#, #"\"openBatch\":1"#,
      "its manifest is malformed: openBatch is a number, and is to be true or false"
    ),
    (#"\"inputs\":[\"input\"]"#, #"\"inputs\":[]"#, "names 0 inputs and 2 weights, and its program takes 3"),
  ])
  func changedTexts(_ old: String, _ new: String, _ said: String) throws {
    let file = try Self.saved()
    file.replace(old, new)
    let found = withoutDevice(text(file))
    #expect(found.hasPrefix("FILE: ") && found.contains(said), "\(found)")
  }

  @Test func elementsOfBoolAreChecked() throws {
    let file = SomeFile()
    let mask = Tensor([true, false, true])
    try compile { (x: Tensor) in select(mask, x, -x) }.save(to: file.path, for: Tensor.ones([3]))
    expectValues(try SavedProgram(contentsOf: file.path)(Tensor.ones([3]))[0], [3], [1, -1, 1])
    var bytes = file.bytes
    #expect(bytes.suffix(3) == [1, 0, 1])
    bytes[bytes.count - 1] = 2
    file.setSealed(bytes)
    #expect(text(file) == "FILE: tensor constant.0 is bool, and has elements that are neither 0 nor 1")
  }

  /// Bytes of the header that were changed at random, with the checksum put right.
  @Test func changedBytesDoNotEndTheProcess() throws {
    let file = try Self.saved()
    let whole = file.bytes
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<800 {
      var bytes = whole
      for _ in 0...Int.random(in: 0..<3, using: &generator) {
        let place = Int.random(in: 0..<bytes.count - 48, using: &generator)
        bytes[place] = Bool.random() ? UInt8.random(in: 32..<127, using: &generator) : UInt8(ascii: "0")
      }
      file.setSealed(bytes)
      guard let program = try? SavedProgram(contentsOf: file.path) else { continue }
      _ = try? program(Tensor.ones([2, 4]))
    }
  }
}
