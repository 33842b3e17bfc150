public import MartletCore

/// `x` where it is in `low … high`, else the nearer bound; `high` where the bounds are in the wrong order. NaN stays, and a
/// bound that is NaN does not bound.
public struct Clamp: ElementwiseUnary {
  public static var id: OpID { OpTable.clamp.id }
  public static var name: String { "clamp" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public static var domain: Domain { .floating }
  /// The derivative.
  public let slope: ClampGradient
  public var low: Double { slope.low }
  public var high: Double { slope.high }

  /// - Parameter isOpen: whether the derivative is 0 at the bounds; else it is 1.
  public init(low: Double, high: Double, isOpen: Bool = false) {
    slope = ClampGradient(low: low, high: high, isOpen: isOpen)
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let raised = select(inputs[0] .< low, low, inputs[0])
    return [select(raised .> high, high, raised)]
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(apply(slope, ct[0]!, saved.input(0)))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(slope, $0, inputs[0]) }]
  }
  public var attributes: String { slope.attributes }
}

/// `g` where `x` is between the bounds, else 0: the derivative of `clamp`, and with the bounds 0 and NaN that of `relu`.
public struct ClampGradient: ElementwiseBinary {
  public static var id: OpID { OpTable.clampGradient.id }
  public static var name: String { "clampGradient" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public static var argumentNames: [String] { ["g", "x"] }
  public static var domain: Domain { .floating }
  private let lowBits, highBits: UInt64
  public var low: Double { Double(bitPattern: lowBits) }
  public var high: Double { Double(bitPattern: highBits) }
  /// Whether the result is 0 at the bounds.
  public let isOpen: Bool

  public init(low: Double, high: Double, isOpen: Bool = false) {
    lowBits = low.bitPattern
    highBits = high.bitPattern
    self.isOpen = isOpen
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let (g, x) = (inputs[0], inputs[1])
    let isOutside = isOpen ? (x .<= low) .| (x .>= high) : (x .< low) .| (x .> high) .| x.isNaN
    return [select(isOutside, 0, g)]
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: needs[0] ? [1] : []) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [needs[0] ? .dense(apply(self, ct[0]!, saved.input(1))) : nil, nil]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, $0, inputs[1]).like(outputs[0]) }]
  }
  public var attributes: String { "low=\(low), high=\(high)" + (isOpen ? ", open" : "") }
}

extension Tensor {
  /// A floating tensor between two bounds, which are rounded to its dtype.
  func clamped(_ low: Double, _ high: Double, isOpen: Bool = false) -> Tensor {
    func rounded(_ bound: Double) -> Double {
      withUnsafeTemporaryAllocation(byteCount: 8, alignment: 8) { buffer in
        buffer.store(bound, 0, dtype)
        return Scalars.load(UnsafeRawBufferPointer(buffer), 0, dtype)
      }
    }
    return apply(Clamp(low: rounded(low), high: rounded(high), isOpen: isOpen), self)
  }
}
