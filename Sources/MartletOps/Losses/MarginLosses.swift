public import MartletCore

/// Reports an argument whose shape is not that of the first; nil when all fit.
private func misfit(_ op: String, _ inputs: [Tensor], _ names: [String], shape: Shape? = nil, from first: Int = 1)
  -> Tensor?
{
  let shape = shape ?? inputs[0].shape
  guard let position = (first..<inputs.count).first(where: { inputs[$0].shape != shape }) else { return nil }
  return failure(
    .argumentShape(argument: position, expected: "\(shape), as that of \(names[0])"), op: op, inputs, names: names)
}

/// The mean of `max(-y (a - b) + margin, 0)`: `a` is to be larger than `b` where `y` is 1, and smaller where it is -1. One
/// shape. Source: PyTorch `margin_ranking_loss`.
public func marginRankingLoss(
  _ a: Tensor, _ b: Tensor, _ y: Tensor, margin: Double = 0, reduction: LossReduction = .mean
) -> Tensor {
  misfit("marginRankingLoss", [a, b, y], ["a", "b", "y"])
    ?? relu(-y.cast(to: a.dtype) * (a - b) + margin).reduced(reduction)
}

/// The mean of `x` where `y` is 1, and of `max(margin - x, 0)` where it is -1; `x` is a distance. One shape. Source: PyTorch
/// `hinge_embedding_loss`.
public func hingeEmbeddingLoss(_ x: Tensor, _ y: Tensor, margin: Double = 1, reduction: LossReduction = .mean) -> Tensor
{
  misfit("hingeEmbeddingLoss", [x, y], ["x", "y"]) ?? select(y .== 1, x, relu(margin - x)).reduced(reduction)
}

/// The mean of `log(1 + exp(-y x))` for `y` of 1 or -1. One shape. Source: PyTorch `soft_margin_loss`.
public func softMarginLoss(_ x: Tensor, _ y: Tensor, reduction: LossReduction = .mean) -> Tensor {
  misfit("softMarginLoss", [x, y], ["x", "y"]) ?? smoothRelu(-y.cast(to: x.dtype) * x).reduced(reduction)
}

/// The mean of `1 - cos(a, b)` where `y` is 1, and of `max(cos(a, b) - margin, 0)` where it is -1.
///
/// **Shapes** `a`, `b`: `[B, D]` or `[D]`; `y`: `[B]` or `[]`. Source: PyTorch `cosine_embedding_loss`.
public func cosineEmbeddingLoss(
  _ a: Tensor, _ b: Tensor, _ y: Tensor, margin: Double = 0, reduction: LossReduction = .mean
) -> Tensor {
  let call = Context.enter("cosineEmbeddingLoss")
  defer { Context.leave(call) }
  let (op, names) = ("cosineEmbeddingLoss", ["a", "b", "y"])
  guard a.rank == 1 || a.rank == 2 else {
    return failure(.rank(argument: 0, expected: "1 or 2: [D] or [B, D]"), op: op, [a, b, y], names: names)
  }
  if let error = misfit(op, [a, b], names) { return error }
  let shape = a.shape.removing(at: a.rank - 1)
  guard y.shape == shape else {
    return failure(
      .argumentShape(argument: 2, expected: "\(shape), one for each row of a"), op: op, [a, b, y], names: names)
  }
  let cosine = cosineSimilarity(a, b, axis: -1)
  return select(y .== 1, 1 - cosine, relu(cosine - margin)).reduced(reduction)
}

/// The mean over examples of `Σ max(margin - x[label] + x[k], 0)^order / K` over the classes `k` other than the label.
///
/// - Parameters:
///   - x: `[B, K]`, scores.
///   - labels: `[B]`, `int64` or `int32`, in `0 ..< K`.
///   - order: 1 or 2.
///   - weights: `[K]`, a factor for the examples of each class.
///
/// Source: PyTorch `multi_margin_loss`.
public func multiMarginLoss(
  _ x: Tensor, _ labels: Tensor, order: Int = 1, margin: Double = 1, weights: Tensor? = nil,
  reduction: LossReduction = .mean
) -> Tensor {
  let call = Context.enter("multiMarginLoss")
  defer { Context.leave(call) }
  let (op, names) = ("multiMarginLoss", ["x", "labels"])
  guard x.rank == 2 else {
    return failure(.rank(argument: 0, expected: "2: [B, K]"), op: op, [x, labels], names: names)
  }
  guard labels.dtype == .int64 || labels.dtype == .int32 else {
    return failure(.dtype(argument: 1, expected: "int64 or int32"), op: op, [x, labels], names: names)
  }
  guard labels.shape == [x.shape[0]] else {
    return failure(
      .argumentShape(argument: 1, expected: "[\(x.shape[0])], one label for each row"), op: op, [x, labels],
      names: names)
  }
  guard order == 1 || order == 2 else {
    return failure(.count(name: "order", order, allowed: "1 or 2"), op: op, [x, labels], names: names)
  }
  if let weights, weights.shape != [x.shape[1]] {
    return failure(
      .misuse("weights has shape \(weights.shape)", rule: "one for each class: [\(x.shape[1])]"), op: op, [x, labels],
      names: names)
  }
  let rows = labels.expandedDims(axis: 1)
  let distances = relu(x - x.gather(axis: 1, rows) + margin)
  var parts = order == 1 ? distances : distances * distances
  if let weights { parts = parts * weights.cast(to: x.dtype).take(axis: 0, labels).expandedDims(axis: 1) }
  // The label's own part is the margin, whatever the scores.
  let isOther = Tensor(Array(0..<x.shape[1]), device: x.device) .!= rows
  return (select(isOther, parts, 0).sum(axis: 1) / Double(Swift.max(1, x.shape[1]))).reduced(reduction)
}

