public import MartletCore

/// Whether two tensors agree elementwise: `|a - b| ≤ absolute + relative · |b|` everywhere, with broadcasting.
///
/// Infinities agree with equal ones; NaN agrees with nothing, or with NaN when `equalNaN`. Reads the values, so it is for
/// tests and checks. Source: PyTorch `allclose`.
public func allClose(
  _ a: Tensor, _ b: Tensor, relative: Double = 1e-5, absolute: Double = 1e-8, equalNaN: Bool = false
) -> Bool {
  let wide: DType = a.dtype.isComplex || b.dtype.isComplex ? .complex128 : .float64
  let (x, y) = (a.cast(to: wide), b.cast(to: wide))
  let bound: Tensor = abs(y) * relative + absolute
  let near: Tensor = abs(x - y) .<= bound
  let finite: Tensor = abs(y) .< Double.infinity
  var close: Tensor = (x .== y) .| (near .& finite)
  if equalNaN { close = close .| ((x .!= x) .& (y .!= y)) }
  let apart: Tensor = .!close
  return apart.sum().item() == 0
}
