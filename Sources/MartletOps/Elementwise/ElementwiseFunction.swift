public import MartletCore

/// What the derivative of an elementwise function is computed from.
public enum SlopeSource: Sendable { case input, output }

/// An elementwise function that states its derivative; of complex numbers one whose Taylor series has real coefficients.
public protocol ElementwiseFunction: ElementwiseUnary {
  static var slopeOf: SlopeSource { get }
  /// The derivative, from the input or the output.
  func slope(_ z: Tensor) -> Tensor
}

extension ElementwiseFunction {
  public static var domain: Domain { .floating }
  public static var slopeOf: SlopeSource { .input }
  public func saves(needs: Positions) -> Saves {
    Self.slopeOf == .input ? Saves(inputs: [0]) : Saves(outputs: [0])
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(ct[0]! * slope((Self.slopeOf == .input ? saved.input(0) : saved.output(0)).conjugated()))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { $0 * slope(Self.slopeOf == .input ? inputs[0] : outputs[0]) }]
  }
}
