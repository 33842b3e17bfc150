import Foundation
import Martlet
import Testing

/// A wrong use and the whole text that it yields.
struct Wrong: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let body: @Sendable () -> Void
  let text: String
  init(_ name: String, _ text: String, _ body: @escaping @Sendable () -> Void) {
    testDescription = name
    self.text = text
    self.body = body
  }

  func check(at location: SourceLocation = #_sourceLocation) {
    // Where in the tests a function was captured is left out.
    let found = errorText(at: location, body).replacing(/MartletTests\/\w+\.swift:\d+/, with: "FILE:LINE")
    print("@@\(testDescription)\n\(found)\n@@@")
    #expect(found == text, sourceLocation: location)
  }
}

private let a = Tensor.ones([2, 3])
private let b = Tensor.ones([4])
private let ints = Tensor([1, 2, 3])

@Suite struct OperationErrorTests {
  private static let elementwise: [Wrong] = [
    Wrong("broadcast", "") { _ = a + b },
    Wrong("broadcast in place", "") {
      var x = a
      x += b
    },
    Wrong("in place into a smaller shape", "") {
      var x = b
      x += Tensor.ones([2, 4])
    },
    Wrong("compare", "") { _ = a .< b },
    Wrong("bool arithmetic", "") { _ = Tensor([true]) + Tensor([false]) },
    Wrong("negative of bool", "") { _ = -Tensor([true]) },
    Wrong("logic of floats", "") { _ = a .& a },
    Wrong("not of floats", "") { _ = .!a },
    Wrong("where without a bool", "") { _ = `where`(a, a, a) },
    Wrong("where of three shapes", "") { _ = `where`(a .> 0, b, a) },
  ]

  private static let shapes: [Wrong] = [
    Wrong("matmul", "") { _ = matmul(a, a) },
    Wrong("matmul, other side", "") { _ = matmul(Tensor.ones([3, 2]), Tensor.ones([3, 4])) },
    Wrong("matmul of a scalar", "") { _ = matmul(Tensor(1), a) },
    Wrong("matmul of vectors", "") { _ = matmul(b, Tensor.ones([3])) },
    Wrong("matmul of batches", "") { _ = matmul(Tensor.ones([2, 1, 3]), Tensor.ones([5, 3, 1])) },
    Wrong("reshape", "") { _ = a.reshaped([4, 2]) },
    Wrong("reshape with one unknown", "") { _ = a.reshaped([4, -1]) },
    Wrong("reshape with two unknown", "") { _ = a.reshaped([-1, -1]) },
    Wrong("reshape to a negative size", "") { _ = a.reshaped([-2, -3]) },
    Wrong("too large", "") { _ = Tensor.zeros([1 << 40, 1 << 40]) },
    Wrong("expand", "") { _ = a.expanded(to: [2, 4]) },
    Wrong("expand to fewer axes", "") { _ = a.expanded(to: [3]) },
    Wrong("permute", "") { _ = a.permuted(0, 0) },
    Wrong("permute too few", "") { _ = a.permuted(0) },
    Wrong("transpose a vector", "") { _ = b.transposed() },
    Wrong("expandedDims", "") { _ = a.expandedDims(axis: 4) },
    Wrong("nine axes", "") { _ = Tensor.ones([1, 1, 1, 1, 1, 1, 1, 1]).expandedDims(axis: 0) },
    Wrong("concat sizes", "") { _ = concat([a, Tensor.ones([2, 4])]) },
    Wrong("concat ranks", "") { _ = concat([a, b]) },
    Wrong("concat nothing", "") { _ = concat([]) },
    Wrong("concat axis", "") { _ = concat([a, a], axis: 2) },
    Wrong("stack shapes", "") { _ = stack([a, b]) },
    Wrong("pad ranks", "") { _ = a.padded([(1, 1)]) },
    Wrong("pad by a negative width", "") { _ = a.padded([(0, 0), (-1, 0)]) },
    Wrong("elements and shape", "") { _ = Tensor([1, 2, 3], shape: [2, 2]) },
    Wrong("ragged lists", "") { _ = Tensor([[1, 2], [3]]) },
    Wrong("a range without end", "") { _ = Tensor.range(to: 1, by: 0) },
  ]

