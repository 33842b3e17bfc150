import Martlet

/// `L = √(x² + y²)` as a list of assignments. Values are computed downwards, gradients upwards.
enum StepByStep: Lesson {
  static let name = "step-by-step"

  static func run() throws -> String {
    let (x, y) = (Tensor(3.0).requiringGradient(), Tensor(4.0).requiringGradient())
    let u = square(x)
    let w = square(y)
    let r = u + w
    let loss = sqrt(r)
    let steps = [("L", loss), ("r", r), ("w", w), ("u", u), ("y", y), ("x", x)]
    for (_, tensor) in steps { tensor.retainGrad() }
    loss.backward()
    // ∂L/∂r = 1 / (2√r); w and u pass it on; then times 2y and 2x.
    let expected = [(5.0, 1.0), (25, 0.1), (16, 0.1), (9, 0.1), (4, 0.8), (3, 0.6)]
    for ((name, tensor), (value, gradient)) in zip(steps, expected) {
      try check(tensor.item(), is: value, "the value of \(name)")
      try check(tensor.grad!.item(), is: gradient, "the gradient of \(name)")
    }

    // y = f(x), z = g(y, x): x is used twice, and both parts are added.
    let a = Tensor(2.0).requiringGradient()
    let b = square(a)
    (b * a).backward()
    try check(a.grad!.item(), is: 12, "the gradient of x² · x at 2")

    // A layer of one sigmoid as it may be written by hand.
    let (weights, input) = (Tensor.normal([3]), Tensor.normal([3]))
    try check(1 / (1 + exp(-dot(weights, input))), is: sigmoid(dot(weights, input)), "the sigmoid")
    return steps.map { "\($0.0) \($0.1.item().short) (\($0.1.grad!.item().short))" }.joined(separator: ", ")
  }
}
