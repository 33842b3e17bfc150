import MartletCore
import MartletOps

/// The places of the first `k` elements in order: NaN counts as the largest, equal elements by their place.
private func first<T: Comparable>(_ k: Int, of row: ArraySlice<T>, largest: Bool, isNaN: (T) -> Bool) -> [Int] {
  let start = row.startIndex
  let order = row.indices.sorted { i, j in
    let (x, y) = (row[i], row[j])
    if isNaN(x) != isNaN(y) { return isNaN(x) == largest }
    if !isNaN(x), x != y { return (x > y) == largest }
    return i < j
  }
  return order.prefix(k).map { $0 - start }
}

func installRows() {
  naive(TopK.self) { op, arguments in
    let shape = arguments.spec(0).shape
    let n = shape[shape.rank - 1]
    let rows = op.k == 0 ? 0 : shape.elementCount / n
    let bits = arguments.bits(0)
    let chosen: [[Int]]
    if arguments.spec(0).dtype.isFloating {
      let x = arguments.doubles(0)
      chosen = (0..<rows).map { row in
        first(op.k, of: x[(row * n)..<((row + 1) * n)], largest: op.largest) { $0.isNaN }
      }
    } else {
      let x = arguments.integers(0)
      chosen = (0..<rows).map { row in
        first(op.k, of: x[(row * n)..<((row + 1) * n)], largest: op.largest) { _ in false }
      }
    }
    arguments.write(bits: chosen.enumerated().flatMap { row, places in places.map { bits[row * n + $0] } })
    arguments.write(chosen.flatMap { $0.map { Int64($0) } }, to: 1)
  }
}
