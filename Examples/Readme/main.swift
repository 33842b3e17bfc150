// Made from the README by martlet-docs.
// swift-format-ignore-file
import Martlet


let x: Tensor = [[1, 2, 3], [4, 5, 6]]      // float32[2, 3]
print(x.sum(axis: 0), x[0], x[.all, 1...])  // views: nothing is copied
var y = x * 0.5                             // numbers take the tensor's dtype
y[0, 1] = 9                                 // x keeps its elements
y[y .> 2] = 0                               // comparison gives a bool tensor
let i = Tensor([1, 0])                      // integers: int64[2]
print(x[i], matmul(x, x.transposed()))
print(y.floats, i.array(as: Int.self), x.sum().item())  // to [Float], [Int] and a Double
let f = { (x: Tensor) in (tanh(x) * x).sum() }
let slope = grad(f)                           // the gradient, a function
print(slope(x), hessian(f, [0.1, 0.2]))
print(vmap(slope)(x))                         // for every row at once
try checkGradients(f, [0.1, 0.2])             // against finite differences, in float64

let w = Tensor([0.5, -0.5] as [Float]).requiringGradient()
f(w).backward()                               // or the other face of the same rules
print(w.grad!)
final class MLP: Module {
  let fc1 = Linear(784, 128)
  let dropout = Dropout(0.1)
  let fc2 = Linear(128, 10)
  func forward(_ x: Tensor) -> Tensor { fc2(dropout(relu(fc1(x)))) }
}

let model = MLP()
print(try model.summary(for: .zeros([32, 784])))
let optimizer = Adam(model.parameters, learningRate: 1e-3)

func step(_ images: Tensor, _ labels: Tensor) -> Tensor {
  optimizer.zeroGrad()
  let loss = crossEntropy(model(images), labels)
  loss.backward()
  optimizer.step()
  return loss.detached()
}

let images = Tensor.normal([32, 784])
let labels = Tensor([Int](repeating: 3, count: 32))
print(step(images, labels).item())          // now
print(lazy { step(images, labels) }.item()) // on demand
let fast = compile(step)                    // ahead of time: parameters, moments and dropout are part of the program
print(fast(images, labels).item())
try model.state.write(safetensors: "/tmp/mlp.safetensors")
try model.load(State(safetensors: "/tmp/mlp.safetensors"))
model.eval()                                // no dropout; train() switches it on again
let predicted = withoutGradient { model(images).argMax(axis: 1) }
print((predicted .== labels).sum())
let graph = Graph()
let points = graph.placeholder([64, 3], name: "points")
let weights = graph.variable(Tensor.normal([3, 1]), name: "weights")
let error = pow(matmul(points, weights) - 1, 2).mean()
let update = graph.assign(weights, weights - 0.1 * graph.gradients(of: error, weights))
let shown = printed(error, "error")          // a line in the runs that need it; `asserted` checks a condition
let session = Session(graph)
for _ in 0..<3 { print(try session.run(shown, updating: update, feeding: [points: .ones([64, 3])]).item()) }
try session.run(graph.assign(weights, weights * 0))
let served = MLP()
try served.load(State(safetensors: "/tmp/mlp.safetensors"))
served.eval()
let classify = compile { (x: Tensor) in withoutGradient { softmax(served(x)) } }   // recorded it would keep more

nonisolated func answer(_ request: Tensor) -> String {
  do {
    // One thread for each request; what does not fit the model throws, and the others go on.
    let scores = try withErrors { withThreads(1) { classify(request).max(axis: 1).floats } }
    return "scores \(scores)"
  } catch { return "refused: \(error)" }
}

await withTaskGroup(of: String.self) { group in
  for request in [Tensor.normal([1, 784]), .normal([4, 784]), .normal([3, 100])] {
    group.addTask { answer(request) }
  }
  for await text in group { print(text) }
}
let recognise = compile { (images: Tensor) in
  softmax(served((images.cast(to: .float32) / 255).flattened(from: 1)), axis: 1)
}
try recognise.save(to: "/tmp/digits.martlet", for: .zeros([1, 28, 28], dtype: .uint8), openBatch: true)

let program = try SavedProgram(contentsOf: "/tmp/digits.martlet")   // elsewhere: no model, no Swift of yours
print(program)                                                      // inputs, results, operations, bytes
print(try program(.zeros([5, 28, 28], dtype: .uint8))[0].shape)     // [Tensor] in, [Tensor] out
let digits = DrawnDigits(seed: 1).split(train: 1000, test: 100)
let pixels = digits.train.images.tensor()   // uint8[1000, 28, 28], borrowed without a copy
let classes = digits.train.labelTensor()    // int64[1000]
let batch = (pixels[..<32].cast(to: .float32) / 255).flattened(from: 1)
print(step(batch, classes[..<32]).item())
let network = Sequential {
  Conv2d(1, 8, kernelSize: 3, padding: 1)
  ReLU()
  MaxPool2d(kernelSize: 2)
  Flatten()
  Linear(8 * 14 * 14, 10)
}
let adam = AdamW(network.parameters, learningRate: 1e-3)
let inputs = digits.train.images.scaledTensor().reshaped(-1, 1, 28, 28)
let (size, epochs) = (100, 2)
let steps = epochs * inputs.shape[0] / size
let schedule = Schedule.cosine(1e-3, steps: steps)

let train = compile { (x: Tensor, labels: Tensor) in
  let loss = crossEntropy(network(x), labels)
  loss.backward()
  clipGradients(network.parameters, toNorm: 1)
  adam.step()
  adam.zeroGrad()
  return loss.detached()
}
var done = 0
for epoch in 0..<epochs {
  let order = Tensor.permutation(inputs.shape[0])
  for start in stride(from: 0, to: inputs.shape[0], by: size) {
    adam.learningRate = schedule.rate(at: done)
    let chosen = order[start..<(start + size)]
    _ = train(inputs[chosen], classes[chosen])
    done += 1
  }
  try Checkpoint.write(
    [("model", network.state), ("optimizer", adam.state)], description: ["epoch": epoch], to: "/tmp/my-run", step: done)
}
let saved = try Checkpoint.latest(in: "/tmp/my-run")   // checks its checksums
try network.load(saved.state("model"))
try adam.load(saved.state("optimizer"))
print(try saved.description([String: Int].self))

try FromPyTorch.run()
try Programs.run()
