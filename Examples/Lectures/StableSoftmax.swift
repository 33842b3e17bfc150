import Martlet

/// Softmax as it is written overflows; less the maximum it does not. With the negative logarithm of the right class its
/// gradient is the probabilities less one at that class. ReLU has a corner, where any slope between its two is a subgradient.
enum StableSoftmax: Lesson {
  static let name = "softmax"

  static func asWritten(_ x: Tensor) -> Tensor { exp(x) / exp(x).sum() }
  static func stable(_ x: Tensor) -> Tensor { asWritten(x - x.max().detached()) }

  static func run() throws -> String {
    let (small, large): (Tensor, Tensor) = ([1, 2, 3], [1, 2, 100])
    try check(asWritten(small), is: softmax(small), "small scores")
    try check(asWritten(large).isNaN.any().item() == 1, "e¹⁰⁰ fits into a float32")
    try check(stable(large), is: softmax(large), "large scores")

    let label = 1
    let gradient = grad { -log(stable($0)[label]) }(small)
    try check(gradient, is: softmax(small) - oneHot(Tensor(label), classes: 3), "the gradient of -log p")
    try check(
      grad { crossEntropy($0.expandedDims(axis: 0), Tensor([label])) }(small), is: gradient, "that of crossEntropy")

    try check(grad { relu($0).sum() }([-1, 0, 2]), is: [0, 0, 1], "the slopes of relu")
    return "e¹⁰⁰ overflows, softmax does not; gradient p - 1[label]"
  }
}
