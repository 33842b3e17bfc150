public import MartletCore

/// `a` to the power `b`.
///
/// The derivative by `b` is taken as 0 where `a` is 0 and `b` is not negative, as in PyTorch.
public struct Power: ElementwiseBinary {
  public static var id: OpID { OpTable.power.id }
  public static var name: String { "power" }
  public static var domain: Domain { .floating }
  public init() {}
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0, 1], outputs: needs[1] ? [0] : []) }
  private func byBase(_ a: Tensor, _ b: Tensor) -> Tensor {
    // Where b is 0 the factor is 0, also at a = 0, where a^-1 is infinite.
    select(b .== 0, Tensor(0.0 as Float).cast(to: a.dtype).to(a.device), b * apply(Power(), a, b - 1))
  }
  private func byExponent(_ a: Tensor, _ b: Tensor, _ y: Tensor) -> Tensor {
    let zero = Tensor(0.0 as Float).cast(to: a.dtype).to(a.device)
    return select((a .== 0) .& (b .>= 0), zero, y * MartletOps.log(a))
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let (a, b) = (saved.input(0), saved.input(1))
    return [
      needs[0] ? .dense(ct[0]! * byBase(a, b)) : nil,
      needs[1] ? .dense(ct[0]! * byExponent(a, b, saved.output(0))) : nil,
    ]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [
      plus(
        t[0].map { $0 * byBase(inputs[0], inputs[1]) },
        t[1].map { $0 * byExponent(inputs[0], inputs[1], outputs[0]) })?.like(outputs[0])
    ]
  }
}
