public import MartletCore
public import MartletOps

/// What the layers of transposed convolutions share.
public class TransposedConvolution: ConvolutionLayer {
  public final let padding: Extent
  public final let outputPadding: Extent

  init(
    _ axes: Int, _ inChannels: Int, _ outChannels: Int, _ kernelSize: Extent, _ stride: Extent, _ padding: Extent,
    _ outputPadding: Extent, _ groups: Int, _ bias: Bool, _ dilation: Extent, _ dtype: DType, _ generator: Generator
  ) {
    self.padding = padding
    self.outputPadding = outputPadding
    super.init(
      axes, transposed: true, inChannels, outChannels, kernelSize, stride, dilation, groups, bias, dtype, generator)
  }

  override var paddingText: String { ", padding: \(padding), outputPadding: \(outputPadding)" }
}

/// The 1-D transposed convolution of sequences with learned kernels, which makes them larger.
///
/// **Shapes** `[N, inChannels, L]` → `[N, outChannels, L']`, as in `convTranspose1d`, or one example without
/// `N`; `weight` is `[inChannels, outChannels / groups, kernelSize…]`, `bias` `[outChannels]`. Both start uniform in ±1/√fan,
/// with `fan = outChannels / groups · kernel elements`. Source: PyTorch `ConvTranspose1d`.
public final class ConvTranspose1d: TransposedConvolution, Module {
  public init(
    _ inChannels: Int, _ outChannels: Int, kernelSize: Extent, stride: Extent = 1, padding: Extent = 0,
    outputPadding: Extent = 0, groups: Int = 1, bias: Bool = true, dilation: Extent = 1, dtype: DType = .float32,
    generator: Generator = Random.generator
  ) {
    super.init(
      1, inChannels, outChannels, kernelSize, stride, padding, outputPadding, groups, bias, dilation, dtype, generator)
  }

  public func forward(_ x: Tensor) -> Tensor {
    if let error = misfitting(x) { return error }
    return convTranspose1d(
      x, weight.value, bias: bias?.value, stride: stride, padding: padding, outputPadding: outputPadding,
      dilation: dilation, groups: groups)
  }

  @available(
    *, unavailable, message: "write the size of the kernel with its name: ConvTranspose1d(8, 1, kernelSize: 3)"
  )
  public convenience init(
    _ inChannels: Int, _ outChannels: Int, _ kernelSize: Extent, stride: Extent = 1, padding: Extent = 0,
    outputPadding: Extent = 0, groups: Int = 1, bias: Bool = true, dilation: Extent = 1
  ) { fatalError("unavailable") }
}

/// The 2-D transposed convolution of images with learned kernels, which makes them larger.
///
/// **Shapes** `[N, inChannels, H, W]` → `[N, outChannels, H', W']`, as in `convTranspose2d`, or one example without
/// `N`; `weight` is `[inChannels, outChannels / groups, kernelSize…]`, `bias` `[outChannels]`. Both start uniform in ±1/√fan,
/// with `fan = outChannels / groups · kernel elements`. Source: PyTorch `ConvTranspose2d`.
public final class ConvTranspose2d: TransposedConvolution, Module {
  public init(
    _ inChannels: Int, _ outChannels: Int, kernelSize: Extent, stride: Extent = 1, padding: Extent = 0,
    outputPadding: Extent = 0, groups: Int = 1, bias: Bool = true, dilation: Extent = 1, dtype: DType = .float32,
    generator: Generator = Random.generator
  ) {
    super.init(
      2, inChannels, outChannels, kernelSize, stride, padding, outputPadding, groups, bias, dilation, dtype, generator)
  }

  public func forward(_ x: Tensor) -> Tensor {
    if let error = misfitting(x) { return error }
    return convTranspose2d(
      x, weight.value, bias: bias?.value, stride: stride, padding: padding, outputPadding: outputPadding,
      dilation: dilation, groups: groups)
  }

  @available(
    *, unavailable, message: "write the size of the kernel with its name: ConvTranspose2d(8, 1, kernelSize: 3)"
  )
  public convenience init(
    _ inChannels: Int, _ outChannels: Int, _ kernelSize: Extent, stride: Extent = 1, padding: Extent = 0,
    outputPadding: Extent = 0, groups: Int = 1, bias: Bool = true, dilation: Extent = 1
  ) { fatalError("unavailable") }
}

/// The 3-D transposed convolution of volumes with learned kernels, which makes them larger.
///
/// **Shapes** `[N, inChannels, D, H, W]` → `[N, outChannels, D', H', W']`, as in `convTranspose3d`, or one example without
/// `N`; `weight` is `[inChannels, outChannels / groups, kernelSize…]`, `bias` `[outChannels]`. Both start uniform in ±1/√fan,
/// with `fan = outChannels / groups · kernel elements`. Source: PyTorch `ConvTranspose3d`.
public final class ConvTranspose3d: TransposedConvolution, Module {
  public init(
    _ inChannels: Int, _ outChannels: Int, kernelSize: Extent, stride: Extent = 1, padding: Extent = 0,
    outputPadding: Extent = 0, groups: Int = 1, bias: Bool = true, dilation: Extent = 1, dtype: DType = .float32,
    generator: Generator = Random.generator
  ) {
    super.init(
      3, inChannels, outChannels, kernelSize, stride, padding, outputPadding, groups, bias, dilation, dtype, generator)
  }

  public func forward(_ x: Tensor) -> Tensor {
    if let error = misfitting(x) { return error }
    return convTranspose3d(
      x, weight.value, bias: bias?.value, stride: stride, padding: padding, outputPadding: outputPadding,
      dilation: dilation, groups: groups)
  }

  @available(
    *, unavailable, message: "write the size of the kernel with its name: ConvTranspose3d(8, 1, kernelSize: 3)"
  )
  public convenience init(
    _ inChannels: Int, _ outChannels: Int, _ kernelSize: Extent, stride: Extent = 1, padding: Extent = 0,
    outputPadding: Extent = 0, groups: Int = 1, bias: Bool = true, dilation: Extent = 1
  ) { fatalError("unavailable") }
}
