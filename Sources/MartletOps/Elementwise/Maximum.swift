public import MartletCore

/// The larger of `a` and `b`; NaN if either is NaN. Where they are equal each gets half of the gradient.
public struct Maximum: ElementwiseBinary {
  public static var id: OpID { OpTable.maximum.id }
  public static var name: String { "maximum" }
  public static var domain: Domain { .real }
  public init() {}
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0, 1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let (a, b) = (saved.input(0), saved.input(1))
    return [
      needs[0] ? .dense(ct[0]! * share(a .> b, a .== b, ct[0]!.dtype)) : nil,
      needs[1] ? .dense(ct[0]! * share(b .> a, a .== b, ct[0]!.dtype)) : nil,
    ]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    let (a, b) = (inputs[0], inputs[1])
    return [
      plus(
        t[0].map { $0 * share(a .> b, a .== b, $0.dtype) }, t[1].map { $0 * share(b .> a, a .== b, $0.dtype) })?
        .like(outputs[0])
    ]
  }
}

/// 1 where the operand won, ½ where it is equal, else 0.
func share(_ wins: Tensor, _ ties: Tensor, _ dtype: DType) -> Tensor {
  wins.cast(to: dtype) + ties.cast(to: dtype) * 0.5
}
