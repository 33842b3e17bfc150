public import MartletCore

/// The order that puts integer keys in `0 ..< count` in ascending order, those of equal keys as they stand, and where the
/// elements of each key begin in it: `[n]` → order `[n]`, begins `[count + 1]`, all `int64`.
public struct CountingSort: Op {
  public static var id: OpID { OpTable.countingSort.id }
  public static var name: String { "countingSort" }
  public static var rules: Rules { [.constant, .decomposed] }
  public static var argumentNames: [String] { ["keys"] }
  /// The number of different keys that there can be.
  public let count: Int
  public init(count: Int) { self.count = count }
  public var outputCount: Int { 2 }
  public var canFault: Bool { true }
  public func fault(_ status: KernelStatus, _ inputs: [TensorSpec]) -> Fact {
    .index(Int(status.value), size: count, axis: 0)
  }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 1 else { throw OpError(.numberOfInputs(inputs.count, expected: "1")) }
    let keys = inputs[0]
    guard keys.dtype == .int64 else { throw OpError(.dtype(argument: 0, expected: "int64")) }
    guard keys.rank == 1 else { throw OpError(.rank(argument: 0, expected: "1")) }
    guard count >= 0 else { throw OpError(.count(name: "count", count, allowed: "0 or more")) }
    return [keys, TensorSpec([count + 1], .int64, device: keys.device)]
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let keys = inputs[0]
    let none = Tensor(repeating: 0, TensorSpec([count], .int64, device: keys.device))
    let counts = apply(TakeAdd(axis: 0), [none, keys, Tensor(repeating: 1, keys.spec)])[0]
    let first = Tensor(repeating: 0, TensorSpec([1], .int64, device: keys.device))
    return [keys.argSort(axis: 0), concat([first, counts.cumsum(axis: 0)], axis: 0)]
  }
}
