public import MartletCore
public import MartletOps

/// What `MaxPool1d`, `MaxPool2d` and `MaxPool3d` share.
public class MaxPooling: Module {
  public final let kernelSize: Extent
  public final let stride: Extent?
  public final let padding: Extent
  public final let dilation: Extent
  public final let ceilMode: Bool
  /// The number of spatial axes.
  var axes: Int { 2 }

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
  public final func forward(_ x: Tensor) -> Tensor {
    let pool = [maxPool1d, maxPool2d, maxPool3d][axes - 1]
    return pool(x, kernelSize, stride, padding, dilation, ceilMode)
  }
}

/// What `AveragePool1d`, `AveragePool2d` and `AveragePool3d` share.
public class AveragePooling: Module {
  public final let kernelSize: Extent
  public final let stride: Extent?
  public final let padding: Extent
  public final let ceilMode: Bool
  public final let countsPadding: Bool
  /// The number of spatial axes.
  var axes: Int { 2 }

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
  public final func forward(_ x: Tensor) -> Tensor {
    let pool = [averagePool1d, averagePool2d, averagePool3d][axes - 1]
    return pool(x, kernelSize, stride, padding, ceilMode, countsPadding)
  }
}

/// The largest element of each window: `[N, C, W]` → `[N, C, W']`. Source: PyTorch `MaxPool1d`; the places too gives
/// `maxPool1dWithIndices`.
public final class MaxPool1d: MaxPooling {
  override var axes: Int { 1 }
  @available(*, unavailable, message: "write the size of the window with its name: MaxPool1d(kernelSize: 2)")
  public convenience init(
    _ kernelSize: Extent, _ stride: Extent? = nil, stride other: Extent? = nil, padding: Extent = 0,
    dilation: Extent = 1, ceilMode: Bool = false
  ) { fatalError("unavailable") }
}

/// The mean of each window: `[N, C, W]` → `[N, C, W']`. Source: PyTorch `AvgPool1d`.
public final class AveragePool1d: AveragePooling {
  override var axes: Int { 1 }
  @available(*, unavailable, message: "write the size of the window with its name: AveragePool1d(kernelSize: 2)")
  public convenience init(
    _ kernelSize: Extent, _ stride: Extent? = nil, stride other: Extent? = nil, padding: Extent = 0,
    ceilMode: Bool = false, countsPadding: Bool = true
  ) { fatalError("unavailable") }
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
public final class MaxPool2d: MaxPooling {
  @available(*, unavailable, message: "write the size of the window with its name: MaxPool2d(kernelSize: 2)")
  public convenience init(
    _ kernelSize: Extent, _ stride: Extent? = nil, stride other: Extent? = nil, padding: Extent = 0,
    dilation: Extent = 1, ceilMode: Bool = false
  ) { fatalError("unavailable") }
}

/// The mean of each window: `[N, C, H, W]` → `[N, C, H', W']`. Source: PyTorch `AvgPool2d`.
public final class AveragePool2d: AveragePooling {
  @available(*, unavailable, message: "write the size of the window with its name: AveragePool2d(kernelSize: 2)")
  public convenience init(
    _ kernelSize: Extent, _ stride: Extent? = nil, stride other: Extent? = nil, padding: Extent = 0,
    ceilMode: Bool = false, countsPadding: Bool = true
  ) { fatalError("unavailable") }
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
public final class MaxPool3d: MaxPooling {
  override var axes: Int { 3 }
  @available(*, unavailable, message: "write the size of the window with its name: MaxPool3d(kernelSize: 2)")
  public convenience init(
    _ kernelSize: Extent, _ stride: Extent? = nil, stride other: Extent? = nil, padding: Extent = 0,
    dilation: Extent = 1, ceilMode: Bool = false
  ) { fatalError("unavailable") }
}

/// The mean of each window: `[N, C, D, H, W]` → `[N, C, D', H', W']`. Source: PyTorch `AvgPool3d`.
public final class AveragePool3d: AveragePooling {
  override var axes: Int { 3 }
  @available(*, unavailable, message: "write the size of the window with its name: AveragePool3d(kernelSize: 2)")
  public convenience init(
    _ kernelSize: Extent, _ stride: Extent? = nil, stride other: Extent? = nil, padding: Extent = 0,
    ceilMode: Bool = false, countsPadding: Bool = true
  ) { fatalError("unavailable") }
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
