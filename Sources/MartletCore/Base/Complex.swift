#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A Swift number that can be the real and the imaginary part of a complex one: `Float` or `Double`.
public protocol ComplexPart: BinaryFloatingPoint, TensorScalar {
  /// The dtype of complex numbers with such parts.
  static var complexDType: DType { get }
}
extension Float: ComplexPart { public static var complexDType: DType { .complex64 } }
extension Double: ComplexPart { public static var complexDType: DType { .complex128 } }

/// A complex number: an element of `complex64` with `Float` parts, of `complex128` with `Double` parts.
///
///     let z = Tensor([Complex(1, 2), Complex(0, -1)])   // complex64
///     z.array(as: Complex<Float>.self)[0].imaginary      // 2
public struct Complex<Part: ComplexPart>: TensorScalar, Hashable, CustomStringConvertible {
  public var real: Part
  public var imaginary: Part

  public static var dtype: DType { Part.complexDType }

  @_disfavoredOverload
  public init(_ real: Part, _ imaginary: Part = 0) {
    self.real = real
    self.imaginary = imaginary
  }
  /// The number at a distance from 0 in a direction, in radians.
  public static func polar(_ magnitude: Part, _ angle: Part) -> Complex {
    let angle = Double(angle)
    return Complex(Part(Double(magnitude) * cos(angle)), Part(Double(magnitude) * sin(angle)))
  }

  /// The distance from 0.
  public var magnitude: Part { Part(hypot(Double(real), Double(imaginary))) }
  /// The direction from 0, in -π … π.
  public var angle: Part { Part(atan2(Double(imaginary), Double(real))) }
  public var conjugate: Complex { Complex(real, -imaginary) }
  /// The real part.
  public var doubleValue: Double { Double(real) }

  public static prefix func - (z: Complex) -> Complex { Complex(-z.real, -z.imaginary) }
  public static func + (a: Complex, b: Complex) -> Complex { Complex(a.real + b.real, a.imaginary + b.imaginary) }
  public static func - (a: Complex, b: Complex) -> Complex { Complex(a.real - b.real, a.imaginary - b.imaginary) }
  public static func * (a: Complex, b: Complex) -> Complex {
    Complex(a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real)
  }
  /// The quotient, by Smith's method: intermediate results stay in range.
  public static func / (a: Complex, b: Complex) -> Complex {
    // By 0 as numbers without imaginary part are divided.
    if b.real == 0, b.imaginary == 0 {
      return Complex(a.real / b.real.magnitude, a.imaginary / b.real.magnitude)
    }
    if b.real.magnitude >= b.imaginary.magnitude {
      let ratio = b.imaginary / b.real
      let scale = b.real + b.imaginary * ratio
      return Complex((a.real + a.imaginary * ratio) / scale, (a.imaginary - a.real * ratio) / scale)
    }
    let ratio = b.real / b.imaginary
    let scale = b.real * ratio + b.imaginary
    return Complex((a.real * ratio + a.imaginary) / scale, (a.imaginary * ratio - a.real) / scale)
  }
  public static func * (a: Complex, b: Part) -> Complex { Complex(a.real * b, a.imaginary * b) }
  public static func * (a: Part, b: Complex) -> Complex { b * a }
  public static func / (a: Complex, b: Part) -> Complex { Complex(a.real / b, a.imaginary / b) }

  public var description: String {
    "\(real)" + (imaginary.sign == .minus && !imaginary.isNaN ? "-" : "+") + "\(imaginary.magnitude)i"
  }
}

extension Complex where Part == Float {
  /// Written out, as in `Complex(1, 2)`, the parts are `Float`.
  public init(_ real: Float, _ imaginary: Float = 0) {
    self.real = real
    self.imaginary = imaginary
  }
}
