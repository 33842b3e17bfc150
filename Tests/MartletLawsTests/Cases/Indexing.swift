import MartletCore
import MartletOps

private func sample(_ dtype: DType) -> Values {
  dtype.isInexact ? .between(-2, 2) : dtype == .bool ? .below(2) : .below(20)
}

extension OpTable {
  var indexingCases: [OpCase] {
    var cases: [OpCase] = []
    let along: [(Shape, Int, Int)] = [
      ([5], 0, 3), ([5], 0, 0), ([1], 0, 4), ([65], 0, 200), ([3, 5], 0, 4), ([3, 5], 1, 2), ([2, 3, 4], 1, 5),
      ([0, 3], 1, 2),
      ([2, 3, 4], 2, 1), ([64, 3], 0, 65),
    ]
    let slices: [(Shape, Int, Shape)] = [
      ([5], 0, []), ([5], 0, [3]), ([5], 0, [0]), ([5, 3], 0, [2, 4]), ([5, 3], 1, [4]), ([2, 3, 4], 1, [2, 2]),
      ([65, 64], 0, [63]), ([0, 3], 1, [2]), ([2, 3, 4], 2, []), ([1, 3], 0, [5]), ([3, 0], 0, [2]),
    ]
    for dtype in allTypes {
      let isCommon = dtype == .float32 || dtype == .float64
      for indexType in isCommon ? [DType.int64, .int32] : [.int64] {
        for (a, b) in isCommon
          ? [(Layout.dense, Layout.dense), (.transposed, .strided), (.reversed, .transposed)] : [(.dense, .dense)]
        {
          switch self {
          case .gather, .scatterAdd:
            for (shape, axis, count) in along {
              var indexShape = shape
              indexShape[axis] = count
              let x = Input(shape, dtype, sample(dtype), a)
              let indices = Input(indexShape, indexType, .below(shape[axis]), b)
              if self == .gather {
                cases.append(OpCase(Gather(axis: axis), [x, indices]))
              } else {
                let values = Input(indexShape, dtype, sample(dtype), b)
                cases.append(OpCase(ScatterAdd(axis: axis), [x, indices, values], loose: 16))
              }
            }
          default:
            for (shape, axis, indexShape) in slices {
              let x = Input(shape, dtype, sample(dtype), a)
              let indices = Input(indexShape, indexType, .below(shape[axis]), b)
              let values = Input(takenShape(shape, indexShape, axis), dtype, sample(dtype), b)
              switch self {
              case .take: cases.append(OpCase(Take(axis: axis), [x, indices]))
              case .takeAdd: cases.append(OpCase(TakeAdd(axis: axis), [x, indices, values], loose: 16))
              default: cases.append(OpCase(TakeUpdate(axis: axis), [x, indices, values]))
              }
            }
          }
        }
      }
    }
    return cases
  }

  private func takenShape(_ x: Shape, _ indices: Shape, _ axis: Int) -> Shape {
    Shape(Array(x[..<axis]) + Array(indices) + Array(x[(axis + 1)...]))
  }
}
