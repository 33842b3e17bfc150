import Foundation
import Martlet
import MartletCPU
import MartletCore
import MartletOps
import Testing

/// A convolution with a 3×3 kernel and stride 1.
struct Tiling: Sendable {
  let examples, inputs, outputs: Int
  let size: [Int]
  let low, high: Int

  init(_ examples: Int, _ inputs: Int, _ outputs: Int, _ size: [Int], _ low: Int, _ high: Int) {
    (self.examples, self.inputs, self.outputs) = (examples, inputs, outputs)
    (self.size, self.low, self.high) = (size, low, high)
  }
}

/// What is chosen depends on the machine, so each algorithm is put to the test by itself.
@Suite struct LawsConvolutions {
  private static let rows = [OpTable.convolution, .convolutionInputGradient, .convolutionWeightGradient]

  @Test(arguments: rows, ConvolutionAlgorithm.allCases)
  func algorithmsAgree(_ row: OpTable, _ algorithm: ConvolutionAlgorithm) {
    var runs = 0
    for c in row.cases
    where Laws.picks("algorithms \(c.name)")
      && c.inputs.allSatisfy({ $0.layout == .dense && $0.shape.elementCount > 0 })
    {
      expect("algorithms agree", c, .cpu) {
        let inputs = c.tensors(on: .cpu)
        guard let found = runConvolution(algorithm, c.op, inputs) else { return nil }
        runs += 1
        return difference(found, results(c, on: .reference)[0], loose: c.loose)
      }
    }
    if algorithm == .columns { #expect(runs > 0) }
  }

  /// Where Winograd's method applies: 3×3 kernels with stride 1 over enough channels. Its errors are of another kind.
  @Test func winogradAgrees() {
    let window = ConvolutionWindow(stride: [1, 1], dilation: [1, 1], low: [1, 1], high: [1, 1], groups: 1)
    let x = Input([2, 32, 16, 16], .float32, .between(-1, 1)).tensor("x", on: .cpu)
    let w = Input([32, 32, 3, 3], .float32, .between(-1, 1)).tensor("w", on: .cpu)
    let y = Input([2, 32, 16, 16], .float32, .between(-1, 1)).tensor("y", on: .cpu)
    for (op, inputs) in [
      (Convolution(window), [x, w]), (ConvolutionInputGradient(window, size: [16, 16]), [y, w]),
      (ConvolutionWeightGradient(window, kernel: [3, 3]), [x, y]),
    ] as [(any Op, [Tensor])] {
      let wide = apply(any: op, inputs.map { $0.cast(to: .float64) })[0]
      let scale = wide.doubles.map { $0.magnitude }.max()!
      for algorithm in ConvolutionAlgorithm.allCases {
        guard let found = runConvolution(algorithm, op, inputs) else { continue }
        let worst = zip(found.doubles, wide.doubles).map { ($0 - $1).magnitude }.max()!
        #expect(worst < 1e-5 * scale, "\(type(of: op).name) by \(algorithm)")
      }
    }
  }

  /// Our own transform, over images with their channels next to each other: borders that cut tiles, one panel of channels
  /// and several, and the same bits from one thread and from two.
  @Test(arguments: [
    Tiling(3, 16, 16, [8, 8], 1, 1), Tiling(2, 16, 32, [9, 7], 1, 1), Tiling(2, 48, 16, [5, 6], 0, 0),
    Tiling(1, 32, 48, [4, 11], 1, 0), Tiling(5, 16, 80, [3, 3], 0, 1), Tiling(1, 112, 144, [13, 2], 1, 1),
    Tiling(4, 256, 192, [4, 4], 1, 1), Tiling(1, 16, 16, [1, 1], 1, 1), Tiling(1, 16, 32, [65, 50], 1, 1),
  ])
  func tilesAgree(_ tiling: Tiling) {
    let (examples, inputs, outputs) = (tiling.examples, tiling.inputs, tiling.outputs)
    let (size, low, high) = (tiling.size, tiling.low, tiling.high)
    let window = ConvolutionWindow(
      stride: [1, 1], dilation: [1, 1], low: [low, low], high: [high, high], groups: 1)
    let out = size.map { $0 + low + high - 2 }
    func input(_ shape: Shape, _ name: String) -> Tensor {
      Input(shape, .float32, .between(-1, 1)).tensor(name, on: .cpu)
    }
    let x = input(Shape([examples, inputs] + size), "x"), w = input([outputs, inputs, 3, 3], "w")
    let y = input(Shape([examples, outputs] + out), "y"), bias = input([outputs], "b")
    for (op, inputs) in [
      (Convolution(window), [x, w]), (Convolution(window), [x, w, bias]),
      (ConvolutionInputGradient(window, size: Shape(size)), [y, w]),
      (ConvolutionWeightGradient(window, kernel: [3, 3]), [x, y]),
    ] as [(any Op, [Tensor])] {
      let wide = apply(any: op, inputs.map { $0.cast(to: .float64) })[0].doubles
      let scale = (wide.map { $0 * $0 }.reduce(0, +) / Double(wide.count)).squareRoot()
      let found = [1, 2].map { threads in
        withThreads(threads) { runConvolution(.tiles, op, inputs, channelsLast: true)?.floats } ?? []
      }
      #expect(found[0].count == wide.count && found[0] == found[1], "\(type(of: op).name)")
      let errors = zip(found[0], wide).map { (Double($0) - $1).magnitude }
      #expect(errors.allSatisfy { $0 < 3e-5 * scale }, "\(type(of: op).name)")
      let square = errors.map { $0 * $0 }.reduce(0, +) / Double(errors.count)
      #expect(square.squareRoot() < 3e-6 * scale, "\(type(of: op).name)")
    }
  }

  /// Gradients of kernels in bfloat16 by pairs of positions: windows of one to three axes, an odd number of positions, blocks
  /// of channels that are not whole. Where the processor has no such products, there is nothing to compare.
  @Test(arguments: [
    ([3, 16, 8, 8], [24, 3, 3], [1, 1], 1), ([2, 80, 9, 7], [6, 3, 3], [2, 2], 1),
    ([1, 64, 11, 5], [37, 5, 2], [3, 1], 2),
    ([5, 17, 23], [8, 3], [2], 1), ([1, 32, 4, 5, 3], [16, 2, 3, 1], [1, 2, 1], 0),
  ])
  func pairsAgree(_ size: [Int], _ kernel: [Int], _ stride: [Int], _ padding: Int) {
    let axes = stride.count
    let window = ConvolutionWindow(
      stride: Shape(stride), dilation: Shape([Int](repeating: 1, count: axes)),
      low: Shape([Int](repeating: padding, count: axes)), high: Shape([Int](repeating: padding, count: axes)), groups: 1
    )
    let out = (0..<axes).map { (size[2 + $0] + 2 * padding - kernel[1 + $0]) / stride[$0] + 1 }
    let x = Input(Shape(size), .bfloat16, .between(-1, 1)).tensor("x", on: .cpu)
    let y = Input(Shape([size[0], kernel[0]] + out), .bfloat16, .between(-1, 1)).tensor("y", on: .cpu)
    let op = ConvolutionWeightGradient(window, kernel: Shape(kernel[1...]))
    let found = [1, 2].compactMap { threads in
      withThreads(threads) { runConvolution(.pairs, op, [x, y], channelsLast: true)?.doubles }
    }
    guard found.count == 2 else { return }
    #expect(found[0] == found[1])
    let wide = apply(any: op, [x.cast(to: .float64), y.cast(to: .float64)])[0].doubles
    let bound = 1e-5 * Double(size[0] * out.reduce(1, *))
    #expect(zip(found[0], wide).allSatisfy { ($0 - $1).magnitude <= bound + $1.magnitude / 250 })
  }

  /// Where it does not apply, it says so.
  @Test func tilesAreRefused() {
    func runs(
      _ channels: Int = 16, _ dtype: DType = .float32, stride: Int = 1, padding: Int = 1, kernel: Int = 3,
      isPrecise: Bool = false, channelsLast: Bool = true
    ) -> Bool {
      let window = ConvolutionWindow(
        stride: [stride, stride], dilation: [1, 1], low: [padding, padding], high: [padding, padding], groups: 1,
        isPrecise: isPrecise)
      let x = Tensor.ones([1, channels, 8, 8], dtype: dtype), w = Tensor.ones([16, channels, kernel, 3], dtype: dtype)
      return runConvolution(.tiles, Convolution(window), [x, w], channelsLast: channelsLast) != nil
    }
    #expect(runs())
    #expect(
      runs(16, .bfloat16) && !runs(24) && !runs(16, .float64) && !runs(16, .float16) && !runs(stride: 2)
        && !runs(padding: 2))
    #expect(!runs(kernel: 2) && !runs(isPrecise: true) && !runs(channelsLast: false))
  }

