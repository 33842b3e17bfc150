public import MartletCore

/// The Fourier transform along an axis: `y[k] = scale · Σⱼ x[j] exp(∓2πi jk / n)`.
///
/// Its matrix is symmetric, so that the vjp is the transform with the other sign.
public struct Fourier: UnaryOp {
  public static var id: OpID { OpTable.fourier.id }
  public static var name: String { "fft" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public let axis: Int
  /// Whether the sign in the exponent is positive.
  public let inverse: Bool
  /// The bits of the scale, so that attributes compare by bits.
  private let bits: UInt64
  public var scale: Double { Double(bitPattern: bits) }
  public init(axis: Int, inverse: Bool, scale: Double) {
    self.axis = axis
    self.inverse = inverse
    bits = scale.bitPattern
  }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard x.dtype.isComplex else { throw OpError(.dtype(argument: 0, expected: Domain.complex.rawValue)) }
    try checkFourierAxis(axis, x.shape)
    return x
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(apply(Fourier(axis: axis, inverse: !inverse, scale: scale), ct[0]!))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, $0) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    [apply(Fourier(axis: axis + 1, inverse: inverse, scale: scale), inputs[0])]
  }
  public var attributes: String { "axis=\(axis), \(inverse ? "inverse, " : "")scale=\(scale)" }
}

/// The axis of a transform exists and has elements.
func checkFourierAxis(_ axis: Int, _ shape: Shape) throws(OpError) {
  guard axis >= 0, axis < shape.rank else { throw OpError(.axis(axis, rank: shape.rank)) }
  guard shape[axis] > 0 else { throw OpError(.count(name: "the size of axis \(axis)", 0, allowed: "1 or more")) }
}

/// Factors for the elements 0, …, n / 2 of a transform of n real numbers: `ends` for those that stand for themselves, the first
/// and for even n the last; `inside` for those that also stand for their conjugates.
func halfWeights(_ n: Int, ends: Double, inside: Double, axis: Int, like x: Tensor) -> Tensor {
  var numbers = [Double](repeating: inside, count: n / 2 + 1)
  numbers[0] = ends
  if n % 2 == 0 { numbers[n / 2] = ends }
  var shape = Shape(repeating: 1, count: x.rank)
  shape[axis] = numbers.count
  return Tensor.make(TensorSpec(shape, x.dtype, device: x.device)) { target in
    for (place, number) in numbers.enumerated() { target.store(number, place, x.dtype) }
  }
}
