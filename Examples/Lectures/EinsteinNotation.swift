import Martlet

/// The multi-layer perceptron with its indices written out: b of the batch, i of the features, j of the hidden layer, y of the
/// labels. Parameters have no b.
enum EinsteinNotation: Lesson {
  static let name = "einstein-notation"

  static func loss(_ p: [String: Tensor], _ x: Tensor, _ labels: Tensor) -> Tensor {
    let h = relu(einsum("ji,bi->bj", p["W0"]!, x) + p["b0"]!)
    let s = sigmoid(einsum("yj,bj->by", p["W1"]!, h) + p["b1"]!)
    return crossEntropy(s, labels)  // -ln softmax, over y
  }

  static func withMatmul(_ p: [String: Tensor], _ x: Tensor, _ labels: Tensor) -> Tensor {
    let h = relu(matmul(x, p["W0"]!.transposed()) + p["b0"]!)
    return crossEntropy(sigmoid(matmul(h, p["W1"]!.transposed()) + p["b1"]!), labels)
  }

  static func run() throws -> String {
    let (x, labels) = (Tensor.normal([8, 5]), Tensor([0, 1, 2, 0, 1, 2, 0, 1]))
    var p = [
      "W0": Tensor.normal([6, 5]), "b0": Tensor.normal([6]), "W1": Tensor.normal([3, 6]), "b1": Tensor.normal([3]),
    ]
    let (value, gradient) = valueAndGrad(loss)(p, x, labels)
    let (expected, expectedGradient) = valueAndGrad(withMatmul)(p, x, labels)
    try check(value, is: expected, "the loss")
    for name in p.keys { try check(gradient[name]!, is: expectedGradient[name]!, "the gradient of \(name)") }

    // The swap rule: the output changes places with an input, and what is not on the left is summed.
    let (w, delta) = (p["W0"]!, Tensor.normal([8, 6]))
    let (_, pullback) = vjp({ einsum("ji,bi->bj", $0[0], $0[1]) }, [w, x])
    let swapped = pullback(delta)
    try check(swapped[0], is: einsum("bj,bi->ji", delta, x), "the swap rule for W")
    try check(swapped[1], is: einsum("bj,ji->bi", delta, w), "the swap rule for x")

    // A batch has the average gradient of its examples.
    let each = vmap { (x: Tensor, label: Tensor) in
      grad(loss)(p, x.expandedDims(axis: 0), label.expandedDims(axis: 0))["W0"]!
    }(x, labels)
    try check(each.mean(axis: 0), is: gradient["W0"]!, "the average over the batch")

    // Stochastic gradient descent: Φ ← Φ - η ∇Φ.
    for _ in 0..<100 {
      let slope = grad(loss)(p, x, labels)
      for name in p.keys { p[name]! -= 0.5 * slope[name]! }
    }
    let last = loss(p, x, labels).item()
    try check(last < value.item(), "the loss rose to \(last)")
    return "einsum and matmul agree; loss \(value.item().short) → \(last.short)"
  }
}
