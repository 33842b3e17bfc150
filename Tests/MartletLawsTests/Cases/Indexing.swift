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
    for dtype in allTypes where self != .scatterReduce || !dtype.isComplex {
      let isCommon = dtype == .float32 || dtype == .float64
      for indexType in isCommon ? [DType.int64, .int32] : [.int64] {
        for (a, b) in isCommon
          ? [(Layout.dense, Layout.dense), (.transposed, .strided), (.reversed, .transposed)] : [(.dense, .dense)]
        {
          switch self {
          case .gather, .scatterAdd, .scatterReduce:
            for (shape, axis, count) in along {
              var indexShape = shape
              indexShape[axis] = count
              let x = Input(shape, dtype, sample(dtype), a)
              let indices = Input(indexShape, indexType, .below(shape[axis]), b)
              if self == .gather {
                cases.append(OpCase(Gather(axis: axis), [x, indices]))
              } else if self == .scatterReduce {
                cases += scatterReductions(axis, x, indices, indexShape, b)
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

  /// Products of what is not near 0; extremes of values that differ, and of bases that win always or never.
  private func scatterReductions(
    _ axis: Int, _ x: Input, _ indices: Input, _ shape: Shape, _ layout: Layout
  ) -> [OpCase] {
    let kinds: [ScatterReduce.Kind] = [.product, .maximum, .minimum]
    return kinds.flatMap { kind -> [OpCase] in
      let op = ScatterReduce(axis: axis, kind)
      guard x.dtype.isFloating else { return [OpCase(op, [x, indices, Input(shape, x.dtype, x.values, layout)])] }
      var base = x
      base.values = kind == .product ? .away(0.5, 1.5) : .list([-5, 5, -6, 6, 7])
      let values = Input(shape, x.dtype, kind == .product ? .away(0.5, 1.5) : .spaced, layout)
      let ties = Input(shape, x.dtype, .list([0, 1, 1, .nan, 0, -1]), layout)
      return [
        OpCase(op, [base, indices, values], loose: 16), OpCase(op, [base, indices, ties], .none),
      ]
    }
  }

  private func takenShape(_ x: Shape, _ indices: Shape, _ axis: Int) -> Shape {
    Shape(Array(x[..<axis]) + Array(indices) + Array(x[(axis + 1)...]))
  }
}
