public import MartletCore

/// The smaller of `a` and `b`; NaN if either is NaN. Where they are equal each gets half of the gradient.
public struct Minimum: ElementwiseBinary {
  public static var id: OpID { OpTable.minimum.id }
  public static var name: String { "minimum" }
  public static var domain: Domain { .real }
  public init() {}
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0, 1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let (a, b) = (saved.input(0), saved.input(1))
    return [
      needs[0] ? .dense(ct[0]! * share(a .< b, a .== b, ct[0]!.dtype)) : nil,
      needs[1] ? .dense(ct[0]! * share(b .< a, a .== b, ct[0]!.dtype)) : nil,
    ]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    let (a, b) = (inputs[0], inputs[1])
    return [
      plus(
        t[0].map { $0 * share(a .< b, a .== b, $0.dtype) }, t[1].map { $0 * share(b .< a, a .== b, $0.dtype) })?
        .like(outputs[0])
    ]
  }
}
