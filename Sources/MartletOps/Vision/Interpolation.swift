public import MartletCore

/// How `interpolate` finds the elements of its result.
public enum InterpolationMode: Sendable, Hashable {
  /// The element before, as PyTorch's `nearest` rounds.
  case nearest
  /// The element whose centre is nearest.
  case nearestExact
  /// The weighted mean of the two nearest elements, of `[N, C, W]`.
  case linear
  /// The same along both axes of `[N, C, H, W]`.
  case bilinear
  /// The same along all three axes of `[N, C, D, H, W]`.
  case trilinear
  /// A cubic through four elements along both axes of `[N, C, H, W]`.
  case bicubic
  /// The mean over windows that cover the input.
  case area
}

/// Resizes `x: [N, C, spatial…]`, one to three spatial axes, to the sizes `size`.
///
/// Source: PyTorch `interpolate`.
///
/// - Parameters:
///   - size: the spatial sizes of the result, 1 or more.
///   - mode: `.linear` is for one spatial axis, `.bilinear` and `.bicubic` for two, `.trilinear` for three.
///   - alignCorners: whether the first and last elements of input and result coincide; else their outer borders do. Only for
///     the linear and cubic modes.
///   - antialias: for `.bilinear` and `.bicubic`, whether a smaller result is a mean over all elements that it covers.
public func interpolate(
  _ x: Tensor, size: Extent, mode: InterpolationMode = .nearest, alignCorners: Bool = false, antialias: Bool = false
) -> Tensor {
  let axes = max(0, x.rank - 2)
  let sizes = size.over(axes)
  return interpolated(x, Array(sizes), [Double?](repeating: nil, count: sizes.rank), mode, alignCorners, antialias)
}

/// Resizes `x: [N, C, spatial…]` by a factor along each spatial axis: the sizes are `size · scaleFactor`, rounded down.
///
/// Source: PyTorch `interpolate` with `scale_factor`. Arguments as in `interpolate(_:size:)`.
public func interpolate(
  _ x: Tensor, scaleFactor: Double, mode: InterpolationMode = .nearest, alignCorners: Bool = false,
  antialias: Bool = false
) -> Tensor {
  interpolate(
    x, scaleFactors: [Double](repeating: scaleFactor, count: max(1, x.rank - 2)), mode: mode,
    alignCorners: alignCorners, antialias: antialias)
}

/// Resizes `x: [N, C, spatial…]` by factors, one for each spatial axis: the sizes are `size · factor`, rounded down.
///
/// - Parameter recomputesScaleFactor: whether coordinates come from the rounded sizes and not from the factors.
public func interpolate(
  _ x: Tensor, scaleFactors: [Double], mode: InterpolationMode = .nearest, alignCorners: Bool = false,
  antialias: Bool = false, recomputesScaleFactor: Bool = false
) -> Tensor {
  guard scaleFactors.count == x.rank - 2, scaleFactors.allSatisfy({ $0 > 0 && $0 < 0x1p31 }) else {
    return failure(
      .misuse(
        "the factors are \(scaleFactors)", rule: "one factor above 0 for each of \(max(0, x.rank - 2)) spatial axes"),
      op: "interpolate", [x])
  }
  let sizes = zip(x.shape[2...], scaleFactors).map { Int((Double($0) * $1).rounded(.down)) }
  return interpolated(
    x, sizes, scaleFactors.map { recomputesScaleFactor ? nil : $0 }, mode, alignCorners, antialias)
}

private func interpolated(
  _ x: Tensor, _ sizes: [Int], _ factors: [Double?], _ mode: InterpolationMode, _ alignCorners: Bool, _ antialias: Bool
) -> Tensor {
  func wrong(_ problem: String, _ rule: String, _ remedy: String? = nil) -> Tensor {
    failure(.misuse(problem, rule: rule, remedy: remedy), op: "interpolate", [x])
  }
  let ranks: ClosedRange<Int> =
    switch mode {
    case .linear: 3...3
    case .bilinear, .bicubic: 4...4
    case .trilinear: 5...5
    default: 3...5
    }
  guard ranks.contains(x.rank) else {
    let shapes = ["[N, C, W]", "[N, C, H, W]", "[N, C, D, H, W]"]
    let expected = ranks.map { shapes[$0 - 3] }.joined(separator: " or ")
    return wrong(
      "x has \(ErrorText.counted(x.rank, "axis", "axes"))", "mode \(mode) takes \(expected)",
      (3...5).contains(x.rank) ? "mode: .\(["linear", "bilinear", "trilinear"][x.rank - 3])" : "expandedDims(axis: 0)")
  }
  guard x.dtype.isFloating || mode == .nearest || mode == .nearestExact else {
    return failure(.dtype(argument: 0, expected: Domain.floating.rawValue), op: "interpolate", [x])
  }
  guard sizes.count == x.rank - 2, sizes.allSatisfy({ (1...Int(Int32.max)).contains($0) }),
    x.shape[2...].allSatisfy({ $0 >= 1 })
  else {
    return wrong(
      "the spatial sizes are \(Array(x.shape[2...])), those of the result \(sizes)",
      "\(x.rank - 2) sizes of 1 or more each")
  }
  if alignCorners, mode == .nearest || mode == .nearestExact || mode == .area {
    return wrong("alignCorners is true", "mode \(mode) has no corners to align", "a linear mode or .bicubic")
  }
  if antialias, mode != .bilinear, mode != .bicubic {
    return wrong("antialias is true", "it is for modes .bilinear and .bicubic")
  }
  if mode == .area {
    let window = PoolingWindow(adaptiveTo: Shape(sizes))
    return apply(AveragePool(window, countsPadding: false), [x])[0]
  }
  var y = x
  // The axis that grows the least first, so that less is computed; of equal ones the last, whose elements cost the most.
  let growth = sizes.enumerated().map { axis, size in Double(size) / Double(x.shape[axis + 2]) }
  let order = growth.indices.sorted { growth[$0] != growth[$1] ? growth[$0] < growth[$1] : $0 > $1 }
  for axis in order {
    let (size, out, factor) = (x.shape[axis + 2], sizes[axis], factors[axis])
    if mode == .nearest || mode == .nearestExact {
      // In single precision, as PyTorch: at ties its rounding decides.
      let step = factor.map { Float(1 / $0) } ?? Float(size) / Float(out)
      let shift: Float = mode == .nearest ? 0 : 0.5
      let places = (0..<out).map { min(size - 1, Int((Float($0) + shift) * step)) }
      if places != Array(0..<size) { y = y.take(axis: axis + 2, Tensor(places, device: x.device)) }
      continue
    }
    let kind: ResamplingFilter.Kind =
      mode == .bicubic ? (antialias ? .smoothCubic : .cubic) : antialias ? .smoothLinear : .linear
    let filter = ResamplingFilter(kind, from: size, to: out, factor: factor, alignCorners: alignCorners)
    if !filter.isIdentity { y = apply(Resample(axis: axis + 2, filter), y) }
  }
  return y
}
