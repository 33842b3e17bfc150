public import MartletCore

/// The adjoint of a convolution in its kernels: from `x: [N, C, spatial…]` and `g: [N, O, out…]` the gradient
/// `[O, C / groups, kernel…]`.
public struct ConvolutionWeightGradient: ConvolutionOp {
  public static var id: OpID { OpTable.convolutionWeightGradient.id }
  public static var name: String { "convolutionWeightGradient" }
  public static var argumentNames: [String] { ["x", "g"] }
  public let window: ConvolutionWindow
  /// The spatial sizes of the kernels.
  public let kernel: Shape
  static var givesImages: Bool { false }
  public init(_ window: ConvolutionWindow, kernel: Shape) {
    self.window = window
    self.kernel = kernel
  }
  func with(groups: Int) -> ConvolutionWeightGradient {
    ConvolutionWeightGradient(window.with(groups: groups), kernel: kernel)
  }

  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 2 else { throw OpError(.numberOfInputs(inputs.count, expected: "2")) }
    try checkOperands(inputs)
    let (x, g) = (inputs[0], inputs[1])
    guard kernel.rank == window.axes else {
      throw OpError(.misuse("the kernel has \(kernel.rank) axes", rule: "one for each spatial axis: \(window.axes)"))
    }
    guard x.shape[0] == g.shape[0] else {
      throw OpError(.misuse("x has \(x.shape[0]) examples, g has \(g.shape[0])", rule: "x: [N, …] and g: [N, …]"))
    }
    try window.checkGroups(in: x.shape[1], out: g.shape[1])
    let out = try window.checkFit(Shape(x.shape[2...]), kernel: kernel)
    guard Shape(g.shape[2...]) == out else {
      throw OpError(.argumentShape(argument: 1, expected: "[N, O] and then \(out), for a kernel of \(kernel)"))
    }
    return [x.with(shape: Shape([g.shape[1], x.shape[1] / window.groups] + Array(kernel)))]
  }

  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let w = ct[0]!
    return [
      needs[0]
        ? .dense(
          apply(ConvolutionInputGradient(window, size: Shape(saved.spec(0).shape[2...])), [saved.input(1), w])[0])
        : nil,
      needs[1] ? .dense(apply(Convolution(window), [saved.input(0), w])[0]) : nil,
    ]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    // Each example has kernels of its own, so examples are groups.
    let inputs = allMapped(inputs, mapped)
    let examples = inputs[0].shape[0]
    return [
      apply(
        with(groups: examples * window.groups), [inputs[0].examplesAsChannels(), inputs[1].examplesAsChannels()])[0]
        .rowsAsExamples(examples)
    ]
  }
  public var attributes: String { "\(window), kernel=\(kernel)" }
}
