public import MartletCore
public import MartletOps

/// The largest element of each window: `[N, C, W]` → `[N, C, W']`. Source: PyTorch `MaxPool1d`; the places too gives
/// `maxPool1dWithIndices`.
public final class MaxPool1d: Module {
  public let kernelSize: Extent
  public let stride: Extent?
  public let padding: Extent
  public let dilation: Extent
  public let ceilMode: Bool

  /// - Parameter stride: that of the window when nil.
  public init(
    kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, dilation: Extent = 1, ceilMode: Bool = false
  ) {
    self.kernelSize = kernelSize
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.ceilMode = ceilMode
  }
  @available(*, unavailable, message: "write the size of the window with its name: MaxPool1d(kernelSize: 2)")
  public convenience init(
    _ kernelSize: Extent, _ stride: Extent? = nil, stride other: Extent? = nil, padding: Extent = 0,
    dilation: Extent = 1, ceilMode: Bool = false
  ) { fatalError("unavailable") }
  public func forward(_ x: Tensor) -> Tensor {
    maxPool1d(x, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode)
  }
}

/// The mean of each window: `[N, C, W]` → `[N, C, W']`. Source: PyTorch `AvgPool1d`.
public final class AveragePool1d: Module {
  public let kernelSize: Extent
  public let stride: Extent?
  public let padding: Extent
  public let ceilMode: Bool
  public let countsPadding: Bool

  /// - Parameter stride: that of the window when nil.
  public init(
    kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, ceilMode: Bool = false, countsPadding: Bool = true
  ) {
    self.kernelSize = kernelSize
    self.stride = stride
    self.padding = padding
    self.ceilMode = ceilMode
    self.countsPadding = countsPadding
  }
  @available(*, unavailable, message: "write the size of the window with its name: AveragePool1d(kernelSize: 2)")
  public convenience init(
    _ kernelSize: Extent, _ stride: Extent? = nil, stride other: Extent? = nil, padding: Extent = 0,
    ceilMode: Bool = false, countsPadding: Bool = true
  ) { fatalError("unavailable") }
  public func forward(_ x: Tensor) -> Tensor {
    averagePool1d(
      x, kernelSize: kernelSize, stride: stride, padding: padding, ceilMode: ceilMode, countsPadding: countsPadding)
  }
}

/// The means of windows that cover the input in `outputSize` parts: `[N, C, W]` → `[N, C, outputSize…]`.
/// Source: PyTorch `AdaptiveAvgPool1d`.
public final class AdaptiveAveragePool1d: Module {
  public let outputSize: Extent
  public init(_ outputSize: Extent) { self.outputSize = outputSize }
  public func forward(_ x: Tensor) -> Tensor { adaptiveAveragePool1d(x, outputSize: outputSize) }
}

/// The largest elements of windows that cover the input in `outputSize` parts. Source: PyTorch `AdaptiveMaxPool1d`.
public final class AdaptiveMaxPool1d: Module {
  public let outputSize: Extent
  public init(_ outputSize: Extent) { self.outputSize = outputSize }
  public func forward(_ x: Tensor) -> Tensor { adaptiveMaxPool1d(x, outputSize: outputSize) }
}

/// The largest element of each window: `[N, C, H, W]` → `[N, C, H', W']`. Source: PyTorch `MaxPool2d`; the places too gives
/// `maxPool2dWithIndices`.
public final class MaxPool2d: Module {
  public let kernelSize: Extent
  public let stride: Extent?
  public let padding: Extent
  public let dilation: Extent
  public let ceilMode: Bool

  /// - Parameter stride: that of the window when nil.
  public init(
    kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, dilation: Extent = 1, ceilMode: Bool = false
  ) {
    self.kernelSize = kernelSize
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.ceilMode = ceilMode
  }
  @available(*, unavailable, message: "write the size of the window with its name: MaxPool2d(kernelSize: 2)")
  public convenience init(
    _ kernelSize: Extent, _ stride: Extent? = nil, stride other: Extent? = nil, padding: Extent = 0,
    dilation: Extent = 1, ceilMode: Bool = false
  ) { fatalError("unavailable") }
  public func forward(_ x: Tensor) -> Tensor {
    maxPool2d(x, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode)
  }
}

/// The mean of each window: `[N, C, H, W]` → `[N, C, H', W']`. Source: PyTorch `AvgPool2d`.
public final class AveragePool2d: Module {
  public let kernelSize: Extent
  public let stride: Extent?
  public let padding: Extent
  public let ceilMode: Bool
  public let countsPadding: Bool

