import MartletCore
import MartletOps

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A function of one element. Without a form for integers the operation takes floats only.
private func unary<O: UnaryOp>(
  _ type: O.Type, _ float: @escaping @Sendable (Double) -> Double,
  integer: (@Sendable (Int64) -> Int64)? = nil,
  complex: (@Sendable (Complex<Double>) -> Complex<Double>)? = nil
) {
  naive(type) { _, arguments in
    if let complex, arguments.spec(0).dtype.isComplex {
      arguments.write(complex: arguments.complexNumbers(0).map(complex))
    } else if let integer, !arguments.spec(0).dtype.isFloating {
      arguments.write(arguments.integers(0).map(integer))
    } else {
      arguments.write(arguments.doubles(0).map(float))
    }
  }
}

/// A function of two elements, with broadcasting. Bool operands come to `bool`, and to `integer` without it.
private func binary<O: BinaryOp>(
  _ type: O.Type, _ float: @escaping @Sendable (Double, Double) -> Double,
  integer: (@Sendable (Int64, Int64) -> Int64)? = nil, bool: (@Sendable (Int64, Int64) -> Int64)? = nil,
  complex: (@Sendable (Complex<Double>, Complex<Double>) -> Complex<Double>)? = nil
) {
  naive(type) { _, arguments in
    let shape = arguments.outputSpec().shape
    let dtype = arguments.spec(0).dtype
    if let complex, dtype.isComplex {
      arguments.write(
        complex: zip(arguments.complexNumbers(0, as: shape), arguments.complexNumbers(1, as: shape)).map(complex))
    } else if let integer, !dtype.isFloating {
      let f = dtype == .bool ? bool ?? integer : integer
      arguments.write(zip(arguments.integers(0, as: shape), arguments.integers(1, as: shape)).map(f))
    } else {
      arguments.write(zip(arguments.doubles(0, as: shape), arguments.doubles(1, as: shape)).map(float))
    }
  }
}

private func holds<T: Comparable>(_ kind: Compare.Kind, _ a: T, _ b: T) -> Int64 {
  let result =
    switch kind {
    case .equal: a == b
    case .notEqual: a != b
    case .less: a < b
    case .lessOrEqual: a <= b
    case .greater: a > b
    case .greaterOrEqual: a >= b
    }
  return result ? 1 : 0
}

/// NaN where an operand is NaN; Swift's `max` would depend on the order.
@Sendable func larger(_ a: Double, _ b: Double) -> Double { a > b || a.isNaN ? a : b }
@Sendable func smaller(_ a: Double, _ b: Double) -> Double { a < b || a.isNaN ? a : b }

/// The remainder with the sign of the divisor.
@Sendable private func pythonRemainder(_ a: Double, _ b: Double) -> Double {
  let r = fmod(a, b)
  return r != 0 && (r < 0) != (b < 0) ? r + b : r
}

@Sendable private func floorDivision(_ a: Int64, _ b: Int64) -> (quotient: Int64, remainder: Int64) {
  if b == 0 { return (0, 0) }
  if b == -1 { return (0 &- a, 0) }
  let (q, r) = a.quotientAndRemainder(dividingBy: b)
  return r != 0 && (r < 0) != (b < 0) ? (q - 1, r + b) : (q, r)
}

