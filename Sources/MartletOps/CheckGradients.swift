public import MartletCore

/// Gradients that do not agree with finite differences.
public struct GradientMismatch: Error, CustomStringConvertible {
  public let mode: DerivativeMode
  /// The derivative in a random direction as the rules give it, and by central differences.
  public let found, expected: Double
  public let tolerance: Double
  public var description: String {
    "the \(mode) derivative in a random direction is \(found), finite differences give \(expected) (tolerance \(tolerance))"
  }
}

/// Checks the derivatives of a function against central finite differences in random directions. The gradient by a complex
/// tensor is `∂/∂real + i ∂/∂imaginary`.
///
/// The function is called with `x` cast to `float64`, or `complex128`: what it reads beside its argument and must have one dtype
/// with it, such as the first state of a loop, is to follow: `Tensor.zeros([3], dtype: x.dtype)`.
///
/// - Parameters:
///   - modes: which of `grad` and `jvp` are checked.
///   - order: 2 also checks the derivative of the gradient.
///   - directions: how many random directions are tried.
///   - tolerance: relative to the size of the derivative, at least 1.
///
/// Throws a `GradientMismatch`, or an `OpError` where an operation of the function fails. The function must be smooth at `x`.
public func checkGradients<T: TensorTree>(
  _ f: @escaping (T) -> Tensor, _ x: T, modes: [DerivativeMode] = [.reverse, .forward], order: Int = 1,
  directions: Int = 2, tolerance: Double = 1e-4, seed: Int = 0
) throws {
  try withErrors {
    try compareGradients(f, x, modes: modes, order: order, directions: directions, tolerance: tolerance, seed: seed)
  }
}

private func compareGradients<T: TensorTree>(
  _ f: @escaping (T) -> Tensor, _ x: T, modes: [DerivativeMode], order: Int, directions: Int, tolerance: Double,
  seed: Int
) throws {
  let generator = Generator(seed: seed)
  let point = x.mapTensors {
    $0.dtype.isInexact ? $0.detached().cast(to: $0.dtype.isComplex ? .complex128 : .float64) : $0
  }
  func scalar(_ x: T) -> Tensor { f(x).cast(to: .float64).sum() }
  func along(_ direction: [Tensor], _ step: Double) -> T {
    point.replacing(zip(point.flattened, direction).map { $0.dtype.isInexact ? $0 + $1 * step : $0 })
  }
  for _ in 0..<directions {
    let direction = point.flattened.map { tensor in
      func normal() -> Tensor {
        Tensor.normal(tensor.shape, dtype: .float64, generator: generator).to(tensor.device)
      }
      if tensor.dtype.isComplex { return complex(normal(), normal()) }
      return tensor.dtype.isFloating ? normal() : Tensor(repeating: 0, tensor.spec)
    }
    func compare(_ mode: DerivativeMode, _ found: Double, _ function: (T) -> Tensor) throws {
      // Richardson's extrapolation of central differences: an error of h⁴.
      func difference(_ h: Double) -> Double {
        (function(along(direction, h)).item() - function(along(direction, -h)).item()) / (2 * h)
      }
      let h = 1e-3
      let expected = (4 * difference(h / 2) - difference(h)) / 3
      let bound = tolerance * Swift.max(1, Swift.abs(expected))
      guard Swift.abs(found - expected) <= bound else {
        throw GradientMismatch(mode: mode, found: found, expected: expected, tolerance: bound)
      }
    }
    func dot(_ gradient: T) -> Tensor {
      zip(gradient.flattened, direction).filter { $0.0.dtype.isInexact }
        .map { ($0.conjugated() * $1).sum().real }.reduce(Tensor(0.0 as Double).to(direction[0].device), +)
    }
    for mode in modes {
      switch mode {
      case .reverse:
        try compare(mode, dot(grad(scalar)(point)).item(), scalar)
        if order > 1 {
          let slope = { (x: T) in dot(grad(scalar)(x)) }
          try compare(mode, dot(grad(slope)(point)).item(), slope)
        }
      case .forward:
        let tangent = point.replacing(direction)
        try compare(mode, MartletCore.jvp(scalar, point, tangent).tangent.item(), scalar)
        if order > 1 {
          let slope = { (x: T) in MartletCore.jvp(scalar, x, tangent).tangent }
          try compare(mode, MartletCore.jvp(slope, point, tangent).tangent.item(), slope)
        }
      }
    }
  }
}
