import MartletCore
import MartletOps

extension OpTable {
  private func inputs(
    _ cell: RecurrentCell, _ steps: Int, _ batch: Int, _ hidden: Int, _ dtype: DType, _ layout: Layout,
    memory: Bool, gates: Bool
  ) -> [Input] {
    func f(_ shape: Shape) -> Input { Input(shape, dtype, .between(-1, 1), layout) }
    /// What gates are: between 0 and 1.
    func gate(_ shape: Shape) -> Input { Input(shape, dtype, .between(0.1, 0.9), layout) }
    let (state, weight) = (f([batch, hidden]), f([cell.gates * hidden, hidden]))
    let states = f([steps, batch, hidden])
    if self == .recurrence {
      let last = cell == .lstm ? [state] : cell == .gru ? [f([hidden])] : []
      return [f([steps, batch, cell.gates * hidden]), state, weight] + last
    }
    let wide: Shape = [steps, batch, 4 * hidden]
    return [states] + (memory ? [states] : []) + (gates ? [f(wide)] : [])
      + [gate([steps, batch, hidden])] + (cell == .lstm ? [states] : [])
      + (cell == .lstm || cell == .gru ? [gate(wide)] : []) + [state, weight] + (cell == .lstm ? [state] : [])
  }

  var recurrenceCases: [OpCase] {
    var cases: [OpCase] = []
    for dtype in floatingTypes {
      for cell in [RecurrentCell.tanh, .relu, .lstm, .gru] {
        for (steps, batch, hidden) in [
          (1, 1, 1), (3, 2, 4), (2, 5, 17), (4, 3, 65), (2, 1, 64), (0, 2, 3), (2, 0, 3), (2, 3, 0),
        ] {
          for layout in [Layout.dense, .transposed] {
            for isReversed in [false, true] {
              let flags: [(Bool, Bool)] =
                self == .recurrence
                ? [(false, false)]
                : cell == .lstm
                  ? [(false, false), (true, false), (false, true), (true, true)]
                  : cell == .gru
                    ? [(false, false), (false, true)] : [(false, false)]
              for (memory, gates) in flags {
                let op: any Op =
                  self == .recurrence
                  ? Recurrence(cell: cell, isReversed: isReversed)
                  : RecurrenceGradient(cell: cell, isReversed: isReversed, hasMemory: memory, hasGates: gates)
                let isLarge = hidden > 8
                let smoothness: Smoothness = isLarge ? .none : cell == .relu ? .kinked : .smooth
                cases.append(
                  OpCase(
                    op, inputs(cell, steps, batch, hidden, dtype, layout, memory: memory, gates: gates), smoothness,
                    loose: isLarge ? 256 : 32))
              }
            }
          }
        }
      }
    }
    return cases
  }

  var recurrenceWrongCases: [WrongCase] {
    func f(_ shape: Shape, _ dtype: DType = .float32) -> Input { Input(shape, dtype, .between(0.5, 1)) }
    var cases: [WrongCase] = []
    for cell in [RecurrentCell.tanh, .lstm, .gru] {
      let op: any Op =
        self == .recurrence
        ? Recurrence(cell: cell, isReversed: false)
        : RecurrenceGradient(cell: cell, isReversed: false, hasMemory: false, hasGates: false)
      let right = inputs(cell, 3, 2, 4, .float32, .dense, memory: false, gates: false)
      cases.append(WrongCase(op, Array(right.dropLast())))
      for position in right.indices {
        var wrong = right
        wrong[position] = f([3, 2, 5, 1])
        cases.append(WrongCase(op, wrong))
        wrong[position] = right[position]
        wrong[position].dtype = position == 0 ? .int32 : .float64
        cases.append(WrongCase(op, wrong))
      }
    }
    return cases
  }
}
