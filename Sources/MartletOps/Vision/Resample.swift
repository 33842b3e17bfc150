public import MartletCore

/// Elements along one axis as weighted sums of elements of that axis, or the adjoint of that: what `interpolate` does to
/// each axis.
public struct Resample: UnaryOp {
  public static var id: OpID { OpTable.resample.id }
  public static var name: String { "resample" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public let axis: Int
  public let filter: ResamplingFilter
  /// Whether elements are added to where they came from.
  public let isAdjoint: Bool
  public init(axis: Int, _ filter: ResamplingFilter, isAdjoint: Bool = false) {
    self.axis = axis
    self.filter = filter
    self.isAdjoint = isAdjoint
  }

  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard axis >= 0, axis < x.rank else { throw OpError(.axis(axis, rank: x.rank)) }
    guard x.dtype.isFloating else { throw OpError(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
    guard filter.size >= 1, filter.out >= 1 else {
      throw OpError(.count(name: "a size", min(filter.size, filter.out), allowed: "1 or more"))
    }
    guard filter.isSound else {
      throw OpError(.misuse("the filter is \(filter)", rule: "its scale is between 0 and \(Int32.max)"))
    }
    let (from, to) = isAdjoint ? (filter.out, filter.size) : (filter.size, filter.out)
    guard x.shape[axis] == from else {
      throw OpError(.argumentShape(argument: 0, expected: "of size \(from) along axis \(axis)"))
    }
    var shape = x.shape
    shape[axis] = to
    guard x.with(shape: shape).checkedByteCount != nil else { throw OpError(.tooLarge(shape)) }
    return x.with(shape: shape)
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let x = inputs[0]
    if x.count == 0 {
      var shape = x.shape
      shape[axis] = isAdjoint ? filter.size : filter.out
      return [Tensor(repeating: 0, x.spec.with(shape: shape))]
    }
    let taps = filter.taps()
    var along = Shape(repeating: 1, count: x.rank)
    along[axis] = filter.out
    var sum: Tensor?
    if isAdjoint {
      var shape = x.shape
      shape[axis] = filter.size
      sum = Tensor(repeating: 0, x.spec.with(shape: shape))
    }
    for (places, weights) in taps {
      let indices = Tensor(places, device: x.device)
      let weight = Tensor(weights, shape: along, device: x.device).cast(to: x.dtype)
      if isAdjoint {
        sum = apply(TakeAdd(axis: axis), [sum!, indices, x * weight])[0]
      } else {
        let part = x.take(axis: axis, indices) * weight
        sum = sum.map { $0 + part } ?? part
      }
    }
    return [sum!]
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(apply(Resample(axis: axis, filter, isAdjoint: !isAdjoint), ct[0]!))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, $0) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    [apply(Resample(axis: axis + 1, filter, isAdjoint: isAdjoint), inputs[0])]
  }
  public var attributes: String { "axis=\(axis), \(filter)" + (isAdjoint ? ", adjoint" : "") }
}

/// Which elements along an axis an element of a result is made of, and with which weights.
public struct ResamplingFilter: Hashable, Sendable, Codable, CustomStringConvertible {
  public enum Kind: String, Sendable, Hashable, Codable { case linear, cubic, smoothLinear, smoothCubic }
  public let kind: Kind
  /// The number of elements of the input.
  public let size: Int
  /// The number of elements of the result.
  public let out: Int
  public let alignCorners: Bool
  /// The bits of the distance in the input of two elements of the result.
  private let bits: UInt64
  private var scale: Double { Double(bitPattern: bits) }

  /// - Parameter factor: by how much the result is larger, where that is not the quotient of the sizes.
  public init(_ kind: Kind, from size: Int, to out: Int, factor: Double? = nil, alignCorners: Bool = false) {
    (self.kind, self.size, self.out, self.alignCorners) = (kind, size, out, alignCorners)
    let scale =
      alignCorners
      ? (out > 1 ? Double(size - 1) / Double(out - 1) : 0) : factor.map { 1 / $0 } ?? Double(size) / Double(out)
    bits = scale.bitPattern
  }

  /// Whether places along the input are numbers.
  var isSound: Bool { (0...Double(Int32.max)).contains(scale) }
  /// Whether each element is that of the input.
  var isIdentity: Bool { size == out && (scale == 1 || size == 1) }

  public var description: String {
    "\(kind) \(size) → \(out), scale=\(scale)" + (alignCorners ? ", alignCorners" : "")
  }

  /// For each tap the place in the input and the weight, for each element of the result.
  package func taps() -> [(places: [Int], weights: [Double])] {
    let rows = (0..<out).map(row)
    let count = rows.map(\.weights.count).max() ?? 0
    return (0..<count).map { tap in
      (
        rows.map { min(max($0.start + tap, 0), size - 1) },
        rows.map { tap < $0.weights.count ? $0.weights[tap] : 0 }
      )
    }
  }

  /// The weights of one element of the result, for places from `start` on; places outside count as the border.
  private func row(_ index: Int) -> (start: Int, weights: [Double]) {
    let source = alignCorners ? Double(index) * scale : (Double(index) + 0.5) * scale - 0.5
    switch kind {
    case .linear:
      let inside = max(0, source)
      let below = min(Int(inside), size - 1)
      return (below, [1 - (inside - Double(below)), inside - Double(below)])
    case .cubic:
      let below = source.rounded(.down)
      let t = source - below
      return (Int(below) - 1, [t + 1, t, 1 - t, 2 - t].map { cubic($0, -0.75) })
    case .smoothLinear, .smoothCubic:
      // A filter as wide as what an element of a smaller result covers, in the manner of Pillow.
      let stretch = max(scale, 1)
      let support = (kind == .smoothCubic ? 2 : 1) * stretch
      let centre = scale * (Double(index) + 0.5)
      let start = max(Int(centre - support + 0.5), 0)
      let end = max(min(Int(centre + support + 0.5), size), start)
      let values = (start..<end).map { place -> Double in
        let distance = ((Double(place) - centre + 0.5) / stretch).magnitude
        return kind == .smoothCubic ? cubic(distance, -0.5) : max(0, 1 - distance)
      }
      let sum = values.reduce(0, +)
      return (start, sum == 0 ? values : values.map { $0 / sum })
    }
  }
}

/// The cubic convolution kernel at a distance (Keys 1981).
private func cubic(_ x: Double, _ a: Double) -> Double {
  if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
  if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
  return 0
}
