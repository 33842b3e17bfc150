import Martlet

/// The graph is what ran: `if`, `for`, `while` and recursion are Swift's own.
enum PlainSwift: Lesson {
  static let name = "plain-swift"

  static func conditional(_ x: Tensor, _ z: Double, _ w1: Tensor, _ w2: Tensor) -> Tensor {
    if z > 0 { matmul(x, w1) } else { matmul(x, w2) }
  }

  /// `y ← (y + xₜ) · w` for each t.
  static func loop(_ start: Tensor, _ x: Tensor, _ w: Tensor) -> Tensor {
    var y = start
    for t in 0..<x.shape[0] { y = (y + x[t]) * w }
    return y
  }

  /// How often it runs depends on the values.
  static func doubledUntil(_ limit: Double, _ x: Tensor) -> Tensor {
    var y = x
    while y.norm().item() < limit { y = y * 2 }
    return y
  }

  indirect enum Tree {
    case leaf(Int)
    case node(Tree, Tree)
  }

  /// A recursive network: the vector of a node is made of those of its children.
  static func vector(_ tree: Tree, _ words: Tensor, _ w: Tensor) -> Tensor {
    switch tree {
    case .leaf(let word): words[word]
    case .node(let left, let right): tanh(matmul(w, concat([vector(left, words, w), vector(right, words, w)])))
    }
  }

  static func run() throws -> String {
    let (x, w1, w2) = (Tensor.normal([3, 4]), Tensor.normal([4, 5]), Tensor.normal([4, 5]))
    for (z, w) in [(10.0, w1), (-10.0, w2)] {
      try check(
        grad { conditional($0, z, w1, w2).sum() }(x), is: w.sum(axis: 1).expanded(to: [3, 4]), "the branch of z = \(z)")
    }

    let (steps, scale) = (Tensor.normal([3, 4]), Tensor.normal([4]))
    let start = Tensor.normal([4]).requiringGradient()
    loop(start, steps, scale).sum().backward()
    try check(start.grad!, is: scale * scale * scale, "dy₃/dy₀ = w³")
    try checkGradients({ loop($0[0], $0[1], $0[2]).sum() }, [start, steps, scale], order: 2)

    // |[3, 4]| = 5: doubled five times to pass 100, so the gradient is 2⁵.
    try check(grad { doubledUntil(100, $0).sum() }([3, 4]), is: [32, 32], "the gradient of the while loop")

    let tree = Tree.node(.node(.leaf(0), .leaf(1)), .node(.leaf(2), .node(.leaf(1), .leaf(3))))
    let (words, w) = (Tensor.normal([4, 3]), Tensor.normal([3, 6]) * 0.5)
    try checkGradients({ vector(tree, $0[0], $0[1]).sum() }, [words, w])
    let gradient = grad { vector(.node(.leaf(0), .leaf(2)), $0, w).sum() }(words)
    try check(gradient[Tensor([1, 3])], is: Tensor.zeros([2, 3]), "words that are not in the tree")
    return "branches, loops and recursion give the gradients of what ran"
  }
}
