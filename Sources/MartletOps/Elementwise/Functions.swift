public import MartletCore

/// A Swift number next to a tensor: it takes the tensor's dtype ("weak"), unless a fraction meets integers.
public protocol WeakNumber: Sendable {
  var doubleValue: Double { get }
  static var isFraction: Bool { get }
}
extension Int: WeakNumber { public static var isFraction: Bool { false } }
extension Double: WeakNumber { public static var isFraction: Bool { true } }
extension Float: WeakNumber { public static var isFraction: Bool { true } }

extension DType {
  /// Whether an integer is in the range of this integer dtype.
  fileprivate func holds(_ value: Double) -> Bool {
    switch self {
    case .bool: value == 0 || value == 1
    case .uint8: 0...255 ~= value
    case .int8: -128...127 ~= value
    case .int16: -32768...32767 ~= value
    case .int32: -0x1p31..<0x1p31 ~= value
    case .uint32: 0..<0x1p32 ~= value
    default: true
    }
  }
}

extension Tensor {
  /// Elements of another dtype.
  ///
  /// Floats are cut to integers toward zero and clamped to their range, NaN becomes 0; `bool` is "not zero". Complex elements
  /// stay complex: `.real` gives floats.
  public func cast(to dtype: DType) -> Tensor { dtype == self.dtype ? self : apply(Cast(dtype: dtype), self) }

  /// The same values on another device.
  public func to(_ device: Device) -> Tensor { device == self.device ? self : apply(CopyTo(device: device), self) }

  /// A zero of this tensor's dtype and device.
  package var zeroScalar: Tensor { Tensor(scalar: 0, dtype, device: device) }

  /// Both tensors in the dtype to which they promote.
  @inline(never)
  package func promoted(with other: Tensor, floating: Bool = false) -> (Tensor, Tensor) {
    var dtype = dtype.promoted(with: other.dtype)
    if floating, !dtype.isInexact { dtype = .float32 }
    return (cast(to: dtype), other.cast(to: dtype))
  }

  /// The tensor and a number in one dtype: the tensor's, unless a fraction meets integers (`float32`), or an integer does
  /// not fit (`int64`).
  fileprivate func joined<N: WeakNumber>(_ number: N, floating: Bool = false) -> (Tensor, Tensor) {
    var dtype = dtype
    if !dtype.isInexact {
      if floating || N.isFraction {
        dtype = .float32
      } else if dtype == .bool || !dtype.holds(number.doubleValue) {
        dtype = .int64
      }
    }
    let scalar =
      dtype == .int64 && number is Int
      ? Tensor(number as! Int, device: device) : Tensor(scalar: number.doubleValue, dtype, device: device)
    return (cast(to: dtype), scalar)
  }

  @inline(__always)
  fileprivate static func binary<O: BinaryOp>(_ op: O, _ a: Tensor, _ b: Tensor) -> Tensor {
    if a.dtype == b.dtype { return apply(op, a, b) }
    let (x, y) = a.promoted(with: b)
    return apply(op, x, y)
  }

  /// The sum, with broadcasting. Dtypes promote as in PyTorch.
  public static func + (a: Tensor, b: Tensor) -> Tensor { binary(Add(), a, b) }
  /// The difference, with broadcasting.
  public static func - (a: Tensor, b: Tensor) -> Tensor { binary(Subtract(), a, b) }
  /// The elementwise product, with broadcasting.
  public static func * (a: Tensor, b: Tensor) -> Tensor { binary(Multiply(), a, b) }
  /// The quotient, with broadcasting; integers give `float32`.
  public static func / (a: Tensor, b: Tensor) -> Tensor {
    if a.dtype == b.dtype, a.dtype.isInexact { return apply(Divide(), a, b) }
    let (x, y) = a.promoted(with: b, floating: true)
    return apply(Divide(), x, y)
  }
  /// The negative.
  public static prefix func - (x: Tensor) -> Tensor { apply(Negate(), x) }

