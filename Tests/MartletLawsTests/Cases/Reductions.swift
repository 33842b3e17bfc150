import MartletCore
import MartletOps

private let reduced: [(Shape, Positions, Layout)] = [
  ([], [], .dense), ([0], [0], .dense), ([1], [0], .dense), ([65], [0], .dense), ([1000], [0], .dense),
  ([3, 5], [0], .dense), ([3, 5], [1], .dense), ([3, 5], [0, 1], .transposed), ([3, 5], [], .dense),
  ([3, 0], [0], .dense), ([3, 0], [1], .dense), ([0, 3], [1], .dense), ([65, 3], [0], .dense),
  ([3, 64], [1], .transposed), ([3, 63], [1], .strided), ([2, 3, 4], [0, 2], .dense), ([2, 3, 4], [1], .offset),
  ([2, 3, 4], [0, 2], .reversed), ([4, 6], [0], .expanded), ([17, 1, 33], [0, 1], .transposed),
  ([2, 3, 2, 3, 2], [1, 3], .dense),
]

extension OpTable {
  var reductionCases: [OpCase] {
    var cases: [OpCase] = []
    let ordered = self == .max || self == .min || self == .argMax
    for dtype in ordered ? realTypes : allTypes where self != .mean || dtype.isInexact {
      let isCommon = dtype == .float32 || dtype == .float64 || dtype == .int64
      for (index, (shape, axes, layout)) in reduced.enumerated() where isCommon || index % 3 != 1 {
        let isEmpty = (0..<shape.rank).contains { axes[$0] && shape[$0] == 0 }
        if isEmpty, self == .max || self == .min || self == .argMax { continue }
        let values: Values =
          dtype == .bool
          ? .below(2)
          : !dtype.isInexact
            ? .below(100) : self == .sum || self == .mean || self == .cumsum ? .between(-1, 2) : .spaced
        for keepDims in [false, true] {
          let input = Input(shape, dtype, values, layout)
          switch self {
          case .sum: cases.append(OpCase(Sum(axes: axes, keepDims: keepDims), [input], loose: 4))
          case .mean:
            cases.append(OpCase(Mean(axes: axes, keepDims: keepDims), [input], isEmpty ? .none : .smooth, loose: 4))
          case .max:
            // An expanded axis is all ties.
            cases.append(
              OpCase(Max(axes: axes, keepDims: keepDims), [input], layout == .expanded ? .kinked : .smooth))
          case .min:
            cases.append(
              OpCase(Min(axes: axes, keepDims: keepDims), [input], layout == .expanded ? .kinked : .smooth))
          default:
            guard let axis = (0..<shape.rank).first(where: { axes[$0] }) else { continue }
            if self == .cumsum {
              cases.append(OpCase(Cumsum(axis: axis, reversed: keepDims), [input], loose: 8))
            } else {
              for largest in [true, false] {
                cases.append(OpCase(ArgMax(axis: axis, keepDims: keepDims, largest: largest), [input], .none))
              }
            }
          }
        }
      }
      cases += specialCases(dtype)
    }
    return cases
  }

  private func specialCases(_ dtype: DType) -> [OpCase] {
    if dtype == .int64 {
      let input = Input([3, 7], dtype, .exact(wideIntegers))
      return switch self {
      case .sum: [OpCase(Sum(axes: [1], keepDims: false), [input], .none)]
      case .max: [OpCase(Max(axes: [0], keepDims: false), [input], .none)]
      case .min: [OpCase(Min(axes: [0], keepDims: false), [input], .none)]
      case .cumsum: [OpCase(Cumsum(axis: 1), [input], .none)]
      case .argMax: [true, false].map { OpCase(ArgMax(axis: 1, keepDims: false, largest: $0), [input], .none) }
      default: []
      }
    }
    guard dtype.isFloating else { return [] }
    let wild = Input([4, 5], dtype, .list([1, .nan, -.infinity, 2, .infinity, 3, 0, -.infinity, 3, 1, 2]))
    let tied = Input([40, 50], dtype, .grid(0))
    return switch self {
    case .sum: [OpCase(Sum(axes: [1], keepDims: false), [wild], .none)]
    case .mean: [OpCase(Mean(axes: [1], keepDims: false), [wild], .none)]
    case .max:
      [
        OpCase(Max(axes: [1], keepDims: false), [wild], .none), OpCase(Max(axes: [0], keepDims: false), [wild], .none),
        OpCase(Max(axes: [1], keepDims: true), [tied], .kinked),
        OpCase(Max(axes: [0, 1], keepDims: false), [tied], .kinked),
      ]
    case .min:
      [
        OpCase(Min(axes: [1], keepDims: false), [wild], .none), OpCase(Min(axes: [0], keepDims: false), [wild], .none),
        OpCase(Min(axes: [1], keepDims: true), [tied], .kinked),
        OpCase(Min(axes: [0, 1], keepDims: false), [tied], .kinked),
      ]
    case .cumsum: [OpCase(Cumsum(axis: 1), [wild], .none), OpCase(Cumsum(axis: 0), [tied], loose: 8)]
    default:
      [true, false].flatMap { largest in
        [
          OpCase(ArgMax(axis: 1, keepDims: false, largest: largest), [wild], .none),
          OpCase(ArgMax(axis: 0, keepDims: true, largest: largest), [wild], .none),
          OpCase(ArgMax(axis: 1, keepDims: false, largest: largest), [tied], .none),
          OpCase(ArgMax(axis: 0, keepDims: false, largest: largest), [tied], .none),
        ]
      }
    }
  }
}