  private static let reductions: [Wrong] = [
    Wrong("sum axis", "") { _ = a.sum(axis: 2) },
    Wrong("sum axis of a scalar", "") { _ = Tensor(1.5).sum(axis: 0) },
    Wrong("sum axis twice", "") { _ = a.sum(axes: [1, -1]) },
    Wrong("mean of integers", "") { _ = ints.mean() },
    Wrong("max of nothing", "") { _ = Tensor.zeros([2, 0]).max(axis: 1) },
    Wrong("argMax of nothing", "") { _ = Tensor.zeros([0]).argMax() },
    Wrong("argMax axis", "") { _ = a.argMax(axis: -3) },
    Wrong("topK", "") { _ = a.topK(4) },
    Wrong("topK of a scalar", "") { _ = Tensor(1.5).topK(1) },
    Wrong("softmax of integers", "") { _ = softmax(ints) },
    Wrong("softmax axis", "") { _ = softmax(a, axis: 2) },
    Wrong("crossEntropy label", "") { _ = crossEntropy(a, Tensor([0, 3])) },
    Wrong("crossEntropy shape", "") { _ = crossEntropy(a, ints) },
    Wrong("crossEntropy dtype", "") { _ = crossEntropy(a, Tensor([0, 1] as [Float])) },
    Wrong("crossEntropy rank", "") { _ = crossEntropy(b, Tensor([0])) },
    Wrong("crossEntropy weights", "") { _ = crossEntropy(a, Tensor([0, 1]), weights: b) },
    Wrong("crossEntropy smoothing", "") { _ = crossEntropy(a, Tensor([0, 1]), labelSmoothing: 2) },
    Wrong("meanSquaredError", "") { _ = meanSquaredError(a, b) },
  ]

  private static let indexing: [Wrong] = [
    Wrong("index", "") { _ = a[2] },
    Wrong("negative index", "") { _ = a[0, -4] },
    Wrong("too many subscripts", "") { _ = a[0, 0, 0] },
    Wrong("step 0", "") { _ = a[.range(by: 0)] },
    Wrong("two ellipses", "") { _ = a[.ellipsis, .ellipsis] },
    Wrong("floating indices", "") { _ = a[Tensor([0.5])] },
    Wrong("indices out of range", "") { _ = a[Tensor([0, 5])] },
    Wrong("negative indices out of range", "") { _ = a[Tensor([-3])] },
    Wrong("second of two indices out of range", "") { _ = a[Tensor([0]), Tensor([7])] },
    Wrong("indices that do not broadcast", "") { _ = a[Tensor([0, 1]), Tensor([0, 1, 2])] },
    Wrong("mask", "") { _ = a[Tensor([true, false, true])] },
    Wrong("write", "") {
      var x = a
      x[0] = b
    },
    Wrong("write at indices", "") {
      var x = a
      x[Tensor([0])] = b
    },
    Wrong("write out of range", "") {
      var x = a
      x[Tensor([2])] = Tensor(1)
    },
    Wrong("take", "") { _ = a.take(Tensor([2])) },
    Wrong("take, negative", "") { _ = a.take(axis: 1, Tensor([-1])) },
    Wrong("take by floats", "") { _ = a.take(b) },
    Wrong("take axis", "") { _ = a.take(axis: 2, ints) },
    Wrong("take from nothing", "") { _ = Tensor.zeros([0]).take(Tensor([0])) },
    Wrong("gather", "") { _ = a.gather(axis: 1, Tensor([[0], [3]])) },
    Wrong("gather rank", "") { _ = a.gather(axis: 1, ints) },
    Wrong("gather shape", "") { _ = a.gather(axis: 1, Tensor([[0]])) },
    Wrong("scatterAdding", "") { _ = a.scatterAdding(axis: 1, Tensor([[0], [9]]), Tensor.ones([2, 1])) },
    Wrong("scatterAdding values", "") { _ = a.scatterAdding(axis: 1, Tensor([[0], [1]]), b) },
    Wrong("scatterAdding dtypes", "") {
      _ = a.scatterAdding(axis: 1, Tensor([[0], [1]]), Tensor([[1], [1]]))
    },
  ]

  private static let others: [Wrong] = [
    Wrong("item", "") { _ = a.item() },
    Wrong("item of nothing", "") { _ = Tensor.zeros([0]).item() },
    Wrong("uniform integers", "") { _ = Tensor.uniform([2], dtype: .int64, key: Tensor([1, 2, 3])) },
    Wrong("key", "") { _ = Tensor.uniform([2], key: Tensor([1, 2])) },
    Wrong("key dtype", "") { _ = Tensor.normal([2], key: Tensor([1, 2, 3] as [Float])) },
    Wrong("probability", "") { _ = Tensor.bernoulli([2], probability: 1.5, key: Tensor([1, 2, 3])) },
    Wrong("borrowing too little", "") {
      withUnsafeBytes(of: 1 as Int64) {
        _ = Tensor(borrowing: $0, shape: [3], dtype: .float32, owner: NSObject())
      }
    },
  ]