  public static func + <N: WeakNumber>(a: Tensor, b: N) -> Tensor { number(Add(), a, b) }
  public static func - <N: WeakNumber>(a: Tensor, b: N) -> Tensor { number(Subtract(), a, b) }
  public static func * <N: WeakNumber>(a: Tensor, b: N) -> Tensor { number(Multiply(), a, b) }
  public static func / <N: WeakNumber>(a: Tensor, b: N) -> Tensor { number(Divide(), a, b, floating: true) }
  public static func + <N: WeakNumber>(a: N, b: Tensor) -> Tensor { number(Add(), b, a, swapped: true) }
  public static func - <N: WeakNumber>(a: N, b: Tensor) -> Tensor { number(Subtract(), b, a, swapped: true) }
  public static func * <N: WeakNumber>(a: N, b: Tensor) -> Tensor { number(Multiply(), b, a, swapped: true) }
  public static func / <N: WeakNumber>(a: N, b: Tensor) -> Tensor {
    number(Divide(), b, a, floating: true, swapped: true)
  }

  private static func number<O: BinaryOp, N: WeakNumber>(
    _ op: O, _ a: Tensor, _ b: N, floating: Bool = false, swapped: Bool = false
  ) -> Tensor {
    let (x, y) = a.joined(b, floating: floating)
    return swapped ? apply(op, y, x) : apply(op, x, y)
  }

  /// Adds in place when nobody else holds the elements.
  public static func += (a: inout Tensor, b: Tensor) { inPlace(Add(), &a, b) }
  public static func -= (a: inout Tensor, b: Tensor) { inPlace(Subtract(), &a, b) }
  public static func *= (a: inout Tensor, b: Tensor) { inPlace(Multiply(), &a, b) }
  public static func /= (a: inout Tensor, b: Tensor) { inPlace(Divide(), &a, b) }
  public static func += <N: WeakNumber>(a: inout Tensor, b: N) { inPlace(Add(), &a, b) }
  public static func -= <N: WeakNumber>(a: inout Tensor, b: N) { inPlace(Subtract(), &a, b) }
  public static func *= <N: WeakNumber>(a: inout Tensor, b: N) { inPlace(Multiply(), &a, b) }
  public static func /= <N: WeakNumber>(a: inout Tensor, b: N) { inPlace(Divide(), &a, b) }

  private static func inPlace<O: BinaryOp>(_ op: O, _ a: inout Tensor, _ b: Tensor) {
    if let both = a.shape.broadcast(with: b.shape), both != a.shape {
      _ = failure(.sliceValue(b.shape, region: a.shape), op: O.name, [a, b], names: O.argumentNames)
      return
    }
    let floating = op is Divide && !(a.dtype.isInexact || b.dtype.isInexact)
    if a.dtype == b.dtype, !floating {
      a = taking(op, &a, [b])
    } else {
      let (x, y) = a.promoted(with: b, floating: floating)
      a = apply(op, x, y)
    }
  }

  private static func inPlace<O: BinaryOp, N: WeakNumber>(_ op: O, _ a: inout Tensor, _ b: N) {
    if a.dtype.isInexact || !N.isFraction && a.dtype != .bool && !(op is Divide) && a.dtype.holds(b.doubleValue) {
      a = taking(op, &a, [Tensor(scalar: b.doubleValue, a.dtype, device: a.device)])
    } else {
      a = number(op, a, b, floating: op is Divide)
    }
  }

  fileprivate static func compare(_ kind: Compare.Kind, _ a: Tensor, _ b: Tensor) -> Tensor {
    binary(Compare(kind: kind), a, b)
  }
  fileprivate static func compare<N: WeakNumber>(_ kind: Compare.Kind, _ a: Tensor, _ b: N) -> Tensor {
    let (x, y) = a.joined(b)
    return apply(Compare(kind: kind), x, y)
  }
}

infix operator .== : ComparisonPrecedence
infix operator .!= : ComparisonPrecedence
infix operator .< : ComparisonPrecedence
infix operator .<= : ComparisonPrecedence
infix operator .> : ComparisonPrecedence
infix operator .>= : ComparisonPrecedence
infix operator .& : LogicalConjunctionPrecedence
infix operator .| : LogicalDisjunctionPrecedence
infix operator .^ : LogicalDisjunctionPrecedence

