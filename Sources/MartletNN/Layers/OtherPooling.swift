public import MartletCore
public import MartletOps

/// The root of the sum of powers of each window, as in `lpPool1d`: `[N, C, W]` → `[N, C, W']`. Source: PyTorch `LPPool1d`.
public final class LPPool1d: Module {
  public let order: Double
  public let kernelSize: Extent
  public let stride: Extent?
  public let ceilMode: Bool

  /// - Parameters:
  ///   - order: that of the norm, above 0.
  ///   - stride: that of the window when nil.
  public init(order: Double, kernelSize: Extent, stride: Extent? = nil, ceilMode: Bool = false) {
    (self.order, self.kernelSize, self.stride, self.ceilMode) = (order, kernelSize, stride, ceilMode)
  }
  public func forward(_ x: Tensor) -> Tensor {
    lpPool1d(x, order: order, kernelSize: kernelSize, stride: stride, ceilMode: ceilMode)
  }
}

/// Puts values back to where `maxPool1dWithIndices` found them: `unpool(values, indices)`, `[N, C, W']` → `[N, C, W]`.
/// For another size than the smallest that fits see `maxUnpool1d`. Source: PyTorch `MaxUnpool1d`.
public final class MaxUnpool1d: Module {
  public let kernelSize: Extent
  public let stride: Extent?
  public let padding: Extent

  /// - Parameter stride: that of the window when nil.
  public init(kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0) {
    (self.kernelSize, self.stride, self.padding) = (kernelSize, stride, padding)
  }
  public func forward(_ input: (Tensor, Tensor)) -> Tensor {
    maxUnpool1d(
      input.0, indices: input.1, kernelSize: kernelSize, stride: stride, padding: padding)
  }
}

/// The root of the sum of powers of each window, as in `lpPool2d`: `[N, C, H, W]` → `[N, C, H', W']`. Source: PyTorch `LPPool2d`.
public final class LPPool2d: Module {
  public let order: Double
  public let kernelSize: Extent
  public let stride: Extent?
  public let ceilMode: Bool

  /// - Parameters:
  ///   - order: that of the norm, above 0.
  ///   - stride: that of the window when nil.
  public init(order: Double, kernelSize: Extent, stride: Extent? = nil, ceilMode: Bool = false) {
    (self.order, self.kernelSize, self.stride, self.ceilMode) = (order, kernelSize, stride, ceilMode)
  }
  public func forward(_ x: Tensor) -> Tensor {
    lpPool2d(x, order: order, kernelSize: kernelSize, stride: stride, ceilMode: ceilMode)
  }
}

/// Puts values back to where `maxPool2dWithIndices` found them: `unpool(values, indices)`, `[N, C, H', W']` → `[N, C, H, W]`.
/// For another size than the smallest that fits see `maxUnpool2d`. Source: PyTorch `MaxUnpool2d`.
public final class MaxUnpool2d: Module {
  public let kernelSize: Extent
  public let stride: Extent?
  public let padding: Extent

  /// - Parameter stride: that of the window when nil.
  public init(kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0) {
    (self.kernelSize, self.stride, self.padding) = (kernelSize, stride, padding)
  }
  public func forward(_ input: (Tensor, Tensor)) -> Tensor {
    maxUnpool2d(
      input.0, indices: input.1, kernelSize: kernelSize, stride: stride, padding: padding)
  }
}

/// The root of the sum of powers of each window, as in `lpPool3d`: `[N, C, D, H, W]` → `[N, C, D', H', W']`. Source: PyTorch `LPPool3d`.
public final class LPPool3d: Module {
  public let order: Double
  public let kernelSize: Extent
  public let stride: Extent?
  public let ceilMode: Bool

  /// - Parameters:
  ///   - order: that of the norm, above 0.
  ///   - stride: that of the window when nil.
  public init(order: Double, kernelSize: Extent, stride: Extent? = nil, ceilMode: Bool = false) {
    (self.order, self.kernelSize, self.stride, self.ceilMode) = (order, kernelSize, stride, ceilMode)
  }
  public func forward(_ x: Tensor) -> Tensor {
    lpPool3d(x, order: order, kernelSize: kernelSize, stride: stride, ceilMode: ceilMode)
  }
}

/// Puts values back to where `maxPool3dWithIndices` found them: `unpool(values, indices)`, `[N, C, D', H', W']` → `[N, C, D, H, W]`.
/// For another size than the smallest that fits see `maxUnpool3d`. Source: PyTorch `MaxUnpool3d`.
public final class MaxUnpool3d: Module {
  public let kernelSize: Extent
  public let stride: Extent?
  public let padding: Extent

  /// - Parameter stride: that of the window when nil.
  public init(kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0) {
    (self.kernelSize, self.stride, self.padding) = (kernelSize, stride, padding)
  }
  public func forward(_ input: (Tensor, Tensor)) -> Tensor {
    maxUnpool3d(
      input.0, indices: input.1, kernelSize: kernelSize, stride: stride, padding: padding)
  }
}

/// The largest element of windows at random places, as in `fractionalMaxPool2d`: `[N, C, H, W]` → `[N, C, outputSize…]`, or
/// without `N`; in evaluation too. Source: PyTorch `FractionalMaxPool2d`.
public final class FractionalMaxPool2d: Module {
  public let kernelSize: Extent
  public let outputSize: Extent
  public let generator: Generator

  public init(kernelSize: Extent, outputSize: Extent, generator: Generator = Random.generator) {
    (self.kernelSize, self.outputSize, self.generator) = (kernelSize, outputSize, generator)
  }
  public func forward(_ x: Tensor) -> Tensor {
    let planes = x.shape.dropLast(2)
    let samples = Tensor.uniform(
      Shape(Array(planes) + [2]), dtype: x.dtype.isFloating ? x.dtype : .float32, key: generator.next())
    return fractionalMaxPool2d(x, kernelSize: kernelSize, outputSize: outputSize, samples: samples)
  }
}

/// The largest element of windows at random places, as in `fractionalMaxPool3d`: `[N, C, D, H, W]` → `[N, C, outputSize…]`, or
/// without `N`; in evaluation too. Source: PyTorch `FractionalMaxPool3d`.
public final class FractionalMaxPool3d: Module {
  public let kernelSize: Extent
  public let outputSize: Extent
  public let generator: Generator

  public init(kernelSize: Extent, outputSize: Extent, generator: Generator = Random.generator) {
    (self.kernelSize, self.outputSize, self.generator) = (kernelSize, outputSize, generator)
  }
  public func forward(_ x: Tensor) -> Tensor {
    let planes = x.shape.dropLast(3)
    let samples = Tensor.uniform(
      Shape(Array(planes) + [3]), dtype: x.dtype.isFloating ? x.dtype : .float32, key: generator.next())
    return fractionalMaxPool3d(x, kernelSize: kernelSize, outputSize: outputSize, samples: samples)
  }
}
