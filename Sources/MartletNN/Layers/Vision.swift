public import MartletCore
public import MartletOps

/// The windows of an image as columns, as in `unfold`: `[N, C, H, W]` → `[N, C · K · L, windows]`. Source: PyTorch `Unfold`.
public final class Unfold: Module {
  public let kernelSize: Extent
  public let dilation: Extent
  public let padding: Extent
  public let stride: Extent
  public init(kernelSize: Extent, dilation: Extent = 1, padding: Extent = 0, stride: Extent = 1) {
    (self.kernelSize, self.dilation, self.padding, self.stride) = (kernelSize, dilation, padding, stride)
  }
  public func forward(_ x: Tensor) -> Tensor {
    unfold(x, kernelSize: kernelSize, dilation: dilation, padding: padding, stride: stride)
  }
}

/// Columns added up to images, as in `fold`: `[N, C · K · L, windows]` → `[N, C, H, W]`. Source: PyTorch `Fold`.
public final class Fold: Module {
  public let outputSize: Extent
  public let kernelSize: Extent
  public let dilation: Extent
  public let padding: Extent
  public let stride: Extent
  public init(
    outputSize: Extent, kernelSize: Extent, dilation: Extent = 1, padding: Extent = 0, stride: Extent = 1
  ) {
    (self.outputSize, self.kernelSize, self.dilation) = (outputSize, kernelSize, dilation)
    (self.padding, self.stride) = (padding, stride)
  }
  public func forward(_ x: Tensor) -> Tensor {
    fold(
      x, outputSize: outputSize, kernelSize: kernelSize, dilation: dilation, padding: padding, stride: stride)
  }
}

/// Resizes `[N, C, spatial…]`, as `interpolate`. Source: PyTorch `Upsample`.
public final class Upsample: Module {
  public let size: Extent?
  public let scaleFactors: [Double]?
  public let mode: InterpolationMode
  public let alignCorners: Bool

  /// To these spatial sizes.
  public init(size: Extent, mode: InterpolationMode = .nearest, alignCorners: Bool = false) {
    (self.size, scaleFactors, self.mode, self.alignCorners) = (size, nil, mode, alignCorners)
  }
  /// By one factor along all spatial axes.
  public convenience init(scaleFactor: Double, mode: InterpolationMode = .nearest, alignCorners: Bool = false) {
    self.init(scaleFactors: [scaleFactor], mode: mode, alignCorners: alignCorners)
  }
  /// By a factor for each spatial axis.
  public init(scaleFactors: [Double], mode: InterpolationMode = .nearest, alignCorners: Bool = false) {
    (size, self.scaleFactors, self.mode, self.alignCorners) = (nil, scaleFactors, mode, alignCorners)
  }
  public var settings: String {
    let target = size.map { "size: \($0)" } ?? scaleFactors.map { "scaleFactors: \($0)" } ?? ""
    return "\(target), mode: \(mode)" + (alignCorners ? ", alignCorners: true" : "")
  }
  public func forward(_ x: Tensor) -> Tensor {
    if let size { return interpolate(x, size: size, mode: mode, alignCorners: alignCorners) }
    let factors = scaleFactors!
    if factors.count == 1 { return interpolate(x, scaleFactor: factors[0], mode: mode, alignCorners: alignCorners) }
    return interpolate(x, scaleFactors: factors, mode: mode, alignCorners: alignCorners)
  }
}

/// Channels become places: `[…, C · r², H, W]` → `[…, C, H · r, W · r]`. Source: PyTorch `PixelShuffle`.
public final class PixelShuffle: Module {
  public let upscaleFactor: Int
  public init(_ upscaleFactor: Int) { self.upscaleFactor = upscaleFactor }
  public func forward(_ x: Tensor) -> Tensor { pixelShuffle(x, upscaleFactor: upscaleFactor) }
}

/// Places become channels: `[…, C, H · r, W · r]` → `[…, C · r², H, W]`. Source: PyTorch `PixelUnshuffle`.
public final class PixelUnshuffle: Module {
  public let downscaleFactor: Int
  public init(_ downscaleFactor: Int) { self.downscaleFactor = downscaleFactor }
  public func forward(_ x: Tensor) -> Tensor { pixelUnshuffle(x, downscaleFactor: downscaleFactor) }
}

/// The channels of `groups` groups in turn: `[N, C, …]` → `[N, C, …]`. Source: PyTorch `ChannelShuffle`.
public final class ChannelShuffle: Module {
  public let groups: Int
  public init(_ groups: Int) { self.groups = groups }
  public func forward(_ x: Tensor) -> Tensor { channelShuffle(x, groups: groups) }
}

/// The softmax over the channels at each place: `[N, C, H, W]` or `[C, H, W]`. Source: PyTorch `Softmax2d`.
public final class Softmax2d: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor {
    guard x.rank == 3 || x.rank == 4 else {
      return failure(.rank(argument: 0, expected: "4: [N, C, H, W], or 3: [C, H, W]"), op: "Softmax2d", [x])
    }
    return softmax(x, axis: -3)
  }
}
