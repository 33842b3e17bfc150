public import MartletCore

/// Pairs of real numbers as complex ones: `[…, 2]` → `[…]`; without a copy where the pairs lie together.
public struct ViewAsComplex: ViewOp {
  public static var id: OpID { OpTable.viewAsComplex.id }
  public static var name: String { "viewAsComplex" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public init() {}
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard x.dtype == .float32 || x.dtype == .float64 else {
      throw OpError(.dtype(argument: 0, expected: "float32 or float64"))
    }
    guard x.rank > 0, x.shape[x.rank - 1] == 2 else { throw OpError(.argumentShape(argument: 0, expected: "[…, 2]")) }
    return x.with(shape: x.shape.removing(at: x.rank - 1)).with(x.dtype.complexCounterpart)
  }
  public func view(of source: borrowing ViewSource, as spec: TensorSpec) -> (strides: Shape?, offset: Int)? {
    let offset = source.offset
    if offset % 2 != 0 { return nil }
    if source.isContiguous { return (nil, offset / 2) }
    let last = source.strides.rank - 1
    if source.strides[last] != 1 { return nil }
    var strides = source.strides.removing(at: last)
    for axis in 0..<last {
      if strides[axis] % 2 != 0, spec.shape[axis] != 1 { return nil }
      strides[axis] /= 2
    }
    return (strides == spec.shape.contiguousStrides ? nil : strides, offset / 2)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] { [.dense(viewAsReal(ct[0]!))] }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] { [t[0].map(viewAsComplex)] }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { [viewAsComplex(inputs[0])] }
}

/// Pairs of real numbers, real part and imaginary part, as complex ones: `[…, 2]` → `[…]`. They share the memory where the
/// pairs lie together.
///
/// Source: PyTorch `view_as_complex`, which never copies.
public func viewAsComplex(_ x: Tensor) -> Tensor { apply(view: ViewAsComplex(), x) }
