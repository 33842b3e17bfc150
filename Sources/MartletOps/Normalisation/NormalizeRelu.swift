public import MartletCore

/// `Normalize` with a rectifier behind it. Made by the pass `normalizeRelu`.
///
/// If it `keepsFactors`, the last result holds m, a and b of `y = relu((x - m) a + b)` for each channel, `[3, C]`, or for
/// each channel of each example where the sets are groups, `[3, N, C]`. From these the gradient knows what was rectified,
/// to the last bit, without reading y.
public struct NormalizeRelu: NormalizingOp, PassMade {
  public static var id: OpID { OpTable.normalizeRelu.id }
  public static var name: String { "normalizeRelu" }
  public static var rules: Rules { [.decomposed] }
  public static var argumentNames: [String] { ["x", "weight", "bias"] }
  public let sets: NormalizedSets
  package let keepsFactors: Bool

  package init(_ sets: NormalizedSets, keepsFactors: Bool) {
    self.sets = sets
    self.keepsFactors = keepsFactors
  }

  public var outputCount: Int { keepsFactors ? 4 : 3 }
  public func strides(of result: TensorSpec, for inputs: [Tensor]) -> Shape? {
    sets.strides(of: result, like: inputs[0])
  }
  public func takeover(output: Int) -> Int? { output == 0 ? 0 : nil }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    let results = try Normalize(sets).outputs(for: inputs)
    try sets.checkRectified(inputs[0].shape)
    return results + (keepsFactors ? [sets.factors(inputs[0])] : [])
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    var results = apply(Normalize(sets), inputs)
    results[0] = relu(results[0])
    guard keepsFactors else { return results }
    let x = inputs[0].spec
    let all = sets.alongFactors(x.shape)
    var scale = 1 / sqrt(sets.overSets(results[2], x.shape) + sets.epsilon)
    if inputs.count > 1 { scale = scale * sets.alongChannels(inputs[1]) }
    let shift =
      inputs.count > 2 ? sets.alongChannels(inputs[2]) : Tensor(repeating: 0, results[1].spec.with(shape: all))
    let factors = [sets.overSets(results[1], x.shape), scale, shift].map { $0.expanded(to: all) }
    return results + [stack(factors).reshaped(sets.factors(x).shape)]
  }

  public var attributes: String { sets.description + (keepsFactors ? ", factors" : "") }
}

/// `NormalizeGradient` where `g` is the cotangent of what a `NormalizeRelu` of x yields, which has kept its factors. Made by
/// the pass `normalizeRelu`.
public struct NormalizeReluGradient: NormalizingOp, PassMade {
  public static var id: OpID { OpTable.normalizeReluGradient.id }
  public static var name: String { "normalizeReluGradient" }
  public static var rules: Rules { [.decomposed] }
  public static var argumentNames: [String] { ["g", "x", "mean", "variance", "factors", "weight"] }
  private let gradient: NormalizeGradient
  public var sets: NormalizedSets { gradient.sets }
  package init(_ gradient: NormalizeGradient) { self.gradient = gradient }

  private static let factors = 4
  private func plain<T>(_ inputs: [T]) -> [T] { Array(inputs[..<Self.factors] + inputs[(Self.factors + 1)...]) }

  public var outputCount: Int { gradient.outputCount }
  public func strides(of result: TensorSpec, for inputs: [Tensor]) -> Shape? {
    sets.strides(of: result, like: inputs[1])
  }
  public func takeover(output: Int) -> Int? { output == 0 ? 0 : nil }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    let count = gradient.affine > 0 ? 6 : 5
    guard inputs.count == count else { throw OpError(.numberOfInputs(inputs.count, expected: "\(count)")) }
    let results = try gradient.outputs(for: plain(inputs))
    try sets.checkRectified(inputs[1].shape)
    let factors = sets.factors(inputs[1])
    guard inputs[Self.factors] == factors else {
      throw OpError(.argumentShape(argument: Self.factors, expected: "\(factors)"))
    }
    return results
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let x = inputs[1]
    let factors = inputs[Self.factors].reshaped(Shape([3] + sets.alongFactors(x.shape)))
    let y = ((sets.parted(x) - factors[0]) * factors[1] + factors[2]).reshaped(x.shape).cast(to: x.dtype)
    return apply(gradient, [apply(Relu.slope, inputs[0], y)] + plain(inputs)[1...])
  }
}

extension NormalizedSets {
  /// Rows with a weight for each element have other factors for each of them.
  package func isRectified(_ x: Shape) -> Bool { groups == nil || x[2] != 1 }
  fileprivate func checkRectified(_ x: Shape) throws(OpError) {
    guard isRectified(x) else { throw OpError(.misuse("x has shape \(x)", rule: "not rows, [N, C, 1]")) }
  }

  /// The spec of m, a and b of `(x - m) a + b`, by which each channel of each set is normalised.
  package func factors(_ x: TensorSpec) -> TensorSpec {
    x.with(shape: groups == nil ? [3, x.shape[1]] : [3, x.shape[0], x.shape[1]]).with(Self.wide(x.dtype))
  }
  /// One of them as it broadcasts to `[N, G, K, S]`.
  fileprivate func alongFactors(_ x: Shape) -> Shape {
    guard let groups else { return [1, x[1], 1, 1] }
    return [x[0], groups, x[1] / groups, 1]
  }
}
