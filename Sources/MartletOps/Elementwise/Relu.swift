public import MartletCore

/// `max(x, 0)`; its derivative at 0 is 0.
public struct Relu: ElementwiseUnary {
  public static var id: OpID { OpTable.relu.id }
  public static var name: String { "relu" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public static var domain: Domain { .numeric }
  public init() {}
  static var slope: ClampGradient { ClampGradient(low: 0, high: .nan, isOpen: true) }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? { [MartletOps.maximum(inputs[0], inputs[0].zeroScalar)] }
  public func saves(needs: Positions) -> Saves { Saves(outputs: [0]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(apply(Self.slope, ct[0]!, saved.output(0)))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(Self.slope, $0, outputs[0]) }]
  }
}
