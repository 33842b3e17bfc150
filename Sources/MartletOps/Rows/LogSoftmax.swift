public import MartletCore

/// `x - log(sum(exp(x)))` along an axis.
public struct LogSoftmax: UnaryOp {
  public static var id: OpID { OpTable.logSoftmax.id }
  public static var name: String { "logSoftmax" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public let axis: Int
  public init(axis: Int) { self.axis = axis }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec { try Softmax(axis: axis).output(for: x) }
  public func takeover(output: Int) -> Int? { 0 }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let x = inputs[0]
    if x.shape[axis] == 0 { return [x] }
    // The maximum is only a shift: no derivative passes through it.
    let shifted = x - x.detached().max(axis: axis, keepDims: true)
    return [shifted - log(exp(shifted).sum(axis: axis, keepDims: true))]
  }
  public func saves(needs: Positions) -> Saves { Saves(outputs: [0]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(ct[0]! - exp(saved.output(0)) * ct[0]!.sum(axis: axis, keepDims: true))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { $0 - (exp(outputs[0]) * $0).sum(axis: axis, keepDims: true) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    [apply(LogSoftmax(axis: axis + 1), inputs[0])]
  }
}

/// `log(softmax(x))` along an axis, without overflow or loss of precision.
public func logSoftmax(_ x: Tensor, axis: Int = -1) -> Tensor {
  guard let position = x.position(of: axis, op: LogSoftmax.name) else { return x.afterFailure }
  return apply(LogSoftmax(axis: position), x.dtype.isFloating ? x : x.cast(to: .float32))
}
