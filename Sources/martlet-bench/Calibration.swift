import Martlet

/// What the machine can do now: figures of other workloads mean something beside these.
func calibration(seconds: Double) {
  let generator = Generator(seed: 0)
  func product(_ workload: String, _ m: Int, _ k: Int, _ n: Int, _ dtype: DType) {
    let a = Tensor.normal([m, k], generator: generator).cast(to: dtype)
    let b = Tensor.normal([k, n], generator: generator).cast(to: dtype)
    let time = medianTime(seconds: seconds / 3) { _ = matmul(a, b) }
    let rate = 2 * Double(m) * Double(n) * Double(k) / time / 1e9
    emit(workload, "eager", rate, "GFLOP/s", median: rate)
  }
  product("calibration_sgemm_2048", 2048, 2048, 2048, .float32)
  product("calibration_bf16_2048x384x1536", 2048, 384, 1536, .bfloat16)
  // a = b + c over 256 MB in all: two read, one written.
  let count = (256 << 20) / 12
  let b = Tensor.ones([count])
  let c = Tensor.ones([count])
  let time = medianTime(seconds: seconds / 3) { _ = b + c }
  let rate = Double(count * 12) / time / 1e9
  emit("calibration_triad_256MB", "eager", rate, "GB/s", median: rate)
}
