import MartletCore
import MartletOps

extension OpTable {
  private func op(_ blank: Int) -> any Op { self == .ctc ? CTC(blank: blank) : CTCGradient(blank: blank) }

  var alignmentCases: [OpCase] {
    var cases: [OpCase] = []
    for dtype in floatingTypes {
      for (steps, classes, labels, times, lengths, blank) in [
        (1, 2, [[1]], [1], [1], 0), (4, 3, [[1, 2], [1, 1]], [4, 3], [2, 2], 0),
        // Labels behind the ones that count, and blanks in the middle of the classes.
        (5, 4, [[3, 0, 7], [2, -1, 9]], [5, 4], [2, 1], 1),
        // No labels, no steps, neither; and more labels than steps.
        (3, 3, [[1], [1], [2], [2]], [3, 0, 0, 3], [0, 0, 1, 1], 0), (2, 3, [[1, 1], [1, 2]], [2, 2], [2, 2], 0),
        (0, 2, [[1]], [0], [0], 0), (3, 2, [[]], [3], [0], 0), (3, 2, [], [], [], 0),
      ] as [(Int, Int, [[Int]], [Int], [Int], Int)] {
        let batch = labels.count
        let width = labels.first?.count ?? 0
        // The others have an infinite loss.
        let isPossible = batch != 4 && steps != 2
        func numbers(_ shape: Shape, _ list: [Int]) -> Input {
          Input(shape, .int64, list.isEmpty ? .below(1) : .exact(list.map { Int64($0) }))
        }
        for layout in [Layout.dense, .transposed, .strided] {
          cases.append(
            OpCase(
              op(blank),
              [
                Input([steps, batch, classes], dtype, .between(-3, 0), layout),
                numbers([batch, width], labels.flatMap { $0 }), numbers([batch], times), numbers([batch], lengths),
              ], isPossible ? .smooth : .none, loose: 32))
        }
      }
    }
    return cases
  }

  var alignmentWrongCases: [WrongCase] {
    func f(_ shape: Shape, _ dtype: DType = .float32) -> Input { Input(shape, dtype) }
    func i(_ shape: Shape, _ list: [Double], _ dtype: DType = .int64) -> Input { Input(shape, dtype, .list(list)) }
    let (x, labels, times, lengths) = (f([3, 2, 4]), i([2, 2], [1, 2, 3, 1]), i([2], [3, 3]), i([2], [2, 1]))
    let op = op(0)
    var cases = [
      WrongCase(op, [x, labels, times]), WrongCase(op, [f([3, 2]), labels, times, lengths]),
      WrongCase(op, [f([3, 2, 4], .int32), labels, times, lengths]), WrongCase(op, [x, f([2, 2]), times, lengths]),
      WrongCase(op, [x, i([3, 2], [1]), times, lengths]), WrongCase(op, [x, labels, i([3], [1]), lengths]),
      WrongCase(op, [x, labels, times, i([2], [1], .int32)]), WrongCase(self.op(4), [x, labels, times, lengths]),
      WrongCase(self.op(-1), [x, labels, times, lengths]),
    ]
    cases.append(WrongCase(op, [x, i([2, 2], [1, 4, 3, 1]), times, lengths]))
    return cases
  }
}