  @Test(.enabled(if: Device.current != .reference, "the reference does not choose")) func choicesAreKept() {
    let x = Tensor.ones([1, 3, 11, 13])
    let w = Tensor.ones([2, 3, 5, 3])
    let y = conv2d(x, w)
    #expect(y.shape == [1, 2, 7, 11])
    #expect(y.floats.allSatisfy { $0 == 45 })
    let choice = ConvolutionChoices.all.first { $0.convolution.contains("[1, 3, 11, 13]*[2, 3, 5, 3]") }
    #expect(choice != nil)
    #expect(choice.map { c in ConvolutionAlgorithm.allCases.contains { $0.name == c.algorithm } } == true)
  }

  /// A thread that is new to a shape takes what is known of it, also while others measure.
  @Test(
    .enabled(if: Device.current == .cpu, "the reference does not choose, and a queue also waits for what is before"))
  func knownChoicesDoNotWait() {
    let (x, w) = (Tensor.ones([1, 2, 7, 9]), Tensor.ones([3, 2, 2, 2]))
    let here = conv2d(x, w).floats
    let done = DispatchSemaphore(value: 0)
    nonisolated(unsafe) var there: [Float] = []
    let isInTime = ConvolutionChoices.timing.holding {
      Thread {
        there = conv2d(x, w).floats
        done.signal()
      }.start()
      return done.wait(timeout: .now() + 60) == .success
    }
    #expect(isInTime)
    if isInTime { #expect(there == here) }
  }

  /// Threads that meet at a new shape all take the one choice.
  @Test(.enabled(if: Device.current != .reference, "the reference does not choose")) func oneChoiceForAllThreads() {
    let x = Input([2, 5, 9, 8], .float32, .between(-1, 1)).tensor("x", on: .cpu)
    let w = Input([4, 5, 3, 2], .float32, .between(-1, 1)).tensor("w", on: .cpu)
    let found = Lock()
    nonisolated(unsafe) var results: [[Float]] = []
    DispatchQueue.concurrentPerform(iterations: 4) { _ in
      let y = conv2d(x, w).floats
      found.holding { results.append(y) }
    }
    #expect(results.count == 4 && Set(results).count == 1)
    #expect(ConvolutionChoices.all.filter { $0.convolution.contains("[2, 5, 9, 8]*[4, 5, 3, 2]") }.count == 1)
  }

  /// Channels-last images give channels-last results, with equal values; elementwise operations keep the order too.
  @Test(arguments: [DType.float32, .float64, .bfloat16]) func channelsLast(_ dtype: DType) {
    func image(_ shape: Shape, _ seed: String) -> (Tensor, Tensor) {
      let x = Input(shape, dtype, .between(-1, 1)).tensor(seed, on: .cpu)
      return (x, x.permuted([0, 2, 3, 1]).contiguous().permuted([0, 3, 1, 2]))
    }
    func isLast(_ x: Tensor) -> Bool { x.node.strides.map { Order.isChannelsLast(x.shape, $0) } ?? false }
    let window = ConvolutionWindow(
      stride: [2, 1], dilation: [1, 1], low: [1, 1], high: [1, 1], groups: 1, isPrecise: true)
    let (x, lastX) = image([2, 16, 7, 6], "x")
    let w = Input([8, 16, 3, 3], dtype, .between(-1, 1)).tensor("w", on: .cpu)
    let bias = Input([8], dtype, .between(-1, 1)).tensor("b", on: .cpu)
    let (g, lastG) = image([2, 8, 4, 6], "g")
    #expect(isLast(lastX) && isLast(lastG) && !isLast(x))
    let y = apply(Convolution(window), [lastX, w, bias])[0]
    let dx = apply(ConvolutionInputGradient(window, size: [7, 6]), [lastG, w])[0]
    let dw = apply(ConvolutionWeightGradient(window, kernel: [3, 3]), [lastX, lastG])[0]
    #expect(isLast(y) && isLast(dx) && dw.isContiguous)
    #expect(difference(y, apply(Convolution(window), [x, w, bias])[0], loose: 64) == nil)
    #expect(difference(dx, apply(ConvolutionInputGradient(window, size: [7, 6]), [g, w])[0], loose: 64) == nil)
    #expect(difference(dw, apply(ConvolutionWeightGradient(window, kernel: [3, 3]), [x, g])[0], loose: 64) == nil)
    for (kept, plain) in [
      (relu(y) * 2, relu(y.contiguous()) * 2), (y + bias.reshaped(8, 1, 1), y.contiguous() + bias.reshaped(8, 1, 1)),
      (select(y .> 0, y, y * 0.5), select(y .> 0, y, y * 0.5).contiguous()),
      (-y.cast(to: .float32), -y.cast(to: .float32)),
    ] {
      #expect(isLast(kept))
      #expect(difference(kept, plain, loose: 0) == nil)
    }
    // Recorded and compiled too.
    let p = y.requiringGradient()
    #expect(isLast((tanh(p) * p).detached()))
    #expect(isLast(compile { (x: Tensor) in exp(x) + x }(y)))
    #expect(isLast(x.channelsLast()) && difference(x.channelsLast(), x, loose: 0) == nil)
    let both = concat([y, y * 2], axis: 1)
    #expect(isLast(both) && difference(both, concat([y.contiguous(), y.contiguous() * 2], axis: 1), loose: 0) == nil)
    // Gaps are closed; repeated elements are not kept.
    #expect(isLast(y[.all, .all, .range(by: 2)] + 1) && isLast(both[.all, .range(from: 3)] * 2))
    #expect((Tensor.ones([1]).expanded(to: [2, 3]) + 1).isContiguous)
  }
}
