import MartletCore

/// The sets of elements of `[N, C, S]` that are normalised together, and how.
///
/// Composite rules see the tensor as `[N, G, K, S]`, with K channels in each of G groups, and statistics with size 1 along
/// the axes over which they are.
public struct NormalizedSets: Hashable, Sendable, Codable, CustomStringConvertible {
  /// The groups of channels of each example; nil: each channel over all examples.
  public let groups: Int?
  /// Whether the mean is subtracted.
  public let isCentred: Bool
  private let epsilonBits: UInt64
  /// What is added to the variance before the root is taken; compared by bits.
  public var epsilon: Double { Double(bitPattern: epsilonBits) }

  public init(groups: Int?, epsilon: Double, isCentred: Bool = true) {
    self.groups = groups
    self.isCentred = isCentred
    epsilonBits = epsilon.bitPattern
  }

  public var description: String {
    (groups.map { "groups=\($0)" } ?? "batch") + ", epsilon=\(epsilon)" + (isCentred ? "" : ", not centred")
  }

  /// The spec of the statistics. Throws when x is not `[N, C, S]` of floats or the groups do not fit.
  func checkedStatistics(_ x: TensorSpec, argument: Int) throws(OpError) -> TensorSpec {
    guard x.rank == 3 else { throw OpError(.rank(argument: argument, expected: "3: [N, C, S]")) }
    guard x.dtype.isFloating else { throw OpError(.dtype(argument: argument, expected: Domain.floating.rawValue)) }
    guard epsilon >= 0 else { throw OpError(.misuse("epsilon is \(epsilon)", rule: "epsilon ≥ 0")) }
    let wide = Self.wide(x.dtype)
    guard let groups else { return x.with(shape: [x.shape[1]]).with(wide) }
    guard groups > 0, x.shape[1] % groups == 0 else {
      throw OpError(.misuse("\(x.shape[1]) channels, \(groups) groups", rule: "channels are a multiple of groups"))
    }
    return x.with(shape: [x.shape[0], groups]).with(wide)
  }

  /// Batches of channels-last images stay so; all else is in row-major order.
  func strides(of result: TensorSpec, like x: Tensor) -> Shape? {
    groups == nil ? Order.channelsLast(result, like: x) : nil
  }

  static func wide(_ dtype: DType) -> DType { dtype == .float64 ? .float64 : .float32 }

  var axes: [Int] { groups == nil ? [0, 3] : [2, 3] }
  private func groups(_ channels: Int) -> Int { groups ?? channels }
  /// How many elements a set of a tensor has.
  func size(_ x: Shape) -> Int { groups.map { x[1] / $0 * x[2] } ?? x[0] * x[2] }
  /// The sets when examples of `vmap` are further channels.
  func forExamples(_ examples: Int) -> NormalizedSets {
    NormalizedSets(groups: groups.map { $0 * examples }, epsilon: epsilon, isCentred: isCentred)
  }

  /// `[N, C, S]` as `[N, G, K, S]`, wide enough for sums.
  func parted(_ x: Tensor) -> Tensor {
    let g = groups(x.shape[1])
    return x.cast(to: Self.wide(x.dtype)).reshaped([x.shape[0], g, g == 0 ? 1 : x.shape[1] / g, x.shape[2]])
  }
  /// `[C]` as `[1, G, K, 1]`.
  func alongChannels(_ w: Tensor) -> Tensor {
    let g = groups(w.shape[0])
    return w.cast(to: Self.wide(w.dtype)).reshaped([1, g, g == 0 ? 1 : w.shape[0] / g, 1])
  }
  /// Statistics as they broadcast to `[N, G, K, S]`.
  func overSets(_ statistics: Tensor, _ x: Shape) -> Tensor {
    statistics.reshaped(groups == nil ? [1, x[1], 1, 1] : [x[0], groups(x[1]), 1, 1])
  }
  /// The inverse.
  func asStatistics(_ x: Tensor) -> Tensor {
    x.reshaped(groups == nil ? [x.shape[1]] : [x.shape[0], x.shape[1]])
  }
  /// The means of the sets of `[N, G, K, S]`; 0 when not centred.
  func mean(_ x: Tensor) -> Tensor {
    if isCentred { return x.mean(axes: axes, keepDims: true) }
    let shape: Shape = groups == nil ? [1, x.shape[1], 1, 1] : [x.shape[0], x.shape[1], 1, 1]
    return Tensor(repeating: 0, x.spec.with(shape: shape))
  }
}