/// The mean over examples of `Σ max(1 - x[j] + x[k], 0) / K` over the example's classes `j` and all others `k`.
///
/// - Parameters:
///   - x: `[B, K]`, scores.
///   - labels: `[B, K]`, `int64` or `int32`: the example's classes, then -1; what follows does not count.
///
/// Source: PyTorch `multilabel_margin_loss`.
public func multiLabelMarginLoss(_ x: Tensor, _ labels: Tensor, reduction: LossReduction = .mean) -> Tensor {
  let (op, names) = ("multiLabelMarginLoss", ["x", "labels"])
  guard x.rank == 2 else {
    return failure(.rank(argument: 0, expected: "2: [B, K]"), op: op, [x, labels], names: names)
  }
  guard labels.dtype == .int64 || labels.dtype == .int32 else {
    return failure(.dtype(argument: 1, expected: "int64 or int32"), op: op, [x, labels], names: names)
  }
  if let error = misfit(op, [x, labels], names) { return error }
  let counts = (labels .< 0).cast(to: .int64).cumsum(axis: 1) .== 0
  let safe = select(counts, labels, labels.zeroScalar)
  let isLabel =
    Tensor(repeating: 0, x.spec).scatterAdding(axis: 1, safe, counts.cast(to: x.dtype)) .> 0
  let wanted = x.gather(axis: 1, safe).expandedDims(axis: 2)
  let pairs = counts.expandedDims(axis: 2) .& (.!isLabel).expandedDims(axis: 1)
  let parts = select(pairs, relu(x.expandedDims(axis: 1) - wanted + 1), 0)
  return (parts.sum(axes: [1, 2]) / Double(Swift.max(1, x.shape[1]))).reduced(reduction)
}

/// The mean over classes, then over examples, of `-(t log σ(x) + (1 - t) log σ(-x))`: each class by itself.
///
/// - Parameters:
///   - x: `[…, K]`, logits.
///   - targets: of the same shape, 0 or 1.
///   - weights: a factor for each class; broadcasts.
///
/// Source: PyTorch `multilabel_soft_margin_loss`.
public func multiLabelSoftMarginLoss(
  _ x: Tensor, _ targets: Tensor, weights: Tensor? = nil, reduction: LossReduction = .mean
) -> Tensor {
  let names = ["x", "targets"]
  guard x.rank >= 1 else {
    return failure(
      .rank(argument: 0, expected: "1 or more: […, K]"), op: "multiLabelSoftMarginLoss", [x, targets], names: names)
  }
  if let error = misfit("multiLabelSoftMarginLoss", [x, targets], names) { return error }
  return binaryCrossEntropyWithLogits(x, targets.cast(to: x.dtype), weights: weights, reduction: .none)
    .mean(axis: -1).reduced(reduction)
}

/// `tripletMarginLoss` with a distance of the caller's: the mean of `max(d(a, p) - d(a, n) + margin, 0)`. Source: PyTorch
/// `triplet_margin_with_distance_loss`.
///
/// - Parameter distance: yields one number for each example.
public func tripletMarginLoss(
  _ anchor: Tensor, _ positive: Tensor, _ negative: Tensor, distance: (Tensor, Tensor) -> Tensor, margin: Double = 1,
  swap: Bool = false, reduction: LossReduction = .mean
) -> Tensor {
  let inputs = [anchor, positive, negative]
  if let error = misfit("tripletMarginLoss", inputs, ["anchor", "positive", "negative"]) { return error }
  var away = distance(anchor, negative)
  if swap { away = minimum(away, distance(positive, negative)) }
  return relu(distance(anchor, positive) - away + margin).reduced(reduction)
}
