public import MartletCore

/// Complex numbers with the sign of the imaginary part changed.
public struct Conjugate: ElementwiseUnary {
  public static var id: OpID { OpTable.conjugate.id }
  public static var name: String { "conjugated" }
  public static var domain: Domain { .complex }
  public init() {}
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] { [.dense(ct[0]!.conjugated())] }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { $0.conjugated() }]
  }
}

extension Tensor {
  /// The complex conjugate; real tensors are their own.
  @inline(__always)
  public func conjugated() -> Tensor { dtype.isComplex ? apply(Conjugate(), self) : self }
}
