import Martlet
import MartletCore
import MartletOps
import Testing

/// Convolutions with what follows them, the order of images inside of programs, and what runs once for the weights.
@Suite(.enabled(if: Device.current == .cpu)) struct EpilogueTests {
  private final class Block: Module {
    let first: Conv2d
    let second: Conv2d
    let shortcut: Conv2d?
    let norms: [BatchNorm2d]
    init(_ inputs: Int, _ outputs: Int, stride: Int, groups: Int = 1, bias: Bool = false) {
      first = Conv2d(inputs, outputs, kernelSize: 3, stride: Extent(stride), padding: 1, groups: groups, bias: bias)
      second = Conv2d(outputs, outputs, kernelSize: 3, padding: 1, bias: bias)
      shortcut =
        stride == 1 && inputs == outputs
        ? nil : Conv2d(inputs, outputs, kernelSize: 1, stride: Extent(stride), bias: bias)
      norms = [BatchNorm2d(outputs), BatchNorm2d(outputs), BatchNorm2d(outputs)]
    }
    func forward(_ x: Tensor) -> Tensor {
      let y = norms[1](second(relu6(norms[0](first(x)))))
      return relu((shortcut.map { norms[2]($0(x)) } ?? x) + y)
    }
  }

  private func images(_ shape: Shape, seed: Int = 1) -> Tensor { .normal(shape, generator: Generator(seed: seed)) }

  /// Batch norms as training leaves them.
  private func settle(_ model: any Module, seed: Int) throws {
    let generator = Generator(seed: seed)
    let entries = model.state.entries.map { name, tensor -> (name: String, tensor: Tensor) in
      guard tensor.dtype == .float32, tensor.rank == 1 else { return (name, tensor) }
      let noise = Tensor.normal(tensor.shape, generator: generator)
      return (name, name.lowercased().hasSuffix("var") ? abs(noise) + 0.5 : tensor + noise * 0.2)
    }
    try model.load(State(entries))
    model.eval()
  }

  private func passes(_ names: String) -> [Pass] { Pass.selected(names) }

  @Test func whatFollowsAConvolutionBecomesPartOfIt() throws {
    let block = Block(16, 32, stride: 2)
    block.eval()
    let f = compile { (x: Tensor) in block(x) }
    let program = try withoutGradient { try f.program(for: images([2, 16, 8, 8])) }
    let after = program.optimized(passes("algebra,channelsLast,epilogues"))
    #expect(after.verify().isEmpty)
    let fused = after.instructions.compactMap { $0.op as? FusedConvolution }
    #expect(
      fused.map { $0.attributes }.sorted() == [
        "padding=[1, 1], bias, add, relu", "stride=1, bias", "stride=[2, 2], padding=[1, 1], bias, clamp 0.0 … 6.0",
      ])
    #expect(fused.allSatisfy { $0.packing?.isChannelsLast == true })
    #expect(after.instructions.filter { $0.op is PackKernels }.count == 3)
    #expect(!after.instructions.contains { $0.op is Relu || $0.op is Clamp || $0.op is Convolution })
  }

  @Test func whatOthersReadStays() throws {
    let convolution = Conv2d(16, 16, kernelSize: 3, padding: 1)
    let f = compile { (x: Tensor) -> (Tensor, Tensor) in
      let y = convolution(x)
      return (relu(y), y)
    }
    let x = images([1, 16, 6, 6])
    let program = try withoutGradient { try f.program(for: x) }.optimized(passes("channelsLast,epilogues"))
    #expect(
      program.instructions.compactMap { $0.op as? FusedConvolution }.map { $0.attributes } == ["padding=[1, 1], bias"])
    withoutGradient {
      let (a, b) = f(x)
      #expect(allClose(a, relu(convolution(x)), absolute: 1e-5) && allClose(b, convolution(x), absolute: 1e-5))
      #expect(a.isContiguous && b.isContiguous)
    }
  }

  /// Networks of many and of few channels, in groups, with and without a bias, in both orders in memory.
  @Test(arguments: [
    (16, 32, 2, 1, false), (32, 32, 1, 1, true), (24, 24, 1, 24, false), (16, 48, 1, 4, true), (3, 6, 1, 1, true),
    (5, 7, 2, 1, false),
  ])
  func networksAgree(_ inputs: Int, _ outputs: Int, _ stride: Int, _ groups: Int, _ bias: Bool) throws {
    let model = Block(inputs, outputs, stride: stride, groups: groups, bias: bias)
    try settle(model, seed: 3)
    for type in [DType.float32, .bfloat16] {
      let f = compile { (x: Tensor) in withAutocast(type == .bfloat16 ? .bfloat16 : nil) { model(x) } }
      withoutGradient {
        for (size, isLast) in [(9, false), (12, true), (1, false)] {
          let x = images([2, inputs, size, size + 1])
          let expected = model(x)
          let found = f(isLast ? x.channelsLast() : x)
          let bound = type == .bfloat16 ? 0.05 : 1e-4
          #expect(found.shape == expected.shape && (isLast || found.isContiguous))
          #expect(allClose(found.cast(to: .float32), expected, relative: bound, absolute: bound), "\(type) \(size)")
        }
      }
    }
  }

  /// What is convolved and added, bounds on one side and on none, convolutions over one and three axes.
  @Test func otherTailsAgree() {
    let plane = Conv2d(16, 16, kernelSize: 3, padding: 1)
    let line = Conv1d(4, 6, kernelSize: 3)
    let volume = Conv3d(3, 5, kernelSize: 2, bias: false)
    let scale = Tensor.normal([16, 1, 1], generator: Generator(seed: 2))
    let cases: [((Tensor) -> Tensor, Shape)] = [
      ({ relu($0 + plane($0)) }, [2, 16, 9, 8]), ({ clamp(plane($0), max: 0.25) }, [2, 16, 5, 5]),
      ({ clamp(plane($0), min: 0.5, max: -0.5) }, [1, 16, 5, 5]), ({ clamp(plane($0), min: -0.1) }, [1, 16, 5, 5]),
      ({ relu(0.5 * (2 - plane($0)) / 3 + $0) }, [1, 16, 4, 4]), ({ plane($0) * scale + 1 }, [3, 16, 4, 6]),
      ({ relu(plane(relu(plane($0))) + plane($0) * 2) }, [1, 16, 8, 8]), ({ relu(line($0)) + 1 }, [2, 4, 11]),
      ({ relu(volume($0) * 2) }, [2, 3, 4, 5, 6]), ({ plane($0) * plane($0) }, [1, 16, 4, 4]),
    ]
    withoutGradient {
      for (number, (body, shape)) in cases.enumerated() {
        let f = compile { (x: Tensor) in body(x) }
        let x = images(shape)
        for _ in 0..<2 { #expect(allClose(f(x), body(x), relative: 1e-4, absolute: 1e-4), "\(number)") }
        let g = compile { (x: Tensor) in body(x * 2) }
        #expect(allClose(g(x), body(x * 2), relative: 1e-4, absolute: 1e-4), "\(number)")
      }
    }
  }

  /// What is prepared belongs to the weights that were there: others are seen, whoever has changed them.
  @Test func newWeightsAreSeen() throws {
    let model = Block(16, 16, stride: 1)
    try settle(model, seed: 4)
    let f = compile { (x: Tensor) in model(x) }
    let x = images([1, 16, 7, 7])
    let optimizer = SGD(model.parameters, learningRate: 0.1)
    for step in 0..<4 {
      withoutGradient { #expect(allClose(f(x), model(x), relative: 1e-4, absolute: 1e-4), "\(step)") }
      optimizer.zeroGrad()
      model(x).sum().backward()
      optimizer.step()
      if step == 2 { model.norms[0].runningMean!.value = model.norms[0].runningMean!.value + 1 }
    }
    let explanation = try withoutGradient { try f.explain(x) }
    #expect(explanation.preparedCount > 3 && "\(explanation)".contains("that run once for the state"))
    let convolutions = explanation.steps.filter { $0.operation.hasPrefix("fusedConvolution") }
    #expect(!convolutions.isEmpty && convolutions.allSatisfy { $0.method != nil })
    #expect("\(explanation)".contains("} by "))
    // Values that stand in for those of the cells.
    let state = model.state
    let others = State(state.entries.map { ($0.name, $0.tensor.dtype == .float32 ? $0.tensor * 0.5 : $0.tensor) })
    try withoutGradient {
      let expected = try model.with(others) { model(x) }
      let found = try model.with(others) { f(x) }
      #expect(allClose(found, expected, relative: 1e-4, absolute: 1e-4))
      #expect(allClose(f(x), model(x), relative: 1e-4, absolute: 1e-4))
    }
  }

  @Test func severalThreadsShareWhatIsPrepared() async throws {
    let model = Block(16, 16, stride: 1)
    try settle(model, seed: 5)
    let f = compile { (x: Tensor) in model(x) }
    let x = images([1, 16, 9, 9])
    let expected = withoutGradient { model(x) }
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask {
          withoutGradient {
            (0..<5).allSatisfy { _ in allClose(f(x), expected, relative: 1e-4, absolute: 1e-4) }
          }
        }
      }
      for await agrees in group { #expect(agrees) }
    }
  }

  /// Kernels are packed for a number of threads: each number that comes has its own.
  @Test func eachNumberOfThreadsHasItsKernels() throws {
    let model = Block(16, 16, stride: 1)
    try settle(model, seed: 6)
    let f = compile { (x: Tensor) in model(x) }
    let x = images([2, 16, 9, 9])
    try withoutGradient {
      let expected = model(x)
      for share in [1, 0, 1] {
        try withThreads(share) {
          let count = share == 0 ? Machine.threadCount : share
          #expect(allClose(f(x), expected, relative: 1e-4, absolute: 1e-4), "\(share)")
          let convolutions = try f.program(for: x).optimized(passes("channelsLast,epilogues")).instructions
            .compactMap { $0.op as? FusedConvolution }
          #expect(!convolutions.isEmpty && convolutions.allSatisfy { $0.threads == count })
        }
      }
    }
  }

  /// Programs of sizes that have not come for long give back their memory, what was prepared too.
  @Test func sizesComeBack() throws {
    let model = Block(16, 16, stride: 1)
    try settle(model, seed: 7)
    let f = compile { (x: Tensor) in model(x) }
    withoutGradient {
      let first = f(images([1, 16, 6, 6]))
      for size in 4...16 {
        let x = images([1, 16, size, 5])
        #expect(allClose(f(x), model(x), relative: 1e-4, absolute: 1e-4), "\(size)")
      }
      #expect(allClose(f(images([1, 16, 6, 6])), first, relative: 0, absolute: 0))
    }
  }

  /// Training inside of a program whose images lie in the other order, also those of one channel, which lie in both.
  @Test(arguments: [3, 1]) func trainingAgrees(_ channels: Int) throws {
    let model = Sequential {
      Conv2d(channels, 16, kernelSize: 3, padding: 1)
      ReLU()
      MaxPool2d(kernelSize: 2)
      Block(16, 32, stride: 2)
      Block(32, 32, stride: 1)
      GlobalPool()
      Linear(32, 5)
    }
    let start = model.state
    func train(_ compiled: Bool) throws -> [Double] {
      try model.load(start)
      let optimizer = SGD(model.parameters, learningRate: 0.05, momentum: 0.9)
      func step(_ x: Tensor, _ y: Tensor) -> Tensor {
        optimizer.zeroGrad()
        let loss = crossEntropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detached()
      }
      let run = compiled ? compile(step).function : step
      let (x, y) = (images([8, channels, 16, 16]), Tensor((0..<8).map { Int64($0 % 5) }))
      return (0..<5).map { _ in run(x, y).item() }
    }
    let (eager, compiled) = try (train(false), train(true))
    for (a, b) in zip(eager, compiled) { #expect(abs(a - b) < 1e-3 * max(1, abs(a)), "\(eager) \(compiled)") }
    #expect(eager[4] < eager[0])
  }

  private final class GlobalPool: Module {
    func forward(_ x: Tensor) -> Tensor { x.mean(axes: [2, 3]) }
  }
}
