public import MartletCore

/// `x · Φ(x)`, with the normal distribution Φ: exactly, or by a hyperbolic tangent.
public struct Gelu: ElementwiseFunction {
  public static var id: OpID { OpTable.gelu.id }
  public static var name: String { "gelu" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public let approximate: Bool
  public init(approximate: Bool) { self.approximate = approximate }

  private static let scale = 0.7978845608028654  // √(2/π)
  private static let cubic = 0.044715
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let x = inputs[0]
    let inner =
      approximate ? MartletOps.tanh(x * Self.scale * (x * x * Self.cubic + 1)) : MartletOps.erf(x * 0.7071067811865476)
    return [x * 0.5 * (inner + 1)]
  }
  public func slope(_ x: Tensor) -> Tensor {
    guard approximate else {
      let density = MartletOps.exp(x * x * -0.5) * 0.3989422804014327
      return (MartletOps.erf(x * 0.7071067811865476) + 1) * 0.5 + x * density
    }
    // Beyond ±12 the slope is that of a line; its factors would overflow.
    let z = clamp(x, min: -12, max: 12)
    let t = MartletOps.tanh(z * Self.scale * (z * z * Self.cubic + 1))
    return (t + 1) * 0.5 + z * 0.5 * (1 - t * t) * (z * z * (3 * Self.cubic) + 1) * Self.scale
  }
}
