public import MartletCore

/// `1 / (1 + exp(-x))`, without overflow.
public struct Sigmoid: ElementwiseUnary {
  public static var id: OpID { OpTable.sigmoid.id }
  public static var name: String { "sigmoid" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public static var domain: Domain { .floating }
  public init() {}
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? { [(MartletOps.tanh(inputs[0] * 0.5) + 1) * 0.5] }
  public func saves(needs: Positions) -> Saves { Saves(outputs: [0]) }
  private func slope(_ y: Tensor) -> Tensor { y * (1 - y) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(ct[0]! * slope(saved.output(0)))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { $0 * slope(outputs[0]) }]
  }
}
