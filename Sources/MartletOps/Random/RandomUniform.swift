public import MartletCore

/// Uniform numbers in [0, 1).
public struct RandomUniform: RandomOp {
  public static var id: OpID { OpTable.randomUniform.id }
  public static var name: String { "randomUniform" }
  public static var rules: Rules { [.constant, .batched, .decomposed] }
  public let shape: Shape
  public let dtype: DType
  public init(shape: Shape, dtype: DType) {
    self.shape = shape
    self.dtype = dtype
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    guard dtype == .float64 else {
      let words = apply(RandomBits(shape: shape), inputs[0]).cast(to: .float32)
      return [minimum(words * 0x1p-32, 0x1.fffffep-1).cast(to: dtype)]
    }
    let words = apply(RandomBits(shape: Shape(Array(shape) + [2])), inputs[0]).cast(to: .float64)
    let axis = words.rank - 1
    let high = words.part(axis, 0) * 0x1p-32
    return [minimum(high + words.part(axis, 1) * 0x1p-64, 0x1.fffffffffffffp-1)]
  }
}

extension Tensor {
  /// The slice at one index of an axis, without the axis.
  package func part(_ axis: Int, _ index: Int) -> Tensor {
    var region = Region(whole: shape)
    region.starts[axis] = index
    region.sizes[axis] = 1
    return apply(view: Slice(region: region), self).reshaped(shape.removing(at: axis))
  }
}
