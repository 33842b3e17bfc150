public import MartletCore

/// The adjoint of a convolution in its input, which is also the transposed convolution: from `g: [N, O, out…]` and
/// kernels `w: [O, C / groups, kernel…]` the gradient `[N, C, size…]`.
public struct ConvolutionInputGradient: ConvolutionOp {
  public static var id: OpID { OpTable.convolutionInputGradient.id }
  public static var name: String { "convolutionInputGradient" }
  public static var argumentNames: [String] { ["g", "weight"] }
  public let window: ConvolutionWindow
  /// The spatial sizes of the convolution's input.
  public let size: Shape
  public init(_ window: ConvolutionWindow, size: Shape) {
    self.window = window
    self.size = size
  }
  func with(groups: Int) -> ConvolutionInputGradient {
    ConvolutionInputGradient(window.with(groups: groups), size: size)
  }

  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 2 else { throw OpError(.numberOfInputs(inputs.count, expected: "2")) }
    try checkOperands(inputs)
    let (g, w) = (inputs[0], inputs[1])
    guard size.rank == window.axes, !size.contains(where: { $0 < 0 }) else { throw OpError(.negativeSize(size)) }
    guard g.shape[1] == w.shape[0] else {
      throw OpError(
        .misuse(
          "g has \(g.shape[1]) channels, the weight has \(w.shape[0])",
          rule: "g: [N, O, …] and weight: [O, C / groups, …]"
        ))
    }
    try window.checkGroups(in: w.shape[1] * window.groups, out: w.shape[0])
    let out = try window.checkFit(size, kernel: Shape(w.shape[2...]))
    guard Shape(g.shape[2...]) == out else {
      throw OpError(.argumentShape(argument: 0, expected: "[N, O] and then \(out), for an input of \(size)"))
    }
    return [g.with(shape: Shape([g.shape[0], w.shape[1] * window.groups] + Array(size)))]
  }

  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let x = ct[0]!
    return [
      needs[0] ? .dense(apply(Convolution(window), [x, saved.input(1)])[0]) : nil,
      needs[1]
        ? .dense(
          apply(ConvolutionWeightGradient(window, kernel: Shape(saved.spec(1).shape[2...])), [x, saved.input(0)])[0])
        : nil,
    ]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let examples = zip(inputs, mapped).first { $0.1 }!.0.shape[0]
    if mapped[0], !mapped[1] {
      return [apply(self, [inputs[0].examplesAsRows(), inputs[1]])[0].rowsAsExamples(examples)]
    }
    let inputs = allMapped(inputs, mapped)
    return [
      apply(
        with(groups: examples * window.groups), [inputs[0].examplesAsChannels(), inputs[1].examplesAsRows()])[0]
        .channelsAsExamples(examples)
    ]
  }
  public var attributes: String { "\(window), size=\(size)" }
}
