import MartletCore
import MartletOps

/// The sizes of an attention: `[batch…, heads, rows, depth]` of the queries, and what the keys and values have otherwise.
private struct Sizes {
  var q: Shape
  var groups: Int
  var columns: Int
  var depth: Int

  func shape(_ axis: Int, _ size: Int) -> Shape {
    var shape = q
    shape[q.rank - 3] = groups
    shape[q.rank - 2] = columns
    shape[q.rank - 1] = size
    return shape
  }
  var k: Shape { shape(1, q[q.rank - 1]) }
  var v: Shape { shape(2, depth) }
  var result: Shape {
    var shape = q
    shape[q.rank - 1] = depth
    return shape
  }
  var scores: Shape {
    var shape = q
    shape[q.rank - 1] = columns
    return shape
  }
}

private let examples: [Sizes] = [
  Sizes(q: [1, 1, 1], groups: 1, columns: 1, depth: 1), Sizes(q: [2, 3, 4], groups: 2, columns: 5, depth: 4),
  Sizes(q: [2, 2, 3, 4], groups: 1, columns: 3, depth: 2), Sizes(q: [2, 1, 4, 2, 3], groups: 2, columns: 4, depth: 3),
  Sizes(q: [1, 97, 5], groups: 1, columns: 130, depth: 3), Sizes(q: [2, 193, 8], groups: 2, columns: 257, depth: 16),
  Sizes(q: [0, 2, 3, 4], groups: 2, columns: 3, depth: 4), Sizes(q: [2, 0, 4], groups: 2, columns: 3, depth: 4),
  Sizes(q: [2, 3, 4], groups: 2, columns: 0, depth: 4), Sizes(q: [2, 3, 0], groups: 1, columns: 2, depth: 4),
]

/// Of bfloat16 alone, which is multiplied in pairs: odd numbers of rows and columns, blocks that are not whole.
private let pairedExamples: [Sizes] = [
  Sizes(q: [4, 100, 64], groups: 2, columns: 183, depth: 56),
  Sizes(q: [2, 193, 64], groups: 2, columns: 117, depth: 80),
]

extension OpTable {
  private func attention(_ scale: Double, isCausal: Bool, hasMask: Bool, dropout: Double) -> any Op {
    self == .attention
      ? Attention(scale: scale, isCausal: isCausal, hasMask: hasMask, dropout: dropout)
      : AttentionGradient(scale: scale, isCausal: isCausal, hasMask: hasMask, dropout: dropout)
  }

  var attentionCases: [OpCase] {
    var cases: [OpCase] = []
    for dtype in floatingTypes {
      let wide: DType = dtype == .float64 ? .float64 : .float32
      for sizes in dtype == .bfloat16 ? examples + pairedExamples : examples {
        let isLarge = sizes.q[sizes.q.rank - 2] > 50
        let rank = sizes.q.rank
        let scores = sizes.scores
        var masks: [Input?] = [nil]
        masks.append(Input(scores, dtype, .between(-1, 1)))
        masks.append(Input([scores[rank - 2], scores[rank - 1]], .bool, .list([1, 0, 1, 1])))
        // A row of the last axis, and heads alone; also rows that may see nothing.
        masks.append(Input([scores[rank - 3], 1, scores[rank - 1]], dtype, .between(-1, 1), .transposed))
        masks.append(Input(scores, .bool, .list([0, 0, 0, 0, 0, 1, 0, 0, 1])))
        // The same for every example, by a stride of 0; the size of the first axis alone.
        masks.append(Input(scores, dtype, .between(-1, 1), .expanded))
        masks.append(Input(Shape([scores[0]] + [Int](repeating: 1, count: rank - 1)), dtype, .between(-1, 1)))
        for (number, mask) in masks.enumerated() {
          for layout in isLarge || number > 4 ? [Layout.dense] : [.dense, .transposed, .strided] {
            for isCausal in [false, true] {
              for dropout in number < 2 ? [0, 0.4] : [0] {
                let op = attention(0.7, isCausal: isCausal, hasMask: mask != nil, dropout: dropout)
                var inputs = [
                  Input(sizes.q, dtype, .between(-1, 1), layout), Input(sizes.k, dtype, .between(-1, 1), layout),
                  Input(sizes.v, dtype, .between(-1, 1), layout),
                ]
                if self == .attentionGradient {
                  let rows = sizes.q.removing(at: rank - 1)
                  inputs.append(Input(sizes.result, dtype, .between(-1, 1), layout))
                  inputs += [Input(rows, wide, .between(0.5, 2)), Input(rows, wide, .between(-1, 1))]
                }
                if let mask { inputs.append(mask) }
                if dropout > 0 { inputs.append(Input([3], .int64, .list([7, 1, 2]))) }
                // Where a row may see nothing its logarithm is -∞, without a slope.
                let isEmpty = number == 4 || sizes.columns == 0
                let smoothness: Smoothness = isLarge || isEmpty && self == .attention ? .none : .smooth
                cases.append(OpCase(op, inputs, smoothness, loose: isLarge ? 64 : 16))
              }
            }
          }
        }
      }
    }
    if self == .attention {
      for list in [[0.5, .nan, -1], [0.5, .infinity, -1]] {
        let x = Input([1, 3, 3], .float32, .list(list))
        let plain = Input([1, 3, 3], .float32, .between(-1, 1))
        let op = attention(1, isCausal: true, hasMask: false, dropout: 0)
        cases += [OpCase(op, [x, plain, plain], .none), OpCase(op, [plain, plain, x], .none)]
      }
    }
    return cases
  }

  var attentionWrongCases: [WrongCase] {
    func f(_ shape: Shape, _ dtype: DType = .float32) -> Input { Input(shape, dtype, .between(0.5, 1)) }
    func wrong(
      _ inputs: [Input], hasMask: Bool = false, dropout: Double = 0
    ) -> WrongCase {
      let op = attention(1, isCausal: false, hasMask: hasMask, dropout: dropout)
      let between = self == .attention ? [] : [f([2, 3, 4]), f([2, 3]), f([2, 3])]
      return WrongCase(op, Array(inputs.prefix(3)) + between + Array(inputs.dropFirst(3)))
    }
    let q = f([2, 3, 4])
    var cases = [
      wrong([q, q]), wrong([q, q, q, q]), wrong([q, f([2, 3, 5]), q]), wrong([q, f([2, 4, 4]), q]),
      wrong([f([3, 4]), f([3, 4]), f([3, 4])]), wrong([q, f([3, 3, 4]), f([3, 3, 4])]),
      wrong([q, q, f([1, 3, 4])]), wrong([q, f([2, 3, 4], .float64), q]), wrong([q, q, f([1, 2, 3, 4])]),
      wrong([f([2, 3, 4], .int32), q, q]), wrong([q, q, q, f([2, 2])], hasMask: true),
      wrong([q, q, q, f([3, 3], .int32)], hasMask: true), wrong([q, q, q, f([5, 2, 3, 3])], hasMask: true),
      wrong([q, q, q, f([3])], dropout: 0.5), wrong([q, q, q, f([2], .int64)], dropout: 0.5),
    ]
    if self == .attentionGradient {
      let op = attention(1, isCausal: false, hasMask: false, dropout: 0)
      cases += [
        WrongCase(op, [q, q, q, f([2, 3, 5]), f([2, 3]), f([2, 3])]),
        WrongCase(op, [q, q, q, q, f([2, 4]), f([2, 3])]),
        WrongCase(op, [q, q, q, q, f([2, 3]), f([2, 3], .float64)]),
      ]
    }
    return cases
  }
}
