import Martlet

/// Examples of a batch do not depend on each other: parts of it may be computed apart, and the average of the parts'
/// gradients is that of the whole (with batch normalisation it would not be). What a pass keeps may be computed again instead.
enum SplitBatch: Lesson {
  static let name = "split-batch"

  static func loss(_ w: [Tensor], _ x: Tensor, _ y: Tensor) -> Tensor {
    meanSquaredError(matmul(tanh(matmul(x, w[0])), w[1]), y)
  }

  static func run() throws -> String {
    let w = [Tensor.normal([6, 4]), Tensor.normal([4, 2])]
    let (x, y) = (Tensor.normal([8, 6]), Tensor.normal([8, 2]))
    let whole = grad(loss)(w, x, y)
    let parts = zip(x.chunked(4), y.chunked(4)).map { grad(loss)(w, $0, $1) }
    for (i, gradient) in whole.enumerated() {
      try check(stack(parts.map { $0[i] }).mean(axis: 0), is: gradient, "the average of the parts, weight \(i)")
    }

    // Less memory: what is inside is not kept, and computed again on the way back.
    let frugal = grad { (w: [Tensor]) in checkpointed { loss($0, x, y) }(w) }(w)
    for (i, gradient) in whole.enumerated() { try check(frugal[i], is: gradient, "computed again, weight \(i)") }
    return "the average gradient of four parts is that of the batch; so is the one computed again"
  }
}
