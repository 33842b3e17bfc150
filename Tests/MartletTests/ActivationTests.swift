import Martlet
import Testing

private func values(_ x: Tensor) -> [Double] { x.array(as: Double.self) }

/// A function of one tensor with a name.
private struct Function: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let f: @Sendable (Tensor) -> Tensor
  init(_ name: String, _ f: @escaping @Sendable (Tensor) -> Tensor) {
    testDescription = name
    self.f = f
  }
}

private let activations: [Function] = [
  Function("relu6", relu6), Function("elu") { elu($0, alpha: 0.7) }, Function("selu", selu),
  Function("celu") { celu($0, alpha: 1.3) }, Function("silu", silu), Function("mish", mish),
  Function("gelu") { gelu($0) }, Function("gelu tanh") { gelu($0, approximate: true) },
  Function("softplus") { softplus($0, beta: 2, threshold: 1000) }, Function("softsign", softsign),
  Function("hardSwish", hardSwish), Function("hardSigmoid", hardSigmoid), Function("hardTanh") { hardTanh($0) },
  Function("logSigmoid", logSigmoid), Function("tanhShrink", tanhShrink), Function("softShrink") { softShrink($0) },
  Function("hardShrink") { hardShrink($0) }, Function("leakyRelu") { leakyRelu($0) },
  Function("threshold") { threshold($0, above: 0.1, else: 20) }, Function("glu") { glu($0) },
  Function("softmin") { softmin($0) }, Function("logSoftmax") { logSoftmax($0) },
  Function("prelu") { prelu($0, Tensor([0.2] as [Double])) }, Function("rrelu") { rrelu($0) },
]

@Suite struct ActivationTests {
  @Test(arguments: activations) fileprivate func derivatives(_ function: Function) throws {
    // Away from the kinks of all of them.
    let x = Tensor([-4.1, -2.2, -0.81, -0.33, 0.21, 0.72, 1.7, 4.4] as [Double])
    try checkGradients(function.f, x, order: 2, tolerance: 1e-5)
  }

  /// Neither values nor gradients become NaN or infinite far from 0, in any floating dtype.
  @Test(arguments: activations) fileprivate func farFromZero(_ function: Function) {
    for dtype in [DType.float16, .bfloat16, .float32, .float64] {
      let x = Tensor([-100.0, -50, -20, 0, 20, 50, 100, 88] as [Double]).cast(to: dtype)
      #expect(function.f(x).isFinite.all().item() != 0, "\(dtype) value")
      #expect(grad { (x: Tensor) in function.f(x).sum() }(x).isFinite.all().item() != 0, "\(dtype) gradient")
    }
  }

  /// The slopes at 0 that PyTorch gives.
  @Test func slopesAtZero() {
    let expected: [(String, Double)] = [
      ("relu6", 0), ("elu", 0.7), ("silu", 0.5), ("mish", 0.6), ("gelu", 0.5), ("softplus", 0.5), ("logSigmoid", 0.5),
      ("celu", 1), ("softShrink", 0), ("leakyRelu", 0.01),
    ]
    for (name, slope) in expected {
      let function = activations.first { $0.testDescription == name }!
      let found = values(grad { (x: Tensor) in function.f(x).sum() }(Tensor([0.0] as [Double])))[0]
      #expect(Swift.abs(found - slope) < 1e-12, "\(name): \(found)")
    }
  }

  @Test func layers() {
    let x: Tensor = [[-2, -0.5, 0.5, 2]]
    let layers: [any Module<Tensor, Tensor>] = [
      ReLU6(), ELU(), SELU(), CELU(), SiLU(), Mish(), GELU(), Softplus(), Softsign(), Hardswish(), Hardsigmoid(),
      Hardtanh(), LogSigmoid(), Tanhshrink(), Softshrink(), Hardshrink(), LeakyReLU(), PReLU(), RReLU(),
      Threshold(0.1, value: 20), Softmin(), LogSoftmax(), Identity(), Unflatten(sizes: [4]),
    ]
    for layer in layers { #expect(layer.callAsFunction(x).shape == [1, 4], "\(type(of: layer))") }
    #expect(GLU()(x).shape == [1, 2])
    #expect(Unflatten(sizes: [2, -1])(x).shape == [1, 2, 2])
    #expect(PReLU(3).weight.value.shape == [3])
    // In training each element has its own slope within the bounds; in evaluation the middle.
    let ones = Tensor(repeating: -1, [100])
    let random = RReLU(lower: 0.2, upper: 0.4, generator: Generator(seed: 1))
    let drawn = values(-random(ones))
    #expect(drawn.allSatisfy { 0.2...0.4 ~= $0 } && Set(drawn).count > 50)
    random.mode.isTraining = false
    #expect(values(-random(ones)).allSatisfy { Swift.abs($0 - 0.3) < 1e-6 })
  }
}
