import Martlet

/// The gradient as a function made from a function, as in Autograd: no layers, no parameters, only the loss.
enum LogisticRegression: Lesson {
  static let name = "logistic-regression"

  static func predictions(_ weights: Tensor, _ inputs: Tensor) -> Tensor { (tanh(matmul(inputs, weights)) + 1) / 2 }

  /// The negative logarithm of the probability of the labels.
  static func loss(_ weights: Tensor, _ inputs: Tensor, _ targets: Tensor) -> Tensor {
    let p = predictions(weights, inputs)
    return -log(p * targets + (1 - p) * (1 - targets)).sum()
  }

  static func run() throws -> String {
    let inputs: Tensor = [[0.52, 1.12, 0.77], [0.88, -1.08, 0.15], [0.52, 0.06, -1.30], [0.74, -2.49, 1.39]]
    let targets: Tensor = [1, 1, 0, 1]
    var weights = Tensor.zeros([3])

    // `grad` differentiates by the first argument, whatever it is called and whatever is inside.
    let slope = grad(loss)
    try checkGradients(
      { loss($0, inputs.cast(to: .float64), targets.cast(to: .float64)) }, weights, modes: [.reverse, .forward])

    // Numbers from PyTorch, in float64.
    try check(loss(weights, inputs, targets).item(), is: 2.772588722, "the first loss")
    try check(slope(weights, inputs, targets), is: [-1.62, 2.51, -3.61], "the first gradient")
    for _ in 0..<10 { weights -= slope(weights, inputs, targets) * 0.01 }
    let last = loss(weights, inputs, targets).item()
    try check(last, is: 1.617155257, "the loss after ten steps")
    return "loss 2.773 → \(last.short) in ten steps, as in PyTorch"
  }
}
