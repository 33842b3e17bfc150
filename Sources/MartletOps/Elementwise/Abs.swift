public import MartletCore

/// The absolute value; its derivative at 0 is 0. Of complex numbers it is real.
public struct Abs: ElementwiseUnary {
  public static var id: OpID { OpTable.abs.id }
  public static var name: String { "abs" }
  public static var domain: Domain { .signedOrComplex }
  public init() {}
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard Self.domain.contains(x.dtype) else { throw OpError(.dtype(argument: 0, expected: Self.domain.rawValue)) }
    return x.with(x.dtype.realPart)
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(ct[0]! * MartletOps.sign(saved.input(0)))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { ($0 * MartletOps.sign(inputs[0]).conjugated()).real }]
  }
}
