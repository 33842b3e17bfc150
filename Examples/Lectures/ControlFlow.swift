import Martlet

/// Control flow in a graph that is defined before it runs: `tf.cond` and `tf.foldl`. The same functions are plain Swift now.
enum ControlFlow: Lesson {
  static let name = "control-flow"

  /// y = x A where z < 0, else x B: both branches are part of the graph, and the one that is wanted runs.
  static func chosen(_ x: Tensor, _ z: Tensor, _ a: Tensor, _ b: Tensor) -> Tensor {
    cond(z .< 0) {
      matmul(x, a)
    } else: {
      matmul(x, b)
    }
  }

  /// tf.foldl(lambda previous, current: (previous + current) * w, x, y0): a recurrence over the rows of x.
  static func folded(_ x: Tensor, _ y0: Tensor, _ w: Tensor) -> Tensor {
    foldl(x, from: y0) { previous, current in (previous + current) * w }
  }

  /// The same with placeholders and a session.
  static func definedThenRun() throws {
    let (n, d, h) = (3, 4, 5)
    var graph = Graph()
    let x = graph.placeholder([n, d])
    let z = graph.placeholder([])
    let w1 = graph.placeholder([d, h])
    let w2 = graph.placeholder([d, h])

    func f1() -> Tensor { matmul(x, w1) }
    func f2() -> Tensor { matmul(x, w2) }
    let y = cond(z .< 0, then: f1, else: f2)

    let values: [Tensor] = [.normal([n, d]), .normal([d, h]), .normal([d, h])]
    let chosen = try Session(graph).run(y, feeding: [x: values[0], z: Tensor(10.0), w1: values[1], w2: values[2]])
    try check(chosen, is: matmul(values[0], values[2]), "y for z = 10")

    graph = Graph()
    let rows = graph.placeholder([n, d])
    let y0 = graph.placeholder([d])
    let w = graph.placeholder([d])
    func f(_ previous: Tensor, _ current: Tensor) -> Tensor { (previous + current) * w }
    let last = foldl(rows, from: y0, f)

    let given: [Tensor] = [.normal([n, d]), .normal([d]), .normal([d])]
    let found = try Session(graph).run(last, feeding: [rows: given[0], y0: given[1], w: given[2]])
    var expected = given[1]
    for t in 0..<n { expected = (expected + given[0][t]) * given[2] }
    try check(found, is: expected, "the fold")
  }

  static func run() throws -> String {
    let (x, a, b) = (Tensor.normal([2, 3]), Tensor.normal([3, 2]), Tensor.normal([3, 2]))
    let graph = compile { (x: Tensor, z: Tensor) in chosen(x, z, a, b) }
    try check(graph(x, Tensor(-1)), is: matmul(x, a), "the branch for z < 0")
    try check(graph(x, Tensor(1)), is: matmul(x, b), "the other branch")
    try check(graph.programs.count == 1, "both are of one program")
    // Only the weights of the branch that is taken get a gradient.
    let gradient = compile(grad { (w: [Tensor], x: Tensor, z: Tensor) in chosen(x, z, w[0], w[1]).sum() })
    let taken = gradient([a, b], x, Tensor(1))
    try check(taken[0], is: Tensor.zeros([3, 2]), "the weights of the branch not taken")
    try check(taken[1], is: matmul(x.transposed(), Tensor.ones([2, 2])), "the weights of the branch taken")

    // (((y0 + x1) w + x2) w + x3) w, and its derivative with respect to w: 3 (y0 + x1) w² + 2 x2 w + x3.
    let (rows, y0, w) = (Tensor([1, 2, 3] as [Float]), Tensor(0.5 as Float), Tensor(2 as Float))
    let fold = compile { (x: Tensor, y0: Tensor, w: Tensor) in folded(x, y0, w) }
    try check(fold(rows, y0, w).item(), is: 1.5 * 8 + 2 * 4 + 3 * 2, "the fold")
    let slope = compile(grad { (w: Tensor, x: Tensor, y0: Tensor) in folded(x, y0, w) })
    try check(slope(w, rows, y0).item(), is: 3 * 1.5 * 4 + 2 * 2 * 2 + 3, "its derivative")
    try definedThenRun()
    return "a branch and a fold in one graph each, and their derivatives"
  }
}
