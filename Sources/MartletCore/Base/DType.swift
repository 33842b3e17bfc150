/// The type of a tensor's elements.
public enum DType: UInt8, Sendable, Hashable, CaseIterable, CustomStringConvertible {
  // The raw values are shared with the kernels (ck_runtime.h).
  case bool = 0
  case uint8, int8, int16, int32, int64, uint32
  case float16, bfloat16, float32, float64
  case complex64, complex128

  /// Bytes of one element.
  @inlinable
  public var size: Int {
    switch self {
    case .bool, .uint8, .int8: 1
    case .int16, .float16, .bfloat16: 2
    case .int32, .uint32, .float32: 4
    case .int64, .float64, .complex64: 8
    case .complex128: 16
    }
  }

  /// Whether it is a float of 16 bits.
  package var isHalf: Bool { self == .float16 || self == .bfloat16 }

  /// True for `float16`, `bfloat16`, `float32` and `float64`.
  @inlinable
  public var isFloating: Bool { rawValue >= DType.float16.rawValue && rawValue <= DType.float64.rawValue }

  /// True for `complex64` and `complex128`.
  @inlinable
  public var isComplex: Bool { rawValue >= DType.complex64.rawValue }

  /// True for floats and complex numbers, which have derivatives.
  @inlinable
  public var isInexact: Bool { rawValue >= DType.float16.rawValue }

  /// The dtype of the real and imaginary parts: `float32` of `complex64`, `float64` of `complex128`; others have no imaginary
  /// part.
  public var realPart: DType { self == .complex64 ? .float32 : self == .complex128 ? .float64 : self }

  /// The complex dtype that holds numbers of this one: `complex128` for `float64`, else `complex64`.
  public var complexCounterpart: DType { self == .float64 || self == .complex128 ? .complex128 : .complex64 }

  /// True for the signed and unsigned integers; false for `bool`.
  @inlinable
  public var isInteger: Bool { rawValue >= DType.uint8.rawValue && rawValue <= DType.uint32.rawValue }

  public var description: String {
    switch self {
    case .bool: "bool"
    case .uint8: "uint8"
    case .int8: "int8"
    case .int16: "int16"
    case .int32: "int32"
    case .int64: "int64"
    case .uint32: "uint32"
    case .float16: "float16"
    case .bfloat16: "bfloat16"
    case .float32: "float32"
    case .float64: "float64"
    case .complex64: "complex64"
    case .complex128: "complex128"
    }
  }

  /// The dtype in which values of both dtypes are combined.
  ///
  /// The rules are PyTorch's for two tensors: a float wins over an integer and an integer over bool; of two floats or two
  /// integers the wider wins; `float16` with `bfloat16` gives `float32`; unsigned with signed gives a signed dtype that
  /// holds both; a complex dtype wins over all others, and is `complex128` beside `float64`.
  public func promoted(with other: DType) -> DType {
    if self == other { return self }
    if isComplex || other.isComplex {
      return complexCounterpart == .complex128 || other.complexCounterpart == .complex128 ? .complex128 : .complex64
    }
    if isFloating || other.isFloating {
      guard isFloating, other.isFloating else { return isFloating ? self : other }
      if size == other.size { return .float32 }
      return size > other.size ? self : other
    }
    if self == .bool { return other }
    if other == .bool { return self }
    let (small, large) = size < other.size || (size == other.size && isUnsigned) ? (self, other) : (other, self)
    if small.isUnsigned == large.isUnsigned || small.size < large.size && small.isUnsigned { return large }
    // One is unsigned and at least as wide as the other: the next wider signed dtype.
    let wide = max(small.size, large.size)
    return wide == 1 ? .int16 : .int64
  }

  private var isUnsigned: Bool { self == .uint8 || self == .uint32 }
}

/// A Swift number that can be an element of a tensor.
public protocol TensorScalar: Sendable, BitwiseCopyable {
  /// The dtype whose elements have this type's memory layout.
  static var dtype: DType { get }
  /// The value as a `Double`; `int64` beyond 2⁵³ is rounded.
  var doubleValue: Double { get }
}

extension Bool: TensorScalar {
  public static var dtype: DType { .bool }
  public var doubleValue: Double { self ? 1 : 0 }
}
extension UInt8: TensorScalar {
  public static var dtype: DType { .uint8 }
  public var doubleValue: Double { Double(self) }
}
extension Int8: TensorScalar {
  public static var dtype: DType { .int8 }
  public var doubleValue: Double { Double(self) }
}
extension Int16: TensorScalar {
  public static var dtype: DType { .int16 }
  public var doubleValue: Double { Double(self) }
}
extension Int32: TensorScalar {
  public static var dtype: DType { .int32 }
  public var doubleValue: Double { Double(self) }
}
extension Int64: TensorScalar {
  public static var dtype: DType { .int64 }
  public var doubleValue: Double { Double(self) }
}
extension Int: TensorScalar {
  public static var dtype: DType { .int64 }
  public var doubleValue: Double { Double(self) }
}
extension UInt32: TensorScalar {
  public static var dtype: DType { .uint32 }
  public var doubleValue: Double { Double(self) }
}
#if !(os(macOS) && arch(x86_64))
  extension Float16: TensorScalar {
    public static var dtype: DType { .float16 }
    public var doubleValue: Double { Double(self) }
  }
#endif
extension Float: TensorScalar {
  public static var dtype: DType { .float32 }
  public var doubleValue: Double { Double(self) }
}
extension Double: TensorScalar {
  public static var dtype: DType { .float64 }
  public var doubleValue: Double { self }
}

/// A 16-bit float with the exponent range of `Float` and 8 bits of precision.
public struct BFloat16: TensorScalar, Hashable {
  /// The upper half of the bits of a `Float`.
  public var bits: UInt16

  public static var dtype: DType { .bfloat16 }

  /// Rounds to the nearest value, ties to even.
  public init(_ value: Float) {
    let word = value.bitPattern
    bits =
      value.isNaN
      ? UInt16(truncatingIfNeeded: word >> 16) | 0x40
      : UInt16(truncatingIfNeeded: (word &+ 0x7FFF &+ ((word >> 16) & 1)) >> 16)
  }

  /// The value as a `Float`, exactly.
  public var floatValue: Float { Float(bitPattern: UInt32(bits) << 16) }
  public var doubleValue: Double { Double(floatValue) }
}