  /// - Parameter stride: that of the window when nil.
  public init(
    kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, ceilMode: Bool = false, countsPadding: Bool = true
  ) {
    self.kernelSize = kernelSize
    self.stride = stride
    self.padding = padding
    self.ceilMode = ceilMode
    self.countsPadding = countsPadding
  }
  @available(*, unavailable, message: "write the size of the window with its name: AveragePool2d(kernelSize: 2)")
  public convenience init(
    _ kernelSize: Extent, _ stride: Extent? = nil, stride other: Extent? = nil, padding: Extent = 0,
    ceilMode: Bool = false, countsPadding: Bool = true
  ) { fatalError("unavailable") }
  public func forward(_ x: Tensor) -> Tensor {
    averagePool2d(
      x, kernelSize: kernelSize, stride: stride, padding: padding, ceilMode: ceilMode, countsPadding: countsPadding)
  }
}

/// The means of windows that cover the input in `outputSize` parts: `[N, C, H, W]` → `[N, C, outputSize…]`.
/// Source: PyTorch `AdaptiveAvgPool2d`.
public final class AdaptiveAveragePool2d: Module {
  public let outputSize: Extent
  public init(_ outputSize: Extent) { self.outputSize = outputSize }
  public func forward(_ x: Tensor) -> Tensor { adaptiveAveragePool2d(x, outputSize: outputSize) }
}

/// The largest elements of windows that cover the input in `outputSize` parts. Source: PyTorch `AdaptiveMaxPool2d`.
public final class AdaptiveMaxPool2d: Module {
  public let outputSize: Extent
  public init(_ outputSize: Extent) { self.outputSize = outputSize }
  public func forward(_ x: Tensor) -> Tensor { adaptiveMaxPool2d(x, outputSize: outputSize) }
}

/// The largest element of each window: `[N, C, D, H, W]` → `[N, C, D', H', W']`. Source: PyTorch `MaxPool3d`; the places too gives
/// `maxPool3dWithIndices`.
public final class MaxPool3d: Module {
  public let kernelSize: Extent
  public let stride: Extent?
  public let padding: Extent
  public let dilation: Extent
  public let ceilMode: Bool

  /// - Parameter stride: that of the window when nil.
  public init(
    kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, dilation: Extent = 1, ceilMode: Bool = false
  ) {
    self.kernelSize = kernelSize
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.ceilMode = ceilMode
  }
  @available(*, unavailable, message: "write the size of the window with its name: MaxPool3d(kernelSize: 2)")
  public convenience init(
    _ kernelSize: Extent, _ stride: Extent? = nil, stride other: Extent? = nil, padding: Extent = 0,
    dilation: Extent = 1, ceilMode: Bool = false
  ) { fatalError("unavailable") }
  public func forward(_ x: Tensor) -> Tensor {
    maxPool3d(x, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode)
  }
}

/// The mean of each window: `[N, C, D, H, W]` → `[N, C, D', H', W']`. Source: PyTorch `AvgPool3d`.
public final class AveragePool3d: Module {
  public let kernelSize: Extent
  public let stride: Extent?
  public let padding: Extent
  public let ceilMode: Bool
  public let countsPadding: Bool

  /// - Parameter stride: that of the window when nil.
  public init(
    kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, ceilMode: Bool = false, countsPadding: Bool = true
  ) {
    self.kernelSize = kernelSize
    self.stride = stride
    self.padding = padding
    self.ceilMode = ceilMode
    self.countsPadding = countsPadding
  }
  @available(*, unavailable, message: "write the size of the window with its name: AveragePool3d(kernelSize: 2)")
  public convenience init(
    _ kernelSize: Extent, _ stride: Extent? = nil, stride other: Extent? = nil, padding: Extent = 0,
    ceilMode: Bool = false, countsPadding: Bool = true
  ) { fatalError("unavailable") }
  public func forward(_ x: Tensor) -> Tensor {
    averagePool3d(
      x, kernelSize: kernelSize, stride: stride, padding: padding, ceilMode: ceilMode, countsPadding: countsPadding)
  }
}

/// The means of windows that cover the input in `outputSize` parts: `[N, C, D, H, W]` → `[N, C, outputSize…]`.
/// Source: PyTorch `AdaptiveAvgPool3d`.
public final class AdaptiveAveragePool3d: Module {
  public let outputSize: Extent
  public init(_ outputSize: Extent) { self.outputSize = outputSize }
  public func forward(_ x: Tensor) -> Tensor { adaptiveAveragePool3d(x, outputSize: outputSize) }
}

/// The largest elements of windows that cover the input in `outputSize` parts. Source: PyTorch `AdaptiveMaxPool3d`.
public final class AdaptiveMaxPool3d: Module {
  public let outputSize: Extent
  public init(_ outputSize: Extent) { self.outputSize = outputSize }
  public func forward(_ x: Tensor) -> Tensor { adaptiveMaxPool3d(x, outputSize: outputSize) }
}
