public import MartletCore

/// One example without its axis gets it for `f` and loses it again.
func pool(_ axes: Int, _ x: Tensor, _ f: (Tensor) -> [Tensor]) -> [Tensor] {
  guard x.rank == axes + 1 else { return f(x) }
  return f(x.expandedDims(axis: 0)).map { $0.squeezed(axis: 0) }
}

func sliding(
  _ axes: Int, _ kernelSize: Extent, _ stride: Extent?, _ padding: Extent, _ dilation: Extent = 1, _ ceilMode: Bool
) -> PoolingWindow {
  let padding = padding.over(axes)
  return PoolingWindow(
    kernel: kernelSize.over(axes), stride: (stride ?? kernelSize).over(axes), dilation: dilation.over(axes),
    low: padding,
    high: padding, ceilMode: ceilMode)
}

/// The largest element of each window: `[N, C, W]` → `[N, C, W']`, or without `N`.
///
/// Arguments as in `maxPool2d`. Source: PyTorch `max_pool1d`.
public func maxPool1d(
  _ x: Tensor, kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, dilation: Extent = 1,
  ceilMode: Bool = false
) -> Tensor {
  maxPool1dWithIndices(
    x, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode
  ).values
}

/// Like `maxPool1d`, with the places (`int32`) of the largest elements in their planes, in row-major order: what
/// `maxUnpool1d` takes. Source: PyTorch `max_pool1d` with `return_indices`, whose indices are `int64`.
public func maxPool1dWithIndices(
  _ x: Tensor, kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, dilation: Extent = 1,
  ceilMode: Bool = false
) -> (values: Tensor, indices: Tensor) {
  let window = sliding(1, kernelSize, stride, padding, dilation, ceilMode)
  let results = pool(1, x) { apply(MaxPool(window), [$0]) }
  return (results[0], results[1])
}

/// The mean of each window: `[N, C, W]` → `[N, C, W']`, or without `N`. `countsPadding`: padding counts as zeros.
/// Source: PyTorch `avg_pool1d`.
public func averagePool1d(
  _ x: Tensor, kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, ceilMode: Bool = false,
  countsPadding: Bool = true
) -> Tensor {
  let window = sliding(1, kernelSize, stride, padding, 1, ceilMode)
  return pool(1, x) { apply(AveragePool(window, countsPadding: countsPadding), [$0]) }[0]
}

/// The means of windows that cover the input in `outputSize` parts: `[N, C, W]` → `[N, C, outputSize…]`, or without `N`.
/// Source: PyTorch `adaptive_avg_pool1d`.
public func adaptiveAveragePool1d(_ x: Tensor, outputSize: Extent) -> Tensor {
  let window = PoolingWindow(adaptiveTo: outputSize.over(1))
  return pool(1, x) { apply(AveragePool(window, countsPadding: false), [$0]) }[0]
}

/// The largest elements of windows that cover the input in `outputSize` parts. Source: PyTorch `adaptive_max_pool1d`.
public func adaptiveMaxPool1d(_ x: Tensor, outputSize: Extent) -> Tensor {
  adaptiveMaxPool1dWithIndices(x, outputSize: outputSize).values
}

/// Like `adaptiveMaxPool1d`, with the places (`int32`) of the largest elements in their planes.
public func adaptiveMaxPool1dWithIndices(_ x: Tensor, outputSize: Extent) -> (values: Tensor, indices: Tensor) {
  let window = PoolingWindow(adaptiveTo: outputSize.over(1))
  let results = pool(1, x) { apply(MaxPool(window), [$0]) }
  return (results[0], results[1])
}

/// The largest element of each window: `[N, C, H, W]` → `[N, C, H', W']`, or without `N`.
///
/// - Parameters:
///   - kernelSize: the sizes of the window.
///   - stride: from one window to the next; that of the window by default.
///   - padding: how far windows reach beyond the border, at most half of their size; nothing is seen there.
///   - dilation: the distance of the elements that a window sees.
///   - ceilMode: keeps a last window that begins inside and reaches beyond the end.
///
/// Source: PyTorch `max_pool2d`.
public func maxPool2d(
  _ x: Tensor, kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, dilation: Extent = 1,
  ceilMode: Bool = false
) -> Tensor {
  maxPool2dWithIndices(
    x, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode
  ).values
}

/// Like `maxPool2d`, with the places (`int32`) of the largest elements in their planes, in row-major order: what
/// `maxUnpool2d` takes. Source: PyTorch `max_pool2d` with `return_indices`, whose indices are `int64`.
public func maxPool2dWithIndices(
  _ x: Tensor, kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, dilation: Extent = 1,
  ceilMode: Bool = false
) -> (values: Tensor, indices: Tensor) {
  let window = sliding(2, kernelSize, stride, padding, dilation, ceilMode)
  let results = pool(2, x) { apply(MaxPool(window), [$0]) }
  return (results[0], results[1])
}

