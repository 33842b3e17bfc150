internal import CKernels
public import MartletCore

/// The 1-D transposed convolution: `x: [N, C, W]`, `weight: [C, O / groups, K]`, `bias: [O]` → `[N, O, W']` with
/// `W' = (W - 1) · stride - 2 · padding + dilation · (K - 1) + outputPadding + 1`. `[C, W]` is one example.
///
/// It is the adjoint of `conv1d` with the same weight, stride, padding and dilation: what a convolution makes small it makes
/// large. Source: PyTorch `conv_transpose1d`.
///
/// - Parameters:
///   - padding: how many elements are left off at both ends.
///   - outputPadding: how many more elements there are at the end, below the stride or the dilation.
public func convTranspose1d(
  _ x: Tensor, _ weight: Tensor, bias: Tensor? = nil, stride: Extent = 1, padding: Extent = 0,
  outputPadding: Extent = 0, dilation: Extent = 1, groups: Int = 1
) -> Tensor {
  transposedConvolution("convTranspose1d", 1, x, weight, bias, stride, padding, outputPadding, dilation, groups)
}

/// The 2-D transposed convolution: `x: [N, C, H, W]`, `weight: [C, O / groups, K, L]`, `bias: [O]` → `[N, O, H', W']` with
/// `H' = (H - 1) · stride - 2 · padding + dilation · (K - 1) + outputPadding + 1`, and `W'` likewise. `[C, H, W]` is one
/// example. Arguments as in `convTranspose1d`. Source: PyTorch `conv_transpose2d`.
public func convTranspose2d(
  _ x: Tensor, _ weight: Tensor, bias: Tensor? = nil, stride: Extent = 1, padding: Extent = 0,
  outputPadding: Extent = 0, dilation: Extent = 1, groups: Int = 1
) -> Tensor {
  transposedConvolution("convTranspose2d", 2, x, weight, bias, stride, padding, outputPadding, dilation, groups)
}

/// The 3-D transposed convolution: `x: [N, C, D, H, W]`, `weight: [C, O / groups, J, K, L]`, `bias: [O]` →
/// `[N, O, D', H', W']`, or one example. Arguments as in `convTranspose1d`. Source: PyTorch `conv_transpose3d`.
public func convTranspose3d(
  _ x: Tensor, _ weight: Tensor, bias: Tensor? = nil, stride: Extent = 1, padding: Extent = 0,
  outputPadding: Extent = 0, dilation: Extent = 1, groups: Int = 1
) -> Tensor {
  transposedConvolution("convTranspose3d", 3, x, weight, bias, stride, padding, outputPadding, dilation, groups)
}

private func transposedConvolution(
  _ name: String, _ axes: Int, _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ stride: Extent, _ padding: Extent,
  _ outputPadding: Extent, _ dilation: Extent, _ groups: Int
) -> Tensor {
  let inputs = [x, weight] + (bias.map { [$0] } ?? [])
  func wrong(_ fact: Fact) -> Tensor { failure(fact, op: name, inputs, names: Convolution.argumentNames) }
  guard weight.rank == axes + 2 else {
    return wrong(.rank(argument: 1, expected: "\(axes + 2): [C, O / groups] and \(axes) spatial ones"))
  }
  guard x.rank == axes + 2 || x.rank == axes + 1 else {
    return wrong(.rank(argument: 0, expected: "\(axes + 2): two and \(axes) spatial ones, or without the first"))
  }
  let (stride, dilation, padding) = (stride.over(axes), dilation.over(axes), padding.over(axes))
  let more = outputPadding.over(axes)
  var window = ConvolutionWindow(stride: stride, dilation: dilation, low: padding, high: padding, groups: groups)
  do {
    try window.check()
  } catch {
    return wrong(error.fact)
  }
  guard more.rank == axes, (0..<axes).allSatisfy({ more[$0] >= 0 && more[$0] < max(stride[$0], dilation[$0]) }) else {
    return wrong(
      .misuse(
        "outputPadding is \(outputPadding) with stride \(stride) and dilation \(dilation)",
        rule: "0 ≤ outputPadding < the larger of stride and dilation, along each axis"))
  }
  let (x, weight, bias) = (x.autocast, weight.autocast, bias?.autocast)
  let isSingle = x.rank == axes + 1
  let input = isSingle ? x.expandedDims(axis: 0) : x
  guard input.shape[1] == weight.shape[0] else {
    return wrong(
      .misuse(
        "x has \(input.shape[1]) channels, the weight is for \(weight.shape[0])",
        rule: "x: [N, C, …] and weight: [C, O / groups, …]",
        remedy: weight.shape[1] * groups == input.shape[1]
          ? "weight.transposed(0, 1), if it is that of conv\(axes)d"
          : nil))
  }
  let outputs = weight.shape[1] * groups
  if let bias, bias.shape != [outputs] {
    return wrong(.argumentShape(argument: 2, expected: "[\(outputs)], one for each output channel"))
  }
  // The elements of outputPadding are some that padding would have left off; where there are no more of these, zeros.
  var (high, size) = (padding, Shape(input.shape[2...]))
  var zeros = [(0, 0), (0, 0)]
  for axis in 0..<axes {
    high[axis] = max(0, padding[axis] - more[axis])
    let beyond = max(0, more[axis] - padding[axis])
    let within = min(beyond, stride[axis] - 1)
    let reach = dilation[axis] * (weight.shape[axis + 2] - 1) + 1
    let (steps, overflow) = (size[axis] - 1).multipliedReportingOverflow(by: stride[axis])
    guard !overflow, size[axis] >= 1, weight.shape[axis + 2] >= 1, steps < Int.max / 4 else {
      return wrong(
        .misuse("x has shape \(x.shape) and the weight \(weight.shape)", rule: "spatial sizes are 1 or more"))
    }
    size[axis] = steps + reach - padding[axis] - high[axis] + within
    zeros.append((0, beyond - within))
  }
  guard size.allSatisfy({ $0 >= 1 }) else {
    return wrong(
      .misuse(
        "the result would have the spatial sizes \(size)", rule: "padding leaves one element or more",
        remedy: "less padding, a larger kernel or larger inputs"))
  }
  window = ConvolutionWindow(
    stride: stride, dilation: dilation, low: padding, high: high, groups: groups,
    isPrecise: Context.here.pointee.flags & UInt32(CK_PRECISE) != 0)
  var y = apply(ConvolutionInputGradient(window, size: size), [input, weight])[0]
  if y.isError { return y }
  if zeros.contains(where: { $0.1 > 0 }) { y = y.padded(zeros) }
  if let bias { y = y + bias.alongChannels(y.rank) }
  return isSingle ? y.squeezed(axis: 0) : y
}
