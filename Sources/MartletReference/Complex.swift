import MartletCore
import MartletOps

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

// Functions of complex numbers by the textbook's formulas in real ones.

@Sendable func complexExp(_ z: Complex<Double>) -> Complex<Double> {
  Complex(exp(z.real) * cos(z.imaginary), exp(z.real) * sin(z.imaginary))
}
@Sendable func complexSinh(_ z: Complex<Double>) -> Complex<Double> {
  Complex(sinh(z.real) * cos(z.imaginary), cosh(z.real) * sin(z.imaginary))
}
@Sendable func complexCosh(_ z: Complex<Double>) -> Complex<Double> {
  Complex(cosh(z.real) * cos(z.imaginary), sinh(z.real) * sin(z.imaginary))
}
@Sendable func complexSqrt(_ z: Complex<Double>) -> Complex<Double> {
  let size = z.magnitude
  return Complex(((size + z.real) / 2).squareRoot(), copysign(((size - z.real) / 2).squareRoot(), z.imaginary))
}
/// `i z` and `-i z`: sin(z) = -i sinh(i z), cos(z) = cosh(i z).
@Sendable func turned(_ z: Complex<Double>) -> Complex<Double> { Complex(-z.imaginary, z.real) }
@Sendable func turnedBack(_ z: Complex<Double>) -> Complex<Double> { Complex(z.imaginary, -z.real) }

func installComplex() {
  naive(Conjugate.self) { _, arguments in arguments.write(complex: arguments.complexNumbers(0).map { $0.conjugate }) }
  // Called only where the result cannot share the input's memory.
  naive(ViewAsComplex.self) { _, arguments in
    let parts = arguments.doubles(0)
    arguments.write(complex: stride(from: 0, to: parts.count, by: 2).map { Complex<Double>(parts[$0], parts[$0 + 1]) })
  }
  naive(Fourier.self) { op, arguments in
    let x = arguments.complexNumbers(0)
    let blocks = Blocks(arguments.spec(0).shape, axis: op.axis)
    let n = blocks.size
    let turns = (0..<n).map { Complex<Double>.polar(1, (op.inverse ? 2 : -2) * Double.pi * Double($0) / Double(n)) }
    var result = x
    for o in 0..<blocks.outer {
      for i in 0..<blocks.inner {
        for k in 0..<n {
          var sum = Complex<Double>(0)
          for j in 0..<n { sum = sum + x[blocks.place(o, j, i)] * turns[j * k % n] }
          result[blocks.place(o, k, i)] = sum * op.scale
        }
      }
    }
    arguments.write(complex: result)
  }
}
