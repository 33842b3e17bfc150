import MartletCore
import MartletOps

/// Rows of `a` by columns of `b`, matrix by matrix.
private func product<T: Numeric>(
  _ a: [T], _ b: [T], _ m: Int, _ k: Int, _ n: Int, _ add: (T, T, T) -> T
) -> [T] {
  let matrices = m * n == 0 ? 0 : k == 0 ? 0 : a.count / (m * k)
  var result: [T] = []
  for matrix in 0..<matrices {
    for row in 0..<m {
      for column in 0..<n {
        var sum: T = 0
        for inner in 0..<k {
          sum = add(sum, a[(matrix * m + row) * k + inner], b[(matrix * k + inner) * n + column])
        }
        result.append(sum)
      }
    }
  }
  return result
}

func installLinear() {
  naive(Matmul.self) { _, arguments in
    let shape = arguments.outputSpec().shape
    let (m, n) = (shape[shape.rank - 2], shape[shape.rank - 1])
    let k = arguments.spec(0).shape[arguments.spec(0).rank - 1]
    let batch = Array(shape[..<(shape.rank - 2)])
    let (shapeA, shapeB) = (Shape(batch + [m, k]), Shape(batch + [k, n]))
    if k == 0 {
      arguments.write([Int64](repeating: 0, count: shape.elementCount))
    } else if arguments.spec(0).dtype.isFloating {
      arguments.write(
        product(arguments.doubles(0, as: shapeA), arguments.doubles(1, as: shapeB), m, k, n) { $0 + $1 * $2 })
    } else {
      arguments.write(
        product(arguments.integers(0, as: shapeA), arguments.integers(1, as: shapeB), m, k, n) { $0 &+ $1 &* $2 })
    }
  }
}
