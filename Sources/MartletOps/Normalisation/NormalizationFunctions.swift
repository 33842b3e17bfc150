public import MartletCore

/// Runs a normalisation on `[N, C, S]`; the weight comes before the bias.
private func normalized(
  _ x: Tensor, as shape: Shape, _ weight: Tensor?, _ bias: Tensor?, _ sets: NormalizedSets
) -> [Tensor] {
  // In mixed precision the activations have 16 bits and the parameters 32.
  let weight = Autocast.isOn ? weight?.cast(to: x.dtype) : weight
  let bias = Autocast.isOn ? bias?.cast(to: x.dtype) : bias
  var inputs = [x.reshaped(shape)]
  if let weight = weight ?? bias.map({ Tensor(repeating: 1, $0.spec) }) { inputs.append(weight.flattened(from: 0)) }
  if let bias { inputs.append(bias.flattened(from: 0)) }
  var results = apply(Normalize(sets), inputs)
  if !results[0].isError { results[0] = results[0].reshaped(x.shape) }
  return results
}

/// `[N, C, …]` as `[N, C, S]`; nil after an error.
private func planes(_ x: Tensor, _ op: String) -> Shape? {
  guard x.rank >= 2 else {
    _ = failure(.rank(argument: 0, expected: "2 or more: [N, C, …]"), op: op, [x])
    return nil
  }
  return [x.shape[0], x.shape[1], x.shape[2...].reduce(1, *)]
}

/// The last axes of `x` as one, behind all others: `[rows, elements, 1]`; nil after an error.
private func rows(
  _ x: Tensor, _ normalizedShape: Shape, _ weight: Tensor?, _ bias: Tensor?, _ op: String
) -> Shape? {
  let kept = x.rank - normalizedShape.rank
  guard normalizedShape.rank > 0, kept >= 0, Shape(x.shape[kept...]) == normalizedShape else {
    _ = failure(
      .misuse(
        "x has shape \(x.shape), normalizedShape is \(normalizedShape)",
        rule: "normalizedShape is one or more of the last sizes of x"), op: op, [x])
    return nil
  }
  for (name, tensor) in [("weight", weight), ("bias", bias)] {
    guard let tensor, tensor.shape != normalizedShape else { continue }
    _ = failure(
      .misuse("\(name) has shape \(tensor.shape)", rule: "it is that of normalizedShape: \(normalizedShape)"), op: op,
      [x, tensor])
    return nil
  }
  return [x.shape[..<kept].reduce(1, *), normalizedShape.elementCount, 1]
}

/// Less the mean and divided by the deviation over the last axes, then `* weight + bias`.
///
/// - Parameters:
///   - normalizedShape: the sizes of the last axes of `x`, one or more.
///   - weight, bias: of the shape `normalizedShape`, or none.
///   - epsilon: what is added to the variance.
///
/// Source: Ba, Kiros and Hinton 2016; PyTorch `layer_norm`.
public func layerNorm(
  _ x: Tensor, normalizedShape: Shape, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5
) -> Tensor {
  guard let shape = rows(x, normalizedShape, weight, bias, "layerNorm") else { return x.afterFailure }
  return normalized(x, as: shape, weight, bias, NormalizedSets(groups: 1, epsilon: epsilon))[0]
}

/// Divided by the root of the mean square over the last axes, then `* weight`.
///
/// - Parameter epsilon: what is added to the mean square; by default the dtype's distance from 1 to the next number.
///
/// Source: Zhang and Sennrich 2019; PyTorch `rms_norm`.
public func rmsNorm(
  _ x: Tensor, normalizedShape: Shape, weight: Tensor? = nil, epsilon: Double? = nil
) -> Tensor {
  guard let shape = rows(x, normalizedShape, weight, nil, "rmsNorm") else { return x.afterFailure }
  let epsilon = epsilon ?? (x.dtype == .float64 ? 0x1p-52 : 0x1p-23)
  return normalized(x, as: shape, weight, nil, NormalizedSets(groups: 1, epsilon: epsilon, isCentred: false))[0]
}

/// `[N, C, …]` less the mean and divided by the deviation of each group of channels of each example, then `* weight + bias`
/// for each channel (`[C]`).
///
/// - Parameter groups: how many; channels are a multiple of it.
///
/// Source: Wu and He 2018; PyTorch `group_norm`.
public func groupNorm(
  _ x: Tensor, groups: Int, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5
) -> Tensor {
  guard let shape = planes(x, "groupNorm") else { return x.afterFailure }
  return normalized(x, as: shape, weight, bias, NormalizedSets(groups: groups, epsilon: epsilon))[0]
}

