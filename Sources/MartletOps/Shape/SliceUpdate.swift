public import MartletCore

/// The base with another value in a region. Takes over the base's memory when nobody else holds it: cost O(region).
public struct SliceUpdate: BinaryOp {
  public static var id: OpID { OpTable.sliceUpdate.id }
  public static var name: String { "sliceUpdate" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public static var argumentNames: [String] { ["base", "value"] }
  public let region: Region
  public init(region: Region) { self.region = region }
  public func output(for base: TensorSpec, _ value: TensorSpec) throws(OpError) -> TensorSpec {
    guard base.dtype == value.dtype else { throw OpError(.dtypesDiffer) }
    try region.check(in: base.shape)
    guard value.shape == region.sizes else { throw OpError(.sliceValue(value.shape, region: region.sizes)) }
    return base
  }
  public func takeover(output: Int) -> Int? { 0 }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    guard needs[0] else { return [nil, .dense(apply(view: Slice(region: region), ct[0]!))] }
    // The cotangent is passed on in its own memory, so that T writes cost no T copies of it.
    guard needs[1] else { return [.outside(region), nil] }
    return [.outside(region), .dense(apply(Contiguous(), apply(view: Slice(region: region), ct[0]!)))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    guard t[0] != nil || t[1] != nil else { return [nil] }
    let base = t[0] ?? Tensor(repeating: 0, inputs[0].spec)
    return [apply(self, base, t[1] ?? Tensor(repeating: 0, inputs[1].spec))]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let inputs = allMapped(inputs, mapped)
    return [apply(SliceUpdate(region: region.mapped(inputs[0].shape[0])), inputs[0], inputs[1])]
  }
  public func batched(taking inputs: inout [Tensor], mapped: [Bool]) -> [Tensor] {
    guard mapped[0] else { return batched(inputs, mapped: mapped) }
    inputs[1] = allMapped(inputs[1], mapped[1], inputs[0].shape[0])
    return apply(SliceUpdate(region: region.mapped(inputs[0].shape[0])), taking: &inputs)
  }
}
