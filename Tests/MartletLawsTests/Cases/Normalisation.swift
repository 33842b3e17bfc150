import MartletCore
import MartletOps

private let examples: [(Shape, [NormalizedSets])] = [
  // Rows, as in layer norm, in and beyond a vector and the blocks of sums.
  ([3, 5, 1], [rows(1), rows(5), rows(1, isCentred: false)]), ([2, 1, 1], [rows(1)]),
  ([70, 6, 1], [rows(1), rows(3)]),
  ([2, 67, 1], [rows(1), rows(1, isCentred: false)]), ([1, 4200, 1], [rows(1)]),
  // Planes, as in group and instance norm.
  ([2, 4, 3], [rows(1), rows(2), rows(4), rows(2, isCentred: false)]), ([2, 2, 70], [rows(1), rows(2)]),
  // Channels over the batch: side by side, and planes.
  ([5, 3, 1], [batch]), ([3, 67, 1], [batch]), ([4, 3, 6], [batch]), ([3, 2, 77], [batch]), ([2, 1, 4200], [batch]),
  // More rows than one piece of them has, when channels are side by side.
  ([4, 300, 50], [batch]), ([1, 5, 7], [batch]),
  ([0, 2, 3], [batch, rows(2)]), ([2, 0, 3], [batch, rows(1)]), ([2, 4, 0], [batch, rows(2)]),
]
private let batch = NormalizedSets(groups: nil, epsilon: 0.01)
private func rows(_ groups: Int, isCentred: Bool = true) -> NormalizedSets {
  NormalizedSets(groups: groups, epsilon: 0.01, isCentred: isCentred)
}

extension OpTable {
  var normalizationCases: [OpCase] {
    let isRectified = self == .normalizeRelu || self == .normalizeReluGradient
    var cases: [OpCase] = []
    for dtype in floatingTypes {
      for (shape, kinds) in examples {
        for sets in kinds where !isRectified || sets.isRectified(shape) {
          for layout in [Layout.dense, .transposed] {
            for affine in 0...2 { cases.append(normalizationCase(shape, dtype, sets, layout, affine)) }
          }
        }
      }
    }
    return cases
  }

  private func normalizationCase(
    _ shape: Shape, _ dtype: DType, _ sets: NormalizedSets, _ layout: Layout, _ affine: Int
  ) -> OpCase {
    let x = Input(shape, dtype, .between(-2, 3), layout)
    let g = Input(shape, dtype, .between(-1, 1), affine == 1 ? .dense : layout)
    let channels = Input([shape[1]], dtype, .between(-1, 2))
    // A set without elements has no mean: nothing to differentiate.
    let isEmpty = shape.elementCount == 0
    let isLarge = isEmpty || shape.elementCount > 1000
    let loose = shape.elementCount > 1000 ? 64.0 : 16
    let wide: DType = dtype == .float64 ? .float64 : .float32
    let size: Shape = sets.groups.map { [shape[0], $0] } ?? [shape[1]]
    let statistics = [Input(size, wide, .between(-1, 1)), Input(size, wide, .between(0.5, 2))]
    let factors = Input(sets.factors(TensorSpec(shape, dtype)).shape, wide, .between(-1, 1))
    let gradient = NormalizeGradient(sets, affine: affine)
    let affines = affine > 0 ? [channels] : []
    switch self {
    case .normalize:
      return OpCase(
        Normalize(sets), [x] + [Input](repeating: channels, count: affine), isLarge ? .none : .smooth, loose: loose)
    case .normalizeRelu:
      return OpCase(
        NormalizeRelu(sets, keepsFactors: layout == .dense && !isEmpty),
        [x] + [Input](repeating: channels, count: affine), isLarge ? .none : .kinked, loose: loose)
    case .normalizeGradient:
      return OpCase(gradient, [g, x] + statistics + affines, isLarge ? .none : .smooth, loose: loose)
    default:
      return OpCase(
        NormalizeReluGradient(gradient), [g, x] + statistics + [factors] + affines, isLarge ? .none : .kinked,
        loose: loose)
    }
  }

  var normalizationWrongCases: [WrongCase] {
    func f(_ shape: Shape, _ dtype: DType = .float32) -> Input { Input(shape, dtype, .between(0.5, 1)) }
    if self == .normalize {
      return [
        WrongCase(Normalize(batch), [f([2, 3])]), WrongCase(Normalize(batch), [f([2, 3, 4], .int32)]),
        WrongCase(Normalize(rows(2)), [f([2, 3, 4])]), WrongCase(Normalize(rows(0)), [f([2, 3, 4])]),
        WrongCase(Normalize(NormalizedSets(groups: nil, epsilon: -1)), [f([2, 3, 4])]),
        WrongCase(Normalize(batch), [f([2, 3, 4]), f([4])]),
        WrongCase(Normalize(batch), [f([2, 3, 4]), f([3]), f([2])]),
        WrongCase(Normalize(batch), [f([2, 3, 4]), f([3], .float64)]),
      ]
    }
    let x = f([2, 3, 4])
    if self == .normalizeRelu {
      return [
        WrongCase(NormalizeRelu(batch, keepsFactors: false), [f([2, 3])]),
        WrongCase(NormalizeRelu(batch, keepsFactors: true), [x, f([4])]),
        WrongCase(NormalizeRelu(rows(1), keepsFactors: false), [f([2, 3, 1])]),
      ]
    }
    if self == .normalizeReluGradient {
      func op(_ sets: NormalizedSets, _ affine: Int) -> NormalizeReluGradient {
        NormalizeReluGradient(NormalizeGradient(sets, affine: affine))
      }
      let (s, row) = (f([3]), f([2, 3, 1]))
      return [
        WrongCase(op(batch, 0), [x, x, s, s]), WrongCase(op(batch, 1), [x, x, s, s, f([3, 3])]),
        WrongCase(op(batch, 0), [x, x, s, s, f([2, 3])]), WrongCase(op(batch, 0), [x, x, s, s, f([3, 3], .float64)]),
        WrongCase(op(rows(1), 0), [x, x, f([2, 1]), f([2, 1]), f([3, 3])]),
        WrongCase(op(rows(1), 0), [row, row, f([2, 1]), f([2, 1]), f([3, 2, 3])]),
        WrongCase(op(batch, 1), [x, x, s, s, f([3, 3]), f([4])]),
      ]
    }
    return [
      WrongCase(NormalizeGradient(batch, affine: 0), [x, x, f([3])]),
      WrongCase(NormalizeGradient(batch, affine: 0), [x, x, f([3]), f([3]), f([3])]),
      WrongCase(NormalizeGradient(batch, affine: 0), [f([2, 3]), x, f([3]), f([3])]),
      WrongCase(NormalizeGradient(batch, affine: 0), [x, x, f([2, 1]), f([3])]),
      WrongCase(NormalizeGradient(rows(1), affine: 0), [x, x, f([2, 1]), f([2, 1], .float64)]),
      WrongCase(NormalizeGradient(batch, affine: 1), [x, x, f([3]), f([3]), f([4])]),
    ]
  }
}
