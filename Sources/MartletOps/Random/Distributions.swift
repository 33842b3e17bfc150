public import MartletCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension Tensor {
  /// The numbers `0 ..< count` in random order, `int64`.
  public static func permutation(_ count: Int, generator: Generator = Random.generator) -> Tensor {
    permutation(count, key: generator.next())
  }
  /// The numbers `0 ..< count` in random order, `int64`; a pure function of the key.
  public static func permutation(_ count: Int, key: Tensor) -> Tensor {
    guard count >= 0 else {
      return failure(.misuse("the count is \(count)", rule: "the count is 0 or more"), op: "permutation")
    }
    // Of 53 bits, so that ties, which would keep their order, do not happen.
    return apply(RandomUniform(shape: [count], dtype: .float64), key).argSort()
  }

  /// Normal numbers that lie in `low … high`.
  public static func truncatedNormal(
    _ shape: Shape, mean: Double = 0, deviation: Double = 1, low: Double = -2, high: Double = 2,
    dtype: DType = .float32, generator: Generator = Random.generator
  ) -> Tensor {
    truncatedNormal(
      shape, mean: mean, deviation: deviation, low: low, high: high, dtype: dtype, key: generator.next())
  }
  /// Normal numbers that lie in `low … high`, a pure function of the key. Source: PyTorch `init.trunc_normal_`.
  public static func truncatedNormal(
    _ shape: Shape, mean: Double = 0, deviation: Double = 1, low: Double = -2, high: Double = 2,
    dtype: DType = .float32, key: Tensor
  ) -> Tensor {
    guard dtype.isFloating, deviation > 0, low < high else {
      return failure(
        .misuse(
          "\(dtype) numbers of deviation \(deviation) in \(low) … \(high)",
          rule: "the dtype is floating, the deviation above 0, and low < high"), op: "truncatedNormal")
    }
    func share(_ bound: Double) -> Double { erf((bound - mean) / (deviation * 2.0.squareRoot())) }
    let wide: DType = dtype == .float64 ? .float64 : .float32
    let u = Tensor.uniform(shape, low: share(low), high: share(high), dtype: wide, key: key)
    let x = inverseErf(u) * (deviation * 2.0.squareRoot()) + mean
    return clamp(x, min: low, max: high).cast(to: dtype)
  }
}

/// The inverse of `erf` in -1 … 1: Giles' polynomials (2010) and one step of Newton's method.
func inverseErf(_ x: Tensor) -> Tensor {
  func polynomial(_ x: Tensor, _ coefficients: [Double]) -> Tensor {
    coefficients.dropFirst().reduce(Tensor(repeating: coefficients[0], x.spec)) { $0 * x + $1 }
  }
  let w = -log((1 - x) * (1 + x))
  let central = polynomial(
    w - 2.5,
    [
      2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
      0.246640727, 1.50140941,
    ])
  let tail = polynomial(
    sqrt(w) - 3,
    [
      -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
      1.00167406, 2.83297682,
    ])
  let y = select(w .< 5, central, tail) * x
  let refined = y - (erf(y) - x) * exp(y * y) * 0.886226925452758
  return select(refined.isFinite, refined, y)
}
