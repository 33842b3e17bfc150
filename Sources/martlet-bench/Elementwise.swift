import Martlet

/// Operations over 4096 × 4096 numbers, where memory is the limit.
func elementwise(modes: Set<String>, seconds: Double) {
  guard modes.contains("eager") else { return }
  let generator = Generator(seed: 0)
  let x = Tensor.normal([4096, 4096], generator: generator)
  let y = Tensor.normal([4096, 4096], generator: generator)
  func figure(_ workload: String, _ body: () -> Tensor) {
    let time = medianTime(seconds: seconds / 8) { _ = body() }
    emit(workload, "eager", time * 1e3, "ms", median: time * 1e3)
  }
  figure("add_16M") { x + y }
  figure("gelu_chain_16M") { 0.5 * x * (1 + tanh(0.7978845608 * (x + 0.044715 * x * x * x))) }
  figure("softmax_4096") { softmax(x, axis: -1) }
  figure("layer_norm_4096") { layerNorm(x, normalizedShape: [4096]) }
  figure("sum_16M") { x.sum() }
  figure("sum_axis0") { x.sum(axis: 0) }
  figure("transpose_copy") { x.transposed().contiguous() }
}
