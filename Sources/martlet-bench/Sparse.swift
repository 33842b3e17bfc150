import Martlet

/// A matrix of 10,000 × 10,000 with 1 % of its elements times one of 64 columns, beside the dense product.
func sparse(modes: Set<String>, seconds: Double) {
  guard modes.contains("eager") else { return }
  let generator = Generator(seed: 0)
  let (size, columns) = (10_000, 64)
  let a = CSRTensor((Tensor.uniform([size, size], generator: generator) .< 0.01).cast(to: .float32) * 1.5)
  let whole = a.dense
  let b = Tensor.normal([size, columns], generator: generator)
  let c = Tensor.normal([size, columns], generator: generator)
  func figure(_ workload: String, _ body: () -> Void) {
    let time = medianTime(seconds: seconds / 6, body)
    emit(workload, "eager", time * 1e3, "ms", median: time * 1e3)
  }
  func gradient(of right: Tensor, _ product: (Tensor) -> Tensor) {
    let leaf = right.requiringGradient()
    product(leaf).backward(gradient: c)
  }
  figure("dense_matmul_1pct") { _ = matmul(whole, b) }
  figure("sparse_matmul_1pct") { _ = matmul(a, b) }
  figure("dense_matmul_1pct_grad_b") { gradient(of: b) { matmul(whole, $0) } }
  figure("sparse_matmul_1pct_grad_b") { gradient(of: b) { matmul(a, $0) } }
  figure("sparse_matmul_1pct_grad_values") { gradient(of: a.values) { matmul(a.with(values: $0), b) } }
  let transposed = a.transposed()
  figure("sparse_transposed_matmul_1pct") { _ = matmul(transposed, c) }
}
