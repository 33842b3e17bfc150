import Martlet

/// A function with a forward and a backward of its own, told of which inputs a gradient is needed, and the layer around it.
final class HandMade: Module {
  let weight: Parameter  // [outFeatures, inFeatures]
  let bias: Parameter?
  /// Of which inputs the last backward pass needed a gradient.
  private(set) var needed: [Bool] = []

  init(_ inFeatures: Int, _ outFeatures: Int, bias: Bool = true) {
    weight = Parameter(.uniform([outFeatures, inFeatures], low: -0.1, high: 0.1))
    self.bias = bias ? Parameter(.uniform([outFeatures], low: -0.1, high: 0.1)) : nil
  }

  func forward(_ x: Tensor) -> Tensor { linear([x, weight.value] + (bias.map { [$0.value] } ?? [])) }

  /// `x · weightᵀ + bias` of `[x, weight]` or `[x, weight, bias]`.
  func linear(_ inputs: [Tensor]) -> Tensor {
    let function = customGradient { (inputs: [Tensor]) in
      let product = matmul(inputs[0], inputs[1].transposed())
      return inputs.count == 3 ? product + inputs[2] : product
    } gradient: { [self] inputs, _, delta, needs in
      needed = needs
      // With error signals δ: δ·W for x, δᵀ·x for W, the sum over the batch for the bias.
      var gradients = [
        needs[0] ? matmul(delta, inputs[1]) : nil,
        needs[1] ? matmul(delta.transposed(), inputs[0]) : nil,
      ]
      if inputs.count == 3 { gradients.append(needs[2] ? delta.sum(axis: 0) : nil) }
      return gradients
    }
    return function(inputs)
  }
}

enum HandMadeLinear: Lesson {
  static let name = "linear"

  static func run() throws -> String {
    let (mine, theirs) = (HandMade(3, 2), Linear(3, 2))
    try theirs.load(mine.state)
    let x = Tensor.normal([4, 3])
    try check(mine(x), is: theirs(x), "the output")

    square(mine(x)).sum().backward()
    square(theirs(x)).sum().backward()
    try check(mine.weight.grad!, is: theirs.weight.grad!, "the gradient of the weight")
    try check(mine.bias!.grad!, is: theirs.bias!.grad!, "the gradient of the bias")
    // The input is data here: its gradient is never computed.
    try check(mine.needed == [false, true, true], "needed with data: \(mine.needed)")

    mine.freeze()
    let leaf = x.requiringGradient()
    mine(leaf).sum().backward()
    try check(mine.needed == [true, false, false], "needed when frozen: \(mine.needed)")
    try check(leaf.grad!, is: mine.weight.value.sum(axis: 0).expanded(to: [4, 3]), "the gradient of the input")

    let without = HandMade(3, 2, bias: false)
    try checkGradients({ tanh(mine.linear($0)).sum() }, [x, mine.weight.value, mine.bias!.value])
    try checkGradients({ tanh(without.linear($0)).sum() }, [x, without.weight.value], order: 2)
    return "forward and backward by hand agree with Linear and with finite differences"
  }
}
