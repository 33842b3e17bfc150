import Martlet
import Testing

private func values(_ x: Tensor) -> [Double] { x.array(as: Double.self) }

@Suite struct InitializerTests {
  private func deviation(_ x: Tensor) -> Double { x.standardDeviation().item() }

  /// Deviations and bounds by the formulas of the papers, from many numbers.
  @Test func sizes() {
    let g = Generator(seed: 11)
    let shape: Shape = [200, 40, 3, 3]
    let (inputs, outputs) = (40.0 * 9, 200.0 * 9)
    func near(_ a: Double, _ b: Double) -> Bool { Swift.abs(a / b - 1) < 0.02 }
    #expect(near(deviation(.xavierNormal(shape, gain: 2, generator: g)), 2 * (2 / (inputs + outputs)).squareRoot()))
    #expect(near(deviation(.xavierUniform(shape, generator: g)), (2 / (inputs + outputs)).squareRoot()))
    #expect(near(abs(.xavierUniform(shape, generator: g)).max().item(), (6 / (inputs + outputs)).squareRoot()))
    #expect(near(deviation(.kaimingNormal(shape, generator: g)), (2 / inputs).squareRoot()))
    #expect(
      near(deviation(.kaimingNormal(shape, for: .tanh, fan: .output, generator: g)), 5 / 3 / outputs.squareRoot()))
    #expect(near(deviation(.kaimingUniform(shape, for: .leakyRelu(1), generator: g)), 1 / inputs.squareRoot()))
    #expect(near(abs(.kaimingUniform(shape, generator: g)).max().item(), (6 / inputs).squareRoot()))
  }

  @Test func truncatedNormals() {
    let x = Tensor.truncatedNormal([100_000], low: -1, high: 2, generator: Generator(seed: 2))
    // Mean and deviation of the normal distribution cut to -1 … 2.
    #expect(Swift.abs(x.mean().item() - 0.2296) < 0.01 && Swift.abs(deviation(x) - 0.7211) < 0.01)
    #expect(x.min().item() >= -1 && x.max().item() <= 2)
    let y = Tensor.truncatedNormal([1000], mean: 5, deviation: 0.1, low: -10, high: 10, generator: Generator(seed: 2))
    #expect(Swift.abs(y.mean().item() - 5) < 0.02 && y.isFinite.all().item() == 1)
  }

  @Test func orthogonalMatrices() {
    for shape in [[6, 6], [3, 8], [8, 3], [4, 2, 3, 3]] as [Shape] {
      let x = Tensor.orthogonal(shape, gain: 2, generator: Generator(seed: 4)).flattened(from: 1)
      let isWide = x.shape[0] < x.shape[1]
      let product = isWide ? matmul(x, x.transposed()) : matmul(x.transposed(), x)
      #expect(abs(product - Tensor.identity(product.shape[0]) * 4).max().item() < 1e-4, "\(shape)")
    }
  }

  @Test func permutations() {
    let p = Tensor.permutation(100, generator: Generator(seed: 1))
    #expect(p.dtype == .int64 && values(p) != values(p.sorted().values))
    #expect(values(p.sorted().values) == (0..<100).map(Double.init))
    #expect(values(p) == values(Tensor.permutation(100, generator: Generator(seed: 1))))
    #expect(Tensor.permutation(0).count == 0)
  }

  @Test func embedding() {
    let layer = Embedding(5, 2, paddingIndex: 1, generator: Generator(seed: 1))
    #expect(values(layer.weight.value[1]) == [0, 0])
    let y = layer(Tensor([[1, 2], [2, 4]]))
    #expect(y.shape == [2, 2, 2])
    #expect(values(y[1, 0]) == values(layer.weight.value[2]))
    y.sum().backward()
    #expect(values(layer.weight.grad!) == [0, 0, 0, 0, 2, 2, 0, 0, 1, 1])
  }
}
