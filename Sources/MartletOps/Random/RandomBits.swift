public import MartletCore

/// What random operations share: they are pure functions of a key `[…, 3]` (`int64`: seed, stream, counter); leading axes
/// of the key are leading axes of the result, each with its own numbers (Philox 4×32-10).
public protocol RandomOp: UnaryOp {
  /// The shape drawn for each key.
  var shape: Shape { get }
  var dtype: DType { get }
}

extension RandomOp {
  public static var rules: Rules { [.constant, .batched] }
  public static var argumentNames: [String] { ["key"] }
  public func output(for key: TensorSpec) throws(OpError) -> TensorSpec {
    guard key.dtype == .int64 else { throw OpError(.dtype(argument: 0, expected: "int64")) }
    guard key.rank >= 1, key.shape[key.rank - 1] == 3 else {
      throw OpError(.argumentShape(argument: 0, expected: "[…, 3]: seed, stream, counter"))
    }
    guard key.rank - 1 + shape.rank <= Shape.maxRank else { throw OpError(.ranksExceeded(key.rank - 1 + shape.rank)) }
    var result = key.shape
    result.remove(at: key.rank - 1)
    for size in shape { result.append(size) }
    guard result.checkedElementCount != nil else { throw OpError(.tooLarge(result)) }
    return TensorSpec(result, dtype, device: key.device)
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { [apply(self, inputs[0])] }
}

/// Uniform random words, `uint32`.
public struct RandomBits: RandomOp {
  public static var id: OpID { OpTable.randomBits.id }
  public static var name: String { "randomBits" }
  public let shape: Shape
  public var dtype: DType { .uint32 }
  public init(shape: Shape) { self.shape = shape }
}
