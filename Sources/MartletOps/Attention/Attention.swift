public import MartletCore

/// What attention and its gradient share: the attributes, and the scores written out.
///
/// Queries `[…, H, T, D]`, keys `[…, G, S, D]` and values `[…, G, S, E]`, where `G` divides `H`: so many heads of queries
/// share one of keys. A mask broadcasts to `[…, H, T, S]`; a key is there when there is dropout.
public protocol AttentionOp: Op {
  /// The factor of the scores.
  var scale: Double { get }
  /// Whether query `i` sees keys `0 ... i` only.
  var isCausal: Bool { get }
  var hasMask: Bool { get }
  /// The probability that a weight is left out.
  var dropout: Double { get }
}

/// The tensors of an attention by name.
package struct AttentionInputs {
  package let q: Tensor
  package let k: Tensor
  package let v: Tensor
  package let mask: Tensor?
  package let key: Tensor?
}

extension AttentionOp {
  /// `others`: the inputs between the values and the mask.
  package func named(_ x: [Tensor], others: Int = 0) -> AttentionInputs {
    let at = 3 + others
    return AttentionInputs(
      q: x[0], k: x[1], v: x[2], mask: hasMask ? x[at] : nil, key: dropout > 0 ? x[at + (hasMask ? 1 : 0)] : nil)
  }

  var inputCount: Int { 3 + (hasMask ? 1 : 0) + (dropout > 0 ? 1 : 0) }

  /// The shape of the scores, `[…, H, T, S]`.
  package func scoreShape(_ q: Shape, _ k: Shape) -> Shape {
    var shape = q
    shape[q.rank - 1] = k[k.rank - 2]
    return shape
  }

