public import MartletCore

/// The inverse of a slice: zeros of a shape, with the input in a region.
public struct Embed: UnaryOp {
  public static var id: OpID { OpTable.embed.id }
  public static var name: String { "embed" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public let shape: Shape
  public let region: Region
  public init(shape: Shape, region: Region) {
    self.shape = shape
    self.region = region
  }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard shape.checkedElementCount != nil else { throw OpError(.tooLarge(shape)) }
    try region.check(in: shape)
    guard x.shape == region.sizes else { throw OpError(.sliceValue(x.shape, region: region.sizes)) }
    return x.with(shape: shape)
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    apply(SliceAdd(region: region), [Tensor(repeating: 0, inputs[0].spec.with(shape: shape)), inputs[0]])
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(apply(view: Slice(region: region), ct[0]!))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, $0) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let size = inputs[0].shape[0]
    return [apply(Embed(shape: shape.inserting(size, at: 0), region: region.mapped(size)), inputs[0])]
  }
}
