import Martlet
import Testing

private func values(_ x: Tensor) -> [Double] { x.array(as: Double.self) }
private let nan = Double.nan
private let inf = Double.infinity

@Suite struct RearrangingTests {
  let x = Tensor(Array(0..<6), shape: [2, 3])

  @Test func parts() {
    #expect(x.split(size: 2, axis: 1).map(\.shape) == [[2, 2], [2, 1]])
    #expect(Tensor(Array(0..<7)).chunked(3).map(\.count) == [3, 3, 1])
    #expect(values(x.split([1, 2], axis: -1)[1]) == [1, 2, 4, 5])
    #expect(values(x.flipped()) == [5, 4, 3, 2, 1, 0])
    #expect(values(x.rolled(by: -1, axis: 1)) == [1, 2, 0, 4, 5, 3])
    #expect(values(x.rolled(by: 4, axis: 1)) == values(x.rolled(by: 1, axis: 1)))
  }

  @Test func repetitions() {
    #expect(values(x[0].tiled([2, 2])) == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])
    #expect(
      x.tiled([2]).shape == [2, 6] && x.tiled([3, 1, 1]).shape == [3, 2, 3] && x.tiled([0, 1]).shape == [0, 3])
    #expect(values(x.repeated(2, axis: 1)) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    #expect(values(x.repeated(2, axis: 0)) == [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5])
  }

  @Test func matrices() throws {
    #expect(values(x.tril()) == [0, 0, 0, 3, 4, 0] && values(x.triu(1)) == [0, 1, 2, 0, 0, 5])
    #expect(values(x.diagonal()) == [0, 4] && values(x.diagonal(1)) == [1, 5] && values(x.diagonal(-1)) == [3])
    #expect(x.diagonal(5).shape == [0] && x.diagonal(-2).shape == [0])
    #expect(values(Tensor([1, 2]).diagonalMatrix()) == [1, 0, 0, 2])
    #expect(Tensor.zeros([3, 2]).diagonalMatrix().shape == [3, 2, 2])
    #expect(x.split([2, 1], axis: 1)[0].trace().item() == 4)
    #expect(values(Tensor.eye(2, 3)) == [1, 0, 0, 0, 1, 0])
    #expect(values(Tensor.linspace(from: 0, to: 1, count: 5, dtype: .float64)) == [0, 0.25, 0.5, 0.75, 1])
    #expect(values(Tensor.linspace(from: 3, to: 9, count: 1)) == [3])
    #expect(values(oneHot(Tensor([2, 0]), classes: 3)) == [0, 0, 1, 1, 0, 0])
    #expect(values(x.maskedFill(x .> 3, -1)) == [0, 1, 2, 3, -1, -1])
    let grid = meshgrid([Tensor([1, 2]), Tensor([3, 4, 5])])
    #expect(values(grid[0]) == [1, 1, 1, 2, 2, 2] && values(grid[1]) == [3, 4, 5, 3, 4, 5])
    #expect(values(outer(Tensor([1, 2]), Tensor([3, 4]))) == [3, 4, 6, 8])
    #expect(dot(Tensor([1, 2]), Tensor([3, 4])).item() == 11)
    let m = Tensor.normal([2, 3, 3], dtype: .float64, generator: Generator(seed: 1))
    try checkGradients({ square($0.diagonal(1)).sum() + $0.tril().prod(axis: 0).sum() }, m, order: 2)
    try checkGradients({ square($0.padded([(0, 1), (2, 1), (1, 2)], mode: .reflect)).sum() }, m.tiled([2, 1, 1]))
    try checkGradients({ square($0.rolled(by: 1, axis: 2) + $0.flipped(axes: [1])).sum() }, m)
    try checkGradients({ ($0.sorted(axis: 1).values * $0).sum() }, m)
  }

  @Test func sorting() {
    let x = Tensor([2, nan, 1, 2, -inf] as [Double])
    let (up, places) = x.sorted()
    #expect(values(up)[..<4] == [-inf, 1, 2, 2] && values(up)[4].isNaN && values(places) == [4, 2, 0, 3, 1])
    #expect(values(x.argSort(descending: true)) == [1, 0, 3, 2, 4])
    #expect(values((x .> 1).sorted().values) == [0, 0, 0, 1, 1])
    #expect(Tensor(3.0 as Float).sorted().values.item() == 3)
  }

  @Test func padding() {
    let row = Tensor([1, 2, 3])
    #expect(values(row.padded([(2, 1)], mode: .reflect)) == [3, 2, 1, 2, 3, 2])
    #expect(values(row.padded([(2, 1)], mode: .replicate)) == [1, 1, 1, 2, 3, 3])
    #expect(values(row.padded([(2, 1)], mode: .circular)) == [2, 3, 1, 2, 3, 1])
    #expect(values(row.padded([(1, 1)], mode: .constant(9))) == [9, 1, 2, 3, 9])
  }

  @Test func cumulativeSums() {
    #expect(values(x.cumsum(axis: 0)) == [0, 1, 2, 3, 5, 7] && values(x.cumsum(axis: -1)) == [0, 1, 3, 3, 7, 12])
    #expect(values((x .> 2).cumsum(axis: 0)) == [0, 0, 0, 1, 1, 1])
  }
}