/// Elementwise equality; the result is bool. (`==` is not declared for tensors.)
public func .== (a: Tensor, b: Tensor) -> Tensor { Tensor.compare(.equal, a, b) }
public func .!= (a: Tensor, b: Tensor) -> Tensor { Tensor.compare(.notEqual, a, b) }
public func .< (a: Tensor, b: Tensor) -> Tensor { Tensor.compare(.less, a, b) }
public func .<= (a: Tensor, b: Tensor) -> Tensor { Tensor.compare(.lessOrEqual, a, b) }
public func .> (a: Tensor, b: Tensor) -> Tensor { Tensor.compare(.greater, a, b) }
public func .>= (a: Tensor, b: Tensor) -> Tensor { Tensor.compare(.greaterOrEqual, a, b) }
public func .== <N: WeakNumber>(a: Tensor, b: N) -> Tensor { Tensor.compare(.equal, a, b) }
public func .!= <N: WeakNumber>(a: Tensor, b: N) -> Tensor { Tensor.compare(.notEqual, a, b) }
public func .< <N: WeakNumber>(a: Tensor, b: N) -> Tensor { Tensor.compare(.less, a, b) }
public func .<= <N: WeakNumber>(a: Tensor, b: N) -> Tensor { Tensor.compare(.lessOrEqual, a, b) }
public func .> <N: WeakNumber>(a: Tensor, b: N) -> Tensor { Tensor.compare(.greater, a, b) }
public func .>= <N: WeakNumber>(a: Tensor, b: N) -> Tensor { Tensor.compare(.greaterOrEqual, a, b) }
/// Elementwise and of bool tensors.
public func .& (a: Tensor, b: Tensor) -> Tensor { apply(Logic(kind: .and), a, b) }
/// Elementwise or of bool tensors.
public func .| (a: Tensor, b: Tensor) -> Tensor { apply(Logic(kind: .or), a, b) }
/// Elementwise exclusive or of bool tensors.
public func .^ (a: Tensor, b: Tensor) -> Tensor { apply(Logic(kind: .xor), a, b) }
prefix operator .!
/// Elementwise not of a bool tensor.
public prefix func .! (x: Tensor) -> Tensor { apply(LogicalNot(), x) }

/// The larger of two tensors, elementwise; NaN if either is NaN. Equal elements share the gradient.
public func maximum(_ a: Tensor, _ b: Tensor) -> Tensor { Tensor.binary(Maximum(), a, b) }
/// The smaller of two tensors, elementwise; NaN if either is NaN. Equal elements share the gradient.
public func minimum(_ a: Tensor, _ b: Tensor) -> Tensor { Tensor.binary(Minimum(), a, b) }
public func maximum<N: WeakNumber>(_ a: Tensor, _ b: N) -> Tensor {
  let (x, y) = a.joined(b)
  return apply(Maximum(), x, y)
}
public func minimum<N: WeakNumber>(_ a: Tensor, _ b: N) -> Tensor {
  let (x, y) = a.joined(b)
  return apply(Minimum(), x, y)
}

/// `a` to the power `b`, elementwise; integers give `float32`.
public func pow(_ a: Tensor, _ b: Tensor) -> Tensor {
  let (x, y) = a.promoted(with: b, floating: true)
  return x.dtype.isComplex ? complexPower(x, y) : apply(Power(), x, y)
}
/// `a` to the power of a number; 2 is a product.
public func pow<N: WeakNumber>(_ a: Tensor, _ b: N) -> Tensor {
  if b.doubleValue == 2 { return a * a }
  if a.dtype.isComplex { return complexPower(a, b.doubleValue) }
  let (x, y) = a.joined(b, floating: true)
  return apply(Power(), x, y)
}

/// `a` where the condition holds, else `b`; the three broadcast. Dtypes of `a` and `b` promote.
///
/// PyTorch's `where`, which is a keyword in Swift.
public func select(_ condition: Tensor, _ a: Tensor, _ b: Tensor) -> Tensor {
  if a.dtype == b.dtype { return apply(Select(), [condition, a, b])[0] }
  let (x, y) = a.promoted(with: b)
  return apply(Select(), [condition, x, y])[0]
}
/// `a` where the condition holds, else a number.
public func select<N: WeakNumber>(_ condition: Tensor, _ a: Tensor, _ b: N) -> Tensor {
  let (x, y) = a.joined(b)
  return apply(Select(), [condition, x, y])[0]
}
/// A number where the condition holds, else `b`.
public func select<N: WeakNumber>(_ condition: Tensor, _ a: N, _ b: Tensor) -> Tensor {
  let (y, x) = b.joined(a)
  return apply(Select(), [condition, x, y])[0]
}

