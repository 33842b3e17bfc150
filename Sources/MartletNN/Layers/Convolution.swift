public import MartletCore
public import MartletOps

/// What a convolution layer sees beyond the border of its input.
public enum PaddingMode: String, Sendable, Hashable, CustomStringConvertible {
  case zeros
  /// The input mirrored at its border elements.
  case reflect
  /// The border elements.
  case replicate
  /// The input over again.
  case circular
  public var description: String { rawValue }

  var pad: PadMode {
    switch self {
    case .zeros: .constant(0)
    case .reflect: .reflect
    case .replicate: .replicate
    case .circular: .circular
    }
  }
}

/// What the layers of convolutions and transposed convolutions share: learned kernels and how they move.
///
/// `weight` is `[outChannels, inChannels / groups, kernelSize…]`, of transposed convolutions
/// `[inChannels, outChannels / groups, kernelSize…]`, `bias` `[outChannels]`. Both start uniform in ±1/√fan, with the fan of
/// `weight[0]`, its number of elements.
public class ConvolutionLayer {
  public final let weight: Parameter
  public final let bias: Parameter?
  public final let stride: Extent
  public final let dilation: Extent
  public final let groups: Int
  final let isTransposed: Bool

  init(
    _ axes: Int, transposed isTransposed: Bool = false, _ inChannels: Int, _ outChannels: Int, _ kernelSize: Extent,
    _ stride: Extent, _ dilation: Extent, _ groups: Int, _ bias: Bool, _ dtype: DType, _ generator: Generator
  ) {
    let kernel = kernelSize.over(axes)
    if inChannels < 0 || outChannels < 0 || groups < 1 || inChannels % groups != 0 || outChannels % groups != 0
      || kernel.rank != axes || kernel.contains(where: { $0 < 1 })
    {
      let sizes = ["one size", "two sizes", "three sizes"][axes - 1]
      fail(
        OpError(
          .misuse(
            "\(inChannels) and \(outChannels) channels, kernels of \(kernelSize), \(groups) groups",
            rule: "channels are multiples of groups, kernels have \(sizes) of 1 or more"),
          op: isTransposed ? "ConvTranspose\(axes)d" : "Conv\(axes)d"))
    }
    let parts = Swift.max(groups, 1)
    let channels = isTransposed ? [inChannels, outChannels / parts] : [outChannels, inChannels / parts]
    let fan = channels[1] * kernel.elementCount
    let bound = fan > 0 ? 1 / Double(fan).squareRoot() : 0
    weight = Parameter(
      .uniform(Shape(channels + Array(kernel)), low: -bound, high: bound, dtype: dtype, generator: generator))
    self.bias =
      bias ? Parameter(.uniform([outChannels], low: -bound, high: bound, dtype: dtype, generator: generator)) : nil
    self.stride = stride
    self.dilation = dilation
    self.groups = groups
    self.isTransposed = isTransposed
  }

  private final var shape: Shape { weight.read()!.shape }
  /// The channels of the input.
  public final var inChannels: Int { isTransposed ? shape[0] : shape[1] * groups }
  /// The channels of the result.
  public final var outChannels: Int { isTransposed ? shape[1] * groups : shape[0] }
  /// The sizes of the kernels.
  public final var kernelSize: [Int] { Array(shape[2...]) }

  var paddingText: String { "" }
  public final var settings: String {
    "inChannels: \(inChannels), outChannels: \(outChannels), kernelSize: \(kernelSize), stride: \(stride)"
      + "\(paddingText), dilation: \(dilation), groups: \(groups)" + (bias == nil ? ", bias: false" : "")
  }

  /// The error of an input with other channels or axes; nil for a good one.
  final func misfitting(_ x: Tensor) -> Tensor? {
    let (inputs, outputs, axes) = (inChannels, outChannels, shape.rank - 2)
    if hasChannels(x, inputs, ranks: (axes + 2)...(axes + 2), single: axes + 1) { return nil }
    let layer = "\(type(of: self))"
    let spatial = ["L", "H, W", "D, H, W"][axes - 1]
    return misfit(
      x, call: "\(layer)(\(inputs), \(outputs), …)", channels: inputs,
      shapes: ["[N, \(inputs), \(spatial)]", "[\(inputs), \(spatial)]"], ranks: (axes + 2)...(axes + 2)
    ) { "\(layer)(\($0), \(outputs), …)" }
  }
}

/// What `Conv1d`, `Conv2d` and `Conv3d` share.
public class PaddedConvolution: ConvolutionLayer {
  public final let padding: Padding
  public final let paddingMode: PaddingMode

  init(
    _ axes: Int, _ inChannels: Int, _ outChannels: Int, _ kernelSize: Extent, _ stride: Extent, _ padding: Padding,
    _ dilation: Extent, _ groups: Int, _ bias: Bool, _ paddingMode: PaddingMode, _ dtype: DType, _ generator: Generator
  ) {
    self.padding = padding
    self.paddingMode = paddingMode
    super.init(axes, inChannels, outChannels, kernelSize, stride, dilation, groups, bias, dtype, generator)
  }

  override var paddingText: String {
    ", padding: \(padding)" + (paddingMode == .zeros ? "" : ", paddingMode: \(paddingMode)")
  }

