public import MartletCore

/// `-log softmax(logits)[label]` along axis 1; 0 where the label is `ignoreIndex`.
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
    guard logits.rank >= 2 else { throw OpError(.rank(argument: 0, expected: "2 or more: [B, K, …]")) }
    try Indexing.checkIndices(labels)
    let shape = logits.shape.removing(at: 1)
    guard labels.shape == shape else {
      throw OpError(.argumentShape(argument: 1, expected: "\(shape), the shape of logits without its axis 1"))
    }
    return logits.with(shape: shape)
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let (weight, labels) = counted(inputs[1], ignoreIndex, inputs[0].dtype)
    return [-(logSoftmax(inputs[0], axis: 1).gather(axis: 1, labels).squeezed(axis: 1) * weight)]
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0, 1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let gradient = CrossEntropyGradient(ignoreIndex: ignoreIndex)
    return [.dense(apply(gradient, [saved.input(0), saved.input(1), ct[0]!])[0]), nil]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    guard let t = t[0] else { return [nil] }
    let (weight, labels) = counted(inputs[1], ignoreIndex, inputs[0].dtype)
    let mean = (softmax(inputs[0], axis: 1) * t).sum(axis: 1)
    return [(mean - t.gather(axis: 1, labels).squeezed(axis: 1)) * weight]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { overExamples(self, inputs, mapped) }
}

/// `(softmax(logits) - oneHot(labels)) · cotangent`, 0 where the label is `ignoreIndex`: the gradient of cross entropy.
public struct CrossEntropyGradient: Op {
  public static var id: OpID { OpTable.crossEntropyGradient.id }
  public static var name: String { "crossEntropyGradient" }
  public static var rules: Rules { [.batched, .decomposed] }
  public static var argumentNames: [String] { ["logits", "labels", "cotangent"] }
  /// The gradient lies like the logits.
  public static var keepsOrder: Bool { true }
  public let ignoreIndex: Int
  public init(ignoreIndex: Int) { self.ignoreIndex = ignoreIndex }
  public var canFault: Bool { true }
  public func fault(_ status: KernelStatus, _ inputs: [TensorSpec]) -> Fact {
    .label(Int(status.value), classes: inputs[0].shape[1])
  }

  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 3 else { throw OpError(.numberOfInputs(inputs.count, expected: "3")) }
    let losses = try CrossEntropy(ignoreIndex: ignoreIndex).output(for: inputs[0], inputs[1])
    guard inputs[2].shape == losses.shape else {
      throw OpError(.argumentShape(argument: 2, expected: "\(losses.shape), that of the labels"))
    }
    guard inputs[2].dtype == losses.dtype else { throw OpError(.dtype(argument: 2, expected: "\(losses.dtype)")) }
    return [inputs[0]]
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let (weight, labels) = counted(inputs[1], ignoreIndex, inputs[0].dtype)
    let scale = (inputs[2] * weight).expandedDims(axis: 1)
    return [(softmax(inputs[0], axis: 1) * scale).scatterAdding(axis: 1, labels, -scale)]
  }

  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { overExamples(self, inputs, mapped) }
}

/// 1 for labels that count, in the dtype of the losses, and labels that are valid where they are ignored too, with an axis 1.
private func counted(_ labels: Tensor, _ ignoreIndex: Int, _ dtype: DType) -> (weight: Tensor, labels: Tensor) {
  let counts = labels .!= ignoreIndex
  return (counts.cast(to: dtype), select(counts, labels, labels.zeroScalar).expandedDims(axis: 1))
}

/// The operation over examples in axis 0, which becomes part of the batch.
private func overExamples(_ op: some Op, _ inputs: [Tensor], _ mapped: [Bool]) -> [Tensor] {
  let inputs = allMapped(inputs, mapped)
  let (examples, batch) = (inputs[0].shape[0], inputs[0].shape[1])
  return apply(op, inputs.map { $0.flattened(from: 0, to: 1) }).map {
    var shape = $0.shape.inserting(examples, at: 0)
    shape[1] = batch
    return $0.reshaped(shape)
  }
}

