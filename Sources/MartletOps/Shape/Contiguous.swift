public import MartletCore

/// The same elements, laid in row-major order without gaps.
public struct Contiguous: UnaryOp {
  public static var id: OpID { OpTable.contiguous.id }
  public static var name: String { "contiguous" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public init() {}
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec { x }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] { [.dense(ct[0]!)] }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] { [t[0]] }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { [apply(self, inputs[0])] }
}

extension Tensor {
  /// The same elements in row-major order without gaps: itself, or a copy of a transposed, strided or broadcast tensor.
  public func contiguous() -> Tensor { isPlain && isContiguous ? self : apply(Contiguous(), self) }

  /// The same elements, laid out so that the channels of a pixel lie next to each other: itself, or a copy.
  ///
  /// Nothing but the place in memory changes: shape, indices and values are those of before. Convolutions of images that lie
  /// so take them without a copy, and operations between them keep the order; networks with few channels and large images
  /// gain most.
  ///
  /// **Shapes** `[N, C, d1, …]`, three axes or more. Source: PyTorch `torch.channels_last`.
  public func channelsLast() -> Tensor {
    guard rank >= 3 else {
      return failure(.rank(argument: 0, expected: "3 or more: [N, C, d1, …]"), op: "channelsLast", [self], names: ["x"])
    }
    return movingAxis(1, to: -1).contiguous().movingAxis(-1, to: 1)
  }
}
