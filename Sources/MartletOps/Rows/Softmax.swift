public import MartletCore

/// `exp(x - max) / sum(exp(x - max))` along an axis.
public struct Softmax: UnaryOp {
  public static var id: OpID { OpTable.softmax.id }
  public static var name: String { "softmax" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public let axis: Int
  public init(axis: Int) { self.axis = axis }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard x.dtype.isFloating else { throw OpError(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
    guard axis >= 0, axis < x.rank else { throw OpError(.axis(axis, rank: x.rank)) }
    return x
  }
  public func takeover(output: Int) -> Int? { 0 }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let x = inputs[0]
    if x.shape[axis] == 0 { return [x] }
    // The maximum is only a shift: no derivative passes through it.
    let e = MartletOps.exp(x - x.detached().max(axis: axis, keepDims: true))
    return [e / e.sum(axis: axis, keepDims: true)]
  }
  public func saves(needs: Positions) -> Saves { Saves(outputs: [0]) }
  private func product(_ y: Tensor, _ t: Tensor) -> Tensor {
    let weighted = y * t
    return weighted - y * weighted.sum(axis: axis, keepDims: true)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(product(saved.output(0), ct[0]!))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { product(outputs[0], $0) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    [apply(Softmax(axis: axis + 1), inputs[0])]
  }
}

/// `exp(x) / sum(exp(x))` along an axis, without overflow.
public func softmax(_ x: Tensor, axis: Int = -1) -> Tensor {
  guard let position = x.position(of: axis, op: Softmax.name) else { return x.afterFailure }
  return apply(Softmax(axis: position), x.dtype.isFloating ? x : x.cast(to: .float32))
}
