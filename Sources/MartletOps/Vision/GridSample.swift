public import MartletCore

/// How `gridSample` reads between elements.
public enum GridMode: Sendable, Hashable { case bilinear, nearest, bicubic }

/// What `gridSample` reads beyond the border.
public enum GridPadding: Sendable, Hashable {
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
  func wrong(_ fact: Fact) -> Tensor { failure(fact, op: "gridSample", [x, grid], names: ["x", "grid"]) }
  guard x.rank == 4 || x.rank == 5 else {
    return wrong(.rank(argument: 0, expected: "4: [N, C, H, W], or 5: [N, C, D, H, W]"))
  }
  let axes = x.rank - 2
  guard grid.rank == x.rank, grid.shape[0] == x.shape[0], grid.shape[axes + 1] == axes else {
    return wrong(
      .argumentShape(
        argument: 1, expected: "[\(x.shape[0]), \(axes == 2 ? "H', W', 2" : "D', H', W', 3")]: a place for each element"
      ))
  }
  guard x.dtype.isFloating else { return wrong(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
  guard x.dtype == grid.dtype else { return wrong(.dtypesDiffer) }
  guard mode != .bicubic || axes == 2 else {
    return wrong(.misuse("mode is .bicubic", rule: "it is for images [N, C, H, W]", remedy: "mode: .bilinear"))
  }
  let size = Array(x.shape[2...])
  guard size.allSatisfy({ $0 >= 1 }) else {
    return wrong(.misuse("x has shape \(x.shape)", rule: "spatial sizes are 1 or more"))
  }
  let sampler = GridSampler(x, grid, padding, alignCorners)
  let flat =
    switch mode {
    case .nearest: sampler.nearest()
    case .bilinear: sampler.linear()
    case .bicubic: sampler.cubic()
    }
  return flat.reshaped(Shape(Array(x.shape[..<2]) + Array(grid.shape[1...axes])))
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
    let places = select(grid.isNaN, -1, grid)
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
      let part = read(at) * weight!.expandedDims(axis: 1)
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
        let part = values * (weights[0][row] * weights[1][column]).expandedDims(axis: 1)
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
