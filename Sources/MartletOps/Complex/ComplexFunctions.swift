public import MartletCore

/// Complex numbers of their real and imaginary parts, with broadcasting: `complex128` of `float64`, else `complex64`.
///
/// Source: PyTorch `complex`.
public func complex(_ real: Tensor, _ imaginary: Tensor) -> Tensor {
  for (position, part) in [real, imaginary].enumerated() where part.dtype.isComplex {
    return failure(
      .dtype(argument: position, expected: Domain.real.rawValue), op: "complex", [real, imaginary],
      names: ["real", "imaginary"])
  }
  guard let shape = real.shape.broadcast(with: imaginary.shape) else {
    return failure(.broadcast, op: "complex", [real, imaginary], names: ["real", "imaginary"])
  }
  let dtype = real.dtype.promoted(with: imaginary.dtype).complexCounterpart.realPart
  let parts = [real, imaginary].map { $0.cast(to: dtype).expanded(to: shape) }
  return viewAsComplex(stack(parts, axis: -1))
}

/// Complex numbers of their absolute values and their angles in radians. Source: PyTorch `polar`.
public func polar(_ magnitude: Tensor, _ angle: Tensor) -> Tensor {
  complex(magnitude * cos(angle), magnitude * sin(angle))
}

/// The direction of complex numbers from 0, in -π … π; of real ones 0 or π, and NaN for NaN.
///
/// At 0 the derivative is NaN. Source: PyTorch `angle`, whose derivative is 0 there.
public func angle(_ x: Tensor) -> Tensor {
  if x.dtype.isComplex { return atan2(x.imaginary, x.real) }
  let real = x.dtype.isFloating ? x : x.cast(to: .float32)
  return select(real.isNaN, real, select(real .< 0, Double.pi, real.zeroScalar))
}

extension Tensor {
  /// The real parts, in the dtype of the parts; a view. Real tensors are their own.
  public var real: Tensor { part(0) }

  /// The imaginary parts, in the dtype of the parts; a view. Zeros for real tensors.
  public var imaginary: Tensor { dtype.isComplex ? part(1) : Tensor(repeating: 0, spec) }

  private func part(_ index: Int) -> Tensor {
    guard dtype.isComplex else { return self }
    if rank == Shape.maxRank { return reshaped([count]).part(index).reshaped(shape) }
    let pairs = viewAsReal(self)
    if pairs.isError { return pairs }
    var region = Region(whole: pairs.shape)
    region.starts[rank] = index
    region.sizes[rank] = 1
    return apply(view: Slice(region: region), pairs).reshaped(shape)
  }

  /// The tensor and a complex number in one complex dtype: that of the tensor, or of its parts.
  private func joined<P: ComplexPart>(_ number: Complex<P>) -> (Tensor, Tensor) {
    let dtype = dtype.complexCounterpart
    let value = Complex<Double>(Double(number.real), Double(number.imaginary))
    return (cast(to: dtype), Tensor(scalar: value, dtype, device: device))
  }
  private static func number<O: BinaryOp, P: ComplexPart>(
    _ op: O, _ a: Tensor, _ b: Complex<P>, swapped: Bool = false
  ) -> Tensor {
    let (x, y) = a.joined(b)
    return swapped ? apply(op, y, x) : apply(op, x, y)
  }

  /// A complex number is weak beside a tensor: real tensors become `complex64`, those of `float64` `complex128`.
  public static func + <P: ComplexPart>(a: Tensor, b: Complex<P>) -> Tensor { number(Add(), a, b) }
  public static func - <P: ComplexPart>(a: Tensor, b: Complex<P>) -> Tensor { number(Subtract(), a, b) }
  public static func * <P: ComplexPart>(a: Tensor, b: Complex<P>) -> Tensor { number(Multiply(), a, b) }
  public static func / <P: ComplexPart>(a: Tensor, b: Complex<P>) -> Tensor { number(Divide(), a, b) }
  public static func + <P: ComplexPart>(a: Complex<P>, b: Tensor) -> Tensor { number(Add(), b, a, swapped: true) }
  public static func - <P: ComplexPart>(a: Complex<P>, b: Tensor) -> Tensor { number(Subtract(), b, a, swapped: true) }
  public static func * <P: ComplexPart>(a: Complex<P>, b: Tensor) -> Tensor { number(Multiply(), b, a, swapped: true) }
  public static func / <P: ComplexPart>(a: Complex<P>, b: Tensor) -> Tensor { number(Divide(), b, a, swapped: true) }

  fileprivate static func compared<P: ComplexPart>(_ kind: Compare.Kind, _ a: Tensor, _ b: Complex<P>) -> Tensor {
    number(Compare(kind: kind), a, b)
  }
}

public func .== <P: ComplexPart>(a: Tensor, b: Complex<P>) -> Tensor { Tensor.compared(.equal, a, b) }
public func .!= <P: ComplexPart>(a: Tensor, b: Complex<P>) -> Tensor { Tensor.compared(.notEqual, a, b) }

/// `z / abs(z)`, and 0 for 0.
func complexSign(_ z: Tensor) -> Tensor {
  let magnitude = abs(z)
  return z / select(magnitude .== 0, 1, magnitude)
}

/// `exp(b log(a))`. 0 to a power is 0 where the real part of the exponent is above 0, and 1 for 0; what has no limit is
/// infinite or NaN as `1 / 0` is.
func complexPower(_ a: Tensor, _ b: Tensor) -> Tensor {
  let isZero = a .== 0
  let power = exp(b * log(select(isZero, 1, a)))
  let exponent = b.detached()
  let (real, none) = (exponent.real, exponent.real * Double.nan)
  let isNumber = (real .> 0) .| (exponent .== 0)
  let atZero = select(real .> 0, 0, select(exponent .== 0, 1, select(real .< 0, Double.infinity, none)))
  return select(isZero, complex(atZero, select(isNumber, 0, none)), power)
}

/// Whole powers are products.
func complexPower(_ a: Tensor, _ b: Double) -> Tensor {
  guard b.rounded() == b, b.magnitude <= 64 else {
    return complexPower(a, Tensor(scalar: b, a.dtype, device: a.device))
  }
  var result: Tensor?
  var square = a
  var rest = Int(b.magnitude)
  while rest > 0 {
    if rest & 1 == 1 { result = result.map { $0 * square } ?? square }
    rest /= 2
    if rest > 0 { square = square * square }
  }
  guard let result else { return a * 0 + 1 }
  return b < 0 ? 1 / result : result
}
