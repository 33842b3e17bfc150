internal import CKernels

/// The gradient of a table of which few rows were looked up: zero but for these rows.
///
/// `indices: [n]`, `int64`, ascending and each once; `values: [n, …]`, the gradients of these rows.
public struct GradientRows: Sendable {
  public let indices: Tensor
  public let values: Tensor
  package init(indices: Tensor, values: Tensor) {
    self.indices = indices
    self.values = values
  }
}

/// What one lookup added to a gradient: `values[i]` at row `indices[i]`.
package struct RowPart {
  package let values: Tensor
  package let indices: Tensor
}

/// Where the gradient of a parameter is added up: a dense tensor, or rows while nothing else was added.
package final class GradientCell: Cell {
  private struct Rows {
    var parts: [RowPart]
    let spec: TensorSpec
    let leftOut: Int?
    var count: Int { parts.reduce(0) { $0 + $1.indices.count } }
  }
  // Read and written by whoever owns the content of the cell.
  @exclusivity(unchecked) private final var rows: Rows?

  package override var wholeContent: Tensor? {
    guard rows != nil else { return content }
    guard let (spec, sum) = rows.map({ ($0.spec, coalesced()!) }) else { return nil }
    var whole = TransformOps.current.fill(0, spec)
    TransformOps.current.accumulateRows(&whole, sum.values, sum.indices, 0)
    return whole
  }
  package override func contentWillChange() { rows = nil }

  /// Adds rows to what is there, of which they are part until something dense is added. `row` is left out.
  func accumulate(_ parts: [RowPart], _ spec: TensorSpec, leavingOut row: Int?) {
    guard content == nil else {
      var sum = take()!
      for part in parts { TransformOps.current.accumulateRows(&sum, part.values, part.indices, 0) }
      return write(sum)
    }
    var all = rows ?? Rows(parts: [], spec: spec, leftOut: row)
    all.parts += parts
    rows = all
    // Many passes without a step may add up to no more than the table itself.
    if all.count > Swift.max(1024, 2 * (spec.shape.first ?? 0)) { _ = coalesced() }
  }

  /// The sum of the rows, each once and in order; it stands in the place of its parts afterwards. Nil where the gradient is
  /// dense or not there.
  func coalesced() -> GradientRows? {
    guard let rows else { return nil }
    let ops = TransformOps.current
    let own = rows.parts.map { $0.indices.array(as: Int.self) }
    let keys = own.count == 1 ? own[0] : Array(own.joined())
    // What is left out goes to one more place at the end.
    let (sorted, places) = GradientCell.distinct(keys, leavingOut: rows.leftOut)
    if own.count == 1, keys == sorted, rows.parts[0].indices.dtype == .int64, rows.parts[0].indices.rank == 1 {
      return GradientRows(indices: rows.parts[0].indices, values: rows.parts[0].values)
    }
    var shape = rows.spec.shape
    shape[0] = sorted.count + 1
    var sum = ops.fill(0, rows.spec.with(shape: shape))
    var first = 0
    for (part, indices) in zip(rows.parts, own) {
      let to = Tensor(Array(places[first..<first + indices.count]), device: rows.spec.device)
      first += indices.count
      shape[0] = indices.count
      ops.accumulateRows(&sum, ops.reshape(part.values, shape), to, 0)
    }
    let result = GradientRows(
      indices: Tensor(sorted, device: rows.spec.device), values: ops.firstRows(sum, sorted.count))
    self.rows!.parts = [RowPart(values: result.values, indices: result.indices)]
    return result
  }

  /// The different keys in ascending order, and the place of each key among them; that of what is left out is behind them.
  private static func distinct(_ keys: [Int], leavingOut leftOut: Int?) -> (sorted: [Int], places: [Int]) {
    let order = [Int](unsafeUninitializedCapacity: keys.count) { order, count in
      count = keys.count
      keys.withUnsafeBufferPointer { keys in
        keys.withMemoryRebound(to: Int64.self) { keys in
          order.withMemoryRebound(to: Int64.self) { order in
            guard let to = order.baseAddress, let from = keys.baseAddress else { return }
            precondition(ck_sort_keys(Int64(keys.count), to, from) == CK_OK, "Martlet: no memory to sort indices")
          }
        }
      }
    }
    var (sorted, places) = ([Int](), [Int](repeating: -1, count: keys.count))
    for place in order where keys[place] != leftOut {
      if sorted.last != keys[place] { sorted.append(keys[place]) }
      places[place] = sorted.count - 1
    }
    if leftOut != nil { for place in places.indices where places[place] < 0 { places[place] = sorted.count } }
    return (sorted, places)
  }

  /// Puts other rows in the place of the content.
  func replace(_ new: GradientRows, _ spec: TensorSpec) {
    write(nil)
    rows = Rows(parts: [RowPart(values: new.values, indices: new.indices)], spec: spec, leftOut: nil)
  }

  var holdsRows: Bool { rows != nil }
}

extension Parameter {
  /// The rows of the gradient, each once and in order, where it is kept as rows (`keepsGradientRows`); nil where it is dense
  /// or not there, and inside `compile`.
  ///
  /// Duplicate indices are summed up when this is read; the cost depends on the number of lookups, not on the table.
  public var gradientRows: GradientRows? {
    guard StateFrame.current == nil else { return nil }
    return gradient.coalesced()
  }

  /// Whether the gradient is there as rows.
  package var hasGradientRows: Bool { StateFrame.current == nil && gradient.holdsRows }

  /// The elements of the gradient that may differ from zero: those of its rows, or all. What is set has their shape, and the
  /// gradient stays of rows if it was.
  package var gradientValues: Tensor? {
    get { gradientRows?.values ?? grad }
    set {
      guard let newValue, let rows = gradientRows, newValue.isPlain else {
        grad = newValue
        return
      }
      gradient.replace(GradientRows(indices: rows.indices, values: newValue), read()!.spec)
    }
  }
}
