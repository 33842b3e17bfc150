public import MartletCore

private func lpPool(
  _ name: String, _ axes: Int, _ x: Tensor, _ order: Double, _ kernelSize: Extent, _ stride: Extent?, _ ceilMode: Bool
) -> Tensor {
  guard order > 0, order.isFinite else {
    return failure(
      .misuse("the order is \(order)", rule: "0 < order < ∞", remedy: "maxPool is the limit"), op: name, [x])
  }
  let window = sliding(axes, kernelSize, stride, 0, 1, ceilMode)
  let powers = order == 1 ? x : order == 2 ? x * x : pow(x, order)
  let means = pool(axes, powers) { apply(AveragePool(window, countsPadding: true), [$0]) }[0]
  let sums = means * Double(window.kernel.elementCount)
  return order == 1 ? sums : order == 2 ? sqrt(sums) : pow(sums, 1 / order)
}

/// Checks what the unpooling functions share and puts the values at their places.
private func maxUnpool(
  _ name: String, _ axes: Int, _ x: Tensor, _ indices: Tensor, _ kernelSize: Extent, _ stride: Extent?,
  _ padding: Extent, _ outputSize: Extent?
) -> Tensor {
  func wrong(_ fact: Fact) -> Tensor { failure(fact, op: name, [x, indices], names: ["x", "indices"]) }
  guard x.rank == axes + 2 || x.rank == axes + 1 else {
    return wrong(.rank(argument: 0, expected: "\(axes + 2): two and \(axes) spatial ones, or without the first"))
  }
  guard indices.dtype == .int32 || indices.dtype == .int64 else {
    return wrong(.dtype(argument: 1, expected: "int32 or int64, the places in the planes"))
  }
  guard indices.shape == x.shape else { return wrong(.argumentShape(argument: 1, expected: "\(x.shape), that of x")) }
  let isSingle = x.rank == axes + 1
  let values = isSingle ? x.expandedDims(axis: 0) : x
  // What has no place among int32 is outside of every plane, and must not become a place by the cast.
  let places = (isSingle ? indices.expandedDims(axis: 0) : indices).withinInt32
  let (kernel, step, margin) = (kernelSize.over(axes), (stride ?? kernelSize).over(axes), padding.over(axes))
  guard kernel.rank == axes, step.rank == axes, margin.rank == axes else {
    return wrong(.misuse("kernelSize, stride and padding", rule: "one number, or \(axes)"))
  }
  var size = Shape(values.shape[2...])
  if let outputSize {
    size = outputSize.over(axes)
  } else {
    for axis in 0..<axes { size[axis] = (size[axis] - 1) * step[axis] - 2 * margin[axis] + kernel[axis] }
  }
  guard size.rank == axes else { return wrong(.misuse("outputSize is \(size)", rule: "one number, or \(axes)")) }
  let sums = apply(Unpool(size: size), [values, places])[0]
  if sums.isError { return sums }
  // Windows that overlap name a place more than once: it gets the value, not the sum.
  let counts = apply(Unpool(size: size), [Tensor(repeating: 1, values.spec), places])[0]
  let y = sums / maximum(counts, 1)
  return isSingle ? y.squeezed(axis: 0) : y
}

extension Tensor {
  /// Integers as `int32`; those beyond its ends become its ends.
  fileprivate var withinInt32: Tensor {
    dtype == .int32 ? self : clamp(self, min: Int(Int32.min), max: Int(Int32.max)).cast(to: .int32)
  }
}

/// The sum of the powers of each window, and its root: `(Σ x^order)^(1 / order)`. `[N, C, W]` → `[N, C, W']`, or without `N`.
///
/// Powers that are not even give NaN where sums are negative, and the root of 0 has no derivative, as in PyTorch.
/// Source: PyTorch `lp_pool1d`.
///
/// - Parameters:
///   - order: above 0; 1 gives sums, and the larger it is, the nearer is the largest element.
///   - stride: that of the window by default.
public func lpPool1d(
  _ x: Tensor, order: Double, kernelSize: Extent, stride: Extent? = nil, ceilMode: Bool = false
) -> Tensor {
  lpPool("lpPool1d", 1, x, order, kernelSize, stride, ceilMode)
}

/// Puts values back to where `maxPool1dWithIndices` found them; the other elements are 0. `[N, C, W']` → `[N, C, W]`, or without `N`.
///
/// A place that several windows named gets the mean of what they say, which for values from the pooling is each of them.
/// Source: PyTorch `max_unpool1d`.
///
/// - Parameters:
///   - indices: `int32` or `int64`, of the shape of `x`: the places in the planes of the result.
///   - outputSize: the spatial sizes of the result; by default the smallest input that the pooling had.
public func maxUnpool1d(
  _ x: Tensor, indices: Tensor, kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0,
  outputSize: Extent? = nil
) -> Tensor {
  maxUnpool("maxUnpool1d", 1, x, indices, kernelSize, stride, padding, outputSize)
}

