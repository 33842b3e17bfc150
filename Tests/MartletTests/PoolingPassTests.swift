import Martlet
import MartletCore
import MartletOps
import Testing

/// Those of the pass `pooling`.
extension PassTests {
  /// A rectifier in front of max pooling moves behind it, and its gradient in front of that of the pooling.
  @Test func pooling() throws {
    let (before, after) = try texts(
      "pooling", { x in grad { (x: Tensor) in maxPool2d(relu(x), kernelSize: 2).sum() }(x).sum(axes: [2, 3]) },
      on: .ones([1, 3, 4, 4]))
    #expect(
      before.dropFirst() == [
        "%1 = relu(%0) -> float32[1, 3, 4, 4]",
        "%2, %3 = maxPool(%1) {kernelSize=[2, 2], stride=[2, 2]} -> float32[1, 3, 2, 2], int32[1, 3, 2, 2]",
        "%4 = sum(%2) {axes=[0, 1, 2, 3]} -> float32[]", "%6 = unpool(%5, %3) {size=[4, 4]} -> float32[1, 3, 4, 4]",
        "%7 = clampGradient(%6, %1) {low=0.0, high=nan, open} -> float32[1, 3, 4, 4]",
        "%8 = sum(%7) {axes=[2, 3]} -> float32[1, 3]", "return %8",
      ])
    #expect(
      after.dropFirst() == [
        "%9, %3 = maxPool(%0) {kernelSize=[2, 2], stride=[2, 2]} -> float32[1, 3, 2, 2], int32[1, 3, 2, 2]",
        "%2 = relu(%9) -> float32[1, 3, 2, 2]", "%4 = sum(%2) {axes=[0, 1, 2, 3]} -> float32[]",
        "%10 = clampGradient(%5, %2) {low=0.0, high=nan, open} -> float32[1, 3, 2, 2]",
        "%6 = unpool(%10, %3) {size=[4, 4]} -> float32[1, 3, 4, 4]", "%8 = sum(%10) {axes=[2, 3]} -> float32[1, 3]",
        "return %8",
      ])
  }

  @Test(arguments: [DType.float32, .bfloat16]) func poolingAgrees(_ dtype: DType) throws {
    // Windows of ties, of nothing positive, and with NaN.
    var x = round(Tensor.normal([3, 4, 9, 9], generator: Generator(seed: 3)))
    x[0, 0] = Tensor(repeating: -1, TensorSpec([9, 9]))
    x[1, 1, 4, 4] = Tensor(Float.nan)
    let g = Tensor.normal([3, 4, 9, 9], generator: Generator(seed: 4))
    let pools: [(Tensor) -> Tensor] = [
      { maxPool2d($0, kernelSize: 2) }, { maxPool2d($0, kernelSize: 3, stride: 2, padding: 1) },
      { adaptiveMaxPool2d($0, outputSize: [4, 5]) },
    ]
    for pool in pools {
      func step(_ x: Tensor) -> [Tensor] {
        let leaf = x.cast(to: dtype).requiringGradient()
        let y = pool(relu(leaf))
        (y * g[0..<3, 0..<4, 0..<y.shape[2], 0..<y.shape[3]].cast(to: dtype)).sum().backward()
        return [y.detached(), leaf.grad!, leaf.grad!.sum(axes: [0, 2, 3]), leaf.grad!.sum(axes: [3])]
      }
      let program = try compile(step).program(for: x)
      let moved = program.optimized(pass("pooling"))
      let rectifier = moved.instructions.firstIndex { $0.op is Relu }!
      #expect(moved.instructions[..<rectifier].contains { $0.op is MaxPool })
      for (a, b) in zip(try program.run([x], planned: true), try moved.run([x], planned: true)) {
        let tolerance = dtype == .float32 ? 1e-5 : 0.05
        #expect(allClose(a, b, relative: tolerance, absolute: tolerance, equalNaN: true))
      }
    }
  }

  /// What somebody else reads stays where it is.
  @Test func poolingLeavesOthers() throws {
    func same(_ f: @escaping (Tensor) -> Tensor) throws {
      let (before, after) = try texts("pooling", f, on: .ones([1, 3, 4, 4]))
      #expect(before == after)
    }
    try same { maxPool2d(relu($0), kernelSize: 2) }
    // Wrong indices are still found.
    let indices = Tensor.zeros([1, 3, 2, 2], dtype: .int32)
    try same { x in
      maxUnpool2d(x[0..<1, 0..<3, 0..<2, 0..<2], indices: indices, kernelSize: 2).sum(axes: [2, 3])
    }
    try same(
      grad { x in
        let y = relu(x)
        return maxPool2d(y, kernelSize: 2).sum() + (y * y).sum()
      })
    try same(
      grad { x in
        let (y, index) = maxPool2dWithIndices(relu(x), kernelSize: 2)
        return (y * index.cast(to: .float32)).sum()
      })
    try same(
      grad { x in
        maxPool2d(relu(batchNorm(x).0), kernelSize: 2).sum()
      })
  }
}
