import Martlet

/// A network of two layers in the manner of TensorFlow 1: first the graph is built, then it is run many times.
enum DefineThenRun: Lesson {
  static let name = "define-then-run"

  static func run() throws -> String {
    let (n, d, h) = (64, 1000, 100)

    // All values are given at each run.
    var graph = Graph()
    let x = graph.placeholder([n, d])
    let y = graph.placeholder([n, d])
    let w1 = graph.placeholder([d, h])
    let w2 = graph.placeholder([h, d])

    let hidden = maximum(matmul(x, w1), 0)
    let prediction = matmul(hidden, w2)
    let difference = prediction - y
    let loss = pow(difference, 2).sum(axis: 1).mean()

    let gradients = graph.gradients(of: loss, [w1, w2])

    var session = Session(graph)
    let values = [Tensor.normal([n, d]), Tensor.normal([n, d]), Tensor.normal([d, h]), Tensor.normal([h, d])]
    let found = try session.run(
      [loss] + gradients, feeding: [x: values[0], y: values[1], w1: values[2], w2: values[3]])
    let (expected, slopes) = valueAndGrad { (w: [Tensor]) in
      pow(matmul(maximum(matmul(values[0], w[0]), 0), w[1]) - values[1], 2).sum(axis: 1).mean()
    }([values[2], values[3]])
    try check(found[0].item(), is: expected.item(), within: 1e-4, "the loss")
    for (gradient, slope) in zip(found[1...], slopes) {
      try check(gradient / slope.norm(), is: slope / slope.norm(), within: 1e-5, "a gradient")
    }

    // The weights stay in the session from run to run.
    graph = Graph()
    let (a, b) = (graph.placeholder([n, d]), graph.placeholder([n, d]))
    let u1 = graph.variable(values[2])
    let u2 = graph.variable(values[3])

    let error = pow(matmul(maximum(matmul(a, u1), 0), u2) - b, 2).sum(axis: 1).mean()
    let slope = graph.gradients(of: error, [u1, u2])

    let learningRate = 1e-5
    let new1 = graph.assign(u1, u1 - learningRate * slope[0])
    let new2 = graph.assign(u2, u2 - learningRate * slope[1])
    let updates = graph.group(new1, new2)

    session = Session(graph)
    let fed: Feed = [a: values[0], b: values[1]]
    var losses: [Double] = []
    for _ in 0..<50 { losses.append(try session.run(error, updating: updates, feeding: fed).item()) }
    try check(losses[0], is: expected.item(), within: 1e-4, "the first loss")

    var (v1, v2) = (values[2], values[3])
    for step in 0..<3 {
      let (value, g) = valueAndGrad { (w: [Tensor]) in
        pow(matmul(maximum(matmul(values[0], w[0]), 0), w[1]) - values[1], 2).sum(axis: 1).mean()
      }([v1, v2])
      try check(losses[step], is: value.item(), within: 1e-3, "step \(step)")
      (v1, v2) = (v1 - learningRate * g[0], v2 - learningRate * g[1])
    }
    try check(losses.last! < losses[0] / 10, "the loss fell from \(losses[0]) to \(losses.last!) only")
    return "50 runs of one graph: \(losses[0].short) → \(losses.last!.short)"
  }
}
