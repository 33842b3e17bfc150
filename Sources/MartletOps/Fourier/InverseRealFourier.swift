public import MartletCore

/// n real numbers from the first n / 2 + 1 elements of their Fourier transform along an axis, times `scale · n`.
///
/// The imaginary part of the first element, and of the last for even n, is not read.
public struct InverseRealFourier: UnaryOp {
  public static var id: OpID { OpTable.inverseRealFourier.id }
  public static var name: String { "irfft" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public let axis: Int
  public let n: Int
  /// The bits of the scale, so that attributes compare by bits.
  private let bits: UInt64
  public var scale: Double { Double(bitPattern: bits) }
  public init(axis: Int, n: Int, scale: Double) {
    self.axis = axis
    self.n = n
    bits = scale.bitPattern
  }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard x.dtype.isComplex else { throw OpError(.dtype(argument: 0, expected: Domain.complex.rawValue)) }
    guard n >= 1 else { throw OpError(.count(name: "n", n, allowed: "1 or more")) }
    try checkFourierAxis(axis, x.shape)
    guard x.shape[axis] == n / 2 + 1 else {
      throw OpError(
        .count(name: "the size of axis \(axis)", x.shape[axis], allowed: "n / 2 + 1 = \(n / 2 + 1) for n = \(n)"))
    }
    var shape = x.shape
    shape[axis] = n
    return x.with(shape: shape).with(x.dtype.realPart)
  }
  /// All n elements, of which those behind the middle are conjugates, and the inverse transform of them.
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let x = inputs[0]
    func part(_ start: Int, _ size: Int, _ step: Int) -> Tensor {
      var region = Region(whole: x.shape)
      region.starts[axis] = start
      region.sizes[axis] = size
      region.steps[axis] = step
      return apply(view: Slice(region: region), x)
    }
    func alone(_ z: Tensor) -> Tensor { z.real.cast(to: x.dtype) }
    let inside = (n - 1) / 2
    var parts = [alone(part(0, 1, 1)), part(Swift.min(1, n / 2), inside, 1)]
    if n % 2 == 0 { parts.append(alone(part(n / 2, 1, 1))) }
    parts.append(part(inside, inside, -1).conjugated())
    return [apply(Fourier(axis: axis, inverse: true, scale: scale), concat(parts, axis: axis)).real]
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let half = apply(RealFourier(axis: axis, scale: scale), ct[0]!)
    return [.dense(half * halfWeights(n, ends: 1, inside: 2, axis: axis, like: half))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, $0) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    [apply(InverseRealFourier(axis: axis + 1, n: n, scale: scale), inputs[0])]
  }
  public var attributes: String { "axis=\(axis), n=\(n), scale=\(scale)" }
}
