import Martlet
import Testing

private func values(_ x: Tensor) -> [Double] { x.array(as: Double.self) }
private let inf = Double.infinity

@Suite struct ReductionCompositeTests {
  /// Products of the others, also where one or two are 0, to the second order.
  @Test func productsWithZeros() throws {
    for row in [[2.0, 3, 4], [2, 0, 4], [0, 3, 0]] {
      let x = Tensor(row)
      let product = row[0] * row[1] * row[2]
      let others = [row[1] * row[2], row[0] * row[2], row[0] * row[1]]
      #expect(x.prod().item() == product)
      #expect(values(grad { (x: Tensor) in x.prod() }(x)) == others)
      #expect(
        values(hessian({ (x: Tensor) in x.prod() }, x)) == [0, row[2], row[1], row[2], 0, row[0], row[1], row[0], 0])
      #expect(values(x.cumprod(axis: 0)) == [row[0], row[0] * row[1], product])
      let slopes = grad { (x: Tensor) in x.cumprod(axis: 0).sum() }(x)
      #expect(values(slopes) == [1 + row[1] + row[1] * row[2], row[0] + row[0] * row[2], row[0] * row[1]])
    }
    #expect(Tensor.zeros([2, 0]).prod().item() == 1)
    let x = Tensor.normal([3, 4, 5], dtype: .float64, generator: Generator(seed: 3))
    let expected = values(x.permuted(1, 0, 2).reshaped(4, 15)).chunks(15).map { $0.reduce(1, *) }
    #expect(zip(values(x.prod(axes: [0, 2])), expected).allSatisfy { Swift.abs($0 - $1) < 1e-12 })
    #expect(x.prod(axes: [0, 2], keepDims: true).shape == [1, 4, 1])
    #expect(values(Tensor([3, 4]).prod()) == [12])
  }

  @Test func anyAndAll() {
    let x: Tensor = [[0, 1], [0, 0], [2, 3]]
    #expect(values(x.any(axis: 1)) == [1, 0, 1] && values(x.all(axis: 1)) == [0, 0, 1])
    #expect(x.any().item() == 1 && x.all().item() == 0)
    let nothing = Tensor.zeros([0, 2])
    #expect(values(nothing.any(axis: 0)) == [0, 0] && values(nothing.all(axis: 0, keepDims: true)) == [1, 1])
    #expect(values((x .> 0).any(axis: 0)) == [1, 1])
    #expect(values(x.argMin(axis: 1)) == [0, 0, 0] && x.argMin().item() == 0)
  }

  @Test func momentsAndNorms() throws {
    let x = Tensor.normal([3, 4], dtype: .float64, generator: Generator(seed: 5))
    try checkGradients({ $0.variance(axis: 1) }, x, order: 2)
    try checkGradients({ $0.standardDeviation(axes: [0, 1], correction: 0) }, x, order: 2)
    try checkGradients({ $0.logSumExp(axis: 0) }, x, order: 2)
    for order in [0.5, 1, 1.5, 2, 3, inf, -inf] { try checkGradients({ $0.norm(order, axis: 1) }, x) }
    #expect(Tensor([3.0, 0, -4] as [Double]).norm(0).item() == 2)
    // At 0 the gradients are 0.
    let zeros = Tensor.zeros([2, 3], dtype: .float64)
    for f in [
      { $0.norm(2, axis: 1).sum() }, { $0.norm(0.5).sum() }, { $0.norm(3).sum() },
      { $0.standardDeviation(axis: 1).sum() },
    ] as [(Tensor) -> Tensor] {
      #expect(values(grad(f)(zeros)) == [0, 0, 0, 0, 0, 0])
    }
    #expect(Tensor([1000.0, 1000] as [Double]).logSumExp().item() == 1000 + 0.6931471805599453)
    #expect(Tensor([-inf, -inf]).logSumExp().item() == -inf && Tensor([inf, 1]).logSumExp().item() == inf)
    #expect(Tensor.zeros([0]).logSumExp().item() == -inf)
  }
}

extension Array {
  fileprivate func chunks(_ size: Int) -> [[Element]] {
    stride(from: 0, to: count, by: size).map { Array(self[$0..<($0 + size)]) }
  }
}
