import MartletCore
import MartletOps

/// Where a matrix in compressed rows has values.
private struct Pattern {
  var rows: Int
  var columns: Int
  var places: [(row: Int, column: Int)]

  var pointers: [Int64] { (0...rows).map { row in Int64(places.filter { $0.row < row }.count) } }
  private func input(_ values: [Int64]) -> Input { Input([values.count], .int64, .exact(values)) }
  var inputs: [Input] { [input(pointers), input(places.map { Int64($0.column) })] }
  /// The same in compressed columns.
  var transposed: [Input] {
    let order = places.indices.sorted { (places[$0].column, $0) < (places[$1].column, $1) }
    let begins = (0...columns).map { column in Int64(places.filter { $0.column < column }.count) }
    return [input(begins), input(order.map { Int64(places[$0].row) }), input(order.map { Int64($0) })]
  }
}

private let patterns = [
  // A row that is empty, columns out of order, a place that is there twice.
  Pattern(rows: 3, columns: 4, places: [(0, 3), (0, 1), (2, 0), (2, 1), (2, 1)]),
  Pattern(rows: 0, columns: 3, places: []), Pattern(rows: 2, columns: 3, places: []),
  Pattern(rows: 1, columns: 1, places: [(0, 0)]),
  Pattern(
    rows: 65, columns: 40, places: (0..<65).flatMap { row in (0..<row % 5).map { (row, (row * 7 + $0 * 13) % 40) } }),
]

extension OpTable {
  var sparseCases: [OpCase] {
    var cases: [OpCase] = []
    if self == .countingSort {
      for (n, count) in [(0, 0), (0, 3), (1, 1), (5, 3), (65, 64), (1000, 7)] {
        for layout in [Layout.dense, .strided] {
          let keys = Input([n], .int64, .below(Swift.max(1, count)), layout)
          cases.append(OpCase(CountingSort(count: count), [keys]))
        }
      }
      return cases
    }
    for dtype in floatingTypes {
      for pattern in patterns {
        for size in [1, 3, 64, 70, 0] {
          for layout in [Layout.dense, .transposed, .strided] {
            let b = Input([pattern.columns, size], dtype, .between(-2, 2), layout)
            let a =
              self == .sparseMatmul
              ? Input([pattern.places.count], dtype, .between(-2, 2), layout)
              : Input([pattern.rows, size], dtype, .between(-2, 2), layout)
            let op: any Op = self == .sparseMatmul ? SparseMatmul() : SampledMatmul()
            let known = layout == .transposed ? pattern.transposed : []
            cases.append(OpCase(op, pattern.inputs + [a, b] + known, loose: 16))
          }
        }
      }
    }
    return cases
  }

  var sparseWrongCases: [WrongCase] {
    func i(_ values: [Int64]) -> Input { Input([values.count], .int64, .exact(values)) }
    func f(_ shape: Shape, _ dtype: DType = .float32) -> Input { Input(shape, dtype) }
    if self == .countingSort {
      let op = CountingSort(count: 3)
      return [
        WrongCase(op, [i([0, 3])]), WrongCase(op, [i([-1, 0])]), WrongCase(op, [f([2])]), WrongCase(op, [f([2, 2])]),
        WrongCase(CountingSort(count: -1), [i([0])]),
      ]
    }
    let op: any Op = self == .sparseMatmul ? SparseMatmul() : SampledMatmul()
    let a = f(self == .sparseMatmul ? [2] : [2, 3])
    let (pointers, columns, b) = (i([0, 1, 2]), i([0, 3]), f([4, 3]))
    return [
      WrongCase(op, [pointers, i([0, 4]), a, b]), WrongCase(op, [pointers, i([-1, 0]), a, b]),
      WrongCase(op, [i([0, 9, 2]), columns, a, b]), WrongCase(op, [pointers, columns, a]),
      WrongCase(op, [f([3]), columns, a, b]), WrongCase(op, [pointers, columns, f([5]), b]),
      WrongCase(op, [pointers, columns, a, f([4])]), WrongCase(op, [pointers, columns, a, f([4, 3], .float64)]),
      WrongCase(op, [pointers, columns, a, b, pointers, columns, columns]),
    ]
  }
}
