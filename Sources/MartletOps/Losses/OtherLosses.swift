public import MartletCore

/// Minus the log-likelihood of counts under the distribution of Poisson, `exp(x) - t x`, or `x - t log(x + ε)` where `x` is the
/// rate and not its logarithm. One shape.
///
/// - Parameters:
///   - logInput: whether `x` is the logarithm of the rate.
///   - full: adds Stirling's approximation of `log t!` for `t > 1`.
///
/// Source: PyTorch `poisson_nll_loss`.
public func poissonNLLLoss(
  _ x: Tensor, _ targets: Tensor, logInput: Bool = true, full: Bool = false, epsilon: Double = 1e-8,
  reduction: LossReduction = .mean
) -> Tensor {
  if let error = mismatch(x, targets, "poissonNLLLoss", ["x", "targets"]) { return error }
  let t = targets.cast(to: x.dtype)
  var losses = logInput ? exp(x) - t * x : x - t * log(x + epsilon)
  if full {
    let safe = select(t .> 1, t, 1)
    losses = losses + select(t .> 1, safe * log(safe) - safe + log(safe * (2 * Double.pi)) * 0.5, 0)
  }
  return losses.reduced(reduction)
}

/// Minus the log-likelihood of targets under normal distributions, `(log v + (x - t)² / v) / 2` with the variance `v` at least
/// `epsilon` (its gradient is as if it were not clamped).
///
/// - Parameters:
///   - variance: of the shape of `x`, or with a last axis of 1, or without the last axis.
///   - full: adds `log(2 π) / 2`.
///
/// Source: PyTorch `gaussian_nll_loss`.
public func gaussianNLLLoss(
  _ x: Tensor, _ targets: Tensor, variance: Tensor, full: Bool = false, epsilon: Double = 1e-6,
  reduction: LossReduction = .mean
) -> Tensor {
  let call = Context.enter("gaussianNLLLoss")
  defer { Context.leave(call) }
  let (op, names) = ("gaussianNLLLoss", ["x", "targets", "variance"])
  if let error = mismatch(x, targets, op, names) { return error }
  var variance = variance
  if variance.shape != x.shape {
    let short = x.rank == 0 ? x.shape : x.shape.removing(at: x.rank - 1)
    if variance.shape == short { variance = variance.expandedDims(axis: -1) }
    guard x.rank > 0, variance.shape == Shape(Array(short) + [1]) else {
      return failure(
        .argumentShape(argument: 2, expected: "\(x.shape), that of x, or \(short)"), op: op, [x, targets, variance],
        names: names)
    }
  }
  guard epsilon > 0 else {
    return failure(
      .misuse("epsilon is \(epsilon)", rule: "epsilon > 0"), op: op, [x, targets, variance], names: names)
  }
  let own = variance.detached()
  let v = variance + (maximum(own, epsilon) - own)
  let losses = (log(v) + square(x - targets) / v) * 0.5
  return (full ? losses + 0.918938533204672742 : losses).reduced(reduction)
}

/// Binary cross entropy that well-classified elements hardly share in: times `(1 - p)^gamma` of the probability of the target.
///
/// - Parameters:
///   - targets: of the shape of `logits`, 0 or 1.
///   - alpha: the weight of targets that are 1, and `1 - alpha` of the others; below 0: none.
///   - reduction: `none` if not given, as in torchvision.
///
/// Source: Lin and others 2017; torchvision `sigmoid_focal_loss`.
public func sigmoidFocalLoss(
  _ logits: Tensor, _ targets: Tensor, alpha: Double = 0.25, gamma: Double = 2, reduction: LossReduction = .none
) -> Tensor {
  let call = Context.enter("sigmoidFocalLoss")
  defer { Context.leave(call) }
  let (op, names) = ("sigmoidFocalLoss", ["logits", "targets"])
  if let error = mismatch(logits, targets, op, names) { return error }
  guard gamma >= 0, alpha <= 1 else {
    return failure(
      .misuse("alpha is \(alpha), gamma is \(gamma)", rule: "alpha ≤ 1 and gamma ≥ 0"), op: op, [logits, targets],
      names: names)
  }
  let t = targets.cast(to: logits.dtype)
  let p = sigmoid(logits)
  // The probability of what is not the target.
  let wrong = p * (1 - t) + (1 - p) * t
  var losses = binaryCrossEntropyWithLogits(logits, t, reduction: .none) * pow(wrong, gamma)
  if alpha >= 0 { losses = losses * (t * alpha + (1 - t) * (1 - alpha)) }
  return losses.reduced(reduction)
}

