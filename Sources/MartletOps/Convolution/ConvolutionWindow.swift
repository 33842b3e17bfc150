public import MartletCore

/// How a kernel moves over the spatial axes of its input: what the three operations of a convolution share.
///
/// Along each axis `out = (size + low + high - dilation · (kernel - 1) - 1) / stride + 1`, rounded down.
public struct ConvolutionWindow: Hashable, Sendable, Codable, CustomStringConvertible {
  public let stride: Shape
  public let dilation: Shape
  /// Zeros before the first and behind the last element of each axis.
  public let low: Shape
  public let high: Shape
  public let groups: Int
  /// Whether Winograd's method is forbidden.
  public let isPrecise: Bool

  public init(stride: Shape, dilation: Shape, low: Shape, high: Shape, groups: Int, isPrecise: Bool = false) {
    self.stride = stride
    self.dilation = dilation
    self.low = low
    self.high = high
    self.groups = groups
    self.isPrecise = isPrecise
  }

  /// One step, no padding, one group, over `axes` axes.
  public init(axes: Int) {
    let ones = Shape(repeating: 1, count: axes)
    let zeros = Shape(repeating: 0, count: axes)
    self.init(stride: ones, dilation: ones, low: zeros, high: zeros, groups: 1)
  }

  /// The number of spatial axes.
  public var axes: Int { stride.rank }

  func with(groups: Int) -> ConvolutionWindow {
    ConvolutionWindow(stride: stride, dilation: dilation, low: low, high: high, groups: groups, isPrecise: isPrecise)
  }

  /// The spatial sizes of the result, or nil where the kernel does not fit.
  package func outputSize(_ size: Shape, kernel: Shape) -> Shape? {
    var result = size
    for axis in 0..<axes {
      let (padded, overflow) = size[axis].addingReportingOverflow(low[axis] &+ high[axis])
      let (reach, overflow2) = dilation[axis].multipliedReportingOverflow(by: kernel[axis] - 1)
      guard !overflow, !overflow2, kernel[axis] >= 1, padded > reach else { return nil }
      result[axis] = (padded - reach - 1) / stride[axis] + 1
    }
    return result
  }

  func check() throws(OpError) {
    guard (1...3).contains(axes), dilation.rank == axes, low.rank == axes, high.rank == axes else {
      throw OpError(
        .misuse("the window has \(axes) spatial axes", rule: "1, 2 or 3, the same for stride, dilation and padding"))
    }
    for axis in 0..<axes {
      for (name, value, least) in [
        ("stride", stride[axis], 1), ("dilation", dilation[axis], 1), ("padding", low[axis], 0),
        ("padding", high[axis], 0),
      ] where value < least || value > Int(Int32.max) {
        throw OpError(.count(name: name, value, allowed: "\(least) … \(Int32.max)"))
      }
    }
    guard groups >= 1 else { throw OpError(.count(name: "groups", groups, allowed: "1 or more")) }
  }

  /// Checks that channels divide into the groups.
  func checkGroups(in inputs: Int, out outputs: Int) throws(OpError) {
    guard inputs % groups == 0, outputs % groups == 0 else {
      throw OpError(
        .misuse(
          "\(inputs) input and \(outputs) output channels do not divide into \(groups) groups",
          rule: "both are multiples of groups", remedy: "another number of groups or channels"))
    }
  }

  func checkFit(_ size: Shape, kernel: Shape) throws(OpError) -> Shape {
    guard let result = outputSize(size, kernel: kernel) else {
      throw OpError(
        .misuse(
          "a kernel of \(kernel) with dilation \(dilation) does not fit into \(size) with padding \(low) and \(high)",
          rule: "dilation · (kernel - 1) + 1 ≤ size + padding, and kernel ≥ 1",
          remedy: "more padding, a smaller kernel or larger inputs"))
    }
    return result
  }

  public var description: String {
    var parts: [String] = []
    if stride.contains(where: { $0 != 1 }) { parts.append("stride=\(stride)") }
    if dilation.contains(where: { $0 != 1 }) { parts.append("dilation=\(dilation)") }
    if low == high {
      if low.contains(where: { $0 != 0 }) { parts.append("padding=\(low)") }
    } else {
      parts.append("padding=\(low)…\(high)")
    }
    if groups != 1 { parts.append("groups=\(groups)") }
    if isPrecise { parts.append("precise") }
    return parts.isEmpty ? "stride=1" : parts.joined(separator: ", ")
  }
}

/// A bilinear operation of the three that make up a convolution and its derivatives: each derivative is another of them.
protocol ConvolutionOp: Op {
  var window: ConvolutionWindow { get }
  func with(groups: Int) -> Self
  /// Whether the result is images, whose order in memory follows that of the first input; else it is kernels.
  static var givesImages: Bool { get }
}

extension ConvolutionOp {
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  static var givesImages: Bool { true }

  /// From channels-last images come channels-last images.
  public func strides(of result: TensorSpec, for inputs: [Tensor]) -> Shape? {
    Self.givesImages ? Order.channelsLast(result, like: inputs[0]) : nil
  }

  /// Each operand's gradient is made of the other operand.
  public func saves(needs: Positions) -> Saves {
    var inputs = Positions()
    if needs[0] { inputs[1] = true }
    if needs[1] { inputs[0] = true }
    return Saves(inputs: inputs)
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [plus(t[0].map { apply(self, [$0, inputs[1]])[0] }, t[1].map { apply(self, [inputs[0], $0])[0] })]
  }

  func checkOperands(_ inputs: [TensorSpec]) throws(OpError) {
    try window.check()
    let rank = window.axes + 2
    for position in 0..<2 where inputs[position].rank != rank {
      throw OpError(.rank(argument: position, expected: "\(rank): two and \(window.axes) spatial ones"))
    }
    guard inputs[0].dtype == inputs[1].dtype else { throw OpError(.dtypesDiffer) }
    guard inputs[0].dtype.isFloating else { throw OpError(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
  }
}

extension Tensor {
  /// The examples `[E, N, C, …]` put beside the channels: `[N, E · C, …]`.
  func examplesAsChannels() -> Tensor {
    let moved = movingAxis(0, to: 1)
    return moved.reshaped(Shape([shape[1], shape[0] * shape[2]] + Array(shape[3...])))
  }
  /// `[N, E · C, …]` as `[E, N, C, …]`.
  func channelsAsExamples(_ examples: Int) -> Tensor {
    reshaped(Shape([shape[0], examples, shape[1] / examples] + Array(shape[2...]))).movingAxis(1, to: 0)
  }
  /// The examples `[E, N, …]` put behind each other: `[E · N, …]`.
  func examplesAsRows() -> Tensor { reshaped(Shape([shape[0] * shape[1]] + Array(shape[2...]))) }
  /// `[E · N, …]` as `[E, N, …]`.
  func rowsAsExamples(_ examples: Int) -> Tensor {
    reshaped(Shape([examples, shape[0] / examples] + Array(shape[1...])))
  }
}
