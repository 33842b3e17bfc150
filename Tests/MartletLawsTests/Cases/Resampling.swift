import MartletCore
import MartletOps

extension OpTable {
  var resampleCases: [OpCase] {
    let filters: [ResamplingFilter] = [
      ResamplingFilter(.linear, from: 5, to: 9), ResamplingFilter(.linear, from: 5, to: 3, alignCorners: true),
      ResamplingFilter(.linear, from: 1, to: 4), ResamplingFilter(.linear, from: 4, to: 1),
      ResamplingFilter(.cubic, from: 4, to: 7, factor: 1.8),
      ResamplingFilter(.cubic, from: 6, to: 2, alignCorners: true),
      ResamplingFilter(.smoothLinear, from: 9, to: 4), ResamplingFilter(.smoothCubic, from: 7, to: 3),
      ResamplingFilter(.smoothCubic, from: 3, to: 5),
    ]
    var cases: [OpCase] = []
    for dtype in floatingTypes {
      for (number, filter) in filters.enumerated() {
        for isAdjoint in [false, true] {
          let size = isAdjoint ? filter.out : filter.size
          let shapes: [(Shape, Int)] = [([2, 3, size], 2), ([2, size, 3], 1), ([size, 2, 2], 0), ([size], 0)]
          let layouts: [Layout] = [.dense, .transposed, .strided, .expanded]
          for (position, (shape, axis)) in shapes.enumerated() {
            cases.append(
              OpCase(
                Resample(axis: axis, filter, isAdjoint: isAdjoint),
                [Input(shape, dtype, .between(-1, 1), layouts[(position + number) % 4])], loose: 8))
          }
        }
      }
      cases.append(OpCase(Resample(axis: 1, filters[0]), [Input([0, 5, 2], dtype)]))
      cases.append(OpCase(Resample(axis: 0, filters[0]), [Input([5, 0], dtype)]))
    }
    // More elements than one thread takes.
    let large = ResamplingFilter(.linear, from: 64, to: 128)
    cases.append(OpCase(Resample(axis: 1, large), [Input([300, 64], .float32)], .none, loose: 8))
    cases.append(OpCase(Resample(axis: 1, large), [Input([3, 64, 200], .float32)], .none, loose: 8))
    return cases
  }

  var resampleWrongCases: [WrongCase] {
    let filter = ResamplingFilter(.linear, from: 5, to: 9)
    return [
      WrongCase(Resample(axis: 2, filter), [Input([5, 5])]), WrongCase(Resample(axis: 0, filter), [Input([4, 5])]),
      WrongCase(Resample(axis: 0, filter, isAdjoint: true), [Input([5, 5])]),
      WrongCase(Resample(axis: 0, filter), [Input([5], .int32)]),
      WrongCase(Resample(axis: 0, ResamplingFilter(.linear, from: 0, to: 2)), [Input([0])]),
    ]
  }
}