/// `[N, C, …]` less the mean and divided by the deviation of each channel of each example, then `* weight + bias` for each
/// channel (`[C]`). Source: Ulyanov, Vedaldi and Lempitsky 2016; PyTorch `instance_norm`.
public func instanceNorm(
  _ x: Tensor, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5
) -> Tensor {
  guard let shape = planes(x, "instanceNorm") else { return x.afterFailure }
  guard shape[1] > 0 else { return x }
  return normalized(x, as: shape, weight, bias, NormalizedSets(groups: shape[1], epsilon: epsilon))[0]
}

/// Batch normalisation while training: `[N, C, …]` less the mean and divided by the deviation of each channel over all
/// examples, then `* weight + bias` for each channel (`[C]`). The running statistics move by `momentum` toward the mean
/// and the unbiased variance of the batch.
///
/// Source: Ioffe and Szegedy 2015; PyTorch `batch_norm`.
public func batchNorm(
  _ x: Tensor, runningMean: inout Tensor, runningVariance: inout Tensor, weight: Tensor? = nil, bias: Tensor? = nil,
  momentum: Double = 0.1, epsilon: Double = 1e-5
) -> Tensor {
  let (y, mean, variance) = batchNorm(x, weight: weight, bias: bias, epsilon: epsilon)
  if y.isError { return y }
  for running in [runningMean, runningVariance] where running.shape != mean.shape {
    return failure(
      .misuse(
        "the running statistics have shape \(running.shape)", rule: "one number for each channel: \(mean.shape)"),
      op: "batchNorm", [x])
  }
  let count = Double(x.count / max(1, x.shape[1]))
  let unbiased = variance.detached() * (count / (count - 1))
  runningMean = runningMean * (1 - momentum) + mean.detached().cast(to: runningMean.dtype) * momentum
  runningVariance = runningVariance * (1 - momentum) + unbiased.cast(to: runningVariance.dtype) * momentum
  return y
}

/// Batch normalisation by the statistics of the batch: the result, and the mean and the variance (not the unbiased one)
/// of each channel. `[N, C, …]`, with more than one element for each channel.
public func batchNorm(
  _ x: Tensor, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5
) -> (result: Tensor, mean: Tensor, variance: Tensor) {
  guard let shape = planes(x, "batchNorm") else { return (x.afterFailure, x.afterFailure, x.afterFailure) }
  guard shape[0] * shape[2] > 1 else {
    let error = failure(
      .misuse(
        "x has shape \(x.shape)", rule: "statistics of a batch need more than one element for each channel",
        remedy: "a batch of two or more examples, or model.eval() to normalise by running statistics"),
      op: "batchNorm", [x])
    return (error, error, error)
  }
  let results = normalized(x, as: shape, weight, bias, NormalizedSets(groups: nil, epsilon: epsilon))
  return (results[0], results[1], results[2])
}

/// Batch normalisation by given statistics, as in evaluation: `(x - mean) / √(variance + epsilon) * weight + bias` for each
/// channel of `[N, C, …]`; mean, variance, weight and bias are `[C]`.
public func batchNorm(
  _ x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5
) -> Tensor {
  guard let shape = planes(x, "batchNorm") else { return x.afterFailure }
  for (name, tensor) in [("mean", mean), ("variance", variance), ("weight", weight), ("bias", bias)] {
    guard let tensor: Tensor = tensor, tensor.shape != [shape[1]] else { continue }
    return failure(
      .misuse("\(name) has shape \(tensor.shape)", rule: "one number for each channel: [\(shape[1])]"), op: "batchNorm",
      [x, tensor])
  }
  var scale = 1 / sqrt(variance + epsilon)
  if let weight { scale = scale * weight }
  let scaled = (x - mean.cast(to: x.dtype).alongChannels(x.rank)) * scale.cast(to: x.dtype).alongChannels(x.rank)
  return bias.map { scaled + $0.cast(to: x.dtype).alongChannels(x.rank) } ?? scaled
}

/// `x / (k + alpha · m)^beta`, where m is the mean of the squares at the same place in the `size` channels around.
///
/// Channels outside count as 0. `[N, C, …]`. Source: Krizhevsky, Sutskever and Hinton 2012; PyTorch `local_response_norm`.
public func localResponseNorm(
  _ x: Tensor, size: Int, alpha: Double = 1e-4, beta: Double = 0.75, k: Double = 1
) -> Tensor {
  guard let shape = planes(x, "localResponseNorm") else { return x.afterFailure }
  guard size >= 1 else {
    return failure(.count(name: "size", size, allowed: "1 or more"), op: "localResponseNorm", [x])
  }
  let squares = (x * x).reshaped([shape[0], 1, shape[1], shape[2]])
  let window = PoolingWindow(
    kernel: [size, 1], stride: [1, 1], dilation: [1, 1], low: [size / 2, 0], high: [(size - 1) / 2, 0], ceilMode: false)
  let means = apply(AveragePool(window, countsPadding: true), [squares])[0]
  return x / pow(means.reshaped(x.shape) * alpha + k, beta)
}
