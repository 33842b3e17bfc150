public import MartletCore

/// The first n / 2 + 1 elements of the Fourier transform of n real numbers along an axis; the others are their conjugates.
public struct RealFourier: UnaryOp {
  public static var id: OpID { OpTable.realFourier.id }
  public static var name: String { "rfft" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public let axis: Int
  /// The bits of the scale, so that attributes compare by bits.
  private let bits: UInt64
  public var scale: Double { Double(bitPattern: bits) }
  public init(axis: Int, scale: Double) {
    self.axis = axis
    bits = scale.bitPattern
  }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard x.dtype == .float32 || x.dtype == .float64 else {
      throw OpError(.dtype(argument: 0, expected: "float32 or float64"))
    }
    try checkFourierAxis(axis, x.shape)
    var shape = x.shape
    shape[axis] = shape[axis] / 2 + 1
    return x.with(shape: shape).with(x.dtype.complexCounterpart)
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let x = inputs[0]
    let whole = apply(Fourier(axis: axis, inverse: false, scale: scale), x.cast(to: x.dtype.complexCounterpart))
    var region = Region(whole: x.shape)
    region.sizes[axis] = x.shape[axis] / 2 + 1
    return [apply(view: Slice(region: region), whole)]
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let n = saved.spec(0).shape[axis]
    let halves = ct[0]! * halfWeights(n, ends: 1, inside: 0.5, axis: axis, like: ct[0]!)
    return [.dense(apply(InverseRealFourier(axis: axis, n: n, scale: scale), halves))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, $0) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    [apply(RealFourier(axis: axis + 1, scale: scale), inputs[0])]
  }
  public var attributes: String { "axis=\(axis), scale=\(scale)" }
}