/// The sum of the powers of each window, and its root: `(Σ x^order)^(1 / order)`. `[N, C, H, W]` → `[N, C, H', W']`, or without `N`.
///
/// Powers that are not even give NaN where sums are negative, and the root of 0 has no derivative, as in PyTorch.
/// Source: PyTorch `lp_pool2d`.
///
/// - Parameters:
///   - order: above 0; 1 gives sums, and the larger it is, the nearer is the largest element.
///   - stride: that of the window by default.
public func lpPool2d(
  _ x: Tensor, order: Double, kernelSize: Extent, stride: Extent? = nil, ceilMode: Bool = false
) -> Tensor {
  lpPool("lpPool2d", 2, x, order, kernelSize, stride, ceilMode)
}

/// Puts values back to where `maxPool2dWithIndices` found them; the other elements are 0. `[N, C, H', W']` → `[N, C, H, W]`, or without `N`.
///
/// A place that several windows named gets the mean of what they say, which for values from the pooling is each of them.
/// Source: PyTorch `max_unpool2d`.
///
/// - Parameters:
///   - indices: `int32` or `int64`, of the shape of `x`: the places in the planes of the result.
///   - outputSize: the spatial sizes of the result; by default the smallest input that the pooling had.
public func maxUnpool2d(
  _ x: Tensor, indices: Tensor, kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0,
  outputSize: Extent? = nil
) -> Tensor {
  maxUnpool("maxUnpool2d", 2, x, indices, kernelSize, stride, padding, outputSize)
}

/// The sum of the powers of each window, and its root: `(Σ x^order)^(1 / order)`. `[N, C, D, H, W]` → `[N, C, D', H', W']`, or without `N`.
///
/// Powers that are not even give NaN where sums are negative, and the root of 0 has no derivative, as in PyTorch.
/// Source: PyTorch `lp_pool3d`.
///
/// - Parameters:
///   - order: above 0; 1 gives sums, and the larger it is, the nearer is the largest element.
///   - stride: that of the window by default.
public func lpPool3d(
  _ x: Tensor, order: Double, kernelSize: Extent, stride: Extent? = nil, ceilMode: Bool = false
) -> Tensor {
  lpPool("lpPool3d", 3, x, order, kernelSize, stride, ceilMode)
}

/// Puts values back to where `maxPool3dWithIndices` found them; the other elements are 0. `[N, C, D', H', W']` → `[N, C, D, H, W]`, or without `N`.
///
/// A place that several windows named gets the mean of what they say, which for values from the pooling is each of them.
/// Source: PyTorch `max_unpool3d`.
///
/// - Parameters:
///   - indices: `int32` or `int64`, of the shape of `x`: the places in the planes of the result.
///   - outputSize: the spatial sizes of the result; by default the smallest input that the pooling had.
public func maxUnpool3d(
  _ x: Tensor, indices: Tensor, kernelSize: Extent, stride: Extent? = nil, padding: Extent = 0,
  outputSize: Extent? = nil
) -> Tensor {
  maxUnpool("maxUnpool3d", 3, x, indices, kernelSize, stride, padding, outputSize)
}

