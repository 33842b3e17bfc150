public import MartletCore

/// `x: [N, C, S]` less the mean and divided by the deviation of sets of elements, then times a weight `[C]` and plus a
/// bias `[C]` if there are these inputs. Results: y, and the means and variances of the sets.
///
/// The sets are `groups` groups of channels of each example (the statistics are `[N, groups]`), or where `groups` is nil
/// the channels over all examples (`[C]`). Not centred, the mean is left out and reported as 0, and the variance is the
/// mean of the squares. Statistics of 16-bit floats are float32.
public struct Normalize: NormalizingOp {
  public static var id: OpID { OpTable.normalize.id }
  public static var name: String { "normalize" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public static var argumentNames: [String] { ["x", "weight", "bias"] }
  public let sets: NormalizedSets
  public init(_ sets: NormalizedSets) { self.sets = sets }

  public var outputCount: Int { 3 }
  public func strides(of result: TensorSpec, for inputs: [Tensor]) -> Shape? {
    sets.strides(of: result, like: inputs[0])
  }
  public func takeover(output: Int) -> Int? { output == 0 ? 0 : nil }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard (1...3).contains(inputs.count) else { throw OpError(.numberOfInputs(inputs.count, expected: "1, 2 or 3")) }
    let statistics = try sets.checkedStatistics(inputs[0], argument: 0)
    for position in inputs.indices.dropFirst() { try checkChannels(inputs, position, of: 0) }
    return [inputs[0], statistics, statistics]
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let x = sets.parted(inputs[0])
    let mean = sets.mean(x)
    let centred = x - mean
    let variance = (centred * centred).mean(axes: sets.axes, keepDims: true)
    var y = centred / sqrt(variance + sets.epsilon)
    if inputs.count > 1 { y = y * sets.alongChannels(inputs[1]) }
    if inputs.count > 2 { y = y + sets.alongChannels(inputs[2]) }
    return [
      y.reshaped(inputs[0].shape).cast(to: inputs[0].dtype), sets.asStatistics(mean), sets.asStatistics(variance),
    ]
  }

  public func saves(needs: Positions) -> Saves { Saves(inputs: [0, 1], outputs: [1, 2]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let x = saved.input(0)
    let (mean, variance) = (saved.output(1), saved.output(2))
    var result = [Tensor?](repeating: nil, count: saved.inputs.count)
    if let g = ct[0] {
      let op = NormalizeGradient(sets, affine: saved.inputs.count - 1)
      let found = apply(op, [g, x, mean, variance] + (saved.inputs.count > 1 ? [saved.input(1)] : []))
      for (position, gradient) in found.enumerated() { result[position] = gradient }
    }
    if needs[0], ct[1] != nil || ct[2] != nil {
      let parted = sets.parted(x)
      let share = 1 / Double(sets.size(x.shape))
      var sum: Tensor?
      if let g = ct[1], sets.isCentred { sum = sets.overSets(g, x.shape) * share + parted * 0 }
      if let g = ct[2] {
        sum = plus(sum, (parted - sets.overSets(mean, x.shape)) * (sets.overSets(g, x.shape) * (2 * share)))
      }
      result[0] = plus(result[0], sum?.reshaped(x.shape).cast(to: x.dtype))
    }
    return result.enumerated().map { position, gradient in needs[position] ? gradient.map { .dense($0) } : nil }
  }

  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    let (x, mean, variance) = (inputs[0], outputs[1], outputs[2])
    let channels = inputs.count > 1 ? sets.alongChannels(inputs[1]) : nil
    let centred = sets.parted(x) - sets.overSets(mean, x.shape)
    var tangents: [Tensor?] = [nil, nil, nil]
    if let t = t[0] {
      // What takes cotangents of the normalised elements to those of x is symmetric.
      let normalized = sets.parted(apply(NormalizeGradient(sets, affine: 0), [t, x, mean, variance])[0])
      tangents[0] = channels.map { normalized * $0 } ?? normalized
      let moved = sets.parted(t)
      tangents[1] = sets.asStatistics(sets.mean(moved))
      tangents[2] = sets.asStatistics((centred * moved).mean(axes: sets.axes, keepDims: true) * 2)
    }
    if inputs.count > 1, let w = t[1] {
      let normalized = centred / sqrt(sets.overSets(variance, x.shape) + sets.epsilon)
      tangents[0] = plus(tangents[0], normalized * sets.alongChannels(w))
    }
    if inputs.count > 2, let b = t[2] { tangents[0] = plus(tangents[0], sets.alongChannels(b) + centred * 0) }
    tangents[0] = tangents[0]?.reshaped(x.shape).cast(to: x.dtype)
    return tangents
  }

  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let examples = zip(inputs, mapped).first { $0.1 }!.0.shape[0]
    if sets.groups != nil, mapped[0], !mapped[1...].contains(true) {
      return apply(self, [inputs[0].examplesAsRows()] + inputs[1...]).map { $0.rowsAsExamples(examples) }
    }
    var inputs = allMapped(inputs, mapped)
    inputs[0] = inputs[0].examplesAsChannels()
    for position in inputs.indices.dropFirst() { inputs[position] = inputs[position].examplesAsRows() }
    let results = apply(Normalize(sets.forExamples(examples)), inputs)
    func parted(_ statistics: Tensor) -> Tensor {
      sets.groups == nil ? statistics.rowsAsExamples(examples) : statistics.channelsAsExamples(examples)
    }
    return [results[0].channelsAsExamples(examples), parted(results[1]), parted(results[2])]
  }
}

