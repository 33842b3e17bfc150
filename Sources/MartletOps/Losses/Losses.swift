public import MartletCore

/// How the losses of the examples are combined.
public enum LossReduction: Sendable { case mean, sum, none }

extension Tensor {
  func reduced(_ reduction: LossReduction) -> Tensor {
    switch reduction {
    case .none: self
    case .sum: sum()
    case .mean: mean()
    }
  }
}

extension Tensor {
  /// The error that labels still have the axis of the classes, of size 1, as columns of a table have.
  func withColumn(of logits: Tensor, op: String, _ names: [String]) -> Tensor? {
    let right = logits.shape.removing(at: 1)
    guard rank == logits.rank, shape[1] == 1, shape.removing(at: 1) == right else { return nil }
    return failure(
      .misuse(
        "labels has shape \(shape)", rule: "its shape is \(right), the shape of \(names[0]) without its axis 1",
        remedy: "labels.squeezed(axis: 1)"), op: op, [logits, self], names: names)
  }
}

/// What is wrong with the shapes of two arguments that must have one; nil when nothing is.
func mismatch(_ a: Tensor, _ b: Tensor, _ op: String, _ names: [String]) -> Tensor? {
  if let place = [a, b].firstIndex(where: { $0.dtype.isComplex }) {
    return failure(.dtype(argument: place, expected: Domain.real.rawValue), op: op, [a, b], names: names)
  }
  if a.shape == b.shape { return nil }
  return failure(
    .argumentShape(argument: 1, expected: "\(a.shape), that of \(names[0])"), op: op, [a, b], names: names)
}

/// The mean of `(a - b)²`. Source: PyTorch `mse_loss`.
public func meanSquaredError(_ a: Tensor, _ b: Tensor, reduction: LossReduction = .mean) -> Tensor {
  mismatch(a, b, "meanSquaredError", ["a", "b"]) ?? square(a.autocastWide - b.autocastWide).reduced(reduction)
}

/// The mean of `|a - b|`. Source: PyTorch `l1_loss`.
public func l1Loss(_ a: Tensor, _ b: Tensor, reduction: LossReduction = .mean) -> Tensor {
  mismatch(a, b, "l1Loss", ["a", "b"]) ?? abs(a.autocastWide - b.autocastWide).reduced(reduction)
}

/// The mean of `d² / 2` where `d = |a - b|` is at most `delta`, else of `delta (d - delta / 2)`. `delta` is above 0. Source:
/// PyTorch `huber_loss`.
public func huberLoss(_ a: Tensor, _ b: Tensor, delta: Double = 1, reduction: LossReduction = .mean) -> Tensor {
  guard delta > 0 else {
    return failure(.misuse("delta is \(delta)", rule: "delta > 0"), op: "huberLoss", [a, b], names: ["a", "b"])
  }
  if let error = mismatch(a, b, "huberLoss", ["a", "b"]) { return error }
  let distance = abs(a.autocastWide - b.autocastWide)
  return select(distance .<= delta, distance * distance * 0.5, (distance - delta / 2) * delta).reduced(reduction)
}

/// The mean of `d² / (2 beta)` where `d = |a - b|` is below `beta`, else of `d - beta / 2`; `l1Loss` when `beta` is 0.
/// Source: PyTorch `smooth_l1_loss`.
public func smoothL1Loss(_ a: Tensor, _ b: Tensor, beta: Double = 1, reduction: LossReduction = .mean) -> Tensor {
  guard beta >= 0 else {
    return failure(.misuse("beta is \(beta)", rule: "beta ≥ 0"), op: "smoothL1Loss", [a, b], names: ["a", "b"])
  }
  if let error = mismatch(a, b, "smoothL1Loss", ["a", "b"]) { return error }
  if beta == 0 { return l1Loss(a, b, reduction: reduction) }
  let distance = abs(a.autocastWide - b.autocastWide)
  return select(distance .< beta, distance * distance * (0.5 / beta), distance - beta / 2).reduced(reduction)
}

