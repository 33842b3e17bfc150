public import MartletCore

// Fourier transforms by the names and arguments of torch.fft. Integers and 16-bit floats are computed as float32.

/// Where the factor of a pair of transforms stands that makes them inverse to each other.
public enum FourierNorm: Sendable, CaseIterable {
  /// 1/n in the inverse transform.
  case backward
  /// 1/√n in both.
  case ortho
  /// 1/n in the forward transform.
  case forward

  fileprivate func scale(_ n: Int, inverse: Bool) -> Double {
    switch self {
    case .backward: inverse ? 1 / Double(n) : 1
    case .ortho: 1 / Double(n).squareRoot()
    case .forward: inverse ? 1 : 1 / Double(n)
    }
  }
  fileprivate var swapped: FourierNorm { self == .backward ? .forward : self == .forward ? .backward : self }
}

extension Tensor {
  fileprivate var asComplex: Tensor { dtype.isComplex ? self : cast(to: dtype.complexCounterpart) }
  fileprivate var asWideReal: Tensor { dtype == .float64 ? self : cast(to: .float32) }

  /// Cut, or filled up with zeros, to a size along an axis.
  fileprivate func resized(_ size: Int, axis: Int) -> Tensor {
    let old = shape[axis]
    if size == old { return self }
    if size > old {
      var widths = [(Int, Int)](repeating: (0, 0), count: rank)
      widths[axis] = (0, size - old)
      return padded(widths)
    }
    var region = Region(whole: shape)
    region.sizes[axis] = size
    return apply(view: Slice(region: region), self)
  }

  /// The position of an axis, and the size that a transform along it has; nil after an error, which is reported.
  fileprivate func fourierAxis(_ n: Int?, _ axis: Int, _ op: String, default size: (Int) -> Int = { $0 }) -> (Int, Int)?
  {
    guard let position = position(of: axis, op: op) else { return nil }
    if let n, n < 1 {
      _ = failure(.count(name: "n", n, allowed: "1 or more"), op: op, [self])
      return nil
    }
    if n == nil, size(shape[position]) < 1 {
      _ = failure(
        .misuse(
          "axis \(axis) has size \(shape[position])", rule: "a transform is of 1 or more elements",
          remedy: "n:, which fills up with zeros"), op: op, [self])
      return nil
    }
    return (position, n ?? size(shape[position]))
  }

  fileprivate func fourier(_ n: Int?, _ axis: Int, _ norm: FourierNorm, inverse: Bool, _ op: String) -> Tensor {
    guard let (axis, n) = fourierAxis(n, axis, op) else { return afterFailure }
    let op = Fourier(axis: axis, inverse: inverse, scale: norm.scale(n, inverse: inverse))
    return apply(op, asComplex.resized(n, axis: axis))
  }

  fileprivate func realFourier(_ n: Int?, _ axis: Int, _ norm: FourierNorm, inverse: Bool, _ op: String) -> Tensor {
    guard !dtype.isComplex else {
      return failure(.dtype(argument: 0, expected: Domain.real.rawValue), op: op, [self])
    }
    guard let (axis, n) = fourierAxis(n, axis, op) else { return afterFailure }
    return apply(
      RealFourier(axis: axis, scale: norm.scale(n, inverse: inverse)), asWideReal.resized(n, axis: axis))
  }

  fileprivate func inverseRealFourier(_ n: Int?, _ axis: Int, _ norm: FourierNorm, inverse: Bool, _ op: String)
    -> Tensor
  {
    guard let (axis, n) = fourierAxis(n, axis, op, default: { 2 * ($0 - 1) }) else { return afterFailure }
    return apply(
      InverseRealFourier(axis: axis, n: n, scale: norm.scale(n, inverse: inverse)),
      asComplex.resized(n / 2 + 1, axis: axis))
  }

  /// Axes and sizes of a transform over several axes; nil after an error, which is reported.
  fileprivate func fourierAxes(_ size: [Int]?, _ axes: [Int]?, _ op: String) -> (axes: [Int], size: [Int?])? {
    let axes = axes ?? Array((rank - Swift.min(rank, size?.count ?? rank))..<rank)
    if let size, size.count != axes.count {
      _ = failure(
        .misuse(
          "\(ErrorText.counted(size.count, "size")) for \(ErrorText.counted(axes.count, "axis", "axes"))",
          rule: "one size for each axis"), op: op, [self])
      return nil
    }
    guard positions(of: axes, op: op) != nil else { return nil }
    return (axes, size.map { $0.map { $0 } } ?? [Int?](repeating: nil, count: axes.count))
  }

