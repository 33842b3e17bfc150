public import MartletCore

/// Complex numbers as pairs of real ones, without a copy: `[…]` → `[…, 2]`.
public struct ViewAsReal: ViewOp {
  public static var id: OpID { OpTable.viewAsReal.id }
  public static var name: String { "viewAsReal" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public init() {}
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard x.dtype.isComplex else { throw OpError(.dtype(argument: 0, expected: Domain.complex.rawValue)) }
    guard x.rank < Shape.maxRank else { throw OpError(.ranksExceeded(x.rank + 1)) }
    return x.with(shape: x.shape.inserting(2, at: x.rank)).with(x.dtype.realPart)
  }
  public func view(of source: borrowing ViewSource, as spec: TensorSpec) -> (strides: Shape?, offset: Int)? {
    if source.isContiguous { return (nil, 2 * source.offset) }
    var strides = source.strides.inserting(1, at: source.strides.rank)
    for axis in 0..<source.strides.rank { strides[axis] *= 2 }
    return (strides, 2 * source.offset)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] { [.dense(viewAsComplex(ct[0]!))] }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] { [t[0].map(viewAsReal)] }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { [viewAsReal(inputs[0])] }
}

/// Complex numbers as pairs of real ones that share their memory: `[…]` → `[…, 2]`, real part, imaginary part.
///
/// Source: PyTorch `view_as_real`.
public func viewAsReal(_ z: Tensor) -> Tensor { apply(view: ViewAsReal(), z) }
