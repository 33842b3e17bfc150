import Martlet
import MartletCore
import MartletOps
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A function with branches and loops on values: x³ for small x, else 3 x⁴ - 2.
private func branching(_ x: Tensor) -> Tensor {
  if x.item() < 1 {
    var y = x
    for _ in 0..<2 { y = y * x }
    return y
  }
  return pow(x, 4) * 3 - 2
}

private func scalar(_ value: Double) -> Tensor { Tensor(value) }

@Suite struct LawsTransforms {
  @Test func gradOfGrad() {
    #expect(grad(branching)(scalar(0.5)).item() == 0.75)
    #expect(grad(grad(branching))(scalar(0.5)).item() == 3)
    #expect(abs(grad(grad(branching))(scalar(2)).item() - 144) < 1e-9)
  }

  @Test func thirdOrder() {
    #expect(abs(grad(grad(grad(branching)))(scalar(0.5)).item() - 6) < 1e-12)
    #expect(abs(grad(grad(grad(branching)))(scalar(2)).item() - 144) < 1e-9)
    // sin''' = -cos, in every order of the modes.
    let forward: (@escaping (Tensor) -> Tensor) -> (Tensor) -> Tensor = { f in { x in jvp(f, x, scalar(1)).tangent } }
    let backward: (@escaping (Tensor) -> Tensor) -> (Tensor) -> Tensor = { f in { x in grad(f)(x) } }
    let modes = [forward, backward]
    for a in modes {
      for b in modes {
        for c in modes {
          #expect(abs(a(b(c({ sin($0) })))(scalar(0.7)).item() + cos(0.7)) < 1e-12)
        }
      }
    }
  }

  @Test func levelsAreNotConfused() {
    // d/dx x · d/dy (x + y) = 1: the inner derivative does not see x's perturbation.
    let reverse = grad { (x: Tensor) in x * grad { (y: Tensor) in x + y }(scalar(3)) }
    #expect(reverse(scalar(2)).item() == 1)
    let forward = jvp(
      { (x: Tensor) in x * jvp({ (y: Tensor) in x + y }, scalar(3), scalar(1)).tangent }, scalar(2), scalar(1))
    #expect(forward.tangent.item() == 1)
  }

  @Test func jvpOfGradIsAHessianProduct() {
    let x = Tensor([0.3, -1.2, 2.0] as [Double])
    let v = Tensor([1.0, 0.5, -2.0] as [Double])
    let f: (Tensor) -> Tensor = { (x: Tensor) in (x * x * x).sum() + x.sum() * x.sum() }
    let product = jvp(grad(f), x, v).tangent.array(as: Double.self)
    let twice = grad { (y: Tensor) in (grad(f)(y) * v).sum() }(x).array(as: Double.self)
    let expected = zip([0.3, -1.2, 2.0], [1.0, 0.5, -2.0]).map { 6 * $0 * $1 + 2 * (1.0 + 0.5 - 2.0) }
    #expect(difference(product, expected, 1e-12) == nil)
    #expect(difference(twice, expected, 1e-12) == nil)
  }

  @Test func mapOfGradGivesEachExamplesGradient() {
    let weights = Tensor([[0.1, -0.4], [0.7, 0.2], [-0.3, 0.5]] as [[Double]])
    let examples = Tensor((0..<12).map { Double($0) * 0.3 - 1.5 }, shape: [4, 3])
    let labels = Tensor([0, 1, 1, 0])
    let loss: (Tensor, Tensor, Tensor) -> Tensor = { w, x, label in
      crossEntropy(tanh(matmul(x.expandedDims(axis: 0), w)), label.reshaped([1]))
    }
    let gradient: (Tensor, Tensor, Tensor) -> Tensor = grad(loss)
    let mapped: (Tensor, Tensor, Tensor) -> Tensor = vmap(inAxes: [nil, 0, 0], gradient)
    let each = mapped(weights, examples, labels)
    #expect(each.shape == [4, 3, 2])
    for example in 0..<4 {
      let one = gradient(weights, examples.part(0, example), labels.part(0, example))
      #expect(difference(each.part(0, example), one, loose: 4) == nil)
    }
    // Their sum is the gradient of the sum.
    let losses: (Tensor, Tensor, Tensor) -> Tensor = vmap(inAxes: [nil, 0, 0], loss)
    let whole = grad { (w: Tensor) in losses(w, examples, labels).sum() }(weights)
    #expect(difference(each.sum(axis: 0), whole, loose: 8) == nil)
  }

  @Test func mapsNest() {
    let a = Tensor((0..<6).map { Double($0) }, shape: [2, 3])
    let b = Tensor((0..<8).map { Double($0) - 3 }, shape: [4, 2])
    // All pairs of columns of a and rows of b.
    func all(_ f: @escaping (Tensor, Tensor) -> Tensor) -> (Tensor, Tensor) -> Tensor {
      let rows: (Tensor, Tensor) -> Tensor = vmap(inAxes: [nil, 0], f)
      return vmap(inAxes: [1, nil], rows)
    }
    let pairs = all { x, y in (x * y).sum() + sin(y).sum() * x.max() }(a, b)
    #expect(pairs.shape == [3, 4])
    for i in 0..<3 {
      for j in 0..<4 {
        let (x, y) = (a.part(1, i), b.part(0, j))
        let expected = (x * y).sum() + sin(y).sum() * x.max()
        #expect(difference(pairs.part(0, i).part(0, j), expected, loose: 4) == nil)
      }
    }
    let gradients = grad { (a: Tensor) in all { x, y in (x * x * y).sum() }(a, b).sum() }(a)
    let expected = grad { (a: Tensor) in (a * a * b.sum(axis: 0).expandedDims(axis: 1)).sum() }(a)
    #expect(difference(gradients, expected, loose: 4) == nil)
  }

  @Test func mapOfSecondDerivativesInEveryMoment() {
    let x = Tensor([0.2, 0.9, -1.1] as [Double])
    let f: (Tensor) -> Tensor = { (x: Tensor) in vmap(grad(grad { (y: Tensor) in exp(y) * sin(y) }))(x) }
    let now = f(x)
    let expected = [0.2, 0.9, -1.1].map { 2 * exp($0) * cos($0) }
    #expect(difference(now.array(as: Double.self), expected, 1e-12) == nil)
    #expect(difference(lazy { f(x) }, now, loose: 0) == nil)
    #expect(difference(compile(f)(x), now, loose: 0) == nil)
  }

  @Test func backwardInsideTransformsKeepsItsLevel() {
    let x = Tensor([1.0, 2.0] as [Double]).requiringGradient()
    let y = (grad { (t: Tensor) in (t * t * x).sum() }(x)).sum()
    y.backward()
    // d/dx of 2 x · x, where the inner function's second use of x is also differentiated.
    #expect(difference(x.grad!.array(as: Double.self), [4, 8], 1e-12) == nil)
  }
}
