public import MartletCore
public import MartletOps

/// What `LPPool1d`, `LPPool2d` and `LPPool3d` share.
public class LPPooling: Module {
  public final let order: Double
  public final let kernelSize: Extent
  public final let stride: Extent?
  public final let ceilMode: Bool
  /// The number of spatial axes.
  var axes: Int { 2 }

  /// - Parameters:
  ///   - order: that of the norm, above 0.
  ///   - stride: that of the window when nil.
  public init(order: Double, kernelSize: Extent, stride: Extent? = nil, ceilMode: Bool = false) {
    (self.order, self.kernelSize, self.stride, self.ceilMode) = (order, kernelSize, stride, ceilMode)
  }
  public final func forward(_ x: Tensor) -> Tensor {
    [lpPool1d, lpPool2d, lpPool3d][axes - 1](x, order, kernelSize, stride, ceilMode)
  }
}

/// What `MaxUnpool1d`, `MaxUnpool2d` and `MaxUnpool3d` share.
public class MaxUnpooling: Module {
  public final let kernelSize: Extent
  public final let stride: Extent?
  public final let padding: Extent
  /// The number of spatial axes.
  var axes: Int { 2 }

  /// - Parameter stride: that of the window when nil.
  public init(kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0) {
    (self.kernelSize, self.stride, self.padding) = (kernelSize, stride, padding)
  }
  public final func forward(_ input: (Tensor, Tensor)) -> Tensor {
    [maxUnpool1d, maxUnpool2d, maxUnpool3d][axes - 1](input.0, input.1, kernelSize, stride, padding, nil)
  }
}

/// The root of the sum of powers of each window, as in `lpPool1d`: `[N, C, W]` → `[N, C, W']`.
/// Source: PyTorch `LPPool1d`.
public final class LPPool1d: LPPooling { override var axes: Int { 1 } }

/// Puts values back to where `maxPool1dWithIndices` found them: `unpool(values, indices)`, `[N, C, W']` → `[N, C, W]`.
/// For another size than the smallest that fits see `maxUnpool1d`. Source: PyTorch `MaxUnpool1d`.
public final class MaxUnpool1d: MaxUnpooling { override var axes: Int { 1 } }

/// The root of the sum of powers of each window, as in `lpPool2d`: `[N, C, H, W]` → `[N, C, H', W']`.
/// Source: PyTorch `LPPool2d`.
public final class LPPool2d: LPPooling {}

/// Puts values back to where `maxPool2dWithIndices` found them: `unpool(values, indices)`, `[N, C, H', W']` → `[N, C, H, W]`.
/// For another size than the smallest that fits see `maxUnpool2d`. Source: PyTorch `MaxUnpool2d`.
public final class MaxUnpool2d: MaxUnpooling {}

/// The root of the sum of powers of each window, as in `lpPool3d`: `[N, C, D, H, W]` → `[N, C, D', H', W']`.
/// Source: PyTorch `LPPool3d`.
public final class LPPool3d: LPPooling { override var axes: Int { 3 } }

/// Puts values back to where `maxPool3dWithIndices` found them: `unpool(values, indices)`, `[N, C, D', H', W']` → `[N, C, D, H, W]`.
/// For another size than the smallest that fits see `maxUnpool3d`. Source: PyTorch `MaxUnpool3d`.
public final class MaxUnpool3d: MaxUnpooling { override var axes: Int { 3 } }

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
