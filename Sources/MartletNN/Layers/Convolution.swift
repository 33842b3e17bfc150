public import MartletCore
public import MartletOps

/// The 2-D convolution of images with learned kernels.
///
/// **Shapes** `[N, inChannels, H, W]` → `[N, outChannels, H', W']`, as in `conv2d`; `weight` is
/// `[outChannels, inChannels / groups, kernelSize…]`, `bias` `[outChannels]`. Both start uniform in ±1/√fan, with
/// `fan = inChannels / groups · kernel area`. Source: PyTorch `Conv2d`.
public final class Conv2d: Module {
  public let weight: Parameter
  public let bias: Parameter?
  public let stride: Extent
  public let padding: Padding
  public let dilation: Extent
  public let groups: Int

  public init(
    _ inChannels: Int, _ outChannels: Int, kernelSize: Extent, stride: Extent = 1, padding: Padding = 0,
    dilation: Extent = 1, groups: Int = 1, bias: Bool = true, dtype: DType = .float32,
    generator: Generator = Random.generator
  ) {
    let kernel = kernelSize.over(2)
    if inChannels < 0 || outChannels < 0 || groups < 1 || inChannels % groups != 0 || outChannels % groups != 0
      || kernel.rank != 2 || kernel.contains(where: { $0 < 1 })
    {
      fail(
        OpError(
          .misuse(
            "\(inChannels) and \(outChannels) channels, kernels of \(kernelSize), \(groups) groups",
            rule: "channels are multiples of groups, kernels have two sizes of 1 or more"), op: "Conv2d"))
    }
    let perGroup = groups > 0 ? inChannels / groups : 0
    let fan = perGroup * kernel.elementCount
    let bound = fan > 0 ? 1 / Double(fan).squareRoot() : 0
    weight = Parameter(
      .uniform(
        Shape([outChannels, perGroup] + Array(kernel)), low: -bound, high: bound, dtype: dtype, generator: generator))
    self.bias =
      bias ? Parameter(.uniform([outChannels], low: -bound, high: bound, dtype: dtype, generator: generator)) : nil
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.groups = groups
  }

  public var settings: String {
    let shape = weight.read()!.shape
    return "inChannels: \(shape[1] * groups), outChannels: \(shape[0]), kernelSize: [\(shape[2]), \(shape[3])], "
      + plainSettings(of: self) + (bias == nil ? ", bias: false" : "")
  }

  public func forward(_ x: Tensor) -> Tensor {
    let weight = weight.value
    let (inChannels, outChannels) = (weight.shape[1] * groups, weight.shape[0])
    guard hasChannels(x, inChannels, ranks: 4...4, single: 3) else {
      return misfit(
        x, call: "Conv2d(\(inChannels), \(outChannels), …)", channels: inChannels,
        shapes: ["[N, \(inChannels), H, W]", "[\(inChannels), H, W]"], ranks: 4...4
      ) { "Conv2d(\($0), \(outChannels), …)" }
    }
    return conv2d(
      x, weight, bias: bias?.value, stride: stride, padding: padding, dilation: dilation, groups: groups)
  }

  @available(*, unavailable, message: "write the size of the kernel with its name: Conv2d(1, 8, kernelSize: 3)")
  public convenience init(
    _ inChannels: Int, _ outChannels: Int, _ kernelSize: Extent, stride: Extent = 1, padding: Padding = 0,
    dilation: Extent = 1, groups: Int = 1, bias: Bool = true
  ) { fatalError("unavailable") }
}
