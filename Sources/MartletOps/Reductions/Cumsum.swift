public import MartletCore

/// The sums of the first 1, 2, … elements along an axis; bool and integers give `int64`. Floats add up in `float32` or
/// wider.
public struct Cumsum: UnaryOp {
  public static var id: OpID { OpTable.cumsum.id }
  public static var name: String { "cumsum" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public let axis: Int
  /// Whether it sums from the end.
  public let reversed: Bool
  public init(axis: Int, reversed: Bool = false) {
    self.axis = axis
    self.reversed = reversed
  }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard axis >= 0, axis < x.rank else { throw OpError(.axis(axis, rank: x.rank)) }
    return x.dtype.isInexact ? x : x.with(.int64)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(apply(Cumsum(axis: axis, reversed: !reversed), ct[0]!))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, $0) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    [apply(Cumsum(axis: axis + 1, reversed: reversed), inputs[0])]
  }
}

extension Tensor {
  /// The sums of the first 1, 2, … elements along an axis; bool and integers give `int64`.
  public func cumsum(axis: Int) -> Tensor {
    guard let position = position(of: axis, op: Cumsum.name) else { return afterFailure }
    return apply(Cumsum(axis: position), self)
  }

  /// The products of the first 1, 2, … elements along an axis; bool and integers give `int64`.
  ///
  /// Made of products over doubling distances, so that all derivatives hold where elements are 0.
  public func cumprod(axis: Int) -> Tensor {
    guard let position = position(of: axis, op: "cumprod") else { return afterFailure }
    var x = dtype.isInexact ? self : cast(to: .int64)
    let size = shape[position]
    var distance = 1
    while distance < size {
      let parts = x.split([distance, size - distance], axis: position)
      let earlier = x.split([size - distance, distance], axis: position)[0]
      x = concat([parts[0], parts[1] * earlier], axis: position)
      distance *= 2
    }
    return x
  }
}