private func fractionalMaxPool(
  _ name: String, _ axes: Int, _ x: Tensor, _ kernelSize: Extent, _ outputSize: Extent, _ samples: Tensor
) -> (values: Tensor, indices: Tensor) {
  func wrong(_ fact: Fact) -> (Tensor, Tensor) {
    let error = failure(fact, op: name, [x, samples], names: ["x", "samples"])
    return (error, error)
  }
  guard x.rank == axes + 2 || x.rank == axes + 1 else {
    return wrong(.rank(argument: 0, expected: "\(axes + 2): two and \(axes) spatial ones, or without the first"))
  }
  if x.rank == axes + 1 {
    let (values, indices) = fractionalMaxPool(
      name, axes, x.expandedDims(axis: 0), kernelSize, outputSize,
      samples.rank == 2 ? samples.expandedDims(axis: 0) : samples)
    return (values.squeezed(axis: 0), indices.squeezed(axis: 0))
  }
  let (kernel, out, size) = (kernelSize.over(axes), outputSize.over(axes), Shape(x.shape[2...]))
  guard kernel.rank == axes, out.rank == axes,
    (0..<axes).allSatisfy({ kernel[$0] >= 1 && out[$0] >= 1 && kernel[$0] + out[$0] - 1 <= size[$0] })
  else {
    return wrong(
      .misuse(
        "windows of \(kernelSize) and a result of \(outputSize) for \(size)",
        rule: "1 or more, and kernelSize + outputSize - 1 ≤ the size of the axis"))
  }
  guard samples.shape == [x.shape[0], x.shape[1], axes], samples.dtype.isFloating else {
    return wrong(
      .argumentShape(argument: 1, expected: "[\(x.shape[0]), \(x.shape[1]), \(axes)], numbers in 0 ..< 1"))
  }
  // The places of each window in its plane: [N, C, out…, kernel…], an axis at a time.
  var places = Tensor(
    repeating: 0, Shape([1, 1] + [Int](repeating: 1, count: 2 * axes)), dtype: .int64, device: x.device)
  for axis in 0..<axes {
    // PyTorch's order: of two numbers the first is for the width, of three for the depth.
    let sample = axes == 2 ? 1 - axis : axis
    let u = samples[.all, .all, .range(from: sample, to: sample + 1)].cast(to: .float64)
    let last = size[axis] - kernel[axis]
    var starts = Tensor([last], shape: [1, 1, 1], device: x.device)
    if out[axis] > 1 {
      let alpha = Double(last) / Double(out[axis] - 1)
      let steps = Tensor.range(to: Double(out[axis] - 1), dtype: .float64, device: x.device)
      let begins = (floor((steps + u) * alpha) - floor(u * alpha)).cast(to: .int64)
      starts = concat([begins, starts.expanded(to: [x.shape[0], x.shape[1], 1])], axis: 2)
    }
    var outShape = [starts.shape[0], starts.shape[1]] + [Int](repeating: 1, count: 2 * axes)
    outShape[2 + axis] = out[axis]
    var kernelShape = [Int](repeating: 1, count: 2 + 2 * axes)
    kernelShape[2 + axes + axis] = kernel[axis]
    let along =
      starts.reshaped(Shape(outShape))
      + Tensor(Array(0..<kernel[axis]), device: x.device).reshaped(Shape(kernelShape))
    places = places * size[axis] + along
  }
  let planes = [x.shape[0], x.shape[1]]
  let windows = places.expanded(to: Shape(planes + Array(out) + Array(kernel)))
    .reshaped(Shape(planes + [out.elementCount, kernel.elementCount]))
  let flat = x.reshaped(Shape(planes + [size.elementCount]))
  let seen = flat.gather(axis: 2, windows.reshaped(Shape(planes + [-1]))).reshaped(windows.shape)
  let best = seen.argMax(axis: 3, keepDims: true)
  let indices = windows.gather(axis: 3, best).squeezed(axis: 3)
  let values = flat.gather(axis: 2, indices)
  let shape = Shape(planes + Array(out))
  return (values.reshaped(shape), indices.cast(to: .int32).reshaped(shape))
}

/// The largest element of each of `outputSize…` windows, whose places are drawn at random with steps that are not whole:
/// `[N, C, H, W]` → `[N, C, outputSize…]`, or without `N`; and the places (`int32`) of the elements in their planes.
///
/// Source: Graham 2014; PyTorch `fractional_max_pool2d`.
///
/// - Parameters:
///   - kernelSize: the sizes of the windows, which may overlap.
///   - samples: `[N, C, 2]` numbers in `0 ..< 1` that say where the windows lie: `Tensor.uniform([N, C, 2])`.
public func fractionalMaxPool2dWithIndices(
  _ x: Tensor, kernelSize: Extent, outputSize: Extent, samples: Tensor
) -> (values: Tensor, indices: Tensor) {
  fractionalMaxPool("fractionalMaxPool2d", 2, x, kernelSize, outputSize, samples)
}

/// Like `fractionalMaxPool2dWithIndices`, without the places.
public func fractionalMaxPool2d(_ x: Tensor, kernelSize: Extent, outputSize: Extent, samples: Tensor) -> Tensor {
  fractionalMaxPool2dWithIndices(x, kernelSize: kernelSize, outputSize: outputSize, samples: samples).values
}

/// The largest element of each of `outputSize…` windows, whose places are drawn at random with steps that are not whole:
/// `[N, C, D, H, W]` → `[N, C, outputSize…]`, or without `N`; and the places (`int32`) of the elements in their planes.
///
/// Source: Graham 2014; PyTorch `fractional_max_pool3d`.
///
/// - Parameters:
///   - kernelSize: the sizes of the windows, which may overlap.
///   - samples: `[N, C, 3]` numbers in `0 ..< 1` that say where the windows lie: `Tensor.uniform([N, C, 3])`.
public func fractionalMaxPool3dWithIndices(
  _ x: Tensor, kernelSize: Extent, outputSize: Extent, samples: Tensor
) -> (values: Tensor, indices: Tensor) {
  fractionalMaxPool("fractionalMaxPool3d", 3, x, kernelSize, outputSize, samples)
}

/// Like `fractionalMaxPool3dWithIndices`, without the places.
public func fractionalMaxPool3d(_ x: Tensor, kernelSize: Extent, outputSize: Extent, samples: Tensor) -> Tensor {
  fractionalMaxPool3dWithIndices(x, kernelSize: kernelSize, outputSize: outputSize, samples: samples).values
}
