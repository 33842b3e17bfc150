public import MartletCore

/// How `gridSample` reads between elements.
public enum GridMode: String, Sendable, Hashable, Codable { case bilinear, nearest, bicubic }

/// What `gridSample` reads beyond the border.
public enum GridPadding: String, Sendable, Hashable, Codable {
  case zeros
  /// The nearest element of the border.
  case border
  /// The image mirrored at its border.
  case reflection
}

/// Reads `x` at the places of `grid`: `[N, C, H, W]` and `[N, H', W', 2]` → `[N, C, H', W']`, or `[N, C, D, H, W]` and
/// `[N, D', H', W', 3]` → `[N, C, D', H', W']`.
///
/// The last axis of `grid` holds the coordinates x, y (and z), from -1 at the left (upper, front) end to 1 at the right
/// (lower, back) end; NaN counts as -1. Both arguments have gradients; that of `grid` is zero in mode `.nearest`.
/// Source: Jaderberg et al. 2015; PyTorch `grid_sample`.
///
/// - Parameters:
///   - mode: `.bilinear` is trilinear for volumes; `.bicubic` is for images only.
///   - padding: what is beyond the border.
///   - alignCorners: whether -1 and 1 are the centres of the outermost elements; else their outer borders.
public func gridSample(
  _ x: Tensor, _ grid: Tensor, mode: GridMode = .bilinear, padding: GridPadding = .zeros, alignCorners: Bool = false
) -> Tensor {
  apply(GridSample(GridReading(mode: mode, padding: padding, alignCorners: alignCorners)), x, grid)
}

/// How `gridSample` reads: its options.
public struct GridReading: Hashable, Sendable, Codable, CustomStringConvertible {
  public let mode: GridMode
  public let padding: GridPadding
  public let alignCorners: Bool
  public init(mode: GridMode, padding: GridPadding, alignCorners: Bool) {
    (self.mode, self.padding, self.alignCorners) = (mode, padding, alignCorners)
  }
  public var description: String { "\(mode), \(padding)" + (alignCorners ? ", alignCorners" : "") }

