public import MartletCore

/// The gradients of an attention's queries, keys and values from `g`, the cotangent of its result, the logarithms of the
/// sums of the rows, and `delta`, the sums of `g · y` over the features.
public struct AttentionGradient: AttentionOp {
  public static var id: OpID { OpTable.attentionGradient.id }
  public static var name: String { "attentionGradient" }
  public static var rules: Rules { [.batched, .decomposed] }
  public static var argumentNames: [String] { ["q", "k", "v", "g", "logSums", "delta", "mask", "key"] }
  public let scale: Double
  public let isCausal: Bool
  public let hasMask: Bool
  public let dropout: Double
  public init(scale: Double, isCausal: Bool, hasMask: Bool, dropout: Double) {
    self.scale = scale
    self.isCausal = isCausal
    self.hasMask = hasMask
    self.dropout = dropout
  }
  public var outputCount: Int { 3 }

  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == inputCount + 3 else {
      throw OpError(.numberOfInputs(inputs.count, expected: "\(inputCount + 3)"))
    }
    try check(inputs, maskAt: 6)
    let q = inputs[0]
    var shape = q.shape
    shape[q.rank - 1] = inputs[2].shape[q.rank - 1]
    guard inputs[3] == q.with(shape: shape) else {
      throw OpError(.argumentShape(argument: 3, expected: "\(q.with(shape: shape)), that of the result"))
    }
    let rows = TensorSpec(q.shape.removing(at: q.rank - 1), q.dtype == .float64 ? .float64 : .float32, device: q.device)
    for position in 4...5 where inputs[position] != rows {
      throw OpError(.argumentShape(argument: position, expected: "\(rows), one for each query"))
    }
    return Array(inputs[..<3])
  }

  /// The gradient of the scores, in the dtype that is accumulated in.
  func scoreGradient(_ x: AttentionInputs, _ g: Tensor, _ logSums: Tensor, _ delta: Tensor) -> Tensor {
    scoreGradient(weights(scores(x), logSums), x, g, delta)
  }
  private func scoreGradient(_ weights: Tensor, _ x: AttentionInputs, _ g: Tensor, _ delta: Tensor) -> Tensor {
    let v = repeated(x.v, heads: x.q.shape[x.q.rank - 3]).cast(to: weights.dtype)
    var slope = matmul(g.cast(to: weights.dtype), v.transposed())
    if let kept = kept(x, like: weights) { slope = slope * kept }
    return weights * (slope - delta.expandedDims(axis: -1))
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let x = named(inputs, others: 3)
    let (g, logSums, delta) = (inputs[3], inputs[4], inputs[5])
    let weights = weights(scores(x), logSums)
    let slope = scoreGradient(weights, x, g, delta)
    let used = kept(x, like: weights).map { weights * $0 } ?? weights
    let k = repeated(x.k, heads: x.q.shape[x.q.rank - 3])
    /// The sum over the heads that share one of keys.
    func shared(_ gradient: Tensor, like x: Tensor) -> Tensor {
      let axis = x.rank - 3
      guard x.shape[axis] != gradient.shape[axis] else { return gradient.cast(to: x.dtype) }
      var shape = x.shape.inserting(gradient.shape[axis] / x.shape[axis], at: axis + 1)
      shape[shape.rank - 1] = gradient.shape[axis + 2]
      return gradient.reshaped(shape).sum(axis: axis + 1).cast(to: x.dtype)
    }
    return [
      (matmul(slope, k.cast(to: slope.dtype)) * scale).cast(to: x.q.dtype),
      shared(matmul(slope.transposed(), x.q.cast(to: slope.dtype)) * scale, like: x.k),
      shared(matmul(used.transposed(), g.cast(to: used.dtype)), like: x.v),
    ]
  }

  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    if dropout > 0 || inputs[0].rank >= Shape.maxRank { return byExample(inputs, mapped: mapped) }
    return apply(self, withExamples(inputs, mapped, maskAt: 6))
  }
}
