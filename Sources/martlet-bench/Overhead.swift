import Martlet

/// Small operations and one step of a tiny network: what the framework costs beside arithmetic.
func overhead(modes: Set<String>, seconds: Double) {
  let generator = Generator(seed: 0)
  let a = Tensor.normal([8, 8], generator: generator)
  let b = Tensor.normal([8, 8], generator: generator)
  let recorded = a.requiringGradient()
  var variants: [Variant] = []
  if modes.contains("eager") {
    variants.append(Variant(workload: "op_add_8x8", mode: "eager", unit: "ns") { _ = a + b })
    variants.append(Variant(workload: "op_add_8x8_grad", mode: "eager", unit: "ns") { _ = recorded + b })
    variants.append(Variant(workload: "op_matmul_8x8", mode: "eager", unit: "ns") { _ = matmul(a, b) })
    variants.append(Variant(workload: "tiny_mlp_train_step", mode: "eager", unit: "us", body: TinyMLP().step))
  }
  if modes.contains("compiled") {
    let model = TinyMLP()
    let step = compile { (x: Tensor, y: Tensor) in model.step(x, y) }
    variants.append(
      Variant(workload: "tiny_mlp_train_step", mode: "compiled", unit: "us") { _ = step(model.x, model.y) })
  }
  measure(variants, seconds: seconds)
  guard Bench.explains else { return }
  let model = TinyMLP()
  let step = compile { (x: Tensor, y: Tensor) in model.step(x, y) }
  for _ in 0..<100 { _ = step(model.x, model.y) }
  if let explanation = try? step.explain(model.x, model.y) { print("\(explanation)\n\(explanation.program)") }
}

/// Linear 16-32, ReLU, Linear 32-1, mean squared error, Adam, batch 8.
private final class TinyMLP {
  let model = Sequential {
    Linear(16, 32)
    ReLU()
    Linear(32, 1)
  }
  let x = Tensor.normal([8, 16])
  let y = Tensor.normal([8, 1])
  let optimizer: Adam

  init() { optimizer = Adam(model.parameters) }

  func step() { _ = step(x, y) }

  func step(_ x: Tensor, _ y: Tensor) -> Tensor {
    optimizer.zeroGrad()
    let loss = meanSquaredError(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.detached()
  }
}