/// The negative log-probability of class labels.
///
/// - Parameters:
///   - logProbabilities: `[B, K]` or `[B, K, d1, …]`, as `logSoftmax(_, axis: 1)` yields them.
///   - labels: `[B]` or `[B, d1, …]`, `int64` or `int32`, each in `0 ..< K` or `ignoreIndex`.
///   - weights: `[K]`, a factor for each class; the mean then divides by the sum of the weights of the labels.
///
/// Source: PyTorch `nll_loss`.
public func negativeLogLikelihood(
  _ logProbabilities: Tensor, _ labels: Tensor, weights: Tensor? = nil, ignoreIndex: Int = -100,
  reduction: LossReduction = .mean
) -> Tensor {
  let call = Context.enter("negativeLogLikelihood")
  defer { Context.leave(call) }
  let (op, names) = ("negativeLogLikelihood", ["logProbabilities", "labels"])
  let x = logProbabilities.autocastWide
  guard x.rank >= 2 else {
    return failure(.rank(argument: 0, expected: "2 or more: [B, K, …]"), op: op, [x, labels], names: names)
  }
  guard labels.dtype == .int64 || labels.dtype == .int32 else {
    return failure(.dtype(argument: 1, expected: "int64 or int32"), op: op, [x, labels], names: names)
  }
  guard labels.shape == x.shape.removing(at: 1) else {
    if let error = labels.withColumn(of: x, op: op, names) { return error }
    return failure(
      .argumentShape(argument: 1, expected: "\(x.shape.removing(at: 1)), the first shape without its axis 1"), op: op,
      [x, labels], names: names)
  }
  let classes = x.shape[1]
  if let weights, weights.shape != [classes] {
    return failure(
      .misuse("weights has shape \(weights.shape)", rule: "one for each class: [\(classes)]"), op: op, [x, labels],
      names: names)
  }
  let counts = labels .!= ignoreIndex
  let safe = select(counts, labels, labels.zeroScalar)
  var weight = counts.cast(to: x.dtype)
  if let weights { weight *= weights.cast(to: x.dtype).take(axis: 0, safe) }
  // What is not counted may be -inf.
  let chosen = select(counts, x.gather(axis: 1, safe.expandedDims(axis: 1)).squeezed(axis: 1), x.zeroScalar)
  let losses = -(chosen * weight)
  return switch reduction {
  case .none: losses
  case .sum: losses.sum()
  case .mean: losses.sum() / weight.sum()
  }
}

/// The mean of `-(t log p + (1 - t) log(1 - p))` for probabilities `p` and targets `t` of one shape; logarithms are at
/// least -100.
///
/// Numbers outside of 0 … 1 are not refused, which would need their values: the logarithm of a negative `p` or `1 - p`
/// is -100, as that of 0, without a gradient; NaN stays NaN. Source: PyTorch `binary_cross_entropy`, which refuses them.
///
/// - Parameter weights: a factor for each loss; broadcasts.
public func binaryCrossEntropy(
  _ probabilities: Tensor, _ targets: Tensor, weights: Tensor? = nil, reduction: LossReduction = .mean
) -> Tensor {
  let call = Context.enter("binaryCrossEntropy")
  defer { Context.leave(call) }
  if let error = mismatch(probabilities, targets, "binaryCrossEntropy", ["probabilities", "targets"]) { return error }
  let (probabilities, targets) = (probabilities.autocastWide, targets.autocastWide)
  // The logarithm of a number that is not positive would give a gradient of NaN.
  func log100(_ p: Tensor) -> Tensor {
    select(p .<= 0, -100, clamp(log(select(p .<= 0, 1, p)), min: -100))
  }
  let losses = -(targets * log100(probabilities) + (1 - targets) * log100(1 - probabilities))
  return (weights.map { losses * $0 } ?? losses).reduced(reduction)
}

/// `binaryCrossEntropy(sigmoid(logits), targets)` without overflow or loss of precision.
///
/// - Parameters:
///   - weights: a factor for each loss; broadcasts.
///   - positiveWeight: a factor for the part of the targets that is 1; broadcasts, usually `[classes]`.
///
/// Source: PyTorch `binary_cross_entropy_with_logits`.
public func binaryCrossEntropyWithLogits(
  _ logits: Tensor, _ targets: Tensor, weights: Tensor? = nil, positiveWeight: Tensor? = nil,
  reduction: LossReduction = .mean
) -> Tensor {
  let call = Context.enter("binaryCrossEntropyWithLogits")
  defer { Context.leave(call) }
  if let error = mismatch(logits, targets, "binaryCrossEntropyWithLogits", ["logits", "targets"]) { return error }
  let (logits, targets) = (logits.autocastWide, targets.autocastWide)
  var smooth = smoothRelu(-logits)
  if let positiveWeight { smooth = smooth * ((positiveWeight - 1) * targets + 1) }
  let losses = (1 - targets) * logits + smooth
  return (weights.map { losses * $0 } ?? losses).reduced(reduction)
}

/// How the parts of a divergence are combined: `batchMean` divides their sum by the size of axis 0, which is the divergence
/// itself; `mean` divides it by the number of elements.
public enum DivergenceReduction: Sendable { case mean, batchMean, sum, none }

