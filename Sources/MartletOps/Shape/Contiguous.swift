public import MartletCore

/// The same elements, laid in row-major order without gaps.
public struct Contiguous: UnaryOp {
  public static var id: OpID { OpTable.contiguous.id }
  public static var name: String { "contiguous" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public init() {}
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec { x }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] { [.dense(ct[0]!)] }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] { [t[0]] }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { [apply(self, inputs[0])] }
}

extension Tensor {
  /// The same elements in row-major order without gaps: itself, or a copy of a transposed, strided or broadcast tensor.
  public func contiguous() -> Tensor { isPlain && isContiguous ? self : apply(Contiguous(), self) }
}
