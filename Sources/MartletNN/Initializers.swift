public import MartletCore
public import MartletOps

/// What follows a layer, for the size of its initial weights.
public enum Nonlinearity: Sendable {
  case linear, sigmoid, tanh, relu, selu
  case leakyRelu(Double)
  /// The factor of the weights that keeps the size of the signal. Source: PyTorch `init.calculate_gain`.
  public var gain: Double {
    switch self {
    case .linear, .sigmoid: 1
    case .tanh: 5.0 / 3
    case .relu: 2.0.squareRoot()
    case .selu: 0.75
    case .leakyRelu(let slope): (2 / (1 + slope * slope)).squareRoot()
    }
  }
}

/// The side of a layer whose signals keep their size.
public enum Fan: Sendable { case input, output }

/// Initial weights, by PyTorch's definitions (`torch.nn.init`); constants are `Tensor(repeating:_:)`, `zeros` and `ones`.
///
/// Shapes are those of weights: `[out, in]` or `[out, in, kernel…]`, so that a layer has `in · kernel area` inputs and
/// `out · kernel area` outputs.
extension Tensor {
  /// Uniform numbers in ±`gain · √(6 / (inputs + outputs))` (Glorot and Bengio 2010).
  public static func xavierUniform(
    _ shape: Shape, gain: Double = 1, dtype: DType = .float32, generator: Generator = Random.generator
  ) -> Tensor {
    guard let fans = fans(shape, "xavierUniform") else { return zeros(shape, dtype: dtype) }
    let bound = gain * (6 / (fans.input + fans.output)).squareRoot()
    return uniform(shape, low: -bound, high: bound, dtype: dtype, generator: generator)
  }
  /// Normal numbers of deviation `gain · √(2 / (inputs + outputs))` (Glorot and Bengio 2010).
  public static func xavierNormal(
    _ shape: Shape, gain: Double = 1, dtype: DType = .float32, generator: Generator = Random.generator
  ) -> Tensor {
    guard let fans = fans(shape, "xavierNormal") else { return zeros(shape, dtype: dtype) }
    let deviation = gain * (2 / (fans.input + fans.output)).squareRoot()
    return normal(shape, deviation: deviation, dtype: dtype, generator: generator)
  }
  /// Uniform numbers in ±`gain · √(3 / fan)` (He et al. 2015).
  public static func kaimingUniform(
    _ shape: Shape, for nonlinearity: Nonlinearity = .relu, fan: Fan = .input, dtype: DType = .float32,
    generator: Generator = Random.generator
  ) -> Tensor {
    guard let fans = fans(shape, "kaimingUniform") else { return zeros(shape, dtype: dtype) }
    let bound = nonlinearity.gain * (3 / (fan == .input ? fans.input : fans.output)).squareRoot()
    return uniform(shape, low: -bound, high: bound, dtype: dtype, generator: generator)
  }
  /// Normal numbers of deviation `gain / √fan` (He et al. 2015).
  public static func kaimingNormal(
    _ shape: Shape, for nonlinearity: Nonlinearity = .relu, fan: Fan = .input, dtype: DType = .float32,
    generator: Generator = Random.generator
  ) -> Tensor {
    guard let fans = fans(shape, "kaimingNormal") else { return zeros(shape, dtype: dtype) }
    let deviation = nonlinearity.gain / (fan == .input ? fans.input : fans.output).squareRoot()
    return normal(shape, deviation: deviation, dtype: dtype, generator: generator)
  }
  /// A random matrix `[out, in · kernel area]` with orthogonal rows or columns, whichever are fewer, of length `gain` (Saxe
  /// et al. 2013).
  ///
  /// The orthogonal factor of a normal matrix, by Newton's and Schulz's iteration.
  public static func orthogonal(
    _ shape: Shape, gain: Double = 1, dtype: DType = .float32, generator: Generator = Random.generator
  ) -> Tensor {
    guard fans(shape, "orthogonal") != nil else { return zeros(shape, dtype: dtype) }
    let (rows, columns) = (shape[0], shape[1...].reduce(1, *))
    if rows * columns == 0 { return zeros(shape, dtype: dtype) }
    var x = normal(
      [Swift.max(rows, columns), Swift.min(rows, columns)], dtype: dtype == .float64 ? .float64 : .float32,
      generator: generator)
    x /= x.norm()
    // A singular value grows by half in each step until it is near 1, and then converges quadratically.
    for _ in 0..<50 { x = x * 1.5 - matmul(x, matmul(x.transposed(), x)) * 0.5 }
    return ((rows < columns ? x.transposed() : x) * gain).cast(to: dtype).reshaped(shape)
  }

  private static func fans(_ shape: Shape, _ op: String) -> (input: Double, output: Double)? {
    guard shape.rank >= 2 else {
      fail(
        OpError(
          .misuse("the shape is \(shape)", rule: "weights have two axes or more: [out, in, kernel…]"), op: op))
      return nil
    }
    let area = shape[2...].reduce(1.0) { $0 * Double($1) }
    return (Double(shape[1]) * area, Double(shape[0]) * area)
  }
}