  fileprivate func fourierN(_ size: [Int]?, _ axes: [Int]?, _ norm: FourierNorm, inverse: Bool, _ op: String) -> Tensor
  {
    guard let (axes, size) = fourierAxes(size, axes, op) else { return afterFailure }
    return zip(axes, size).reduce(asComplex) { $0.isError ? $0 : $0.fourier($1.1, $1.0, norm, inverse: inverse, op) }
  }

  fileprivate func realFourierN(_ size: [Int]?, _ axes: [Int]?, _ norm: FourierNorm, _ op: String) -> Tensor {
    guard let (axes, size) = fourierAxes(size, axes, op) else { return afterFailure }
    guard let last = axes.last else {
      return failure(.misuse("there are no axes", rule: "at least one axis"), op: op, [self])
    }
    let half = realFourier(size.last!, last, norm, inverse: false, op)
    return zip(axes, size).dropLast().reduce(half) {
      $0.isError ? $0 : $0.fourier($1.1, $1.0, norm, inverse: false, op)
    }
  }

  fileprivate func inverseRealFourierN(_ size: [Int]?, _ axes: [Int]?, _ norm: FourierNorm, _ op: String) -> Tensor {
    guard let (axes, size) = fourierAxes(size, axes, op) else { return afterFailure }
    guard let last = axes.last else {
      return failure(.misuse("there are no axes", rule: "at least one axis"), op: op, [self])
    }
    let others = zip(axes, size).dropLast().reduce(asComplex) {
      $0.isError ? $0 : $0.fourier($1.1, $1.0, norm, inverse: true, op)
    }
    return others.isError ? others : others.inverseRealFourier(size.last!, last, norm, inverse: true, op)
  }
}

/// The discrete Fourier transform along an axis: `y[k] = Σⱼ x[j] exp(-2πi jk / n)`; real tensors become complex.
///
/// - Parameters:
///   - n: the length, 1 or more: the axis is cut to it, or filled up with zeros. By default the size of the axis.
///   - norm: where the factor 1/n stands.
///
/// Source: PyTorch `fft.fft`.
public func fft(_ x: Tensor, n: Int? = nil, axis: Int = -1, norm: FourierNorm = .backward) -> Tensor {
  x.fourier(n, axis, norm, inverse: false, "fft")
}
/// The inverse of `fft`: `x[j] = 1/n Σₖ y[k] exp(2πi jk / n)`. Source: PyTorch `fft.ifft`.
public func ifft(_ x: Tensor, n: Int? = nil, axis: Int = -1, norm: FourierNorm = .backward) -> Tensor {
  x.fourier(n, axis, norm, inverse: true, "ifft")
}
/// The elements 0, …, n / 2 of `fft` of a real tensor; the others are their conjugates. Source: PyTorch `fft.rfft`.
public func rfft(_ x: Tensor, n: Int? = nil, axis: Int = -1, norm: FourierNorm = .backward) -> Tensor {
  x.realFourier(n, axis, norm, inverse: false, "rfft")
}
/// The inverse of `rfft`: n real numbers of n / 2 + 1 complex ones, to which the axis is cut or filled up.
///
/// - Parameter n: by default `2 * (size - 1)`; an odd length has to be given. The imaginary part of the first element, and of
///   the last for even n, is not read.
///
/// Source: PyTorch `fft.irfft`.
public func irfft(_ x: Tensor, n: Int? = nil, axis: Int = -1, norm: FourierNorm = .backward) -> Tensor {
  x.inverseRealFourier(n, axis, norm, inverse: true, "irfft")
}
/// The `fft`, which is real, of a signal whose second half is the conjugate of the first, given by its elements 0, …, n / 2.
///
/// Source: PyTorch `fft.hfft`.
public func hfft(_ x: Tensor, n: Int? = nil, axis: Int = -1, norm: FourierNorm = .backward) -> Tensor {
  x.conjugated().inverseRealFourier(n, axis, norm, inverse: false, "hfft")
}
/// The inverse of `hfft`. Source: PyTorch `fft.ihfft`.
public func ihfft(_ x: Tensor, n: Int? = nil, axis: Int = -1, norm: FourierNorm = .backward) -> Tensor {
  x.realFourier(n, axis, norm, inverse: true, "ihfft").conjugated()
}

