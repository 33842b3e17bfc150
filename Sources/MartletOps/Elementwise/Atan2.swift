public import MartletCore

/// The angle in -π … π of the point with ordinate `a` and abscissa `b`. At the origin the derivatives are NaN.
public struct Atan2: ElementwiseBinary {
  public static var id: OpID { OpTable.atan2.id }
  public static var name: String { "atan2" }
  public static var domain: Domain { .floating }
  public init() {}
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0, 1]) }
  private func slopes(_ a: Tensor, _ b: Tensor) -> (a: Tensor, b: Tensor) {
    let squares = a * a + b * b
    return (b / squares, -(a / squares))
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let slopes = slopes(saved.input(0), saved.input(1))
    return [needs[0] ? .dense(ct[0]! * slopes.a) : nil, needs[1] ? .dense(ct[0]! * slopes.b) : nil]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    let slopes = slopes(inputs[0], inputs[1])
    return [plus(t[0].map { $0 * slopes.a }, t[1].map { $0 * slopes.b })?.like(outputs[0])]
  }
}