private func floating(_ x: Tensor) -> Tensor { x.dtype.isInexact ? x : x.cast(to: .float32) }

/// `e` to the power `x`; integers give `float32`.
public func exp(_ x: Tensor) -> Tensor { apply(Exp(), floating(x)) }
/// The natural logarithm; integers give `float32`.
public func log(_ x: Tensor) -> Tensor { apply(Log(), floating(x)) }
/// The square root; integers give `float32`.
public func sqrt(_ x: Tensor) -> Tensor { apply(Sqrt(), floating(x)) }
/// The hyperbolic tangent; integers give `float32`.
public func tanh(_ x: Tensor) -> Tensor { apply(Tanh(), floating(x)) }
/// `1 / (1 + exp(-x))`; integers give `float32`.
public func sigmoid(_ x: Tensor) -> Tensor { apply(Sigmoid(), floating(x)) }
/// `max(x, 0)`; its derivative at 0 is 0.
public func relu(_ x: Tensor) -> Tensor { apply(Relu(), x) }
/// The sine of an angle in radians; integers give `float32`.
public func sin(_ x: Tensor) -> Tensor { apply(Sin(), floating(x)) }
/// The cosine of an angle in radians; integers give `float32`.
public func cos(_ x: Tensor) -> Tensor { apply(Cos(), floating(x)) }
/// The absolute value; its derivative at 0 is 0. Of complex numbers it is real.
public func abs(_ x: Tensor) -> Tensor { apply(Abs(), x) }
/// -1, 0 or 1; of complex numbers the one of absolute value 1 in the same direction, `z / abs(z)`, and 0 for 0.
public func sign(_ x: Tensor) -> Tensor { x.dtype.isComplex ? complexSign(x) : apply(Sign(), x) }

/// `exp(x) - 1`, precise near 0; integers give `float32`.
public func expm1(_ x: Tensor) -> Tensor { apply(Expm1(), floating(x)) }
/// 2 to the power `x`; integers give `float32`.
public func exp2(_ x: Tensor) -> Tensor { apply(Exp2(), floating(x)) }
/// `log(1 + x)`, precise near 0; integers give `float32`.
public func log1p(_ x: Tensor) -> Tensor { apply(Log1p(), floating(x)) }
/// The logarithm to base 2; integers give `float32`.
public func log2(_ x: Tensor) -> Tensor { apply(Log2(), floating(x)) }
/// The logarithm to base 10; integers give `float32`.
public func log10(_ x: Tensor) -> Tensor { apply(Log10(), floating(x)) }
/// The tangent of an angle in radians; integers give `float32`.
public func tan(_ x: Tensor) -> Tensor { apply(Tan(), floating(x)) }
/// The angle in -π/2 … π/2 whose sine is `x`; integers give `float32`.
public func asin(_ x: Tensor) -> Tensor { apply(Asin(), floating(x)) }
/// The angle in 0 … π whose cosine is `x`; integers give `float32`.
public func acos(_ x: Tensor) -> Tensor { apply(Acos(), floating(x)) }
/// The angle in -π/2 … π/2 whose tangent is `x`; integers give `float32`.
public func atan(_ x: Tensor) -> Tensor { apply(Atan(), floating(x)) }
/// The hyperbolic sine; integers give `float32`.
public func sinh(_ x: Tensor) -> Tensor { apply(Sinh(), floating(x)) }
/// The hyperbolic cosine; integers give `float32`.
public func cosh(_ x: Tensor) -> Tensor { apply(Cosh(), floating(x)) }
/// The inverse of `sinh`; integers give `float32`.
public func asinh(_ x: Tensor) -> Tensor { apply(Asinh(), floating(x)) }
/// The inverse of `cosh`, NaN below 1; integers give `float32`.
public func acosh(_ x: Tensor) -> Tensor { apply(Acosh(), floating(x)) }
/// The inverse of `tanh`, NaN outside of -1 … 1; integers give `float32`.
public func atanh(_ x: Tensor) -> Tensor { apply(Atanh(), floating(x)) }
/// The error function `2/√π ∫₀ˣ exp(-t²) dt`; integers give `float32`.
public func erf(_ x: Tensor) -> Tensor { apply(Erf(), floating(x)) }
/// `x * x`.
public func square(_ x: Tensor) -> Tensor { x * x }
/// `1 / x`; integers give `float32`.
public func reciprocal(_ x: Tensor) -> Tensor { 1 / x }
/// `1 / sqrt(x)`; integers give `float32`.
public func rsqrt(_ x: Tensor) -> Tensor { 1 / sqrt(x) }