/// The cotangents of `x` and of as many of weight and bias as there are, from `g`, that of the normalised tensor. The
/// mean and variance of the sets are inputs of their own.
public struct NormalizeGradient: NormalizingOp {
  public static var id: OpID { OpTable.normalizeGradient.id }
  public static var name: String { "normalizeGradient" }
  public static var rules: Rules { [.decomposed] }
  public static var argumentNames: [String] { ["g", "x", "mean", "variance", "weight"] }
  public let sets: NormalizedSets
  /// 0: neither weight nor bias; 1: a weight; 2: both.
  public let affine: Int
  public init(_ sets: NormalizedSets, affine: Int) {
    self.sets = sets
    self.affine = affine
  }

  public var outputCount: Int { 1 + affine }
  public func strides(of result: TensorSpec, for inputs: [Tensor]) -> Shape? {
    sets.strides(of: result, like: inputs[1])
  }
  public func takeover(output: Int) -> Int? { output == 0 ? 0 : nil }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard (0...2).contains(affine) else { throw OpError(.count(name: "affine", affine, allowed: "0 … 2")) }
    let count = affine > 0 ? 5 : 4
    guard inputs.count == count else { throw OpError(.numberOfInputs(inputs.count, expected: "\(count)")) }
    let statistics = try sets.checkedStatistics(inputs[1], argument: 1)
    guard inputs[0] == inputs[1] else { throw OpError(.argumentShape(argument: 0, expected: "\(inputs[1]), as x")) }
    for position in 2...3 where inputs[position] != statistics {
      throw OpError(.argumentShape(argument: position, expected: "\(statistics)"))
    }
    if affine > 0 { try checkChannels(inputs, 4, of: 1) }
    return [inputs[1]] + (affine > 0 ? [TensorSpec](repeating: inputs[4], count: affine) : [])
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let (g, x) = (sets.parted(inputs[0]), sets.parted(inputs[1]))
    let rate = 1 / sqrt(sets.overSets(inputs[3], inputs[1].shape) + sets.epsilon)
    let normalized = (x - sets.overSets(inputs[2], inputs[1].shape)) * rate
    let h = affine > 0 ? g * sets.alongChannels(inputs[4]) : g
    let slope = (h * normalized).mean(axes: sets.axes, keepDims: true)
    var dx = h - normalized * slope
    if sets.isCentred { dx = dx - h.mean(axes: sets.axes, keepDims: true) }
    var results = [(dx * rate).reshaped(inputs[1].shape).cast(to: inputs[1].dtype)]
    for sum in [g * normalized, g].prefix(affine) {
      results.append(sum.sum(axes: [0, 3]).reshaped(inputs[4].shape).cast(to: inputs[4].dtype))
    }
    return results
  }
}

/// What normalising operations share.
public protocol NormalizingOp: Op { var sets: NormalizedSets { get } }

extension NormalizingOp {
  public var attributes: String { sets.description }

  /// That an input has a number for each channel.
  func checkChannels(_ inputs: [TensorSpec], _ position: Int, of x: Int) throws(OpError) {
    let channels = inputs[x].shape[1]
    guard inputs[position].shape == [channels] else {
      throw OpError(.argumentShape(argument: position, expected: "[\(channels)], one for each channel of x"))
    }
    guard inputs[position].dtype == inputs[x].dtype else { throw OpError(.dtypesDiffer) }
  }
}
