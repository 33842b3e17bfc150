import Martlet
import Testing

/// Shapes that reach the tiles, pieces and remainders of the kernels; exact by whole numbers.
@Suite struct LargeKernelTests {
  private func numbers(_ shape: Shape, _ dtype: DType) -> (tensor: Tensor, values: [Int64]) {
    let values = (0..<shape.elementCount).map { Int64($0 * 31 % 113) }
    return (Tensor(values, shape: shape).cast(to: dtype), values)
  }

  @Test(arguments: [DType.uint8, .bfloat16, .float32, .float64])
  func turnedCopies(_ dtype: DType) {
    for (rows, columns) in [(8, 8), (16, 16), (17, 40), (37, 83), (130, 1030), (1040, 70)] {
      let (x, values) = numbers([rows, columns], dtype)
      let expected = (0..<(rows * columns)).map { values[$0 % rows * columns + $0 / rows] }
      #expect(x.transposed().contiguous().array(as: Int64.self) == expected, "\(rows) × \(columns)")
    }
    let (x, values) = numbers([3, 20, 33], dtype)
    var expected: [Int64] = []
    for matrix in 0..<3 {
      for column in 0..<33 {
        for row in 0..<20 { expected.append(values[matrix * 660 + row * 33 + column]) }
      }
    }
    #expect(x.transposed().contiguous().array(as: Int64.self) == expected)
  }

  @Test func copiesBeyondTheCaches() {
    let (x, values) = numbers([3001, 3000], .float32)
    let turned: [Float] = x.transposed().contiguous().array()
    #expect(turned.indices.allSatisfy { turned[$0] == Float(values[$0 % 3001 * 3000 + $0 / 3001]) })
  }

  @Test(arguments: [DType.float32, .float64, .bfloat16, .int64])
  func sumsOfColumns(_ dtype: DType) {
    for rows in [1, 3, 4, 5, 64, 66, 69, 1030] {
      let (x, values) = numbers([rows, 2050], dtype)
      let wide = dtype == .bfloat16 ? x.cast(to: .float32) : x
      let sum = dtype == .bfloat16 ? x.sum(axis: 0).cast(to: .float32) : x.sum(axis: 0)
      if dtype == .bfloat16 {
        #expect(allClose(sum, wide.sum(axis: 0), relative: 0x1p-8))
      } else {
        let expected = (0..<2050).map { column in (0..<rows).reduce(Int64(0)) { $0 + values[$1 * 2050 + column] } }
        #expect(sum.array(as: Int64.self) == expected, "\(rows) rows")
      }
    }
  }

  /// Few columns, whose results stay in registers, with NaN and infinities in any row; rows are reduced by other loops.
  @Test(arguments: [DType.float32, .bfloat16, .float64, .int64])
  func narrowColumns(_ dtype: DType) {
    for columns in [8, 15, 16, 24, 31, 32, 33, 48, 63, 64, 65, 100] {
      for rows in [1, 2, 5, 64, 65, 130] {
        var x = (sin(Tensor.range(to: Double(rows * columns)).cast(to: .float32)) * 9).reshaped(rows, columns)
        if dtype.isFloating {
          x[0, 1] = Tensor(Float.nan)
          x[rows / 2, 2] = Tensor(Float.nan)
          x[rows - 1, 3] = Tensor(-Float.infinity)
        }
        x = x.cast(to: dtype)
        let turned = x.transposed().contiguous()
        let tolerance = dtype == .bfloat16 ? 0.1 : 1e-4
        func same(_ a: Tensor, _ b: Tensor, _ tolerance: Double, _ name: String) {
          #expect(
            allClose(a, b, relative: tolerance, absolute: tolerance, equalNaN: true), "\(name) \(rows) \(columns)")
        }
        same(x.sum(axis: 0), turned.sum(axis: 1), tolerance, "sum")
        same(x.max(axis: 0), turned.max(axis: 1), 0, "max")
        same(x.min(axis: 0), turned.min(axis: 1), 0, "min")
      }
    }
  }

  /// Enough small products that they are shared out among the threads, over two axes of which one is broadcast.
  @Test func batchesOfSmallProducts() {
    let (a, left) = numbers([3, 50, 17, 30], .float32)
    let (b, right) = numbers([50, 30, 19], .float32)
    let found = matmul(a, b).array(as: Int64.self)
    var expected: [Int64] = []
    for batch in 0..<150 {
      for row in 0..<17 {
        for column in 0..<19 {
          expected.append(
            (0..<30).reduce(0) { $0 + left[(batch * 17 + row) * 30 + $1] * right[(batch % 50 * 30 + $1) * 19 + column] }
          )
        }
      }
    }
    #expect(found == expected)
    // A transposed operand too.
    #expect(matmul(a, b.transposed().contiguous().transposed()).array(as: Int64.self) == expected)
  }

  @Test(arguments: [DType.uint8, .int64, .bfloat16, .float32, .float64])
  func sortedRows(_ dtype: DType) {
    let (x, values) = numbers([40, 1001], dtype)
    for descending in [false, true] {
      let sorted = x.sorted(descending: descending)
      let places = (0..<40).map { row in
        (0..<1001).sorted { a, b in
          let (p, q) = (values[row * 1001 + a], values[row * 1001 + b])
          return p == q ? a < b : descending ? p > q : p < q
        }
      }
      #expect(sorted.indices.array(as: Int64.self) == places.flatMap { $0.map { Int64($0) } })
      #expect(
        sorted.values.array(as: Int64.self) == (0..<40).flatMap { row in places[row].map { values[row * 1001 + $0] } })
    }
  }

  @Test func productsWithVectors() {
    for (rows, depth) in [(1, 1), (5, 3), (6, 67), (256, 256)] {
      let (a, values) = numbers([rows, depth], .float32)
      let (x, vector) = numbers([depth, 1], .float32)
      let expected = (0..<rows).map { row in
        (0..<depth).reduce(Int64(0)) { $0 + values[row * depth + $1] * vector[$1] }
      }
      #expect(matmul(a, x).array(as: Int64.self) == expected)
      #expect(matmul(x.transposed(), a.transposed()).array(as: Int64.self) == expected)
    }
  }

  /// 256 + 1 is 256 in bfloat16: the sum is made in float32.
  @Test(arguments: [DType.bfloat16, .float16]) func smallAdditionsToHalvesCount(_ dtype: DType) {
    let base = dtype == .bfloat16 ? 256 : 2048
    let x = Tensor(repeating: Double(base), TensorSpec([3, 2], dtype, device: .current))
    let ones = Tensor(repeating: 1, TensorSpec([base, 2], dtype, device: .current))
    // The rows 0 and 2 take turns.
    let rows = Tensor((0..<base).map { Int64($0 % 2 * 2) })
    let half = Double(base + base / 2)
    let expected = [half, half, Double(base), Double(base), half, half]
    let table = x.scatterAdding(axis: 0, rows.reshaped([base, 1]).expanded(to: [base, 2]), ones)
    #expect(table.array(as: Double.self) == expected)
    let same = Tensor((0..<(4 * base)).map { Int64($0 % 2 * 2) })
    let many = Tensor(repeating: 1, TensorSpec([4 * base, 2], dtype, device: .current))
    let gradient = vjp({ (y: Tensor) in y.take(axis: 0, same) }, x).pullback(many)
    let twice = Double(2 * base)
    #expect(gradient.array(as: Double.self) == [twice, twice, 0, 0, twice, twice])
  }
}