  /// The input with what the mode puts around it, and the zeros that are left for the convolution.
  final func padded(_ x: Tensor) -> (x: Tensor, padding: Padding) {
    guard paddingMode != .zeros else { return (x, padding) }
    let kernel = Shape(kernelSize)
    let (low, high) = padding.over(kernel, dilation: dilation.over(kernel.rank))
    guard low.rank == kernel.rank, high.rank == kernel.rank else { return (x, padding) }
    let widths = [(Int, Int)](repeating: (0, 0), count: x.rank - kernel.rank) + zip(low, high)
    return (x.padded(widths, mode: paddingMode.pad), 0)
  }
}

/// The 1-D convolution of sequences with learned kernels.
///
/// **Shapes** `[N, inChannels, L]` → `[N, outChannels, L']`, as in `conv1d`, or one example without `N`;
/// `weight` is `[outChannels, inChannels / groups, kernelSize…]`, `bias` `[outChannels]`. Both start uniform in ±1/√fan, with
/// `fan = inChannels / groups · kernel elements`. Source: PyTorch `Conv1d`.
public final class Conv1d: PaddedConvolution, Module {
  public init(
    _ inChannels: Int, _ outChannels: Int, kernelSize: Extent, stride: Extent = 1, padding: Padding = 0,
    dilation: Extent = 1, groups: Int = 1, bias: Bool = true, paddingMode: PaddingMode = .zeros,
    dtype: DType = .float32, generator: Generator = Random.generator
  ) {
    super.init(
      1, inChannels, outChannels, kernelSize, stride, padding, dilation, groups, bias, paddingMode, dtype, generator)
  }

  public func forward(_ x: Tensor) -> Tensor {
    if let error = misfitting(x) { return error }
    let (x, padding) = padded(x)
    return conv1d(
      x, weight.value, bias: bias?.value, stride: stride, padding: padding, dilation: dilation, groups: groups)
  }

  @available(*, unavailable, message: "write the size of the kernel with its name: Conv1d(1, 8, kernelSize: 3)")
  public convenience init(
    _ inChannels: Int, _ outChannels: Int, _ kernelSize: Extent, stride: Extent = 1, padding: Padding = 0,
    dilation: Extent = 1, groups: Int = 1, bias: Bool = true
  ) { fatalError("unavailable") }
}

/// The 2-D convolution of images with learned kernels.
///
/// **Shapes** `[N, inChannels, H, W]` → `[N, outChannels, H', W']`, as in `conv2d`, or one example without `N`;
/// `weight` is `[outChannels, inChannels / groups, kernelSize…]`, `bias` `[outChannels]`. Both start uniform in ±1/√fan, with
/// `fan = inChannels / groups · kernel elements`. Source: PyTorch `Conv2d`.
public final class Conv2d: PaddedConvolution, Module {
  public init(
    _ inChannels: Int, _ outChannels: Int, kernelSize: Extent, stride: Extent = 1, padding: Padding = 0,
    dilation: Extent = 1, groups: Int = 1, bias: Bool = true, paddingMode: PaddingMode = .zeros,
    dtype: DType = .float32, generator: Generator = Random.generator
  ) {
    super.init(
      2, inChannels, outChannels, kernelSize, stride, padding, dilation, groups, bias, paddingMode, dtype, generator)
  }

  public func forward(_ x: Tensor) -> Tensor {
    if let error = misfitting(x) { return error }
    let (x, padding) = padded(x)
    return conv2d(
      x, weight.value, bias: bias?.value, stride: stride, padding: padding, dilation: dilation, groups: groups)
  }

  @available(*, unavailable, message: "write the size of the kernel with its name: Conv2d(1, 8, kernelSize: 3)")
  public convenience init(
    _ inChannels: Int, _ outChannels: Int, _ kernelSize: Extent, stride: Extent = 1, padding: Padding = 0,
    dilation: Extent = 1, groups: Int = 1, bias: Bool = true
  ) { fatalError("unavailable") }
}

/// The 3-D convolution of volumes with learned kernels.
///
/// **Shapes** `[N, inChannels, D, H, W]` → `[N, outChannels, D', H', W']`, as in `conv3d`, or one example without `N`;
/// `weight` is `[outChannels, inChannels / groups, kernelSize…]`, `bias` `[outChannels]`. Both start uniform in ±1/√fan, with
/// `fan = inChannels / groups · kernel elements`. Source: PyTorch `Conv3d`.
public final class Conv3d: PaddedConvolution, Module {
  public init(
    _ inChannels: Int, _ outChannels: Int, kernelSize: Extent, stride: Extent = 1, padding: Padding = 0,
    dilation: Extent = 1, groups: Int = 1, bias: Bool = true, paddingMode: PaddingMode = .zeros,
    dtype: DType = .float32, generator: Generator = Random.generator
  ) {
    super.init(
      3, inChannels, outChannels, kernelSize, stride, padding, dilation, groups, bias, paddingMode, dtype, generator)
  }

  public func forward(_ x: Tensor) -> Tensor {
    if let error = misfitting(x) { return error }
    let (x, padding) = padded(x)
    return conv3d(
      x, weight.value, bias: bias?.value, stride: stride, padding: padding, dilation: dilation, groups: groups)
  }

  @available(*, unavailable, message: "write the size of the kernel with its name: Conv3d(1, 8, kernelSize: 3)")
  public convenience init(
    _ inChannels: Int, _ outChannels: Int, _ kernelSize: Extent, stride: Extent = 1, padding: Padding = 0,
    dilation: Extent = 1, groups: Int = 1, bias: Bool = true
  ) { fatalError("unavailable") }
}
