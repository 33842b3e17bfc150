public import MartletCore

/// Where windows read along one axis: `[kernel, out]` places in the padded axis; nil where none fits.
private func places(_ size: Int, kernel: Int, stride: Int, padding: Int, dilation: Int) -> (places: [Int], out: Int)? {
  let reach = dilation * (kernel - 1) + 1
  guard size + 2 * padding >= reach else { return nil }
  let out = (size + 2 * padding - reach) / stride + 1
  return ((0..<kernel).flatMap { tap in (0..<out).map { tap * dilation + $0 * stride } }, out)
}

/// The settings of `unfold` and `fold`, checked.
private struct Windows {
  let kernel, dilation, padding, stride: Shape

  init(_ kernel: Extent, _ dilation: Extent, _ padding: Extent, _ stride: Extent) {
    (self.kernel, self.dilation) = (kernel.over(2), dilation.over(2))
    (self.padding, self.stride) = (padding.over(2), stride.over(2))
  }

  var fact: Fact? {
    for (name, value, least) in [
      ("kernelSize", kernel, 1), ("dilation", dilation, 1), ("padding", padding, 0), ("stride", stride, 1),
    ] {
      guard value.rank == 2 else { return .misuse("\(name) is \(value)", rule: "one number or two: height and width") }
      for number in value where number < least || number > Int(Int32.max) {
        return .count(name: name, number, allowed: "\(least) … \(Int32.max)")
      }
    }
    return nil
  }

  func along(_ axis: Int, of size: Int) -> (places: [Int], out: Int)? {
    places(size, kernel: kernel[axis], stride: stride[axis], padding: padding[axis], dilation: dilation[axis])
  }

  func misfit(_ size: Shape) -> Fact {
    .misuse(
      "windows of \(kernel) with dilation \(dilation) do not fit into \(size) with padding \(padding)",
      rule: "dilation · (kernelSize - 1) + 1 ≤ size + 2 · padding", remedy: "more padding or a smaller window")
  }
}

/// The windows of an image as columns (im2col): `x: [N, C, H, W]` → `[N, C · K · L, windows]`, for windows of `[K, L]`.
///
/// The windows stand in row-major order. `[C, H, W]` is one example. A convolution is a product with the columns.
/// Source: PyTorch `unfold`.
///
/// - Parameters:
///   - kernelSize: the sizes of a window.
///   - dilation: the distance of the elements that a window sees.
///   - padding: zeros around the image.
///   - stride: from one window to the next.
public func unfold(
  _ x: Tensor, kernelSize: Extent, dilation: Extent = 1, padding: Extent = 0, stride: Extent = 1
) -> Tensor {
  guard x.rank == 4 || x.rank == 3 else {
    return failure(.rank(argument: 0, expected: "4: [N, C, H, W], or 3: [C, H, W]"), op: "unfold", [x])
  }
  let windows = Windows(kernelSize, dilation, padding, stride)
  if let fact = windows.fact { return failure(fact, op: "unfold", [x]) }
  if x.rank == 3 {
    return unfold(
      x.expandedDims(axis: 0), kernelSize: kernelSize, dilation: dilation, padding: padding, stride: stride
    ).squeezed(axis: 0)
  }
  guard let rows = windows.along(0, of: x.shape[2]), let columns = windows.along(1, of: x.shape[3]) else {
    return failure(windows.misfit([x.shape[2], x.shape[3]]), op: "unfold", [x])
  }
  let (kernel, padding) = (windows.kernel, windows.padding)
  let image =
    padding.contains { $0 > 0 } ? x.padded([(0, 0), (0, 0), (padding[0], padding[0]), (padding[1], padding[1])]) : x
  func indices(_ table: (places: [Int], out: Int), _ kernel: Int) -> Tensor {
    Tensor(table.places, shape: [kernel, table.out], device: x.device)
  }
  // [N, C, K, H', L, W']
  let taken = image.take(axis: 3, indices(columns, kernel[1])).take(axis: 2, indices(rows, kernel[0]))
  return taken.permuted(0, 1, 2, 4, 3, 5)
    .reshaped([x.shape[0], x.shape[1] * kernel[0] * kernel[1], rows.out * columns.out])
}

/// Columns added up where their windows lie in an image (col2im): `x: [N, C · K · L, windows]` → `[N, C, H, W]`.
///
/// The adjoint of `unfold`: where windows overlap, elements are summed. `[C · K · L, windows]` is one example.
/// Source: PyTorch `fold`.
///
/// - Parameters:
///   - outputSize: height and width of the image.
///   - kernelSize, dilation, padding, stride: of the windows, as in `unfold`.
public func fold(
  _ x: Tensor, outputSize: Extent, kernelSize: Extent, dilation: Extent = 1, padding: Extent = 0, stride: Extent = 1
) -> Tensor {
  guard x.rank == 3 || x.rank == 2 else {
    return failure(.rank(argument: 0, expected: "3: [N, C · K · L, windows], or 2"), op: "fold", [x])
  }
  let windows = Windows(kernelSize, dilation, padding, stride)
  let size = outputSize.over(2)
  if let fact = windows.fact { return failure(fact, op: "fold", [x]) }
  guard size.rank == 2, size.allSatisfy({ (1...Int(Int32.max)).contains($0) }) else {
    return failure(.misuse("outputSize is \(outputSize)", rule: "height and width, 1 or more"), op: "fold", [x])
  }
  if x.rank == 2 {
    return fold(
      x.expandedDims(axis: 0), outputSize: outputSize, kernelSize: kernelSize, dilation: dilation, padding: padding,
      stride: stride
    ).squeezed(axis: 0)
  }
  guard let rows = windows.along(0, of: size[0]), let columns = windows.along(1, of: size[1]) else {
    return failure(windows.misfit(size), op: "fold", [x])
  }
  let (kernel, padding) = (windows.kernel, windows.padding)
  let area = kernel[0] * kernel[1]
  guard x.shape[1] % area == 0, x.shape[2] == rows.out * columns.out else {
    return failure(
      .argumentShape(
        argument: 0,
        expected: "[N, a multiple of \(area), \(rows.out * columns.out)]: \(rows.out) × \(columns.out) windows"),
      op: "fold", [x])
  }
  let (examples, channels) = (x.shape[0], x.shape[1] / area)
  let parts = x.reshaped([examples, channels, kernel[0], kernel[1], rows.out, columns.out])
    .permuted(0, 1, 2, 4, 3, 5)  // [N, C, K, H', L, W']
  func sum(_ values: Tensor, _ axis: Int, _ table: (places: [Int], out: Int), _ kernel: Int, _ size: Int) -> Tensor {
    let indices = Tensor(table.places, shape: [kernel, table.out], device: x.device)
    let shape = Shape(Array(values.shape[..<axis]) + [size] + Array(values.shape[(axis + 2)...]))
    return apply(TakeAdd(axis: axis), [Tensor(repeating: 0, values.spec.with(shape: shape)), indices, values])[0]
  }
  let wide = sum(parts, 4, columns, kernel[1], size[1] + 2 * padding[1])
  let image = sum(wide, 2, rows, kernel[0], size[0] + 2 * padding[0])
  guard padding.contains(where: { $0 > 0 }) else { return image }
  var region = Region(whole: [examples, channels, size[0], size[1]])
  (region.starts[2], region.starts[3]) = (padding[0], padding[1])
  return apply(view: Slice(region: region), image)
}
