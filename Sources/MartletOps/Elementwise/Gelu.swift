public import MartletCore

/// `x · Φ(x)`, with the normal distribution Φ: exactly, or by a hyperbolic tangent.
public struct Gelu: ElementwiseFunction {
  public static var id: OpID { OpTable.gelu.id }
  public static var name: String { "gelu" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public let approximate: Bool
  public init(approximate: Bool) { self.approximate = approximate }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let x = inputs[0]
    let inner =
      approximate
      ? MartletOps.tanh(x * GeluSlope.scale * (x * x * GeluSlope.cubic + 1))
      : MartletOps.erf(x * 0.7071067811865476)
    return [x * 0.5 * (inner + 1)]
  }
  public func slope(_ x: Tensor) -> Tensor { apply(GeluSlope(approximate: approximate), x) }
}

/// The derivative of `Gelu`.
public struct GeluSlope: ElementwiseFunction {
  public static var id: OpID { OpTable.geluSlope.id }
  public static var name: String { "geluSlope" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public let approximate: Bool
  public init(approximate: Bool) { self.approximate = approximate }

  fileprivate static let scale = 0.7978845608028654  // √(2/π)
  fileprivate static let cubic = 0.044715

  /// The argument within bounds beyond which the slope is 0 or 1, and factors of it would overflow.
  private func bounded(_ x: Tensor) -> Tensor {
    let bound: Double = approximate ? 12 : 40
    return clamp(x, min: -bound, max: bound)
  }
  private func density(_ z: Tensor) -> Tensor { MartletOps.exp(z * z * -0.5) * 0.3989422804014327 }
  /// `tanh u`, `1 - tanh² u` and the slope of `u = scale · (z + cubic · z³)`.
  private func parts(_ z: Tensor) -> (t: Tensor, slope: Tensor, inner: Tensor) {
    let t = MartletOps.tanh(z * Self.scale * (z * z * Self.cubic + 1))
    return (t, 1 - t * t, (z * z * (3 * Self.cubic) + 1) * Self.scale)
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let z = bounded(inputs[0])
    guard approximate else { return [(MartletOps.erf(z * 0.7071067811865476) + 1) * 0.5 + z * density(z)] }
    let (t, slope, inner) = parts(z)
    return [(t + 1) * 0.5 + z * 0.5 * slope * inner]
  }
  public func slope(_ x: Tensor) -> Tensor {
    let z = bounded(x)
    guard approximate else { return density(z) * (2 - z * z) }
    let (t, slope, inner) = parts(z)
    return slope * (inner * (1 - z * t * inner) + z * z * (3 * Self.cubic * Self.scale))
  }
}
