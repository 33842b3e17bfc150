/// Which way derivatives are carried.
public enum DerivativeMode: Sendable { case forward, reverse }

/// All partial derivatives of a function: result shape, then the shape of `x`.
///
/// - Parameter mode: reverse costs one pass for each element of the result, forward one for each element of `x`; the passes
///   run as one batch.
public func jacobian(
  _ f: @escaping (Tensor) -> Tensor, _ x: Tensor, mode: DerivativeMode = .reverse
) -> Tensor {
  guard x.dtype.isFloating else { return failure(.gradientOfDType, op: "jacobian", [x]) }
  let ops = TransformOps.current
  switch mode {
  case .reverse:
    let (value, pullback) = vjp(f, x)
    guard value.dtype.isFloating else { return failure(.gradientOfDType, op: "jacobian", [value]) }
    if let error = tooLong("jacobian", x, value.rank) { return error }
    let rows = vmap(pullback)(ops.basis(value.spec))
    return ops.reshape(rows, Shape(Array(value.shape) + Array(x.shape)))
  case .forward:
    if let error = tooLong("jacobian", x, 1) { return error }
    var shape = Shape()
    let columns = vmap { (t: Tensor) -> Tensor in
      let result = jvp(f, x, t)
      shape = result.value.shape
      return result.tangent
    }(ops.basis(x.spec))
    // [x elements, …result] → [… result, … x]
    if let error = tooLong("jacobian", x, shape.rank) { return error }
    let last = columns.rank - 1
    return ops.reshape(ops.moveAxis(columns, 0, last), Shape(Array(shape) + Array(x.shape)))
  }
}

/// All second derivatives of a scalar function: the shape of `x` twice. Forward over reverse.
public func hessian(_ f: @escaping (Tensor) -> Tensor, _ x: Tensor) -> Tensor {
  tooLong("hessian", x, x.rank) ?? jacobian({ grad(f)($0) }, x, mode: .forward)
}

/// The error that the derivatives of a result of `rank` axes have too many axes.
private func tooLong(_ op: String, _ x: Tensor, _ rank: Int) -> Tensor? {
  guard rank + x.rank > Shape.maxRank else { return nil }
  let axes = x.shape.map(String.init).joined(separator: ", ")
  return failure(
    .misuse(
      "the derivatives would have \(rank) + \(x.rank) axes, those of the result and of the input",
      rule: "at most \(Shape.maxRank) axes",
      remedy: "a flat input: \(op)({ f($0.reshaped([\(axes)])) }, x.flattened())"), op: op, [x])
}
