import Martlet
import MartletCore
import MartletOps
import Testing

/// Normalisations with a rectifier behind them: the pass `normalizeRelu`.
@Suite(.enabled(if: Device.current == .cpu)) struct NormalizeReluTests {
  private var pass: [Pass] { Pass.selected("normalizeRelu") }

  private func lines(_ program: Program) -> [String] {
    program.description.split(separator: "\n").map { String($0.trimmingPrefix(while: { $0 == " " })) }
      .filter { !$0.hasPrefix("program") && !$0.contains("= input") && $0 != "}" }
  }

  /// The operations on inputs of these specs: each number is an operand, those of results follow those of inputs.
  private func program(
    _ inputs: [TensorSpec], _ steps: [(any Op, [Int])], returning outputs: [Int]
  ) throws -> Program {
    var program = Program()
    program.values = inputs
    program.inputs = Array(inputs.indices)
    for (op, operands) in steps {
      let results = try op.outputs(for: operands.map { program.values[$0] })
      let first = program.values.count
      program.values += results
      program.instructions.append(
        Program.Instruction(op: op, inputs: operands, outputs: Array(first..<first + results.count)))
    }
    program.outputs = outputs
    #expect(program.verify().isEmpty)
    return program
  }

  private static let batch = NormalizedSets(groups: nil, epsilon: 0.01)
  private static let slope = ClampGradient(low: 0, high: .nan, isOpen: true)
  private let image = TensorSpec([2, 3, 4, 5])
  private let plane = TensorSpec([2, 3, 20])
  private let channels = TensorSpec([3])

  /// x, weight, bias and the cotangent of an image; then, by numbers, x as planes 4, its norm 5 6 7, that as an image 8, the
  /// rectified one 9, the cotangent behind the rectifier 10, that as planes 11, the gradients 12 13 14.
  private func training(
    slope: ClampGradient = slope, of y: Int = 9, order: [Int] = [0, 1, 2, 3], sets: NormalizedSets = batch,
    x: Int = 4, returning outputs: [Int] = [9, 6, 12, 13, 14]
  ) throws -> Program {
    try program(
      [image, channels, channels, image],
      [
        (Reshape(shape: plane.shape), [0]), (Normalize(Self.batch), [4, 1, 2]), (Reshape(shape: image.shape), [5]),
        (Relu(), [8]), (slope, [3, y]), (Reshape(shape: plane.shape), [10]),
        (NormalizeGradient(sets, affine: 2), [11, x, 6, 7, 1]),
      ], returning: outputs)
  }

  @Test func bothDirections() throws {
    let program = try training()
    #expect(
      lines(program) == [
        "%4 = reshape(%0) {shape=[2, 3, 20]} -> float32[2, 3, 20]",
        "%5, %6, %7 = normalize(%4, %1, %2) {batch, epsilon=0.01} -> float32[2, 3, 20], float32[3], float32[3]",
        "%8 = reshape(%5) {shape=[2, 3, 4, 5]} -> float32[2, 3, 4, 5]", "%9 = relu(%8) -> float32[2, 3, 4, 5]",
        "%10 = clampGradient(%3, %9) {low=0.0, high=nan, open} -> float32[2, 3, 4, 5]",
        "%11 = reshape(%10) {shape=[2, 3, 20]} -> float32[2, 3, 20]",
        "%12, %13, %14 = normalizeGradient(%11, %4, %6, %7, %1) {batch, epsilon=0.01} "
          + "-> float32[2, 3, 20], float32[3], float32[3]",
        "return %9, %6, %12, %13, %14",
      ])
    #expect(
      lines(program.optimized(pass)) == [
        "%4 = reshape(%0) {shape=[2, 3, 20]} -> float32[2, 3, 20]",
        "%5, %6, %7, %15 = normalizeRelu(%4, %1, %2) {batch, epsilon=0.01, factors} "
          + "-> float32[2, 3, 20], float32[3], float32[3], float32[3, 3]",
        "%8 = reshape(%5) {shape=[2, 3, 4, 5]} -> float32[2, 3, 4, 5]",
        "%11 = reshape(%3) {shape=[2, 3, 20]} -> float32[2, 3, 20]",
        "%12, %13, %14 = normalizeReluGradient(%11, %4, %6, %7, %15, %1) {batch, epsilon=0.01} "
          + "-> float32[2, 3, 20], float32[3], float32[3]",
        "return %8, %6, %12, %13, %14",
      ])
  }

  private func names(_ program: Program) -> [String] {
    program.instructions.map { type(of: $0.op).name }.filter { $0 != "reshape" }
  }

  /// The rectifier alone is joined where its gradient cannot be; nothing is where others read what is rectified.
  @Test func refusals() throws {
    let forward = ["normalizeRelu", "clampGradient", "normalizeGradient"]
    let all = ["normalize", "relu", "clampGradient", "normalizeGradient"]
    let others = NormalizedSets(groups: 1, epsilon: 0.01)
    let row = TensorSpec([4, 6, 1])
    let cases: [(String, Program, [String])] = [
      ("the normalised values are given back", try training(returning: [5, 9, 12]), all),
      ("they are read in another shape", try training(returning: [8, 12]), all),
      ("they decide what passes", try training(of: 8, returning: [9, 12]), all),
      ("the cotangent is read elsewhere", try training(returning: [9, 10, 12]), forward),
      ("and in another shape", try training(returning: [9, 11, 12]), forward),
      ("other bounds", try training(slope: ClampGradient(low: 0, high: 6, isOpen: true)), forward),
      ("another tensor decides what passes", try training(of: 0), forward),
      (
        "the gradient of another normalisation",
        try program(
          [plane, plane, plane],
          [
            (Normalize(Self.batch), [0]), (Relu(), [3]), (Self.slope, [2, 6]),
            (NormalizeGradient(Self.batch, affine: 0), [7, 1, 4, 5]),
          ], returning: [6, 8]), forward
      ),
      (
        "other sets",
        try program(
          [plane, TensorSpec([2, 1])],
          [
            (Normalize(Self.batch), [0]), (Relu(), [2]), (Self.slope, [0, 5]),
            (NormalizeGradient(others, affine: 0), [6, 0, 1, 1]),
          ], returning: [5, 7]), forward
      ),
      (
        "the cotangent lies in another order",
        try program(
          [plane, TensorSpec([3, 2, 20])],
          [
            (Normalize(Self.batch), [0]), (Relu(), [2]), (Permute(order: [1, 0, 2]), [1]), (Self.slope, [6, 5]),
            (NormalizeGradient(Self.batch, affine: 0), [7, 0, 3, 4]),
          ], returning: [5, 8]), ["normalizeRelu", "permute", "clampGradient", "normalizeGradient"]
      ),
      (
        "none: the cotangent is what was rectified",
        try program(
          [plane],
          [
            (Normalize(Self.batch), [0]), (Relu(), [1]), (Self.slope, [4, 4]),
            (NormalizeGradient(Self.batch, affine: 0), [5, 0, 2, 3]),
          ], returning: [4, 6]), ["normalizeRelu", "normalizeReluGradient"]
      ),
      (
        "rows", try program([row], [(Normalize(others), [0]), (Relu(), [1])], returning: [4]), ["normalize", "relu"]
      ),
    ]
    for (what, program, expected) in cases {
      let joined = program.optimized(pass)
      #expect(names(joined) == expected, "\(what)\n\(joined)")
      if expected == all { #expect(lines(joined) == lines(program)) }
    }
  }

  private func bits(_ x: Tensor) -> [UInt64?] {
    x.array(as: Double.self).map { $0.isNaN ? nil : $0.bitPattern }
  }

  /// With and without the pass, to the last bit.
  private func expectEqual(
    _ program: Program, _ inputs: [Tensor], forward: Int = 1, backward: Int = 1, _ what: String
  ) throws {
    let (joined, apart) = (program.optimized(), program.optimized(Pass.selected("-normalizeRelu")))
    let ops = joined.instructions.map { $0.op }
    #expect(ops.filter { $0 is NormalizeRelu }.count == forward, "\(what)\n\(joined)")
    #expect(ops.filter { $0 is NormalizeReluGradient }.count == backward, "\(what)\n\(joined)")
    #expect(!apart.instructions.contains { $0.op is NormalizeRelu })
    let found = try joined.run(inputs, planned: true)
    let expected = try apart.run(inputs, planned: true)
    for (position, (a, b)) in zip(found, expected).enumerated() {
      #expect(a.spec == b.spec && bits(a) == bits(b), "\(what), result \(position)")
    }
    let again = try joined.run(inputs, planned: false)
    for (a, b) in zip(found, again) { #expect(bits(a) == bits(b), "\(what)") }
  }

  private func numbers(_ shape: Shape, _ dtype: DType, _ seed: Int) -> Tensor {
    .normal(shape, generator: Generator(seed: seed)).cast(to: dtype)
  }

  /// Of x and of a weight and a bias, or the first of these, or none.
  private static let norms: [(String, Shape, @Sendable (Tensor, Tensor?, Tensor?) -> Tensor)] = [
    ("batch", [3, 6, 5, 7], { batchNorm($0, weight: $1, bias: $2).result }),
    ("large batch", [9, 70, 13, 11], { batchNorm($0, weight: $1, bias: $2).result }),
    ("batch of rows", [50, 6], { batchNorm($0, weight: $1, bias: $2).result }),
    ("groups", [3, 6, 5, 7], { groupNorm($0, groups: 2, weight: $1, bias: $2) }),
    ("instance", [3, 6, 5, 9], { instanceNorm($0, weight: $1, bias: $2) }),
  ]

  /// What is multiplied with the rectified values has these as its gradient.
  @Test(arguments: norms.indices, [DType.float32, .float64, .bfloat16, .float16])
  func stepsAgree(_ number: Int, _ dtype: DType) throws {
    let (name, shape, norm) = Self.norms[number]
    for isLast in [false, true] where !isLast || shape.rank == 4 {
      for affine in 0...2 {
        func laid(_ x: Tensor) -> Tensor { isLast ? x.channelsLast() : x }
        let step = grad { (t: [Tensor]) in
          let y = relu(norm(laid(t[0]), t.count > 2 ? t[2] : nil, t.count > 3 ? t[3] : nil))
          return (y * laid(t[1])).sum()
        }
        var inputs = [numbers(shape, dtype, 1) + 0.3, numbers(shape, dtype, 2)]
        inputs += (0..<affine).map { numbers([shape[1]], dtype, 3 + $0) }
        let program = try compile(step).program(for: inputs)
        // Groups of channels are in row-major order, in which the cotangent of channels-last images is not.
        let backward = isLast && !name.hasSuffix("batch") ? 0 : 1
        let what = "\(name) \(dtype) \(isLast ? "channels last" : "") affine \(affine)"
        try expectEqual(program, inputs, backward: backward, what)
        inputs[0][1, 2] = Tensor(repeating: .nan, inputs[0][1, 2].spec)
        try expectEqual(program, inputs, backward: backward, what + " with NaN")
      }
    }
  }

  /// Values next to zero: rounded to it, of either sign.
  @Test(arguments: [DType.float32, .float64, .bfloat16, .float16]) func smallValues(_ dtype: DType) throws {
    let least = dtype == .float16 ? 0x1p-24 : dtype == .float64 ? 0x1p-1060 : 0x1p-133
    let step = grad { (t: [Tensor]) in
      (relu(batchNorm(t[0], weight: t[2], bias: t[3]).result) * t[1]).sum()
    }
    let inputs = [
      numbers([4, 3, 50], dtype, 1), numbers([4, 3, 50], dtype, 2),
      Tensor([least, -least, 0] as [Double]).cast(to: dtype), Tensor([0, 0, -0.0] as [Double]).cast(to: dtype),
    ]
    let program = try compile(step).program(for: inputs)
    try expectEqual(program, inputs, "\(dtype)")
    let y = try program.optimized().run(inputs, planned: true)[1].array(as: Double.self)
    #expect(y.contains { $0 == 0 && $0.sign == .minus } && y.contains { $0 > 0 })
  }

  /// A residual network in training: its shortcuts stay as they are.
  @Test(arguments: [nil, DType.bfloat16]) func networksAgree(_ dtype: DType?) throws {
    func block(_ x: Tensor, _ t: ArraySlice<Tensor>) -> Tensor {
      let t = Array(t)
      let y = relu(batchNorm(conv2d(x, t[0], padding: 1), weight: t[1], bias: t[2]).result)
      return relu(batchNorm(conv2d(y, t[3], padding: 1), weight: t[4], bias: t[5]).result + x)
    }
    let step = valueAndGrad { (t: [Tensor]) in
      withAutocast(dtype) {
        let x = relu(batchNorm(conv2d(t[0], t[1], padding: 1)).result)
        return block(block(x, t[2..<8]), t[8..<14]).cast(to: .float32).mean()
      }
    }
    var inputs = [numbers([4, 8, 10, 9], .float32, 1), numbers([16, 8, 3, 3], .float32, 2) * 0.1]
    for seed in 0..<4 {
      inputs.append(numbers([16, 16, 3, 3], .float32, 10 + seed) * 0.1)
      inputs += [numbers([16], .float32, 20 + seed), numbers([16], .float32, 30 + seed)]
    }
    let program = try compile(step).program(for: inputs)
    #expect(program.optimized().instructions.contains { $0.op is Permute })
    try expectEqual(program, inputs, forward: 3, backward: 3, "\(dtype.map { "\($0)" } ?? "float32")")
  }

  @Test func evaluationIsLeftAlone() throws {
    let model = Sequential {
      Conv2d(3, 4, kernelSize: 3)
      BatchNorm2d(4)
      ReLU()
    }
    let f = compile { (x: Tensor) in model(x) }
    let x = numbers([2, 3, 6, 6], .float32, 1)
    let training = try f.program(for: x).optimized()
    #expect(training.instructions.contains { $0.op is NormalizeRelu })
    model.eval()
    let evaluation = try f.program(for: x)
    #expect(lines(evaluation) == lines(evaluation.optimized(pass)))
  }
}