/// The mean of each window: `[N, C, H, W]` → `[N, C, H', W']`, or without `N`. `countsPadding`: padding counts as zeros.
/// Source: PyTorch `avg_pool2d`.
public func averagePool2d(
  _ x: Tensor, kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, ceilMode: Bool = false,
  countsPadding: Bool = true
) -> Tensor {
  let window = sliding(2, kernelSize, stride, padding, 1, ceilMode)
  return pool(2, x) { apply(AveragePool(window, countsPadding: countsPadding), [$0]) }[0]
}

/// The means of windows that cover the input in `outputSize` parts: `[N, C, H, W]` → `[N, C, outputSize…]`, or without `N`.
/// Source: PyTorch `adaptive_avg_pool2d`.
public func adaptiveAveragePool2d(_ x: Tensor, outputSize: Extent) -> Tensor {
  let window = PoolingWindow(adaptiveTo: outputSize.over(2))
  return pool(2, x) { apply(AveragePool(window, countsPadding: false), [$0]) }[0]
}

/// The largest elements of windows that cover the input in `outputSize` parts. Source: PyTorch `adaptive_max_pool2d`.
public func adaptiveMaxPool2d(_ x: Tensor, outputSize: Extent) -> Tensor {
  adaptiveMaxPool2dWithIndices(x, outputSize: outputSize).values
}

/// Like `adaptiveMaxPool2d`, with the places (`int32`) of the largest elements in their planes.
public func adaptiveMaxPool2dWithIndices(_ x: Tensor, outputSize: Extent) -> (values: Tensor, indices: Tensor) {
  let window = PoolingWindow(adaptiveTo: outputSize.over(2))
  let results = pool(2, x) { apply(MaxPool(window), [$0]) }
  return (results[0], results[1])
}

/// The largest element of each window: `[N, C, D, H, W]` → `[N, C, D', H', W']`, or without `N`.
///
/// Arguments as in `maxPool2d`. Source: PyTorch `max_pool3d`.
public func maxPool3d(
  _ x: Tensor, kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, dilation: Extent = 1,
  ceilMode: Bool = false
) -> Tensor {
  maxPool3dWithIndices(
    x, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode
  ).values
}

/// Like `maxPool3d`, with the places (`int32`) of the largest elements in their planes, in row-major order: what
/// `maxUnpool3d` takes. Source: PyTorch `max_pool3d` with `return_indices`, whose indices are `int64`.
public func maxPool3dWithIndices(
  _ x: Tensor, kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, dilation: Extent = 1,
  ceilMode: Bool = false
) -> (values: Tensor, indices: Tensor) {
  let window = sliding(3, kernelSize, stride, padding, dilation, ceilMode)
  let results = pool(3, x) { apply(MaxPool(window), [$0]) }
  return (results[0], results[1])
}

/// The mean of each window: `[N, C, D, H, W]` → `[N, C, D', H', W']`, or without `N`. `countsPadding`: padding counts as zeros.
/// Source: PyTorch `avg_pool3d`.
public func averagePool3d(
  _ x: Tensor, kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0, ceilMode: Bool = false,
  countsPadding: Bool = true
) -> Tensor {
  let window = sliding(3, kernelSize, stride, padding, 1, ceilMode)
  return pool(3, x) { apply(AveragePool(window, countsPadding: countsPadding), [$0]) }[0]
}

/// The means of windows that cover the input in `outputSize` parts: `[N, C, D, H, W]` → `[N, C, outputSize…]`, or without `N`.
/// Source: PyTorch `adaptive_avg_pool3d`.
public func adaptiveAveragePool3d(_ x: Tensor, outputSize: Extent) -> Tensor {
  let window = PoolingWindow(adaptiveTo: outputSize.over(3))
  return pool(3, x) { apply(AveragePool(window, countsPadding: false), [$0]) }[0]
}

/// The largest elements of windows that cover the input in `outputSize` parts. Source: PyTorch `adaptive_max_pool3d`.
public func adaptiveMaxPool3d(_ x: Tensor, outputSize: Extent) -> Tensor {
  adaptiveMaxPool3dWithIndices(x, outputSize: outputSize).values
}

/// Like `adaptiveMaxPool3d`, with the places (`int32`) of the largest elements in their planes.
public func adaptiveMaxPool3dWithIndices(_ x: Tensor, outputSize: Extent) -> (values: Tensor, indices: Tensor) {
  let window = PoolingWindow(adaptiveTo: outputSize.over(3))
  let results = pool(3, x) { apply(MaxPool(window), [$0]) }
  return (results[0], results[1])
}
