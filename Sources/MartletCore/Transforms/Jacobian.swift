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
    let rows = vmap(pullback)(ops.basis(value.spec))
    return ops.reshape(rows, Shape(Array(value.shape) + Array(x.shape)))
  case .forward:
    var shape = Shape()
    let columns = vmap { (t: Tensor) -> Tensor in
      let result = jvp(f, x, t)
      shape = result.value.shape
      return result.tangent
    }(ops.basis(x.spec))
    // [x elements, …result] → [… result, … x]
    let last = columns.rank - 1
    return ops.reshape(ops.moveAxis(columns, 0, last), Shape(Array(shape) + Array(x.shape)))
  }
}

/// All second derivatives of a scalar function: the shape of `x` twice. Forward over reverse.
public func hessian(_ f: @escaping (Tensor) -> Tensor, _ x: Tensor) -> Tensor {
  jacobian({ grad(f)($0) }, x, mode: .forward)
}
