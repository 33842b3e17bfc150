// Made from Documentation/Programs.md by martlet-docs.
// swift-format-ignore-file
import Martlet

enum Programs {
  static func run() throws {

    var scale = Tensor(2.0)
    let frozen = compile { (x: Tensor) in (x * scale).sum() }
    print(frozen([1, 2]).item())               // 6
    scale = Tensor(3.0)
    print(frozen([1, 2]).item())               // 6 again: the program holds the first scale

    let factor = Buffer(Tensor(2.0))           // read by each call
    let scaled = compile { (x: Tensor) in (x * factor.value).sum() }
    print(scaled([1, 2]).item())               // 6
    factor.value = Tensor(3.0)
    print(scaled([1, 2]).item())               // 9
    let both = compile { (x: Tensor, scale: Tensor) in (x * scale).sum() }
    print(both([1, 2], Tensor(4.0)).item())    // or an argument
    let w = Parameter(Tensor.normal([3, 1]))
    let predict = compile { (x: Tensor) in matmul(x, w.value) }
    let x = Tensor.normal([8, 3])
    predict(x).sum().backward()                // recorded
    print(w.grad!)
    let error = compile { (x: Tensor) in (x * x).sum() }
    print(grad(error.function)([1, 2]))        // where a function is wanted
    print(withoutGradient { predict(x) })      // a plan
    let explanation = try withoutGradient { try predict.explain(x) }
    print(explanation)                         // the operations with their times, and the memory
    print(explanation.program.graphviz)        // what runs, drawn in Graphviz's language
    print(predict.programs[0].graphviz)        // what was captured, before the passes
    print(explanation.chromeTrace)             // the times, for chrome://tracing and Perfetto
    let steep = compile { (x: Tensor) in select(x .> 0, x, 0.1 * x) }              // element by element
    let safe = compile { (x: Tensor) in cond(x.sum() .> 0) { x / x.sum() } else: { x } }   // one branch runs
    let root = compile { (x: Tensor) -> Tensor in
      whileLoop(x, while: { abs($0 * $0 - 2) .> 1e-5 }, maximum: 50) { ($0 + 2 / $0) / 2 }
    }
    let power = compile { (x: Tensor) in                                            // a state of two parts
      whileLoop(TensorTuple(Tensor(0), Tensor(1.0)), while: { $0.values.0 .< 10 }) { state in
        let (steps, power) = state.values
        return TensorTuple(steps + 1, power * x)
      }.values.1
    }
    let running = compile { (x: Tensor) in scan(x, from: x[0] * 0) { sum, row in (sum + row, sum + row) }.1 }
    print(steep([-1, 1]), safe([1, 3]), root(Tensor(1.0)), power(Tensor(2.0)))
    print(running([1, 2, 3]))
    struct Ball: TensorTree {
      var height, speed: Tensor
      var flattened: [Tensor] { [height, speed] }
      func rebuilt(from t: inout ArraySlice<Tensor>) -> Ball { Ball(height: t.removeFirst(), speed: t.removeFirst()) }
    }
    let fall = compile { (ball: Ball) in
      whileLoop(ball, while: { $0.height .> 0 }) { Ball(height: $0.height + $0.speed, speed: $0.speed - 1) }
    }
    print(fall(Ball(height: Tensor(5.0), speed: Tensor(1.0))).speed)
    let net = Sequential {
      Linear(64, 64)
      ReLU()
      Linear(64, 10)
    }
    let sgd = SGD(net.parameters, learningRate: 0.1)
    let train = compile { (x: Tensor, labels: Tensor) in
      let loss = withAutocast(.bfloat16) { crossEntropy(net(x), labels) }
      loss.backward()
      sgd.step()
      sgd.zeroGrad()
      return loss.detached()
    }
    print(train(Tensor.normal([32, 64]), Tensor([Int](repeating: 1, count: 32))))
    let graph = Graph()
    let points = graph.placeholder([4, 3], name: "points")      // one shape, without -1
    let weights = graph.variable(Tensor.normal([3, 1]), name: "weights")
    let products = matmul(points, weights)
    let loss = pow(products - 1, 2).mean()
    let session = Session(graph)
    try session.run(graph.assign(weights, weights * 0.5))       // an update by itself, or several: run([a, b])
    print(try session.run(loss, feeding: [points: .ones([4, 3])]))
    print(try session.run(loss, feeding: [products: .ones([4, 1])]))    // any tensor of the graph may be fed
    print(try session.explain(loss, feeding: [points: .ones([4, 3])]))
    print(graph, session, points)                               // what is in them
    try withoutGradient { try predict.save(to: "/tmp/predict.martlet", for: x, openBatch: true) }
    let anySize = try SavedProgram(contentsOf: "/tmp/predict.martlet")
    for size in [1, 7, 100] { print(try anySize(.ones([size, 3]))[0].shape) }
  }
}
