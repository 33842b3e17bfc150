import MartletCore
import MartletOps

/// Regions of shapes: whole, part, empty, with steps, backward.
private let regions: [(Shape, Region)] = [
  ([], Region(starts: [], sizes: [], steps: [])),
  ([5], Region(starts: [1], sizes: [3], steps: [1])),
  ([5], Region(starts: [4], sizes: [5], steps: [-1])),
  ([5], Region(starts: [0], sizes: [0], steps: [1])),
  ([0], Region(starts: [0], sizes: [0], steps: [1])),
  ([65], Region(starts: [0], sizes: [33], steps: [2])),
  ([65], Region(starts: [64], sizes: [22], steps: [-3])),
  ([4, 6], Region(starts: [1, 0], sizes: [2, 6], steps: [1, 1])),
  ([4, 6], Region(starts: [3, 1], sizes: [2, 3], steps: [-2, 2])),
  ([4, 6], Region(starts: [0, 0], sizes: [4, 6], steps: [1, 1])),
  ([2, 3, 4], Region(starts: [1, 0, 3], sizes: [1, 3, 4], steps: [1, 1, -1])),
  ([1000], Region(starts: [1], sizes: [998], steps: [1])),
]

private func sample(_ dtype: DType) -> Values {
  dtype.isInexact ? .between(-2, 2) : dtype == .bool ? .below(2) : .below(100)
}
private let layouts: [Layout] = [.dense, .transposed, .strided, .reversed, .expanded, .offset]

extension OpTable {
  var shapeCases: [OpCase] {
    switch self {
    case .contiguous:
      return moved([([], []), ([5], [0]), ([3, 5], [0]), ([2, 3, 4], [0]), ([0, 2], [0])]) { _ in Contiguous() }
    case .reshape: return reshapes
    case .permute:
      return moved([
        ([], []), ([0], [0]), ([5], [0]), ([3, 5], [1, 0]), ([3, 5], [0, 1]), ([2, 3, 4], [2, 0, 1]),
        ([2, 0, 4], [1, 2, 0]),
        ([2, 1, 3, 65], [3, 1, 0, 2]),
      ]) { Permute(order: $0) }
    case .expand:
      return moved([
        ([], []), ([], [3]), ([1], [0]), ([1], [65]), ([3, 1], [3, 5]), ([1, 3], [2, 4, 3]), ([0, 1], [0, 3]),
        ([5], [5]),
        ([2, 1, 3], [4, 2, 5, 3]),
      ]) { Expand(shape: $0) }
    case .slice:
      return allTypes.flatMap { dtype in
        regions.flatMap { shape, region in
          layouts.map { OpCase(Slice(region: region), [Input(shape, dtype, sample(dtype), $0)]) }
        }
      }
    case .embed:
      return allTypes.flatMap { dtype in
        regions.flatMap { shape, region in
          [Layout.dense, .transposed, .strided].map {
            OpCase(Embed(shape: shape, region: region), [Input(region.sizes, dtype, sample(dtype), $0)])
          }
        }
      }
    case .sliceUpdate: return writes { SliceUpdate(region: $0) }
    case .sliceAdd: return writes { SliceAdd(region: $0) }
    case .concat: return concats
    default: return pads
    }
  }

  private func moved(_ list: [(Shape, Shape)], _ make: (Shape) -> any Op) -> [OpCase] {
    var cases: [OpCase] = []
    for dtype in allTypes {
      for (shape, argument) in list {
        for layout in dtype.size == 8 ? layouts : [.dense, .strided] {
          cases.append(OpCase(make(argument), [Input(shape, dtype, sample(dtype), layout)]))
        }
      }
    }
    return cases
  }

  private var reshapes: [OpCase] {
    moved([
      ([], [1, 1]), ([12], [3, 4]), ([3, 4], [12]), ([0], [0, 5]), ([2, 0], [0]), ([1], []), ([2, 3, 4], [6, 4]),
      ([2, 3, 4], [2, 12]), ([2, 3, 4], [4, 3, 2]), ([65, 2], [2, 65]), ([1, 4, 1, 3], [4, 3]),
      ([4, 6], [2, 2, 1, 6, 1]),
      ([6], [6]), ([2, 6], [2, 2, 3]),
    ]) { Reshape(shape: $0) }
  }

  private func writes(_ make: (Region) -> any Op) -> [OpCase] {
    var cases: [OpCase] = []
    for dtype in allTypes {
      for (shape, region) in regions {
        for (base, value) in [(Layout.dense, Layout.dense), (.transposed, .strided), (.strided, .expanded)] {
          cases.append(
            OpCase(
              make(region),
              [Input(shape, dtype, sample(dtype), base), Input(region.sizes, dtype, sample(dtype), value)]))
        }
      }
    }
    return cases
  }

  private var concats: [OpCase] {
    var cases: [OpCase] = []
    for dtype in allTypes {
      for (axis, shapes) in [
        (0, [[3]]), (0, [[3], [0], [65]]), (0, [[0], [0]]), (0, [[2, 3], [1, 3]]), (1, [[2, 3], [2, 1], [2, 4]]),
        (1, [[2, 0, 3], [2, 2, 3]]), (2, [[2, 3, 1], [2, 3, 64]]), (0, [[1], [1], [1], [1], [1]]),
      ] as [(Int, [Shape])] {
        for layout in [Layout.dense, .transposed, .strided] {
          let inputs = shapes.enumerated().map { position, shape in
            Input(shape, dtype, sample(dtype), position % 2 == 0 ? layout : .dense)
          }
          cases.append(OpCase(Concat(axis: axis, sizes: shapes.map { $0[axis] }), inputs))
        }
      }
    }
    return cases
  }

  private var pads: [OpCase] {
    var cases: [OpCase] = []
    for dtype in allTypes {
      for (shape, low, high) in [
        ([], [], []), ([3], [1], [2]), ([0], [2], [0]), ([65], [0], [0]), ([2, 3], [0, 1], [2, 0]),
        ([2, 0], [1, 1], [0, 1]),
        ([2, 3, 4], [1, 0, 2], [0, 3, 1]),
      ] as [(Shape, Shape, Shape)] {
        for value in [0.0, 1.0] {
          for layout in [Layout.dense, .transposed, .reversed] {
            cases.append(OpCase(Pad(low: low, high: high, value: value), [Input(shape, dtype, sample(dtype), layout)]))
          }
        }
      }
      if dtype.isFloating {
        cases.append(OpCase(Pad(low: [1], high: [1], value: -.infinity), [Input([3], dtype)], .none))
      }
    }
    return cases
  }
}