func installElementwise() {
  unary(Negate.self, { -$0 }, integer: { 0 &- $0 }, complex: { -$0 })
  naive(Abs.self) { _, arguments in
    let dtype = arguments.spec(0).dtype
    if dtype.isComplex {
      arguments.write(arguments.complexNumbers(0).map { $0.magnitude })
    } else if dtype.isFloating {
      arguments.write(arguments.doubles(0).map { $0.magnitude })
    } else {
      arguments.write(arguments.integers(0).map { $0 < 0 ? 0 &- $0 : $0 })
    }
  }
  unary(Sign.self, { $0.isNaN ? $0 : $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }, integer: { $0.signum() })
  unary(Exp.self, { exp($0) }, complex: complexExp)
  unary(Log.self, { log($0) }, complex: { Complex(log($0.magnitude), $0.angle) })
  unary(Sqrt.self, { $0.squareRoot() }, complex: complexSqrt)
  unary(Tanh.self, { tanh($0) }, complex: { complexSinh($0) / complexCosh($0) })
  unary(Sin.self, { sin($0) }, complex: { turnedBack(complexSinh(turned($0))) })
  unary(Cos.self, { cos($0) }, complex: { complexCosh(turned($0)) })
  unary(Expm1.self, { expm1($0) })
  unary(Exp2.self, { exp2($0) })
  unary(Log1p.self, { log1p($0) })
  unary(Log2.self, { log2($0) })
  unary(Log10.self, { log10($0) })
  unary(
    Tan.self, { tan($0) }, complex: { turnedBack(complexSinh(turned($0)) / complexCosh(turned($0))) })
  unary(Asin.self, { asin($0) })
  unary(Acos.self, { acos($0) })
  unary(Atan.self, { atan($0) })
  unary(Sinh.self, { sinh($0) }, complex: complexSinh)
  unary(Cosh.self, { cosh($0) }, complex: complexCosh)
  unary(Asinh.self, { asinh($0) })
  unary(Acosh.self, { acosh($0) })
  unary(Atanh.self, { atanh($0) })
  unary(Erf.self, { erf($0) })
  naive(Round.self) { op, arguments in
    let rule: FloatingPointRoundingRule =
      switch op.kind {
      case .down: .down
      case .up: .up
      case .nearest: .toNearestOrEven
      case .towardZero: .towardZero
      }
    if arguments.spec(0).dtype.isFloating {
      arguments.write(arguments.doubles(0).map { $0.rounded(rule) })
    } else {
      arguments.write(bits: arguments.bits(0))
    }
  }
  naive(LogicalNot.self) { _, arguments in arguments.write(arguments.integers(0).map { 1 - $0 }) }

  binary(Add.self, { $0 + $1 }, integer: { $0 &+ $1 }, bool: { $0 | $1 }, complex: { $0 + $1 })
  binary(Subtract.self, { $0 - $1 }, integer: { $0 &- $1 }, complex: { $0 - $1 })
  binary(Multiply.self, { $0 * $1 }, integer: { $0 &* $1 }, bool: { $0 & $1 }, complex: { $0 * $1 })
  binary(Divide.self, { $0 / $1 }, complex: { $0 / $1 })
  binary(Maximum.self, larger, integer: { max($0, $1) })
  binary(Minimum.self, smaller, integer: { min($0, $1) })
  binary(Power.self, { pow($0, $1) })
  binary(Atan2.self, { atan2($0, $1) })
  binary(Remainder.self, pythonRemainder, integer: { floorDivision($0, $1).remainder })
  binary(
    FloorDivide.self,
    { a, b in
      let r = fmod(a, b)
      return b == 0 ? a / b : ((a - r) / b).rounded() - (r != 0 && (r < 0) != (b < 0) ? 1 : 0)
    },
    integer: { floorDivision($0, $1).quotient })

  naive(Compare.self) { op, arguments in
    let shape = arguments.outputSpec().shape
    if arguments.spec(0).dtype.isComplex {
      let (a, b) = (arguments.complexNumbers(0, as: shape), arguments.complexNumbers(1, as: shape))
      arguments.write(zip(a, b).map { ($0 == $1) == (op.kind == .equal) ? 1 : 0 as Int64 })
    } else if arguments.spec(0).dtype.isFloating {
      let (a, b) = (arguments.doubles(0, as: shape), arguments.doubles(1, as: shape))
      arguments.write(zip(a, b).map { holds(op.kind, $0, $1) })
    } else {
      let (a, b) = (arguments.integers(0, as: shape), arguments.integers(1, as: shape))
      arguments.write(zip(a, b).map { holds(op.kind, $0, $1) })
    }
  }
  naive(Logic.self) { op, arguments in
    let shape = arguments.outputSpec().shape
    let (a, b) = (arguments.integers(0, as: shape), arguments.integers(1, as: shape))
    arguments.write(
      zip(a, b).map { (a: Int64, b: Int64) -> Int64 in
        switch op.kind {
        case .and: a & b
        case .or: a | b
        case .xor: a ^ b
        }
      })
  }
  naive(Select.self) { _, arguments in
    let shape = arguments.outputSpec().shape
    let condition = arguments.integers(0, as: shape)
    let (a, b) = (arguments.bits(1, as: shape), arguments.bits(2, as: shape))
    arguments.write(bits: condition.indices.map { condition[$0] != 0 ? a[$0] : b[$0] })
  }
  naive(Cast.self) { _, arguments in
    // Integers wrap and are rounded once; floats saturate by `store`.
    if arguments.spec(0).dtype.isComplex {
      arguments.write(complex: arguments.complexNumbers(0))
    } else if arguments.spec(0).dtype.isFloating {
      arguments.write(arguments.doubles(0))
    } else {
      arguments.write(arguments.integers(0))
    }
  }
}