/// `fft` along two axes, the last two by default. Source: PyTorch `fft.fft2`.
public func fft2(_ x: Tensor, size: [Int]? = nil, axes: [Int] = [-2, -1], norm: FourierNorm = .backward) -> Tensor {
  x.fourierN(size, axes, norm, inverse: false, "fft2")
}
/// `ifft` along two axes, the last two by default. Source: PyTorch `fft.ifft2`.
public func ifft2(_ x: Tensor, size: [Int]? = nil, axes: [Int] = [-2, -1], norm: FourierNorm = .backward) -> Tensor {
  x.fourierN(size, axes, norm, inverse: true, "ifft2")
}
/// `rfft` along the last of two axes, then `fft` along the other. Source: PyTorch `fft.rfft2`.
public func rfft2(_ x: Tensor, size: [Int]? = nil, axes: [Int] = [-2, -1], norm: FourierNorm = .backward) -> Tensor {
  x.realFourierN(size, axes, norm, "rfft2")
}
/// The inverse of `rfft2`. Source: PyTorch `fft.irfft2`.
public func irfft2(_ x: Tensor, size: [Int]? = nil, axes: [Int] = [-2, -1], norm: FourierNorm = .backward) -> Tensor {
  x.inverseRealFourierN(size, axes, norm, "irfft2")
}
/// `fft` along several axes: all by default, or the last ones for which sizes are given. Source: PyTorch `fft.fftn`.
public func fftn(_ x: Tensor, size: [Int]? = nil, axes: [Int]? = nil, norm: FourierNorm = .backward) -> Tensor {
  x.fourierN(size, axes, norm, inverse: false, "fftn")
}
/// The inverse of `fftn`. Source: PyTorch `fft.ifftn`.
public func ifftn(_ x: Tensor, size: [Int]? = nil, axes: [Int]? = nil, norm: FourierNorm = .backward) -> Tensor {
  x.fourierN(size, axes, norm, inverse: true, "ifftn")
}
/// `rfft` along the last of several axes, then `fft` along the others. Source: PyTorch `fft.rfftn`.
public func rfftn(_ x: Tensor, size: [Int]? = nil, axes: [Int]? = nil, norm: FourierNorm = .backward) -> Tensor {
  x.realFourierN(size, axes, norm, "rfftn")
}
/// The inverse of `rfftn`. Source: PyTorch `fft.irfftn`.
public func irfftn(_ x: Tensor, size: [Int]? = nil, axes: [Int]? = nil, norm: FourierNorm = .backward) -> Tensor {
  x.inverseRealFourierN(size, axes, norm, "irfftn")
}

/// The frequencies of the elements of `fft` of n samples that are `spacing` apart: 0, 1, …, -2, -1 over `n · spacing`.
///
/// Source: PyTorch `fft.fftfreq`.
public func fftFrequencies(_ n: Int, spacing: Double = 1, dtype: DType = .float32, device: Device = .current) -> Tensor
{
  frequencies(n, (0..<Swift.max(0, n)).map { $0 < (n + 1) / 2 ? $0 : $0 - n }, spacing, dtype, device, "fftFrequencies")
}
/// The frequencies of the n / 2 + 1 elements of `rfft` of n samples that are `spacing` apart. Source: PyTorch
/// `fft.rfftfreq`.
public func rfftFrequencies(_ n: Int, spacing: Double = 1, dtype: DType = .float32, device: Device = .current) -> Tensor
{
  frequencies(n, Array(0...Swift.max(0, n / 2)), spacing, dtype, device, "rfftFrequencies")
}

private func frequencies(
  _ n: Int, _ numbers: [Int], _ spacing: Double, _ dtype: DType, _ device: Device, _ op: String
) -> Tensor {
  guard n >= 1 else { return failure(.count(name: "n", n, allowed: "1 or more"), op: op) }
  guard dtype.isFloating else {
    return failure(.misuse("the dtype is \(dtype)", rule: "frequencies are of a floating dtype"), op: op)
  }
  return Tensor.make(TensorSpec([numbers.count], dtype, device: device)) { target in
    for (place, number) in numbers.enumerated() { target.store(Double(number) / (Double(n) * spacing), place, dtype) }
  }
}

/// The element of frequency 0 moved to the middle of each axis, of all axes by default. Source: PyTorch `fft.fftshift`.
public func fftShifted(_ x: Tensor, axes: [Int]? = nil) -> Tensor { shifted(x, axes, "fftShifted") { $0 / 2 } }
/// The inverse of `fftShifted`. Source: PyTorch `fft.ifftshift`.
public func ifftShifted(_ x: Tensor, axes: [Int]? = nil) -> Tensor { shifted(x, axes, "ifftShifted") { ($0 + 1) / 2 } }

private func shifted(_ x: Tensor, _ axes: [Int]?, _ op: String, _ shift: (Int) -> Int) -> Tensor {
  guard let positions = x.positions(of: axes, op: op) else { return x.afterFailure }
  return (0..<x.rank).filter { positions[$0] }.reduce(x) { $0.rolled(by: shift(x.shape[$1]), axis: $1) }
}