/// The divergence of Kullback and Leibler, `Σ t (log t - x)`, of log-probabilities `x` from probabilities `t`.
///
/// - Parameter logTargets: whether the targets are log-probabilities too.
///
/// Source: PyTorch `kl_div`, whose default is `mean` as well.
public func klDivergence(
  _ logProbabilities: Tensor, _ targets: Tensor, logTargets: Bool = false, reduction: DivergenceReduction = .mean
) -> Tensor {
  let call = Context.enter("klDivergence")
  defer { Context.leave(call) }
  let (x, targets) = (logProbabilities.autocastWide, targets.autocastWide)
  if let error = mismatch(x, targets, "klDivergence", ["logProbabilities", "targets"]) { return error }
  let parts: Tensor
  if logTargets {
    parts = exp(targets) * (targets - x)
  } else {
    let isPositive = targets .> 0
    parts = select(isPositive, targets * (log(select(isPositive, targets, 1)) - x), 0)
  }
  switch reduction {
  case .none: return parts
  case .sum: return parts.sum()
  case .mean: return parts.mean()
  case .batchMean:
    guard x.rank >= 1 else {
      return failure(.rank(argument: 0, expected: "1 or more"), op: "klDivergence", [x, targets])
    }
    return parts.sum() / Double(x.shape[0])
  }
}

/// `a · b / (|a| |b|)` along an axis, with broadcasting; each length is at least `epsilon`. Source: PyTorch
/// `cosine_similarity`.
public func cosineSimilarity(_ a: Tensor, _ b: Tensor, axis: Int = 1, epsilon: Double = 1e-8) -> Tensor {
  let call = Context.enter("cosineSimilarity")
  defer { Context.leave(call) }
  guard let shape = a.shape.broadcast(with: b.shape) else {
    return failure(.broadcast, op: "cosineSimilarity", [a, b], names: ["a", "b"])
  }
  let (x, y) = (a.autocastWide.expanded(to: shape), b.autocastWide.expanded(to: shape))
  guard let position = x.position(of: axis, op: "cosineSimilarity") else { return x.afterFailure }
  func length(_ x: Tensor) -> Tensor { clamp(x.norm(axis: position), min: epsilon) }
  return (x * y).sum(axis: position) / (length(x) * length(y))
}

/// The norm of `a - b + epsilon` along the last axis: `[…, D]`, `[…, D]` → `[…]`, which broadcast.
///
/// Source: PyTorch `pairwise_distance`.
///
/// - Parameter order: that of the norm.
public func pairwiseDistance(
  _ a: Tensor, _ b: Tensor, order: Double = 2, epsilon: Double = 1e-6, keepDims: Bool = false
) -> Tensor {
  let call = Context.enter("pairwiseDistance")
  defer { Context.leave(call) }
  guard a.shape.broadcast(with: b.shape) != nil, a.rank > 0 || b.rank > 0 else {
    return failure(.broadcast, op: "pairwiseDistance", [a, b], names: ["a", "b"])
  }
  return (a - b + epsilon).norm(order, axis: -1, keepDims: keepDims)
}

/// The mean of `max(|a - p| - |a - n| + margin, 0)` over examples: the anchor is to be nearer to the positive than to the
/// negative one. **Shapes** `[…, D]` each, of one shape.
///
/// - Parameters:
///   - order: that of the norm.
///   - epsilon: is added to each difference, as in PyTorch.
///   - swap: takes the distance of the positive from the negative where that is smaller than the anchor's.
///
/// Source: PyTorch `triplet_margin_loss`.
public func tripletMarginLoss(
  _ anchor: Tensor, _ positive: Tensor, _ negative: Tensor, margin: Double = 1, order: Double = 2,
  epsilon: Double = 1e-6, swap: Bool = false, reduction: LossReduction = .mean
) -> Tensor {
  let call = Context.enter("tripletMarginLoss")
  defer { Context.leave(call) }
  let inputs = [anchor, positive, negative]
  for position in 1...2 where inputs[position].shape != anchor.shape {
    return failure(
      .argumentShape(argument: position, expected: "\(anchor.shape), that of anchor"), op: "tripletMarginLoss", inputs,
      names: ["anchor", "positive", "negative"])
  }
  guard anchor.rank >= 1 else {
    return failure(
      .rank(argument: 0, expected: "1 or more: […, D]"), op: "tripletMarginLoss", inputs,
      names: ["anchor", "positive", "negative"])
  }
  func distance(_ a: Tensor, _ b: Tensor) -> Tensor { (a - b + epsilon).norm(order, axis: -1) }
  var away = distance(anchor, negative)
  if swap { away = minimum(away, distance(positive, negative)) }
  return relu(distance(anchor, positive) - away + margin).reduced(reduction)
}
