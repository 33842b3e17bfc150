public import MartletCore

/// The convolution (cross-correlation) of `x: [N, C, spatial…]` with kernels `w: [O, C / groups, kernel…]`, and a bias
/// `[O]` if there is a third input: `[N, O, out…]`.
public struct Convolution: ConvolutionOp {
  public static var id: OpID { OpTable.convolution.id }
  public static var name: String { "convolution" }
  public static var argumentNames: [String] { ["x", "weight", "bias"] }
  public let window: ConvolutionWindow
  public init(_ window: ConvolutionWindow) { self.window = window }
  func with(groups: Int) -> Convolution { Convolution(window.with(groups: groups)) }

  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 2 || inputs.count == 3 else {
      throw OpError(.numberOfInputs(inputs.count, expected: "2 or 3"))
    }
    try checkOperands(inputs)
    let (x, w) = (inputs[0], inputs[1])
    try window.checkGroups(in: x.shape[1], out: w.shape[0])
    guard w.shape[1] * window.groups == x.shape[1] else {
      throw OpError(
        .misuse(
          "x has \(x.shape[1]) channels, the weight is for \(w.shape[1] * window.groups)",
          rule: "x: [N, C, …] and weight: [O, C / groups, …], here with groups = \(window.groups)",
          remedy: x.shape[x.rank - 1] == w.shape[1] * window.groups
            ? "movingAxis(-1, to: 1): the channels come before the spatial axes" : nil))
    }
    if inputs.count == 3 {
      guard inputs[2].shape == [w.shape[0]] else {
        throw OpError(.argumentShape(argument: 2, expected: "[\(w.shape[0])], one for each output channel"))
      }
      guard inputs[2].dtype == x.dtype else { throw OpError(.dtypesDiffer) }
    }
    let size = try window.checkFit(Shape(x.shape[2...]), kernel: Shape(w.shape[2...]))
    return [x.with(shape: Shape([x.shape[0], w.shape[0]] + Array(size)))]
  }

  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let g = ct[0]!
    var result: [Cotangent?] = [
      needs[0]
        ? .dense(
          apply(
            ConvolutionInputGradient(window, size: Shape(saved.spec(0).shape[2...])), [g, saved.input(1)])[0]) : nil,
      needs[1]
        ? .dense(
          apply(ConvolutionWeightGradient(window, kernel: Shape(saved.spec(1).shape[2...])), [saved.input(0), g])[0])
        : nil,
    ]
    if saved.inputs.count == 3 { result.append(needs[2] ? .dense(g.summedToChannels()) : nil) }
    return result
  }

  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    var tangent = plus(
      t[0].map { apply(self, [$0, inputs[1]])[0] }, t[1].map { apply(self, [inputs[0], $0])[0] })
    if inputs.count == 3, let bias = t[2] { tangent = plus(tangent, bias.alongChannels(outputs[0].rank)) }
    return [tangent?.like(outputs[0])]
  }

  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let examples = zip(inputs, mapped).first { $0.1 }!.0.shape[0]
    if mapped[0], !mapped[1...].contains(true) {
      return [apply(self, [inputs[0].examplesAsRows()] + inputs[1...])[0].rowsAsExamples(examples)]
    }
    var inputs = allMapped(inputs, mapped)
    inputs[0] = inputs[0].examplesAsChannels()
    inputs[1] = inputs[1].examplesAsRows()
    if inputs.count == 3 { inputs[2] = inputs[2].examplesAsRows() }
    return [apply(with(groups: examples * window.groups), inputs)[0].channelsAsExamples(examples)]
  }
  public var attributes: String { window.description }
}

extension Tensor {
  /// The sum over all axes but that of the channels.
  func summedToChannels() -> Tensor {
    var axes = Positions.first(rank)
    axes[1] = false
    return apply(Sum(axes: axes, keepDims: false), self)
  }
  /// A vector of channels as a tensor that broadcasts to `[N, C, …]` of `rank` axes.
  package func alongChannels(_ rank: Int) -> Tensor {
    var shape = Shape(repeating: 1, count: rank - 1)
    shape[0] = count
    return reshaped(shape)
  }
}
