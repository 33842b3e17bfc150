import Martlet
import MartletCore
import Testing

/// Numbers of PyTorch 2.15 unless said otherwise.
@Suite struct IndexingOperatorTests {
  private func ints(_ x: Tensor) -> [Int] { x.array() }
  private let nan = Double.nan

  @Test func unique() {
    let (values, inverse, counts) = Tensor([3, 1, nan, 1, nan, 3] as [Double]).unique()
    expectValues(values, [4], [1, 3, nan, nan])
    #expect(ints(inverse) == [1, 0, 2, 0, 3, 1] && ints(counts) == [2, 2, 1, 1])
    let rows = Tensor([[2, 1], [0, 1], [2, 1], [0, 0]]).unique(axis: 0)
    expectValues(rows.values, [3, 2], [0, 0, 0, 1, 2, 1])
    #expect(ints(rows.inverse) == [2, 1, 2, 0] && ints(rows.counts) == [1, 1, 2])
    let columns = Tensor([[2, 0, 2, 0], [1, 1, 1, 0]]).unique(axis: 1)
    expectValues(columns.values, [2, 3], [0, 0, 2, 0, 1, 1])
    #expect(ints(columns.inverse) == [2, 1, 2, 0] && ints(columns.counts) == [1, 1, 2])
    let run = Tensor([1, 1, 2, 2, 3, 1, 1, 2]).uniqueConsecutive()
    #expect(ints(run.values) == [1, 2, 3, 1, 2] && ints(run.counts) == [2, 2, 1, 2, 1])
    #expect(ints(run.inverse) == [0, 0, 1, 1, 2, 3, 3, 4])
    let runs = Tensor([[1, 2], [1, 2], [3, 2], [1, 2]]).uniqueConsecutive(axis: 0)
    expectValues(runs.values, [3, 2], [1, 2, 3, 2, 1, 2])
    #expect(ints(runs.inverse) == [0, 0, 1, 2] && ints(runs.counts) == [2, 1, 1])
    #expect(Tensor([[1, 0], [1, 1]]).unique().inverse.shape == [2, 2])
    #expect(Tensor.zeros([0]).unique().values.count == 0 && Tensor([true, false, true]).unique().values.count == 2)
    // Each distinct element is the first of its equals, which gets its gradient.
    let x = Tensor([2, 1, 2] as [Double]).requiringGradient()
    (x.unique().values * Tensor([1, 10] as [Double])).sum().backward()
    expectValues(x.grad!, [3], [10, 1, 0])
    #expect(
      errorText { _ = compile { (x: Tensor) in x.unique().values }(Tensor([1])) }.contains("unique outside of compile"))
    #expect(
      errorText { _ = vmap { (x: Tensor) in x.unique().values }(Tensor([[1]])) }.contains("unique outside of vmap"))
  }

  @Test func counting() {
    let x = Tensor([4, 3, 6, 3, 4])
    #expect(ints(x.bincount()) == [0, 0, 0, 2, 2, 0, 1])
    expectValues(x.bincount(weights: Tensor([0, 0.25, 0.5, 0.75, 1])), [7], [0, 0, 0, 1, 1, 0, 0.5])
    #expect(ints(Tensor([1, 1]).bincount(minLength: 4)) == [0, 2, 0, 0])
    #expect(Tensor([] as [Int]).bincount().shape == [0])
    #expect(errorText { _ = Tensor([1, -2]).bincount() }.contains("x has the number -2"))
    #expect(errorText { _ = Tensor([1.5]).bincount() }.contains("it takes an integer dtype"))
    #expect(errorText { _ = x.bincount(weights: Tensor([1.0])) }.contains("its shape is [5], that of x"))
    let (counts, edges) = Tensor([1.0, 2, 1]).histogram(bins: 4, range: 0...3, weights: Tensor([1.0, 2, 4]))
    expectValues(counts, [4], [0, 5, 2, 0])
    expectValues(edges, [5], [0, 0.75, 1.5, 2.25, 3])
    let outside = Tensor([-1, 0, 0.5, 0.25, 1, 2, nan] as [Double])
    expectValues(outside.histogram(bins: 4, range: 0...1).counts, [4], [1, 1, 1, 1])
    let equal = Tensor([2.0, 2]).histogram(bins: 2)
    expectValues(equal.counts, [2], [0, 2])
    expectValues(equal.edges, [3], [1.5, 2, 2.5])
    expectValues(Tensor([1.0, 2, 4, 3.5]).histogram(bins: 3, density: true).counts, [3], [0.25, 0.25, 0.5])
    expectValues(Tensor([1.0, 2, 1, 5, 4]).histogram(edges: Tensor([0.0, 1, 2, 4])), [3], [0, 2, 2])
    #expect(errorText { _ = x.histogram(bins: 0) }.contains("bins is 0"))
    #expect(errorText { _ = Tensor([nan] as [Double]).histogram(bins: 2) }.contains("try: range: 0...1"))
    #expect(errorText { _ = x.histogram(edges: Tensor([0.0])) }.contains("two edges or more"))
    // Counts have no end at what the elements can count.
    let many = Tensor.zeros([70_000], dtype: .float16)
    #expect(ints(many.histogram(bins: 2, range: 0...1).counts) == [70_000, 0])
    let halves = many.histogram(bins: 2, range: 0...1, weights: many + 1).counts
    #expect(halves.dtype == .float32 && halves.array(as: Double.self) == [70_000, 0])
    let density = many.histogram(bins: 2, range: 0...1, density: true).counts
    #expect(density.dtype == .float32 && density.array(as: Double.self) == [2, 0])
    let near = 1 << 24
    let whole = Tensor([near, near + 1, near + 1, near + 2])
    #expect(ints(whole.histogram(edges: Tensor([near, near + 1, near + 2, near + 3]))) == [1, 2, 1])
    #expect(
      whole.histogram(bins: 2).edges.array(as: Double.self) == [Double(near), Double(near + 1), Double(near + 2)])
    #expect(errorText { _ = x.histogram(bins: .max) }.contains("bins is \(Int.max)"))
    #expect(errorText { _ = Tensor([Int.max]).bincount() }.contains("x has the number \(Int.max)"))
    #expect(errorText { _ = x.bincount(minLength: .max) }.contains("minLength is \(Int.max)"))
    let some = Tensor([[0, 1, 2], [0, 0, 3]])
    #expect(ints(some.countNonzero(axis: 1)) == [2, 1] && some.countNonzero().item() == 3)
    #expect(Tensor([1, nan, 2] as [Double]).nanSum().item() == 3)
    expectValues(Tensor([1, nan, 2, nan, nan, nan] as [Double], shape: [2, 3]).nanMean(axis: 1), [2], [1.5, nan])
    let holes = Tensor([1, nan, 2] as [Double])
    expectValues(grad { (x: Tensor) in x.nanMean() }(holes), [3], [0.5, 0, 0.5])
  }

  @Test func searching() {
    let sorted = Tensor([1, 3, 3, 5, 7] as [Double])
    let values = Tensor([0, 3, 6, 9, 1, nan] as [Double], shape: [2, 3])
    #expect(ints(searchSorted(sorted, values)) == [0, 1, 4, 5, 0, 5])
    #expect(ints(searchSorted(sorted, values, right: true)) == [0, 3, 4, 5, 1, 5])
    let (rows, each) = (Tensor([[1, 3, 5], [2, 4, 6]]), Tensor([[3, 6], [3, 6]]))
    #expect(ints(searchSorted(rows, each)) == [1, 3, 1, 2])
    #expect(ints(searchSorted(rows, each, right: true)) == [2, 3, 1, 3])
    #expect(ints(vmap { (s: Tensor, v: Tensor) in searchSorted(s, v) }(rows, each)) == [1, 3, 1, 2])
    #expect(ints(compile { (s: Tensor, v: Tensor) in searchSorted(s, v) }(sorted, values)) == [0, 1, 4, 5, 0, 5])
    #expect(ints(Tensor([3, 6, 9]).bucketized(Tensor([1, 3, 5, 7, 9]))) == [1, 3, 4])
    #expect(ints(Tensor([3, 6, 9]).bucketized(Tensor([1, 3, 5, 7, 9]), right: true)) == [2, 3, 5])
    #expect(searchSorted(Tensor([] as [Int]), Tensor([1, 2])).array(as: Int.self) == [0, 0])
    #expect(ints(isIn(Tensor([[1, 2], [3, 4]]), Tensor([2, 3, 9])).reshaped(-1).cast(to: .int64)) == [0, 1, 1, 0])
    #expect(ints(isIn(Tensor([1, 2]), Tensor([2]), inverted: true).cast(to: .int64)) == [1, 0])
    #expect(ints(isIn(Tensor([1, nan] as [Double]), Tensor([nan, 1] as [Double])).cast(to: .int64)) == [1, 0])
    // Few values among many: each number from 0 to 49 twice.
    let pairs = Tensor((0..<100).map { Double($0 / 2) })
    let few = Tensor([0, 3, 49, -1, 50, nan, 0.5] as [Double])
    let (left, right) = ([0, 6, 98, 0, 100, 100, 2], [2, 8, 100, 0, 100, 100, 2])
    #expect(ints(searchSorted(pairs, few)) == left && ints(searchSorted(pairs, few, right: true)) == right)
    let (both, them) = (stack([pairs, pairs + 1]), stack([few, few + 1]))
    #expect(ints(searchSorted(both, them)) == left + left)
    #expect(ints(vmap { (s: Tensor, v: Tensor) in searchSorted(s, v, right: true) }(both, them)) == right + right)
    #expect(ints(compile { (s: Tensor, v: Tensor) in searchSorted(s, v) }(pairs, few)) == left)
    for size in 1...40 {
      let numbers = Tensor(Array(0..<size))
      #expect((0..<size).allSatisfy { ints(searchSorted(numbers, Tensor([$0]))) == [$0] })
    }
    #expect(errorText { _ = searchSorted(sorted, Tensor([1])) }.contains("the dtypes differ: float64 and int64"))
    #expect(errorText { _ = searchSorted(rows, Tensor([1])) }.contains("[2] and one more axis"))
    #expect(errorText { _ = Tensor([1]).bucketized(rows) }.contains("boundaries has 2 axes"))
    #expect(errorText { _ = isIn(sorted, rows) }.contains("the dtypes differ"))
  }

  @Test func scatterReductions() {
    let (indices, factors) = (Tensor([0, 1, 0, 1, 2, 1, 1]), Tensor([1, 2, 3, 4] as [Double]))
    let sixths = 2.0 / 3
    let cases: [(ScatterReduction, Bool, [Double], [Double], [Double])] = [
      (.sum, true, [5, 16, 8, 4], [1, 2, 3, 4], [1, 2, 1, 2, 3, 2, 2]),
      (.sum, false, [4, 14, 5, 4], [0, 0, 0, 4], [1, 2, 1, 2, 3, 2, 2]),
      (.product, true, [3, 192, 15, 4], [3, 192, 15, 4], [3, 192, 1, 96, 9, 64, 192]),
      (.product, false, [3, 96, 5, 4], [0, 0, 0, 4], [3, 96, 1, 48, 3, 32, 96]),
      (.mean, true, [5.0 / 3, 3.2, 4, 4], [1.0 / 3, 0.4, 1.5, 4], [1.0 / 3, 0.4, 1.0 / 3, 0.4, 1.5, 0.4, 0.4]),
      (.mean, false, [2, 3.5, 5, 4], [0, 0, 0, 4], [0.5, 0.5, 0.5, 0.5, 3, 0.5, 0.5]),
      (.maximum, true, [3, 6, 5, 4], [0, 0, 0, 4], [0, 0, 1, 0, 3, 2, 0]),
      (.maximum, false, [3, 6, 5, 4], [0, 0, 0, 4], [0, 0, 1, 0, 3, 2, 0]),
      (.minimum, true, [1, 2, 3, 4], [0.5, sixths, 3, 4], [0.5, sixths, 0, 0, 0, 0, sixths]),
      // PyTorch's shares count the element that was left out, where it equals the smallest: 0.5 and 2/3 in place of 1.
      (.minimum, false, [1, 2, 5, 4], [0, 0, 0, 4], [1, 1, 0, 0, 3, 0, 1]),
    ]
    for (reduction, includesSelf, expected, own, others) in cases {
      let x = Tensor([1, 2, 3, 4] as [Double]).requiringGradient()
      let values = Tensor([1, 2, 3, 4, 5, 6, 2] as [Double]).requiringGradient()
      let y = x.scatterReduced(axis: 0, indices, values, reduction, includeSelf: includesSelf)
      let name = "\(reduction) \(includesSelf)"
      expectValues(y.detached(), [4], expected, within: 1e-14, name)
      (y * factors).sum().backward()
      expectValues(x.grad!, [4], own, within: 1e-13, name)
      expectValues(values.grad!, [7], others, within: 1e-13, name)
    }
    // Zeros in a product, NaN, integers, two axes.
    let x = Tensor([2, 3] as [Double]).requiringGradient()
    let values = Tensor([0, 5, 0, 2] as [Double]).requiringGradient()
    x.scatterReduced(axis: 0, Tensor([0, 0, 1, 1]), values, .product).sum().backward()
    expectValues(x.grad!, [2], [0, 0])
    expectValues(values.grad!, [4], [10, 0, 6, 0])
    let places = Tensor([0, 1, 1])
    expectValues(
      Tensor([1, 2] as [Double]).scatterReduced(axis: 0, places, Tensor([nan, 5, 1] as [Double]), .maximum), [2],
      [nan, 5])
    #expect(ints(Tensor([5, 7]).scatterReduced(axis: 0, places, Tensor([2, -8, 1]), .mean)) == [3, 0])
    let least = Tensor([5, 7]).scatterReduced(axis: 0, Tensor([0, 0]), Tensor([2, -8]), .minimum, includeSelf: false)
    #expect(ints(least) == [-8, 7])
    expectValues(
      Tensor.zeros([2, 2]).scatterReduced(axis: 1, Tensor([[0, 0, 1], [1, 1, 1]]), count([2, 3]), .sum), [2, 2],
      [1, 2, 0, 12])
    #expect(
      errorText { _ = Tensor([1.0]).scatterReduced(axis: 0, Tensor([1]), Tensor([1.0]), .maximum) }
        .contains("index 1 is out of range for axis 0 of size 1"))
    #expect(
      errorText { _ = Tensor([1.0]).scatterReduced(axis: 0, Tensor([0]), Tensor([1.0, 2]), .mean) }
        .contains("values has shape [2]"))
  }

  @Test func writing() {
    let zeros = Tensor.zeros([2, 3])
    let values = Tensor([1.0, 2, 3])
    let places = [Tensor([0, 1, 0]), Tensor([2, 0, -1])]
    expectValues(zeros.putting(places, values), [2, 3], [0, 0, 3, 2, 0, 0])
    expectValues(zeros.putting(places, values, accumulate: true), [2, 3], [0, 0, 4, 2, 0, 0])
    let ones = Tensor.ones([3, 2])
    expectValues(
      ones.putting([Tensor([0, 2, 0])], Tensor([5.0, 7]), accumulate: true), [3, 2], [11, 15, 1, 1, 6, 8])
    // Indices broadcast: a corner.
    expectValues(
      zeros.putting([Tensor([[0], [1]]), Tensor([0, 1])], Tensor([9.0, 8])), [2, 3], [9, 8, 0, 9, 8, 0])
    let weights = count([2, 3])
    let slope = grad { (v: Tensor) in (zeros.putting(places, v, accumulate: true) * weights).sum() }(values)
    expectValues(slope, [3], [2, 3, 2])
    #expect(
      errorText { _ = zeros.putting([Tensor([0]), Tensor([3])], Tensor([1.0])) }
        .contains("index 3 is out of range for axis 1 of size 3"))
    #expect(errorText { _ = zeros.putting([], values) }.contains("one for each of the first axes"))
    #expect(errorText { _ = zeros.putting([values], values) }.contains("a tensor of indices is float32"))
    #expect(errorText { _ = zeros.putting(places, Tensor([1.0, 2])) }.contains("does not fit the part"))
    let add = ones.indexAdding(axis: 0, Tensor([0, 2, 0]), Tensor([[1.0, 2], [3, 4], [5, 6]]), scale: 2)
    expectValues(add, [3, 2], [13, 17, 1, 1, 7, 9])
    expectValues(Tensor.ones([2, 3]).indexFilling(axis: 1, Tensor([0, 2]), -1), [2, 3], [-1, 1, -1, -1, 1, -1])
    expectValues(ones.indexUpdating(axis: 0, Tensor([1]), Tensor([[4.0, 5]])), [3, 2], [1, 1, 4, 5, 1, 1])
    let table = Tensor([[10, 30, 20], [60, 40, 50]])
    #expect(ints(table.takeAlongAxis(Tensor([[0], [2]]), axis: 1)) == [10, 50])
    #expect(ints(table.takeAlongAxis(Tensor([[2, 0]]), axis: 1)) == [20, 10, 50, 60])
    #expect(errorText { _ = table.takeAlongAxis(Tensor([0]), axis: 1) }.contains("indices has 1 axis"))
    let square = Tensor([[1, 2], [3, 4]])
    #expect(ints(square.maskedSelect(Tensor([true, false]))) == [1, 3])
    let mask = Tensor([true, false, true, false, true, false], shape: [2, 3])
    let source = Tensor([5.0, 6, 7, 8]).requiringGradient()
    let scattered = zeros.maskedScattering(mask, source)
    expectValues(scattered.detached(), [2, 3], [5, 0, 6, 0, 7, 0])
    (scattered * weights).sum().backward()
    expectValues(source.grad!, [4], [0, 2, 4, 0])
    expectValues(
      compile { (m: Tensor) in zeros.maskedScattering(m, Tensor([5.0, 6, 7])) }(mask), [2, 3], [5, 0, 6, 0, 7, 0])
    #expect(
      errorText { _ = zeros.maskedScattering(mask, Tensor([1.0])) }.contains(
        "the mask has 3 places, the source 1 element"))
    #expect(ints(Tensor([1, 2]).diagonalMatrix(1)) == [0, 1, 0, 0, 0, 2, 0, 0, 0])
    #expect(ints(Tensor([1, 2]).diagonalMatrix(-1)) == [0, 0, 0, 1, 0, 0, 0, 2, 0])
  }

  @Test func runningValues() {
    let x = Tensor([1, 3, 3, 2, nan, 5, nan] as [Double])
    let (values, indices) = x.cumulativeMaximum(axis: 0)
    expectValues(values, [7], [1, 3, 3, 3, nan, nan, nan])
    #expect(ints(indices) == [0, 1, 2, 2, 4, 4, 6])
    let least = Tensor([[3.0, 1], [3, 2], [1, 1]]).cumulativeMinimum(axis: 0)
    expectValues(least.values, [3, 2], [3, 1, 3, 1, 1, 1])
    #expect(ints(least.indices) == [0, 0, 1, 0, 2, 2])
    let weights = Tensor([1, 2, 4, 8] as [Double])
    let slope = grad { (x: Tensor) in (x.cumulativeMaximum(axis: 0).values * weights).sum() }(
      Tensor([1, 3, 3, 2] as [Double]))
    expectValues(slope, [4], [1, 2, 12, 0])
    let infinity = Double.infinity
    expectValues(
      Tensor([-infinity, 1, 800, 2, infinity] as [Double]).logCumulativeSumExp(axis: 0), [5],
      [-infinity, 1, 800, 800, infinity])
    expectValues(
      Tensor([1, 2, 3] as [Double]).logCumulativeSumExp(axis: -1), [3], [1, 2.313261687518223, 3.4076059644443806],
      within: 1e-15)
    // PyTorch's gradient is NaN for the first two here, which is no derivative: that is 0.
    let running = grad { (x: Tensor) in (x.logCumulativeSumExp(axis: 0)[2...] * Tensor([1, 2, 4] as [Double])).sum() }(
      Tensor([-infinity, -infinity, 1, 3, 3] as [Double]))
    expectValues(running, [5], [0, 0, 1.4919215973763855, 3.634836279289689, 1.8732421233339238], within: 1e-14)
    #expect(Tensor.zeros([0]).cumulativeMaximum(axis: 0).values.count == 0)
    #expect(errorText { _ = x.cumulativeMaximum(axis: 1) }.contains("cumulativeMaximum: axis 1 is out of range"))
    #expect(errorText { _ = x.logCumulativeSumExp(axis: 1) }.contains("logCumulativeSumExp: axis 1"))
  }

  @Test func ranks() {
    let x = Tensor([3, 1, nan, 2, 4, 4, 1, 0] as [Double], shape: [2, 4])
    let second = x.kthValue(2, axis: 1)
    expectValues(second.values, [2], [2, 1])
    #expect(ints(second.indices) == [3, 2])
    let middle = x.median(axis: 1)
    expectValues(middle.values, [2], [nan, 1])
    #expect(ints(middle.indices) == [2, 2])
    #expect(Tensor([3, 1, 4, 2]).median().item() == 2 && x.median(axis: 0, keepDims: true).values.shape == [1, 4])
    expectValues(grad { (x: Tensor) in x.median() }(Tensor([3, 1, 4, 2] as [Double])), [4], [0, 0, 0, 1])
    let table = Tensor([0, 1, 2, 3, 4, nan, 1, 2, 5, 3, 8, 2] as [Double], shape: [3, 4])
    let row = Tensor([3, 1, 2, 10] as [Double])
    let cases: [(QuantileInterpolation, [Double], Double)] = [
      (.linear, [0.75, nan, 2.75, 1.7999999999999998, nan, 4.6], 2.2), (.lower, [0, nan, 2, 1, nan, 3], 2),
      (.higher, [1, nan, 3, 2, nan, 5], 3), (.midpoint, [0.5, nan, 2.5, 1.5, nan, 4], 2.5),
      (.nearest, [1, nan, 3, 2, nan, 5], 2),
    ]
    for (interpolation, expected, one) in cases {
      expectValues(
        table.quantile([0.25, 0.6], axis: 1, interpolation: interpolation), [2, 3], expected, within: 1e-14,
        "\(interpolation)")
      #expect(abs(row.quantile(0.4, interpolation: interpolation).item() - one) < 1e-14)
    }
    expectValues(grad { (x: Tensor) in x.quantile(0.4) }(row), [4], [0.2, 0, 0.8, 0], within: 1e-14)
    #expect(
      row.quantile(0.5, keepDims: true).shape == [1] && table.quantile(0.5, axis: 0, keepDims: true).shape == [1, 4])
    let mode = Tensor([[6, 5, 1, 0, 2, 5], [2, 2, 1, 1, 3, 3], [7, 6, 5, 4, 3, 3]]).mode(axis: 1)
    #expect(ints(mode.values) == [5, 1, 3] && ints(mode.indices) == [5, 3, 5])
    let lone = Tensor([1, nan, nan, 2] as [Double]).mode(axis: 0)
    #expect(lone.values.item() == 1 && lone.indices.item() == 0)
    #expect(errorText { _ = x.kthValue(5, axis: 1) }.contains("k is 5"))
    #expect(errorText { _ = x.quantile(1.5) }.contains("rule: 0 ≤ q ≤ 1"))
    #expect(errorText { _ = Tensor([1]).quantile(0.5) }.contains("a floating dtype"))
    #expect(errorText { _ = Tensor.zeros([0, 2]).median(axis: 0) }.contains("axis 0 is empty"))
    #expect(errorText { _ = Tensor.zeros([0, 2]).mode(axis: 0) }.contains("axis 0 is empty"))
    #expect(errorText { _ = Tensor([1]).nanMean() }.contains("a floating dtype"))
  }

  @Test func exponentials() {
    let m = Tensor([0, 1, 0.5, -1, 0.2, 0.3, 2, -0.4, 0.1] as [Double], shape: [3, 3])
    let expected: [Double] = [
      1.1258078698421552, 1.0058029823683075, 0.6967506585037339, -0.784261076860216, 0.728805321443971,
      0.07466044156469857, 2.343918822998752, 0.6389257629407068, 1.7193189078344915,
    ]
    let slopes: [Double] = [
      12.64163602276828, 7.099283497604482, 17.782308946132968, 10.484247457217371, 5.113661022570558,
      15.630854473813143, 17.821607470595435, 7.705452215907267, 25.420021748945715,
    ]
    expectValues(matrixExponential(m), [3, 3], expected, within: 1e-14)
    let weights = count([3, 3], dtype: .float64) + 1
    let loss = { (m: Tensor) in (matrixExponential(m) * weights).sum() }
    expectValues(grad(loss)(m), [3, 3], slopes, within: 1e-12)
    expectValues(compile(grad(loss))(m), [3, 3], slopes, within: 1e-12)
    let large = Tensor([0, 10, -10, 0, -30, 7, 2, -50] as [Double], shape: [2, 2, 2])
    let of: [Double] = [
      -0.8390715290764529, -0.544021110889369, 0.544021110889369, -0.8390715290764529, 1.78329684649648e-13,
      6.037157555076248e-14, 1.7249021585932144e-14, 5.839468790326293e-15,
    ]
    expectValues(matrixExponential(large), [2, 2, 2], of, within: 1e-12)
    expectValues(vmap { (m: Tensor) in matrixExponential(m) }(large), [2, 2, 2], of, within: 1e-12)
    // A small matrix among large ones keeps its gradient.
    let mixed = grad { (m: Tensor) in matrixExponential(m).sum() }(
      Tensor([0.5, 40] as [Double], shape: [2, 1, 1]))
    #expect(abs(mixed.array(as: Double.self)[0] - 1.6487212707001282) < 1e-12)
    #expect(grad { (m: Tensor) in matrixExponential(m).sum() }(m * 3).isFinite.all().item() == 1)
    expectSame(matrixExponential(m.cast(to: .float32)), matrixExponential(m).cast(to: .float32), within: 1e-6)
    #expect(matrixExponential(Tensor.zeros([0, 0])).shape == [0, 0])
    // A norm for which 32 squarings are too few.
    let huge = Tensor([-1e13, 1e12, 1e12, -1e13] as [Double], shape: [2, 2])
    expectValues(matrixExponential(huge), [2, 2], [0, 0, 0, 0])
    #expect(compile { (m: Tensor) in matrixExponential(m) }(huge).isNaN.all().item() == 1)
    expectValues(compile { (m: Tensor) in matrixExponential(m) }(huge / 1e4), [2, 2], [0, 0, 0, 0])
    #expect(errorText { _ = matrixExponential(Tensor.zeros([2, 3])) }.contains("its shape is […, N, N]"))
    #expect(errorText { _ = matrixExponential(Tensor([1, 2])) }.contains("a floating dtype"))
  }
}