/// The largest integer that is not above `x`; the derivative is 0.
public func floor(_ x: Tensor) -> Tensor { apply(Round(kind: .down), x) }
/// The smallest integer that is not below `x`; the derivative is 0.
public func ceil(_ x: Tensor) -> Tensor { apply(Round(kind: .up), x) }
/// The nearest integer, halves to the even one: 0.5 → 0, 1.5 → 2; the derivative is 0.
public func round(_ x: Tensor) -> Tensor { apply(Round(kind: .nearest), x) }
/// The integer part, toward 0; the derivative is 0.
public func trunc(_ x: Tensor) -> Tensor { apply(Round(kind: .towardZero), x) }

/// The angle in -π … π of the point `(x, y)`, elementwise; integers give `float32`.
public func atan2(_ y: Tensor, _ x: Tensor) -> Tensor {
  let (a, b) = y.promoted(with: x, floating: true)
  return apply(Atan2(), a, b)
}

/// The remainder of `a / b` with the sign of `b`, as `%` in Python: `remainder(-7, 3)` is 2. Source: PyTorch `remainder`,
/// but that an integer by 0 gives 0.
public func remainder(_ a: Tensor, _ b: Tensor) -> Tensor { Tensor.binary(Remainder(), a, b) }
/// The remainder of `a / b` with the sign of `b`, as `%` in Python.
public func remainder<N: WeakNumber>(_ a: Tensor, _ b: N) -> Tensor {
  let (x, y) = a.joined(b)
  return apply(Remainder(), x, y)
}
/// `a / b` rounded down, as `//` in Python: `floorDivide(-7, 3)` is -3; the derivative is 0. Source: PyTorch
/// `floor_divide`, but that an integer by 0 gives 0.
public func floorDivide(_ a: Tensor, _ b: Tensor) -> Tensor { Tensor.binary(FloorDivide(), a, b) }
/// `a / b` rounded down, as `//` in Python; the derivative is 0.
public func floorDivide<N: WeakNumber>(_ a: Tensor, _ b: N) -> Tensor {
  let (x, y) = a.joined(b)
  return apply(FloorDivide(), x, y)
}

/// `x` where it is in `min … max`, else the nearer bound; `max` where the bounds are in the wrong order. NaN stays.
///
/// At a bound the derivative is 0. Source: PyTorch 2.15 `clamp`.
public func clamp<N: WeakNumber>(_ x: Tensor, min: N, max: N) -> Tensor {
  x.dtype.isFloating ? x.clamped(min.doubleValue, max.doubleValue, isOpen: true) : clamp(clamp(x, min: min), max: max)
}
/// `x`, but at least `min`.
public func clamp<N: WeakNumber>(_ x: Tensor, min: N) -> Tensor {
  x.dtype.isFloating ? x.clamped(min.doubleValue, .nan, isOpen: true) : select(x .< min, min, x)
}
/// `x`, but at most `max`.
public func clamp<N: WeakNumber>(_ x: Tensor, max: N) -> Tensor {
  x.dtype.isFloating ? x.clamped(.nan, max.doubleValue, isOpen: true) : select(x .> max, max, x)
}
/// `x`, but not below `min` nor above `max`; the three broadcast, and a bound that is nil does not bound.
///
/// Where a bound holds, the gradient is the bound's; elements that are equal to one share it.
public func clamp(_ x: Tensor, min: Tensor?, max: Tensor?) -> Tensor {
  let raised = min.map { maximum(x, $0) } ?? x
  return max.map { minimum(raised, $0) } ?? raised
}

extension Tensor {
  /// True where an element is NaN.
  public var isNaN: Tensor { self .!= self }
  /// True where an element is infinite, of either sign.
  public var isInfinite: Tensor { dtype.isInexact ? MartletOps.abs(self) .== Double.infinity : self .!= self }
  /// True where an element is neither infinite nor NaN.
  public var isFinite: Tensor { dtype.isInexact ? MartletOps.abs(self) .< Double.infinity : self .== self }
}
