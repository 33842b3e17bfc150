public import MartletCore

/// `-log softmax(logits)[label]` for each row; 0 where the label is `ignoreIndex`.
public struct CrossEntropy: BinaryOp {
  public static var id: OpID { OpTable.crossEntropy.id }
  public static var name: String { "crossEntropy" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public static var argumentNames: [String] { ["logits", "labels"] }
  public let ignoreIndex: Int
  public init(ignoreIndex: Int) { self.ignoreIndex = ignoreIndex }
  public var canFault: Bool { true }
  public func fault(_ status: KernelStatus, _ inputs: [TensorSpec]) -> Fact {
    .label(Int(status.value), classes: inputs[0].shape[1])
  }
  public func output(for logits: TensorSpec, _ labels: TensorSpec) throws(OpError) -> TensorSpec {
    guard logits.dtype.isFloating else { throw OpError(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
    guard logits.rank == 2 else { throw OpError(.rank(argument: 0, expected: "2: [rows, classes]")) }
    try Indexing.checkIndices(labels)
    guard labels.shape == [logits.shape[0]] else {
      throw OpError(.argumentShape(argument: 1, expected: "[\(logits.shape[0])], one label for each row"))
    }
    return logits.with(shape: labels.shape)
  }
  /// 1 for rows that count, as a column of the dtype, and labels that are valid in ignored rows too.
  private func counted(_ labels: Tensor, _ dtype: DType) -> (weight: Tensor, labels: Tensor) {
    let counts = labels .!= ignoreIndex
    return (counts.cast(to: dtype), select(counts, labels, labels.zeroScalar).expandedDims(axis: 1))
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let (weight, labels) = counted(inputs[1], inputs[0].dtype)
    return [-(logSoftmax(inputs[0], axis: 1).gather(axis: 1, labels).squeezed(axis: 1) * weight)]
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0, 1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let (weight, labels) = counted(saved.input(1), saved.input(0).dtype)
    let scale = (ct[0]! * weight).expandedDims(axis: 1)
    return [.dense((softmax(saved.input(0), axis: 1) * scale).scatterAdding(axis: 1, labels, -scale)), nil]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    guard let t = t[0] else { return [nil] }
    let (weight, labels) = counted(inputs[1], inputs[0].dtype)
    let mean = (softmax(inputs[0], axis: 1) * t).sum(axis: 1)
    return [(mean - t.gather(axis: 1, labels).squeezed(axis: 1)) * weight]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let inputs = allMapped(inputs, mapped)
    let shape = inputs[0].shape
    let losses = apply(
      self, inputs[0].reshaped([shape[0] * shape[1], shape[2]]), inputs[1].reshaped([shape[0] * shape[1]]))
    return [losses.reshaped([shape[0], shape[1]])]
  }
}

/// The cross entropy of class labels under the softmax of logits.
///
/// - Parameters:
///   - logits: `[B, K]` or `[B, K, d1, …]`, floating.
///   - labels: `[B]` or `[B, d1, …]`, `int64` or `int32`, each in `0 ..< K` or `ignoreIndex`.
///   - weights: `[K]`, a factor for each class; the mean then divides by the sum of the weights of the labels.
///   - labelSmoothing: in 0 … 1, the share of the loss that is spread over all classes.
///
/// Source: PyTorch `cross_entropy`.
public func crossEntropy(
  _ logits: Tensor, _ labels: Tensor, weights: Tensor? = nil, ignoreIndex: Int = -100, labelSmoothing: Double = 0,
  reduction: LossReduction = .mean
) -> Tensor {
  let names = CrossEntropy.argumentNames
  let logits = logits.autocastWide
  guard logits.rank >= 2 else {
    return failure(
      .rank(argument: 0, expected: "2 or more: [B, K, …]"), op: CrossEntropy.name, [logits, labels],
      names: names)
  }
  if labels.dtype.isFloating || labels.shape == logits.shape {
    let oneHot = labels.shape == logits.shape
    let axis = logits.rank == 2 ? -1 : 1
    return failure(
      .misuse(
        oneHot
          ? "labels has the shape of logits, as one-hot vectors or probabilities have" : "labels is \(labels.dtype)",
        rule: "labels are class numbers: int64 or int32, of shape \(logits.shape.removing(at: 1))",
        remedy: oneHot
          ? "labels.argMax(axis: \(axis)) for one-hot labels; for probabilities "
            + "-(labels * logSoftmax(logits, axis: \(axis))).sum(axis: \(axis)).mean()"
          : "cast(to: .int64) for class numbers; labels.argMax(axis: -1) turns one-hot vectors into numbers"),
      op: CrossEntropy.name, [logits, labels], names: names)
  }
  guard labels.shape == logits.shape.removing(at: 1) else {
    return failure(
      .argumentShape(argument: 1, expected: "\(logits.shape.removing(at: 1)), the shape of logits without its axis 1"),
      op: CrossEntropy.name, [logits, labels], names: names)
  }
  guard labelSmoothing >= 0, labelSmoothing <= 1 else {
    return failure(
      .misuse("labelSmoothing is \(labelSmoothing)", rule: "0 ≤ labelSmoothing ≤ 1"), op: CrossEntropy.name,
      [logits, labels], names: names)
  }
  let classes = logits.shape[1]
  let rows = logits.rank == 2 ? logits : logits.movingAxis(1, to: -1).reshaped([labels.count, classes])
  let flat = labels.reshaped([labels.count])
  var losses = apply(CrossEntropy(ignoreIndex: ignoreIndex), rows, flat)
  var total: Tensor?
  if weights != nil || labelSmoothing > 0 || reduction == .mean {
    let counts = flat .!= ignoreIndex
    var weight = counts.cast(to: logits.dtype)
    if let weights {
      guard weights.shape == [classes] else {
        return failure(
          .misuse("weights has shape \(weights.shape)", rule: "one for each class: [\(classes)]"),
          op: CrossEntropy.name, [logits, labels], names: names)
      }
      let safe = select(counts, flat, flat.zeroScalar)
      let each = weights.cast(to: logits.dtype).take(axis: 0, safe) * weight
      losses = losses * each
      if labelSmoothing > 0 {
        let spread = -(logSoftmax(rows, axis: 1) * weights.cast(to: logits.dtype)).sum(axis: 1) * weight
        losses = losses * (1 - labelSmoothing) + spread * (labelSmoothing / Double(classes))
      }
      weight = each
    } else if labelSmoothing > 0 {
      let spread = -logSoftmax(rows, axis: 1).sum(axis: 1) * weight
      losses = losses * (1 - labelSmoothing) + spread * (labelSmoothing / Double(classes))
    }
    total = weight.sum()
  }
  switch reduction {
  case .none: return losses.reshaped(labels.shape)
  case .sum: return losses.sum()
  case .mean: return losses.sum() / total!
  }
}
