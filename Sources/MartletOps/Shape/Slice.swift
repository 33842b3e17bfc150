public import MartletCore

extension Region {
  /// The whole of a shape.
  package init(whole shape: Shape) {
    self.init(
      starts: Shape(repeating: 0, count: shape.rank), sizes: shape, steps: Shape(repeating: 1, count: shape.rank))
  }
  /// The region with one more axis in front, whole.
  package func mapped(_ size: Int) -> Region {
    Region(starts: starts.inserting(0, at: 0), sizes: sizes.inserting(size, at: 0), steps: steps.inserting(1, at: 0))
  }
  /// What is wrong with the region in a tensor of this shape.
  package func check(in shape: Shape) throws(OpError) {
    guard starts.rank == shape.rank, sizes.rank == shape.rank, steps.rank == shape.rank else {
      throw OpError(.tooManySubscripts(starts.rank, rank: shape.rank))
    }
    for axis in 0..<shape.rank {
      guard steps[axis] != 0 else { throw OpError(.sliceStep(axis: axis)) }
      guard sizes[axis] >= 0 else { throw OpError(.negativeSize(sizes)) }
      if sizes[axis] == 0 { continue }
      let last = starts[axis] &+ (sizes[axis] &- 1) &* steps[axis]
      for index in [starts[axis], last] where index < 0 || index >= shape[axis] {
        throw OpError(.index(index, size: shape[axis], axis: axis))
      }
    }
  }
  /// Strides and offset of the region within a tensor of the given strides.
  package func layout(_ strides: Shape) -> (strides: Shape, offset: Int) {
    var result = strides
    var offset = 0
    for axis in 0..<strides.rank {
      result[axis] = strides[axis] &* steps[axis]  // the stride of a single element means nothing
      if sizes[axis] > 0 { offset += strides[axis] * starts[axis] }
    }
    return (result, offset)
  }
}

/// A region of a tensor, without a copy.
public struct Slice: ViewOp {
  public static var id: OpID { OpTable.slice.id }
  public static var name: String { "slice" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public let region: Region
  public init(region: Region) { self.region = region }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    try region.check(in: x.shape)
    return x.with(shape: region.sizes)
  }
  public func view(of source: borrowing ViewSource, as spec: TensorSpec) -> (strides: Shape?, offset: Int)? {
    let (strides, offset) = region.layout(source.strides)
    return (strides == spec.shape.contiguousStrides ? nil : strides, source.offset + offset)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] { [.region(ct[0]!, region)] }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(view: self, $0) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    [apply(view: Slice(region: region.mapped(inputs[0].shape[0])), inputs[0])]
  }
  public var attributes: String {
    "starts=\(region.starts), sizes=\(region.sizes)"
      + (region.steps.allSatisfy { $0 == 1 } ? "" : ", steps=\(region.steps)")
  }
}
