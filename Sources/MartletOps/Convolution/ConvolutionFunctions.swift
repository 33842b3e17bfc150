internal import CKernels
public import MartletCore

/// A number for each spatial axis, in the order of the axes; one number stands for all: `3`, `[3, 5]` (height, width).
public struct Extent: Sendable, Hashable, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral,
  CustomStringConvertible
{
  private let numbers: Shape
  /// The same number along all axes.
  public init(_ number: Int) { numbers = [number] }
  /// A number for each axis.
  public init(_ numbers: [Int]) { self.numbers = Shape(numbers) }
  public init(integerLiteral number: Int) { self.init(number) }
  public init(arrayLiteral numbers: Int...) { self.init(numbers) }

  /// One number for each of `axes` axes; as it is when it has another number of them.
  package func over(_ axes: Int) -> Shape {
    numbers.rank == 1 ? Shape(repeating: numbers[0], count: axes) : numbers
  }
  public var description: String { numbers.rank == 1 ? "\(numbers[0])" : "\(numbers)" }
}

/// What a convolution sees beyond the border of its input: zeros.
public enum Padding: Sendable, Hashable, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral,
  CustomStringConvertible
{
  /// As many before as behind.
  case both(Extent)
  /// Other numbers before than behind.
  case each(low: Extent, high: Extent)
  /// With stride 1 the result has the size of the input; an odd zero goes behind.
  case same
  public init(integerLiteral number: Int) { self = .both(Extent(number)) }
  public init(arrayLiteral numbers: Int...) { self = .both(Extent(numbers)) }

  public var description: String {
    switch self {
    case .both(let extent): "\(extent)"
    case .each(let low, let high): "\(low) before and \(high) behind"
    case .same: "same"
    }
  }

  package func over(_ kernel: Shape, dilation: Shape) -> (low: Shape, high: Shape) {
    let axes = kernel.rank
    switch self {
    case .both(let extent): return (extent.over(axes), extent.over(axes))
    case .each(let low, let high): return (low.over(axes), high.over(axes))
    case .same:
      var (low, high) = (kernel, kernel)
      for axis in 0..<axes {
        let total = dilation.rank == axes ? dilation[axis] &* (kernel[axis] - 1) : 0
        low[axis] = total / 2
        high[axis] = total - total / 2
      }
      return (low, high)
    }
  }
}

/// The 1-D convolution (cross-correlation): `x: [N, C, W]`, `weight: [O, C / groups, K]`, `bias: [O]` → `[N, O, W']` with
/// `W' = (W + padding - dilation · (K - 1) - 1) / stride + 1`, rounded down. `[C, W]` is one example.
///
/// Source: PyTorch `conv1d`.
public func conv1d(
  _ x: Tensor, _ weight: Tensor, bias: Tensor? = nil, stride: Extent = 1, padding: Padding = 0, dilation: Extent = 1,
  groups: Int = 1
) -> Tensor {
  convolution("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)
}

/// The 2-D convolution (cross-correlation): `x: [N, C, H, W]`, `weight: [O, C / groups, K, L]`, `bias: [O]` →
/// `[N, O, H', W']`, with `H' = (H + padding - dilation · (K - 1) - 1) / stride + 1`, rounded down, and `W'` likewise.
/// `[C, H, W]` is one example.
///
/// Results may differ in the last bits from those of another algorithm; see `withPreciseConvolutions`.
/// Source: PyTorch `conv2d`.
public func conv2d(
  _ x: Tensor, _ weight: Tensor, bias: Tensor? = nil, stride: Extent = 1, padding: Padding = 0, dilation: Extent = 1,
  groups: Int = 1
) -> Tensor {
  convolution("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)
}

/// The 3-D convolution (cross-correlation): `x: [N, C, D, H, W]`, `weight: [O, C / groups, J, K, L]`, `bias: [O]` →
/// `[N, O, D', H', W']`. `[C, D, H, W]` is one example. Source: PyTorch `conv3d`.
public func conv3d(
  _ x: Tensor, _ weight: Tensor, bias: Tensor? = nil, stride: Extent = 1, padding: Padding = 0, dilation: Extent = 1,
  groups: Int = 1
) -> Tensor {
  convolution("conv3d", 3, x, weight, bias, stride, padding, dilation, groups)
}

private func convolution(
  _ name: String, _ axes: Int, _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ stride: Extent, _ padding: Padding,
  _ dilation: Extent, _ groups: Int
) -> Tensor {
  let names = Convolution.argumentNames
  guard weight.rank == axes + 2 else {
    return failure(
      .rank(argument: 1, expected: "\(axes + 2): [O, C / groups] and \(axes) spatial ones"), op: name, [x, weight],
      names: names)
  }
  let (x, weight, bias) = (x.autocast, weight.autocast, bias?.autocast)
  let isSingle = x.rank == axes + 1
  let kernel = Shape(weight.shape[2...])
  let dilation = dilation.over(axes)
  let (low, high) = padding.over(kernel, dilation: dilation)
  let window = ConvolutionWindow(
    stride: stride.over(axes), dilation: dilation, low: low, high: high, groups: groups,
    isPrecise: Context.here.pointee.flags & UInt32(CK_PRECISE) != 0)
  let input = isSingle ? x.expandedDims(axis: 0) : x
  let y = apply(Convolution(window), bias.map { [input, weight, $0] } ?? [input, weight])[0]
  return isSingle ? y.squeezed(axis: 0) : y
}

/// Forbids Winograd's method to the convolutions called in `body`, and to their gradients wherever those run.
///
/// Without it the executor takes, shape by shape, what it measured to be the fastest. Winograd's method halves the time of
/// 3×3 kernels; its rounding errors are larger than those of a direct sum, up to about 1e-5 of the largest value. A
/// compiled function captures a program of its own for calls inside and outside of the scope.
public func withPreciseConvolutions<R>(_ body: () throws -> R) rethrows -> R {
  try Context.with({ $0.pointee.flags |= UInt32(CK_PRECISE) }, body)
}
