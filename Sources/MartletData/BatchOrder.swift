/// The order in which examples come: in each epoch another permutation, which depends on the seed and the epoch alone, so
/// that a run can go on in the middle of an epoch.
public struct BatchOrder: Sendable, Hashable {
  /// The number of examples.
  public let count: Int
  /// Examples in a batch; the last of an epoch may have fewer.
  public let batchSize: Int
  /// Nil for the order in which they lie.
  public let seed: UInt64?

  /// - Parameters:
  ///   - count: 0 or more.
  ///   - batchSize: 1 or more.
  public init(count: Int, batchSize: Int, seed: UInt64? = nil) {
    precondition(count >= 0 && batchSize >= 1, "BatchOrder: \(count) examples in batches of \(batchSize)")
    self.count = count
    self.batchSize = batchSize
    self.seed = seed
  }

  /// The number of batches of an epoch.
  public var batchCount: Int { count / batchSize + (count % batchSize > 0 ? 1 : 0) }

  /// All examples in the order of an epoch.
  public func examples(epoch: Int) -> [Int] {
    var order = Array(0..<count)
    guard let seed else { return order }
    var random = CounterRandom(seed: seed, index: epoch)
    for last in stride(from: count - 1, to: 0, by: -1) { order.swapAt(last, random.below(last + 1)) }
    return order
  }

  /// The examples of the batches of an epoch.
  public func batches(epoch: Int) -> [ArraySlice<Int>] {
    let order = examples(epoch: epoch)
    return (0..<batchCount).map { order[($0 * batchSize)...].prefix(batchSize) }
  }
}