  /// The spec of the result. `firstArgument`: the position of `x` among the arguments.
  func output(for x: TensorSpec, _ grid: TensorSpec, firstArgument: Int = 0) throws(OpError) -> TensorSpec {
    guard x.rank == 4 || x.rank == 5 else {
      throw OpError(.rank(argument: firstArgument, expected: "4: [N, C, H, W], or 5: [N, C, D, H, W]"))
    }
    let axes = x.rank - 2
    guard grid.rank == x.rank, grid.shape[0] == x.shape[0], grid.shape[axes + 1] == axes else {
      throw OpError(
        .argumentShape(
          argument: firstArgument + 1,
          expected: "[\(x.shape[0]), \(axes == 2 ? "H', W', 2" : "D', H', W', 3")]: a place for each element"))
    }
    guard x.dtype.isFloating else { throw OpError(.dtype(argument: firstArgument, expected: Domain.floating.rawValue)) }
    guard x.dtype == grid.dtype else { throw OpError(.dtypesDiffer) }
    guard mode != .bicubic || axes == 2 else {
      throw OpError(.misuse("mode is .bicubic", rule: "it is for images [N, C, H, W]", remedy: "mode: .bilinear"))
    }
    guard x.shape[2...].allSatisfy({ $0 >= 1 }) else {
      throw OpError(.misuse("x has shape \(x.shape)", rule: "spatial sizes are 1 or more"))
    }
    let shape = Shape(Array(x.shape[..<2]) + Array(grid.shape[1...axes]))
    guard x.with(shape: shape).checkedByteCount != nil else { throw OpError(.tooLarge(shape)) }
    return x.with(shape: shape)
  }

  /// The result in smaller operations.
  func composite(_ x: Tensor, _ grid: Tensor) -> Tensor {
    let sampler = GridSampler(x, grid, padding, alignCorners)
    let flat =
      switch mode {
      case .nearest: sampler.nearest()
      case .bilinear: sampler.linear()
      case .bicubic: sampler.cubic()
      }
    return flat.reshaped(Shape(Array(x.shape[..<2]) + Array(grid.shape[1..<(x.rank - 1)])))
  }
}

/// The elements of `x` at the places of a grid, and between: what `gridSample` does.
public struct GridSample: BinaryOp {
  public static var id: OpID { OpTable.gridSample.id }
  public static var name: String { "gridSample" }
  public static var rules: Rules { [.vjp, .batched, .decomposed] }
  public static var argumentNames: [String] { ["x", "grid"] }
  public let reading: GridReading
  public init(_ reading: GridReading) { self.reading = reading }

  public func output(for x: TensorSpec, _ grid: TensorSpec) throws(OpError) -> TensorSpec {
    try reading.output(for: x, grid)
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? { [reading.composite(inputs[0], inputs[1])] }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0, 1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    // The places of `.nearest` have no gradient.
    let needsGrid = needs[1] && reading.mode != .nearest
    guard needs[0] || needsGrid else { return [nil, nil] }
    let parts = apply(
      GridSampleGradient(reading, ofX: needs[0], ofGrid: needsGrid), [ct[0]!, saved.input(0), saved.input(1)])
    return [needs[0] ? .dense(parts[0]) : nil, needsGrid ? .dense(parts[parts.count - 1]) : nil]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let examples = inputs[mapped[0] ? 0 : 1].shape[0]
    guard mapped[1] else {
      return [apply(self, inputs[0].examplesAsChannels(), inputs[1]).channelsAsExamples(examples)]
    }
    let rows = allMapped(inputs, mapped).map { $0.examplesAsRows() }
    return [apply(self, rows[0], rows[1]).rowsAsExamples(examples)]
  }
  public var attributes: String { reading.description }
}

/// The cotangents of `gridSample`'s image and grid, of which at least one is wanted, from that of its result.
public struct GridSampleGradient: Op {
  public static var id: OpID { OpTable.gridSampleGradient.id }
  public static var name: String { "gridSampleGradient" }
  public static var rules: Rules { [.batched, .decomposed] }
  public static var argumentNames: [String] { ["g", "x", "grid"] }
  public let reading: GridReading
  public let ofX: Bool
  public let ofGrid: Bool
  public init(_ reading: GridReading, ofX: Bool = true, ofGrid: Bool = true) {
    (self.reading, self.ofX, self.ofGrid) = (reading, ofX, ofGrid)
  }
  public var outputCount: Int { (ofX ? 1 : 0) + (ofGrid ? 1 : 0) }

  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 3 else { throw OpError(.numberOfInputs(inputs.count, expected: "3")) }
    let (x, grid) = (inputs[1], inputs[2])
    let y = try reading.output(for: x, grid, firstArgument: 1)
    guard inputs[0] == y else { throw OpError(.argumentShape(argument: 0, expected: "\(y), that of the result")) }
    return (ofX ? [x] : []) + (ofGrid ? [grid] : [])
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let (g, x, grid) = (inputs[0], inputs[1], inputs[2])
    var parts: [Tensor] = []
    if ofX { parts.append(MartletCore.vjp({ (x: Tensor) in reading.composite(x, grid) }, x).pullback(g)) }
    if ofGrid { parts.append(MartletCore.vjp({ (grid: Tensor) in reading.composite(x, grid) }, grid).pullback(g)) }
    return parts
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let rows = allMapped(inputs, mapped)
    let examples = rows[0].shape[0]
    return apply(self, rows.map { $0.examplesAsRows() }).map { $0.rowsAsExamples(examples) }
  }
  public var attributes: String { "\(reading)" + (ofX ? "" : ", of the grid") + (ofGrid ? "" : ", of x") }
}

private struct GridSampler {
  let planes: Tensor
  let size: [Int]
  let padding: GridPadding
  let alignCorners: Bool
  /// The coordinates of the places in elements, `[N, P]` for each spatial axis, in the order of the axes.
  private(set) var coordinates: [Tensor]

  init(_ x: Tensor, _ grid: Tensor, _ padding: GridPadding, _ alignCorners: Bool) {
    size = Array(x.shape[2...])
    let axes = size.count
    planes = x.reshaped([x.shape[0], x.shape[1], size.reduce(1, *)])
    (self.padding, self.alignCorners) = (padding, alignCorners)
    // Between places of 16 bits there may be several elements.
    let wide = grid.dtype == .float64 ? grid : grid.cast(to: .float32)
    let places = select(wide.isNaN, -1, wide)
      .reshaped([grid.shape[0], grid.shape[1...axes].reduce(1, *), axes])
    coordinates = []
    for axis in 0..<axes {
      // The grid's last axis begins with x, the last spatial axis.
      let along = places[.all, .all, axes - 1 - axis]
      let count = Double(size[axis])
      coordinates.append(alignCorners ? (along + 1) * ((count - 1) / 2) : ((along + 1) * count - 1) * 0.5)
    }
  }

  /// A coordinate that the padding has moved inside; the same for zeros.
  private func inside(_ place: Tensor, _ axis: Int) -> Tensor {
    let last = Double(size[axis] - 1)
    switch padding {
    case .zeros: return place
    case .border: return clamp(place, min: 0, max: last)
    case .reflection:
      let low = alignCorners ? 0 : -0.5
      let span = alignCorners ? last : last + 1
      if span == 0 { return place * 0 }
      let distance = abs(place - low)
      let flips = floor(distance.detached() / span)
      let rest = distance - flips * span
      return clamp(select(remainder(flips, 2) .== 0, rest, span - rest) + low, min: 0, max: last)
    }
  }

