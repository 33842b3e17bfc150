public import MartletCore

/// Normal numbers of mean 0 and deviation 1, by Box and Muller's transform of two uniform ones each.
public struct RandomNormal: RandomOp {
  public static var id: OpID { OpTable.randomNormal.id }
  public static var name: String { "randomNormal" }
  public static var rules: Rules { [.constant, .batched, .decomposed] }
  public let shape: Shape
  public let dtype: DType
  public init(shape: Shape, dtype: DType) {
    self.shape = shape
    self.dtype = dtype
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let wide: DType = dtype == .float64 ? .float64 : .float32
    let pairs = apply(RandomUniform(shape: Shape(Array(shape) + [2]), dtype: wide), inputs[0])
    let axis = pairs.rank - 1
    let radius = sqrt(log(1 - pairs.part(axis, 0)) * -2)
    return [(radius * cos(pairs.part(axis, 1) * (2 * Double.pi))).cast(to: dtype)]
  }
}
