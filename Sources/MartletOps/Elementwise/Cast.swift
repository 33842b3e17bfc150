public import MartletCore

/// Conversion to another dtype: floats are cut to integers toward zero and clamped to their range, NaN becomes 0; bool is
/// "not zero". Complex numbers stay complex.
public struct Cast: UnaryOp, Elementwise {
  public static var id: OpID { OpTable.cast.id }
  public static var name: String { "cast" }
  public static var keepsOrder: Bool { true }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public let dtype: DType
  public init(dtype: DType) { self.dtype = dtype }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard !x.dtype.isComplex || dtype.isComplex else {
      throw OpError(
        .misuse(
          "\(x.dtype) elements cannot become \(dtype)", rule: "real numbers have no imaginary part",
          remedy: "z.real, z.imaginary or abs(z)"))
    }
    return x.with(dtype)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let dtype = saved.spec(0).dtype
    return [.dense((dtype.isComplex ? ct[0]! : ct[0]!.real).cast(to: dtype))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].flatMap { dtype.isInexact ? $0.cast(to: dtype) : nil }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { [apply(self, inputs[0])] }
}