  @Test(arguments: elementwise) func elementwiseText(_ wrong: Wrong) { wrong.check() }
  @Test(arguments: shapes) func shapesText(_ wrong: Wrong) { wrong.check() }
  @Test(arguments: reductions) func reductionsText(_ wrong: Wrong) { wrong.check() }
  @Test(arguments: indexing) func indexingText(_ wrong: Wrong) { wrong.check() }
  @Test(arguments: others) func othersText(_ wrong: Wrong) { wrong.check() }
}

@Suite struct TransformErrorTests {
  private static let cases: [Wrong] = [
    Wrong("item of a mapped tensor", "") { _ = vmap { (x: Tensor) -> Tensor in x.sum().item() > 0 ? x : -x }(a) },
    Wrong("array of a mapped tensor", "") { _ = vmap { (x: Tensor) -> Tensor in Tensor(x.floats) }(a) },
    Wrong("item of a symbolic tensor", "") { _ = compile { (x: Tensor) -> Tensor in x.sum().item() > 0 ? x : -x }(a) },
    Wrong("mask in a capture", "") { _ = compile { (x: Tensor) -> Tensor in x[x .> 0] }(a) },
    Wrong("escape from vmap", "") {
      var kept: Tensor?
      _ = vmap { (x: Tensor) -> Tensor in
        kept = x
        return x
      }(a)
      _ = kept! + 1
    },
    Wrong("escape from a capture", "") {
      var kept: Tensor?
      _ = compile { (x: Tensor) -> Tensor in
        kept = x
        return x
      }(a)
      _ = kept! + 1
    },
    Wrong("vmap of different sizes", "") { _ = vmap { (x: Tensor, y: Tensor) in x + y }(a, b) },
    Wrong("vmap of nothing", "") { _ = vmap(inAxes: [nil]) { (x: Tensor) in x }(a) },
    Wrong("vmap of too few axes", "") { _ = vmap(inAxes: [0]) { (x: [Tensor]) in x }([a, b]) },
    Wrong("vmap axis", "") { _ = vmap(inAxes: [2]) { (x: Tensor) in x }(a) },
    Wrong("vmap of a scalar", "") { _ = vmap { (x: Tensor) in x }(Tensor(1.5)) },
    Wrong("vmap out axis", "") { _ = vmap(outAxis: 3) { (x: Tensor) in x }(a) },
    Wrong("an error inside of vmap is in shapes of one example", "") {
      _ = vmap { (x: Tensor) in matmul(x, b) }(a)
    },
    Wrong("mapped into a cell", "") {
      let cell = StateTensor([0])
      _ = vmap { (x: Tensor) -> Tensor in
        cell.value = x[0..<1]
        return x
      }(a)
    },
    Wrong("backward of several elements", "") { (a.requiringGradient() * 2).backward() },
    Wrong("backward without a record", "") { b.sum().backward() },
    Wrong("backward of integers", "") { ints.sum().backward() },
    Wrong("backward with a wrong cotangent", "") { (a.requiringGradient() * 2).backward(gradient: b) },
    Wrong("backward twice", "") {
      let loss = (b.requiringGradient() * 2).sum()
      loss.backward()
      loss.backward()
    },
    Wrong("requiringGradient of integers", "") { _ = ints.requiringGradient() },
    Wrong("retainGrad", "") { b.retainGrad() },
    Wrong("registerHook", "") { b.registerHook { $0 } },
    Wrong("grad of several elements", "") { _ = grad { (x: Tensor) in x * 2 }(b) },
    Wrong("grad of an integer result", "") { _ = grad { (x: Tensor) in x.argMax() }(b) },
    Wrong("grad by integers", "") { _ = grad { (x: Tensor) in x.sum() }(ints) },
    Wrong("vjp cotangent", "") { _ = vjp({ (x: Tensor) in x * 2 }, b).pullback(a) },
    Wrong("jvp tangent", "") { _ = jvp({ (x: Tensor) in x * 2 }, b, a) },
    Wrong("jvp structure", "") { _ = jvp({ (x: [Tensor]) in x[0] }, [b], [b, b]) },
    Wrong("jacobian of integers", "") { _ = jacobian({ $0 }, ints) },
    Wrong("custom gradient count", "") {
      _ = grad { (x: [Tensor]) in customGradient({ $0[0].sum() }, gradient: { _, _, c in [c, c] })(x) }([b])
    },
    Wrong("an integer parameter", "") { _ = Parameter(ints) },
    Wrong("a parameter of another shape", "") {
      let p = Parameter(b)
      p.value = a
    },
    Wrong("a gradient of another shape", "") { Parameter(b).grad = a },
    Wrong("an error in a layer", "") {
      let model = Sequential {
        Flatten()
        Sequential { Linear(4, 2, generator: Generator(seed: 1)) }
      }
      _ = model(a)
    },
  ]

  @Test(arguments: cases) func text(_ wrong: Wrong) { wrong.check() }
}
