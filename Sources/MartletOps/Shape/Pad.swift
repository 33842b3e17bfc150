public import MartletCore

/// A constant around a tensor.
public struct Pad: UnaryOp {
  public static var id: OpID { OpTable.pad.id }
  public static var name: String { "pad" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public let low: Shape
  public let high: Shape
  /// The bits of the value, so that attributes compare by bits.
  private let bits: UInt64
  public var value: Double { Double(bitPattern: bits) }
  public init(low: Shape, high: Shape, value: Double) {
    self.low = low
    self.high = high
    bits = value.bitPattern
  }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard low.rank == x.rank, high.rank == x.rank else {
      throw OpError(.count(name: "the number of pairs of widths", low.rank, allowed: "\(x.rank), one for each axis"))
    }
    var shape = x.shape
    for axis in 0..<x.rank {
      guard low[axis] >= 0, high[axis] >= 0 else {
        throw OpError(.count(name: "a width", Swift.min(low[axis], high[axis]), allowed: "0 or more"))
      }
      shape[axis] = shape[axis] &+ low[axis] &+ high[axis]
    }
    guard x.with(shape: shape).checkedByteCount != nil else { throw OpError(.tooLarge(shape)) }
    return x.with(shape: shape)
  }
  package func region(_ shape: Shape) -> Region {
    Region(starts: low, sizes: shape, steps: Shape(repeating: 1, count: shape.rank))
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let x = inputs[0]
    let shape = Shape((0..<x.rank).map { x.shape[$0] + low[$0] + high[$0] })
    return [apply(SliceUpdate(region: region(x.shape)), Tensor(repeating: value, x.spec.with(shape: shape)), x)]
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(apply(view: Slice(region: region(saved.spec(0).shape)), ct[0]!))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(Pad(low: low, high: high, value: 0), $0) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    [apply(Pad(low: low.inserting(0, at: 0), high: high.inserting(0, at: 0), value: value), inputs[0])]
  }
  public var attributes: String { "low=\(low), high=\(high), value=\(value)" }
}

extension Tensor {
  /// A constant around the tensor: for each axis the widths before and behind it.
  public func padded(_ widths: [(Int, Int)], value: Double = 0) -> Tensor {
    guard widths.count == rank else {
      return failure(
        .count(name: "the number of pairs of widths", widths.count, allowed: "\(rank), one for each axis"),
        op: Pad.name, [self])
    }
    return apply(Pad(low: Shape(widths.map(\.0)), high: Shape(widths.map(\.1)), value: value), self)
  }
}
