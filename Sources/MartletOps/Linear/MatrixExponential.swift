public import MartletCore

/// The exponential of square matrices, `Σ aⁿ / n!`: `[…, N, N]` → `[…, N, N]`, of a floating dtype.
///
/// Padé's approximant of order 13 after scaling by a power of two, then squared as often; derivatives of any order follow from
/// that. The number of squarings depends on the norms of the matrices; where they have no values, inside `compile` and
/// `vmap`, it is 32 in all cases, of which the needed ones count, and the result is NaN for norms above 10¹⁰, for which they
/// are too few. 16-bit floats are computed in `float32`. Source: Higham 2005; PyTorch `matrix_exp`.
public func matrixExponential(_ a: Tensor) -> Tensor {
  func wrong(_ fact: Fact) -> Tensor { failure(fact, op: "matrixExponential", [a], names: ["a"]) }
  guard a.dtype.isFloating else { return wrong(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
  guard a.rank >= 2 else { return wrong(.rank(argument: 0, expected: "2 or more: […, N, N]")) }
  let size = a.shape[a.rank - 1]
  guard a.shape[a.rank - 2] == size else { return wrong(.argumentShape(argument: 0, expected: "[…, N, N]")) }
  if a.dtype.size == 2 { return matrixExponential(a.cast(to: .float32)).cast(to: a.dtype) }
  if a.count == 0 { return a }
  // Below this norm the approximant is exact to float64, and its denominator is far from singular.
  let bound = a.dtype == .float64 ? 5.37 : 3.9
  let norm = abs(a.detached()).sum(axis: -2, keepDims: true).max(axis: -1, keepDims: true)
  // Norms that are no numbers, or infinite, need no scaling: the result has them.
  let finite = select(norm.isFinite, norm, 1)
  let squarings = clamp(ceil(log2(maximum(finite, bound) / bound)), min: 0, max: 1024)
  let x = a / exp2(squarings)

  let b: [Double] = [
    64_764_752_532_480_000, 32_382_376_266_240_000, 7_771_770_303_897_600, 1_187_353_796_428_800, 129_060_195_264_000,
    10_559_470_521_600, 670_442_572_800, 33_522_128_640, 1_323_241_920, 40_840_800, 960_960, 16_380, 182, 1,
  ].map { $0 / 64_764_752_532_480_000 }
  let one = Tensor.identity(size, dtype: a.dtype, device: a.device)
  let x2 = matmul(x, x)
  let x4 = matmul(x2, x2)
  let x6 = matmul(x4, x2)
  func sum(_ c6: Double, _ c4: Double, _ c2: Double) -> Tensor { x6 * c6 + x4 * c4 + x2 * c2 }
  let odd = matmul(x, matmul(x6, sum(b[13], b[11], b[9])) + sum(b[7], b[5], b[3]) + one * b[1])
  let even = matmul(x6, sum(b[12], b[10], b[8])) + sum(b[6], b[4], b[2]) + one * b[0]
  var result = solve(even - odd, even + odd)
  let isKnown = squarings.missingValue == nil && !squarings.isError
  let most = isKnown ? Int(squarings.max().item()) : 32
  for step in 0..<most {
    let isDue = squarings .> Double(step)
    // Not the square of what is done, which may be infinite and then have no gradient.
    let base = select(isDue, result, one)
    result = select(isDue, matmul(base, base), result)
  }
  return isKnown ? result : select(squarings .> Double(most), Double.nan, result)
}
