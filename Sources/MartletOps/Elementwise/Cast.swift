public import MartletCore

/// Conversion to another dtype: floats are cut to integers toward zero and clamped to their range, NaN becomes 0; bool is
/// "not zero".
public struct Cast: UnaryOp {
  public static var id: OpID { OpTable.cast.id }
  public static var name: String { "cast" }
  public static var keepsOrder: Bool { true }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public let dtype: DType
  public init(dtype: DType) { self.dtype = dtype }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec { x.with(dtype) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(ct[0]!.cast(to: saved.spec(0).dtype))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].flatMap { dtype.isFloating ? $0.cast(to: dtype) : nil }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { [apply(self, inputs[0])] }
}
