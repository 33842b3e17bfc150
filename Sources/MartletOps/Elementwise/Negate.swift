public import MartletCore

/// `-x`.
public struct Negate: ElementwiseUnary {
  public static var id: OpID { OpTable.negate.id }
  public static var name: String { "negate" }
  public static var domain: Domain { .signedOrComplex }
  public init() {}
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] { [.dense(-ct[0]!)] }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] { [t[0].map { -$0 }] }
}