  /// Checks queries, keys, values, mask and key; `at`: the position of the mask.
  func check(_ x: [TensorSpec], maskAt at: Int) throws(OpError) {
    let (q, k, v) = (x[0], x[1], x[2])
    guard q.dtype.isFloating else { throw OpError(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
    guard q.rank >= 3 else { throw OpError(.rank(argument: 0, expected: "3 or more: […, heads, rows, features]")) }
    let rank = q.rank
    for position in 1...2 {
      guard x[position].dtype == q.dtype else {
        throw OpError(.dtype(argument: position, expected: "\(q.dtype), as q"))
      }
      guard x[position].rank == rank else { throw OpError(.rank(argument: position, expected: "\(rank), that of q")) }
    }
    guard k.shape[rank - 1] == q.shape[rank - 1] else {
      throw OpError(.argumentShape(argument: 1, expected: "\(q.shape[rank - 1]) features, as q has"))
    }
    guard v.shape[rank - 2] == k.shape[rank - 2] else {
      throw OpError(.argumentShape(argument: 2, expected: "\(k.shape[rank - 2]) rows, one for each key"))
    }
    let (heads, groups) = (q.shape[rank - 3], k.shape[rank - 3])
    guard groups == heads || groups > 0 && heads % groups == 0 else {
      throw OpError(.argumentShape(argument: 1, expected: "a number of heads that divides the \(heads) of q"))
    }
    for axis in 0..<(rank - 2) {
      guard axis == rank - 3 || k.shape[axis] == q.shape[axis] else {
        throw OpError(.argumentShape(argument: 1, expected: "size \(q.shape[axis]) along axis \(axis), as q"))
      }
      guard v.shape[axis] == k.shape[axis] else {
        throw OpError(.argumentShape(argument: 2, expected: "size \(k.shape[axis]) along axis \(axis), as k"))
      }
    }
    if hasMask {
      let mask = x[at]
      guard mask.dtype == .bool || mask.dtype == q.dtype else {
        throw OpError(.dtype(argument: at, expected: "bool (true: attend) or \(q.dtype), which is added to the scores"))
      }
      let scores = scoreShape(q.shape, k.shape)
      guard mask.shape.broadcast(with: scores) == scores else {
        throw OpError(.argumentShape(argument: at, expected: "a shape that broadcasts to \(scores)"))
      }
    }
    if dropout > 0 {
      let key = x[at + (hasMask ? 1 : 0)]
      guard key.dtype == .int64, key.shape == [3] else {
        throw OpError(.argumentShape(argument: at + (hasMask ? 1 : 0), expected: "[3], int64: a key of random numbers"))
      }
    }
  }

  /// Keys or values for each head of the queries.
  func repeated(_ x: Tensor, heads: Int) -> Tensor {
    let axis = x.rank - 3
    let groups = x.shape[axis]
    guard groups != heads else { return x }
    var wide = x.shape.inserting(heads / groups, at: axis + 1)
    let y = x.expandedDims(axis: axis + 1).expanded(to: wide)
    wide.remove(at: axis + 1)
    wide[axis] = heads
    return y.reshaped(wide)
  }

  /// The scores in the dtype that is accumulated in, -∞ where a key may not be seen.
  func scores(_ x: AttentionInputs) -> Tensor {
    let wide: DType = x.q.dtype == .float64 ? .float64 : .float32
    let k = repeated(x.k, heads: x.q.shape[x.q.rank - 3])
    var scores = matmul(x.q.cast(to: wide), k.cast(to: wide).transposed()) * scale
    if let mask = x.mask {
      scores = mask.dtype == .bool ? select(mask, scores, -Double.infinity) : scores + mask.cast(to: wide)
    }
    guard isCausal else { return scores }
    let (rows, columns) = (scores.shape[scores.rank - 2], scores.shape[scores.rank - 1])
    let row = Tensor.range(to: Double(rows), dtype: .int64, device: scores.device).expandedDims(axis: 1)
    let column = Tensor.range(to: Double(columns), dtype: .int64, device: scores.device)
    return select(column .<= row, scores, -Double.infinity)
  }

  /// The weights from scores and their log-sums; zeros in a row that may see nothing.
  func weights(_ scores: Tensor, _ logSums: Tensor) -> Tensor {
    let shift = logSums.expandedDims(axis: -1)
    return exp(scores - select(shift.isFinite, shift, 0))
  }

  /// The factors of the dropout; nil when there is none.
  func kept(_ x: AttentionInputs, like scores: Tensor) -> Tensor? {
    guard let key = x.key else { return nil }
    let draws = apply(RandomUniform(shape: scores.shape, dtype: .float32), key)
    return (draws .>= dropout).cast(to: scores.dtype) * (1 / (1 - dropout))
  }

  /// The operation for each example, where they cannot run as one: with dropout every example has the same numbers.
  func byExample(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let size = zip(inputs, mapped).first { $0.1 }!.0.shape[0]
    let rows = (0..<size).map { example in
      apply(self, zip(inputs, mapped).map { $1 ? $0.part(0, example) : $0 })
    }
    return (0..<outputCount).map { output in stack(rows.map { $0[output] }, axis: 0) }
  }

  /// Inputs of which `aligned` ones are given the axis of the examples and the mask meets it.
  func withExamples(_ inputs: [Tensor], _ mapped: [Bool], maskAt at: Int) -> [Tensor] {
    let size = zip(inputs, mapped).first { $0.1 }!.0.shape[0]
    var result = zip(inputs, mapped).enumerated().map { position, input in
      position < at ? allMapped(input.0, input.1, size) : input.0
    }
    if hasMask, mapped[at] {
      var shape = inputs[at].shape
      while shape.rank < result[0].rank { shape.insert(1, at: 1) }
      result[at] = inputs[at].reshaped(shape)
    }
    return result
  }
}

/// `softmax(scale · q · kᵀ + mask) · v`, and the logarithms of the sums of the rows, which the gradient needs.
public struct Attention: AttentionOp {
  public static var id: OpID { OpTable.attention.id }
  public static var name: String { "attention" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public static var argumentNames: [String] { ["q", "k", "v", "mask", "key"] }
  /// The result lies like the queries, so that what parted the heads is undone without a copy.
  public static var keepsOrder: Bool { true }
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
  public var outputCount: Int { 2 }

  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == inputCount else {
      throw OpError(.numberOfInputs(inputs.count, expected: "\(inputCount)"))
    }
    try check(inputs, maskAt: 3)
    let q = inputs[0]
    var shape = q.shape
    shape[q.rank - 1] = inputs[2].shape[q.rank - 1]
    return [
      q.with(shape: shape),
      TensorSpec(q.shape.removing(at: q.rank - 1), q.dtype == .float64 ? .float64 : .float32, device: q.device),
    ]
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let x = named(inputs)
    let scores = scores(x)
    let logSums =
      scores.shape[scores.rank - 1] == 0
      ? Tensor(repeating: -Double.infinity, scores.spec.with(shape: scores.shape.removing(at: scores.rank - 1)))
      : scores.logSumExp(axis: -1)
    var weights = weights(scores, logSums)
    if let kept = kept(x, like: weights) { weights = weights * kept }
    let v = repeated(x.v, heads: x.q.shape[x.q.rank - 3]).cast(to: weights.dtype)
    return [matmul(weights, v).cast(to: x.q.dtype), logSums]
  }

  public func saves(needs: Positions) -> Saves {
    var inputs = Positions()
    for position in 0..<inputCount { inputs[position] = true }
    return Saves(inputs: inputs, outputs: [0, 1])
  }

  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let inputs = (0..<inputCount).map { saved.input($0) }
    let (y, logSums) = (saved.output(0), saved.output(1))
    let g = ct[0] ?? Tensor(repeating: 0, y.spec)
    var delta = (g.cast(to: logSums.dtype) * y.cast(to: logSums.dtype)).sum(axis: -1)
    if let ct = ct[1] { delta = delta - ct }
    let gradient = AttentionGradient(scale: scale, isCausal: isCausal, hasMask: hasMask, dropout: dropout)
    var cotangents = [Cotangent?](repeating: nil, count: inputCount)
    if needs[0] || needs[1] || needs[2] {
      let parts = apply(gradient, Array(inputs[..<3]) + [g, logSums, delta] + Array(inputs[3...]))
      for position in 0..<3 where needs[position] { cotangents[position] = .dense(parts[position]) }
    }
    if hasMask, needs[3] {
      // The gradient of a mask is as large as the scores themselves.
      cotangents[3] = .dense(gradient.scoreGradient(named(inputs), g, logSums, delta).cast(to: inputs[3].dtype))
    }
    return cotangents
  }

  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    let x = named(inputs)
    let heads = x.q.shape[x.q.rank - 3]
    let weights = weights(scores(x), outputs[1])
    let wide = weights.dtype
    func full(_ x: Tensor) -> Tensor { repeated(x, heads: heads).cast(to: wide) }
    let slope = plus(
      plus(
        t[0].map { matmul($0.cast(to: wide), full(x.k).transposed()) * scale },
        t[1].map { matmul(x.q.cast(to: wide), full($0).transposed()) * scale }),
      hasMask ? t[3].map { $0.cast(to: wide) } : nil)
    let kept = kept(x, like: weights)
    func used(_ weights: Tensor) -> Tensor { kept.map { weights * $0 } ?? weights }
    let logSums = slope.map { (weights * $0).sum(axis: -1) }
    let result = plus(
      slope.map { matmul(used(weights * ($0 - logSums!.expandedDims(axis: -1))), full(x.v)) },
      t[2].map { matmul(used(weights), full($0)) })
    return [result?.cast(to: x.q.dtype), logSums]
  }

  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    if dropout > 0 || inputs[0].rank >= Shape.maxRank { return byExample(inputs, mapped: mapped) }
    return apply(self, withExamples(inputs, mapped, maskAt: 3))
  }
}
