public import MartletCore

/// The base with a value added in a region. Takes over the base's memory when nobody else holds it: cost O(region).
public struct SliceAdd: BinaryOp {
  public static var id: OpID { OpTable.sliceAdd.id }
  public static var name: String { "sliceAdd" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public static var argumentNames: [String] { ["base", "value"] }
  public let region: Region
  public init(region: Region) { self.region = region }
  public func output(for base: TensorSpec, _ value: TensorSpec) throws(OpError) -> TensorSpec {
    guard base.dtype == value.dtype else { throw OpError(.dtypesDiffer) }
    try region.check(in: base.shape)
    guard value.shape == region.sizes else { throw OpError(.sliceValue(value.shape, region: region.sizes)) }
    return base
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    [apply(SliceUpdate(region: region), inputs[0], apply(view: Slice(region: region), inputs[0]) + inputs[1])]
  }
  public func takeover(output: Int) -> Int? { 0 }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [needs[0] ? .dense(ct[0]!) : nil, needs[1] ? .dense(apply(view: Slice(region: region), ct[0]!)) : nil]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    guard let value = t[1] else { return [t[0]] }
    guard let base = t[0] else { return [apply(Embed(shape: inputs[0].shape, region: region), value)] }
    return [apply(self, base, value)]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let inputs = allMapped(inputs, mapped)
    return [apply(SliceAdd(region: region.mapped(inputs[0].shape[0])), inputs[0], inputs[1])]
  }
  public func batched(taking inputs: inout [Tensor], mapped: [Bool]) -> [Tensor] {
    guard mapped[0] else { return batched(inputs, mapped: mapped) }
    inputs[1] = allMapped(inputs[1], mapped[1], inputs[0].shape[0])
    return apply(SliceAdd(region: region.mapped(inputs[0].shape[0])), taking: &inputs)
  }
}