  /// The elements `[N, C, P]` at whole coordinates; 0 beyond the border.
  private func read(_ places: [Tensor]) -> Tensor {
    var index: Tensor?
    var isInside: Tensor?
    for (axis, place) in places.enumerated() {
      let last = Double(size[axis] - 1)
      let safe = clamp(place, min: 0, max: last).cast(to: .int64)
      index = index.map { $0 * size[axis] + safe } ?? safe
      guard padding == .zeros else { continue }
      let fits = (place .>= 0) .& (place .<= last)
      isInside = isInside.map { $0 .& fits } ?? fits
    }
    let shape: Shape = [planes.shape[0], planes.shape[1], index!.shape[1]]
    let values = planes.gather(axis: 2, index!.expandedDims(axis: 1).expanded(to: shape))
    return isInside.map { select($0.expandedDims(axis: 1), values, 0) } ?? values
  }

  func nearest() -> Tensor {
    read(coordinates.enumerated().map { round(inside($1, $0)).detached() })
  }

  func linear() -> Tensor {
    let places = coordinates.enumerated().map { inside($1, $0) }
    let below = places.map { floor($0).detached() }
    let after = zip(places, below).map { $0 - $1 }
    var sum: Tensor?
    for corner in 0..<(1 << size.count) {
      var weight: Tensor?
      var at: [Tensor] = []
      for axis in size.indices {
        let isAfter = corner >> axis & 1 == 1
        let part = isAfter ? after[axis] : 1 - after[axis]
        weight = weight.map { $0 * part } ?? part
        // Beyond the last element the weight is 0, and `read` takes the last.
        at.append(isAfter ? below[axis] + 1 : below[axis])
      }
      let part = read(at) * weight!.expandedDims(axis: 1).cast(to: planes.dtype)
      sum = sum.map { $0 + part } ?? part
    }
    return sum!
  }

  /// Sixteen elements around each place; the padding moves each of them by itself, as PyTorch does.
  func cubic() -> Tensor {
    let below = coordinates.map { floor($0).detached() }
    let weights = zip(coordinates, below).map { place, below -> [Tensor] in
      let t = place - below
      let a = -0.75
      func near(_ x: Tensor) -> Tensor { ((a + 2) * x - (a + 3)) * x * x + 1 }
      func far(_ x: Tensor) -> Tensor { (((x - 5) * x + 8) * x - 4) * a }
      return [far(t + 1), near(t), near(1 - t), far(2 - t)]
    }
    var sum: Tensor?
    for row in 0..<4 {
      let y = inside(below[0] + Double(row - 1), 0)
      for column in 0..<4 {
        let values = read([y, inside(below[1] + Double(column - 1), 1)])
        let part = values * (weights[0][row] * weights[1][column]).expandedDims(axis: 1).cast(to: planes.dtype)
        sum = sum.map { $0 + part } ?? part
      }
    }
    return sum!
  }
}

/// The places that affine maps send the elements of a result to, for `gridSample`.
///
/// `theta: [N, 2, 3]` and a size `[N, C, H, W]` → `[N, H, W, 2]`; `[N, 3, 4]` and `[N, C, D, H, W]` → `[N, D, H, W, 3]`.
/// Source: PyTorch `affine_grid`.
///
/// - Parameters:
///   - size: the shape of the result of `gridSample`.
///   - alignCorners: as in `gridSample`.
public func affineGrid(_ theta: Tensor, size: Shape, alignCorners: Bool = false) -> Tensor {
  func wrong(_ fact: Fact) -> Tensor { failure(fact, op: "affineGrid", [theta], names: ["theta"]) }
  guard size.rank == 4 || size.rank == 5, size.allSatisfy({ $0 >= 1 }) else {
    return wrong(.misuse("size is \(size)", rule: "[N, C, H, W] or [N, C, D, H, W], each 1 or more"))
  }
  let axes = size.rank - 2
  guard theta.shape == [size[0], axes, axes + 1] else {
    return wrong(.argumentShape(argument: 0, expected: "\([size[0], axes, axes + 1]) for the size \(size)"))
  }
  guard theta.dtype.isFloating else { return wrong(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
  let spatial = Shape(size[2...])
  var parts: [Tensor] = []
  for axis in (0..<axes).reversed() {
    let count = spatial[axis]
    let end = alignCorners ? 1 : Double(count - 1) / Double(count)
    let along =
      count == 1
      ? Tensor(repeating: 0, [1], dtype: theta.dtype, device: theta.device)
      : Tensor.linspace(from: -end, to: end, count: count, dtype: theta.dtype, device: theta.device)
    var shape = Shape(repeating: 1, count: axes + 1)
    shape[axis] = count
    parts.append(along.reshaped(shape).expanded(to: Shape(Array(spatial) + [1])))
  }
  parts.append(Tensor(repeating: 1, Shape(Array(spatial) + [1]), dtype: theta.dtype, device: theta.device))
  let places = concat(parts, axis: axes).reshaped([spatial.elementCount, axes + 1])
  return matmul(places, theta.transposed()).reshaped(Shape([size[0]] + Array(spatial) + [axes]))
}
