import Martlet

/// One network of two layers, written four ways: all give the same losses.
enum TwoLayers: Lesson {
  static let name = "two-layers"
  static let (steps, rate) = (40, 1e-6)

  /// A module of one's own: it states what is done with its layers, and `backward()` follows.
  final class Network: Module {
    let linear1, linear2: Linear
    init(_ inputs: Int, _ hidden: Int, _ outputs: Int) {
      linear1 = Linear(inputs, hidden, bias: false)
      linear2 = Linear(hidden, outputs, bias: false)
    }
    func forward(_ x: Tensor) -> Tensor { linear2(relu(linear1(x))) }
  }

  static func run() throws -> String {
    let (x, y) = (Tensor.normal([64, 1000]), Tensor.normal([64, 10]))
    let (w1, w2) = (Tensor.normal([1000, 100]), Tensor.normal([100, 10]))

    let own = Network(1000, 100, 10)
    try own.load(["linear1.weight": w1.transposed(), "linear2.weight": w2.transposed()])
    let layers = Sequential {
      Linear(1000, 100, bias: false)
      ReLU()
      Linear(100, 10, bias: false)
    }
    try layers.load(["0.weight": w1.transposed(), "2.weight": w2.transposed()])

    let expected = byHand(x, y, w1, w2)
    for (name, losses) in [
      ("with leaves", byLeaves(x, y, w1, w2)), ("Sequential", byModule(layers, x, y)),
      ("a module", byModule(own, x, y)),
    ] {
      for step in 0..<steps { try check(losses[step], is: expected[step], within: 1e-3, "\(name), step \(step)") }
    }
    try check(expected.last! < expected[0] / 10, "the loss fell from \(expected[0]) to \(expected.last!) only")
    return "four ways, the same \(steps) losses: \(expected[0].short) → \(expected.last!.short)"
  }

  /// Forward and backward as one would write them without a framework.
  static func byHand(_ x: Tensor, _ y: Tensor, _ first: Tensor, _ second: Tensor) -> [Double] {
    var (w1, w2) = (first, second)
    return (0..<steps).map { _ in
      let hidden = matmul(x, w1)
      let active = relu(hidden)
      let difference = matmul(active, w2) - y

      let delta = 2 * difference
      let delta1 = matmul(delta, w2.transposed()) * (hidden .> 0).cast(to: .float32)
      w2 -= rate * matmul(active.transposed(), delta)
      w1 -= rate * matmul(x.transposed(), delta1)
      return square(difference).sum().item()
    }
  }

  /// The same forward; the graph that it records gives the backward, and is dropped after each step.
  static func byLeaves(_ x: Tensor, _ y: Tensor, _ first: Tensor, _ second: Tensor) -> [Double] {
    var (w1, w2) = (first.requiringGradient(), second.requiringGradient())
    return (0..<steps).map { _ in
      let loss = square(matmul(clamp(matmul(x, w1), min: 0), w2) - y).sum()
      loss.backward()
      w1 = (w1.detached() - rate * w1.grad!).requiringGradient()
      w2 = (w2.detached() - rate * w2.grad!).requiringGradient()
      return loss.item()
    }
  }

  static func byModule(_ model: any Module<Tensor, Tensor>, _ x: Tensor, _ y: Tensor) -> [Double] {
    let optimizer = SGD(model.parameters, learningRate: rate)
    let criterion = MSELoss(reduction: .sum)
    return (0..<steps).map { _ in
      optimizer.zeroGrad()  // gradients add up otherwise
      let loss = criterion(model(x), y)
      loss.backward()
      optimizer.step()
      return loss.item()
    }
  }
}