/// The cross entropy of class labels, or of probabilities of the classes, under the softmax of logits.
///
/// - Parameters:
///   - logits: `[B, K]` or `[B, K, d1, …]`, floating.
///   - labels: `[B]` or `[B, d1, …]`, `int64` or `int32`, each in `0 ..< K` or `ignoreIndex`; or floating and of the shape of
///     logits, the probability of each class, which then has a gradient too. Rows need not add up to 1.
///   - weights: `[K]`, a factor for each class; the mean then divides by the sum of the weights of the labels, but for
///     probabilities by the number of losses, as PyTorch does.
///   - labelSmoothing: in 0 … 1, the share of the loss that is spread over all classes.
///
/// Source: PyTorch `cross_entropy`.
public func crossEntropy(
  _ logits: Tensor, _ labels: Tensor, weights: Tensor? = nil, ignoreIndex: Int = -100, labelSmoothing: Double = 0,
  reduction: LossReduction = .mean
) -> Tensor {
  let call = Context.enter("crossEntropy")
  defer { Context.leave(call) }
  let names = CrossEntropy.argumentNames
  let logits = logits.autocastWide
  guard logits.rank >= 2 else {
    return failure(
      .rank(argument: 0, expected: "2 or more: [B, K, …]"), op: CrossEntropy.name, [logits, labels],
      names: names)
  }
  let isProbability = labels.dtype.isFloating && labels.shape == logits.shape
  if !isProbability, labels.dtype.isFloating || labels.shape == logits.shape {
    let axis = logits.rank == 2 ? -1 : 1
    let shape = logits.shape.removing(at: 1)
    return failure(
      .misuse(
        labels.dtype.isFloating
          ? "labels is \(labels.dtype)" : "labels has the shape of logits, as one-hot vectors have",
        rule:
          "labels are class numbers: int64 or int32, of shape \(shape); or probabilities: floating, of that of logits",
        remedy: labels.dtype.isFloating
          ? "cast(to: .int64) for class numbers"
          : "labels.argMax(axis: \(axis)), or labels.cast(to: logits.dtype) as probabilities"),
      op: CrossEntropy.name, [logits, labels], names: names)
  }
  guard isProbability || labels.shape == logits.shape.removing(at: 1) else {
    if let error = labels.withColumn(of: logits, op: CrossEntropy.name, names) { return error }
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
  if let weights, weights.shape != [classes] {
    return failure(
      .misuse("weights has shape \(weights.shape)", rule: "one for each class: [\(classes)]"), op: CrossEntropy.name,
      [logits, labels], names: names)
  }
  /// The factors of the classes, along axis 1 of the logits.
  var factors: Tensor? {
    var shape = Shape(repeating: 1, count: logits.rank)
    shape[1] = classes
    return weights.map { $0.cast(to: logits.dtype).reshaped(shape) }
  }
  if isProbability {
    var targets = labels.cast(to: logits.dtype)
    if labelSmoothing > 0 { targets = targets * (1 - labelSmoothing) + labelSmoothing / Double(classes) }
    if let factors { targets = targets * factors }
    return (-(logSoftmax(logits, axis: 1) * targets).sum(axis: 1)).reduced(reduction)
  }
  var losses = apply(CrossEntropy(ignoreIndex: ignoreIndex), logits, labels)
  var total: Tensor?
  if weights != nil || labelSmoothing > 0 || reduction == .mean {
    let counts = labels .!= ignoreIndex
    var weight = counts.cast(to: logits.dtype)
    if let weights {
      let safe = select(counts, labels, labels.zeroScalar)
      let each = weights.cast(to: logits.dtype).take(axis: 0, safe) * weight
      losses = losses * each
      if labelSmoothing > 0 {
        let spread = -(logSoftmax(logits, axis: 1) * factors!).sum(axis: 1) * weight
        losses = losses * (1 - labelSmoothing) + spread * (labelSmoothing / Double(classes))
      }
      weight = each
    } else if labelSmoothing > 0 {
      let spread = -logSoftmax(logits, axis: 1).sum(axis: 1) * weight
      losses = losses * (1 - labelSmoothing) + spread * (labelSmoothing / Double(classes))
    }
    total = weight.sum()
  }
  switch reduction {
  case .none: return losses
  case .sum: return losses.sum()
  case .mean: return losses.sum() / total!
  }
}