/// One minus the overlap of a predicted and a true region, `1 - (2 Σ p t + smooth) / (Σ p + Σ t + smooth)`, for each example
/// and class.
///
/// - Parameters:
///   - probabilities: `[B, K, d1, …]`; the sums run over the axes behind `K`.
///   - targets: of the same shape, 0 or 1.
///   - smooth: 0 or more; without it an empty region gives NaN.
///
/// Source: Milletari and others 2016; MONAI `DiceLoss`, with its defaults.
public func diceLoss(
  _ probabilities: Tensor, _ targets: Tensor, smooth: Double = 1e-5, reduction: LossReduction = .mean
) -> Tensor {
  let call = Context.enter("diceLoss")
  defer { Context.leave(call) }
  let (op, names) = ("diceLoss", ["probabilities", "targets"])
  let p = probabilities
  if let error = mismatch(p, targets, op, names) { return error }
  guard p.rank >= 3 else {
    return failure(
      .rank(argument: 0, expected: "3 or more: [B, K, d1, …]"), op: op, [p, targets], names: names)
  }
  guard smooth >= 0 else {
    return failure(.misuse("smooth is \(smooth)", rule: "smooth ≥ 0"), op: op, [p, targets], names: names)
  }
  let t = targets.cast(to: p.dtype)
  let axes = Array(2..<p.rank)
  let overlap = (p * t).sum(axes: axes)
  return (1 - (overlap * 2 + smooth) / (p.sum(axes: axes) + t.sum(axes: axes) + smooth)).reduced(reduction)
}

/// Rows of length 1, for losses that compare directions.
private func directions(_ x: Tensor) -> Tensor { x / clamp(x.norm(axis: -1, keepDims: true), min: 1e-12) }

private func checkPairs(_ a: Tensor, _ b: Tensor, _ op: String, _ names: [String], _ temperature: Double) -> Tensor? {
  if let error = mismatch(a, b, op, names) { return error }
  guard a.rank == 2 else { return failure(.rank(argument: 0, expected: "2: [B, D]"), op: op, [a, b], names: names) }
  guard temperature > 0 else {
    return failure(
      .misuse("the temperature is \(temperature)", rule: "temperature > 0"), op: op, [a, b], names: names)
  }
  return nil
}

/// Each query is to be nearer to the key of its row than to the keys of all other rows: the cross entropy of the rows' cosines
/// divided by the temperature. **Shapes** `[B, D]` each. Source: van den Oord and others 2018 (InfoNCE).
public func infoNCELoss(
  _ queries: Tensor, _ keys: Tensor, temperature: Double = 0.1, reduction: LossReduction = .mean
) -> Tensor {
  let call = Context.enter("infoNCELoss")
  defer { Context.leave(call) }
  if let error = checkPairs(queries, keys, "infoNCELoss", ["queries", "keys"], temperature) { return error }
  let scores = matmul(directions(queries), directions(keys).transposed()) / temperature
  return crossEntropy(scores, Tensor(Array(0..<queries.shape[0]), device: queries.device), reduction: reduction)
}

/// Two views of each example are to be nearer to each other than to all views of the others. **Shapes** `[B, D]` each; the
/// losses are `2 B`. Source: Chen and others 2020, equation 1 (NT-Xent).
public func ntXentLoss(
  _ a: Tensor, _ b: Tensor, temperature: Double = 0.5, reduction: LossReduction = .mean
) -> Tensor {
  let call = Context.enter("ntXentLoss")
  defer { Context.leave(call) }
  if let error = checkPairs(a, b, "ntXentLoss", ["a", "b"], temperature) { return error }
  let batch = a.shape[0]
  let views = directions(concat([a, b], axis: 0))
  let places = Tensor(Array(0..<(2 * batch)), device: a.device)
  let isSelf = places .== places.expandedDims(axis: 1)
  let scores = select(isSelf, -Double.infinity, matmul(views, views.transposed()) / temperature)
  return crossEntropy(scores, places.rolled(by: batch, axis: 0), reduction: reduction)
}
