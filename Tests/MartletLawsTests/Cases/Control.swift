import MartletCore
import MartletOps

private func f(_ shape: Shape) -> TensorSpec { TensorSpec(shape, .float64) }
private let number = TensorSpec([], .int64)

private func traced(_ specs: [TensorSpec], _ body: ([Tensor]) -> [Tensor]) -> Subprogram {
  do {
    let traced = try Subprogram.traced(specs) { given in body(given) }
    precondition(traced.constants.isEmpty, "a case has a constant")
    return traced.body
  } catch { fatalError("\(error)") }
}

private enum Bodies {
  static let then = traced([f([3]), f([3])]) { t in [t[0] * t[1] + sin(t[0]), t[1].sum()] }
  static let otherwise = traced([f([3]), f([3])]) { t in [t[0] - exp(t[1]), (t[0] * t[0]).sum()] }
  static let passing = traced([f([3]), f([3])]) { t in [t[1], t[0].detached().sum()] }

  /// State, row, shared: the new state and a result.
  static let cell = traced([f([2]), f([2]), f([2])]) { t in
    let next = tanh(t[0] * t[2] + t[1])
    return [next, next * t[1]]
  }
  /// A count beside the state, and a tensor that no step changes.
  static let counting = traced([number, f([2]), f([2]), f([2]), f([2, 2])]) { t in
    let next = matmul(t[1].expandedDims(axis: 0), t[4]).squeezed(axis: 0) * t[2] + t[3]
    return [t[0] + t[0], next, t[2], next.sum(), t[0]]
  }

  /// Count, state, step, end, shared.
  static let goesOn = traced([number, f([2]), number, number]) { t in t[0].isLess(t[3]) }
  static let step = traced([number, f([2]), number, number, f([2])]) { t in
    [t[0] + t[2], sin(t[1] * t[4]) + t[1].sum() * t[4]]
  }
  static let loop = Loop(condition: goesOn, body: step, states: 2, maximum: 9)
}

extension Tensor {
  fileprivate func isLess(_ other: Tensor) -> [Tensor] { [self .< other] }
}

extension OpTable {
  private func input(_ shape: Shape, _ layout: Layout = .dense) -> Input {
    Input(shape, .float64, .between(-1, 1), layout)
  }
  private func integer(_ values: Values) -> Input { Input([], .int64, values) }

  var controlCases: [OpCase] {
    var cases: [OpCase] = []
    for layout in [Layout.dense, .strided, .offset, .expanded] {
      switch self {
      case .call:
        for body in [Bodies.then, Bodies.otherwise, Bodies.passing] {
          for recomputes in [false, true] {
            // What is detached in the body has a slope, and no derivative.
            cases.append(
              OpCase(
                Call(body, recomputes: recomputes), [input([3], layout), input([3])],
                body == Bodies.passing ? .kinked : .smooth))
          }
        }
      case .branch:
        for (then, otherwise) in [
          (Bodies.then, Bodies.otherwise), (Bodies.otherwise, Bodies.then), (Bodies.then, Bodies.passing),
        ] {
          let op = Branch(then: then, otherwise: otherwise)
          // What is detached in a branch has a slope, and no derivative.
          let smoothness: Smoothness = otherwise == Bodies.passing ? .kinked : .smooth
          for predicate in [0.0, 1] {
            cases.append(
              OpCase(op, [Input([], .bool, .list([predicate])), input([3], layout), input([3])], smoothness))
          }
          cases.append(
            OpCase(op, [Input([], .bool, .below(2)), input([3]), input([3], layout)], smoothness))
        }
      case .scan:
        for length in [0, 1, 4] {
          for isReversed in [false, true] {
            cases.append(
              OpCase(
                Scan(body: Bodies.cell, states: 1, scanned: 1, length: length, isReversed: isReversed),
                [input([2]), input([length, 2], layout), input([2])], loose: 8))
          }
          cases.append(
            OpCase(
              Scan(body: Bodies.counting, states: 3, scanned: 1, length: length),
              [
                integer(.list([1])), input([2], layout), input([2]), input([length, 2], .transposed), input([2, 2]),
              ], loose: 8))
        }
      default:
        for steps in [0.0, 1, 3] {
          let given = [
            integer(.list([0])), input([2], layout), integer(.list([1])), integer(.list([steps])), input([2]),
          ]
          if self == .loop {
            cases.append(OpCase(Bodies.loop, given, loose: 16))
          } else {
            cases.append(OpCase(gradient, given + [input([2], layout)], loose: 64))
          }
        }
        // Examples of a vmap that take different numbers of steps.
        let given = [
          integer(.list([0])), input([2], layout), integer(.list([1])), integer(.below(4)), input([2]),
        ]
        if self == .loop {
          cases.append(OpCase(Bodies.loop, given, loose: 16))
        } else {
          cases.append(OpCase(gradient, given + [input([2])], loose: 64))
        }
      }
    }
    return cases
  }

  private var gradient: LoopGradient {
    do {
      return try LoopGradient(Bodies.loop, active: [false, true, false, false, true], device: .cpu)
    } catch { fatalError("\(error)") }
  }

  var controlWrongCases: [WrongCase] {
    let i = integer(.list([0]))
    switch self {
    case .call:
      let op = Call(Bodies.then, recomputes: false)
      return [
        WrongCase(op, [input([3])]), WrongCase(op, [input([3]), input([2])]),
        WrongCase(op, [input([3]), Input([3], .float32)]),
      ]
    case .branch:
      let op = Branch(then: Bodies.then, otherwise: Bodies.otherwise)
      let b = Input([], .bool, .list([1]))
      return [
        WrongCase(op, [input([]), input([3]), input([3])]), WrongCase(op, [b, input([3])]),
        WrongCase(op, [b, input([3]), input([2])]),
        WrongCase(op, [Input([2], .bool, .list([1])), input([3]), input([3])]),
      ]
    case .scan:
      let op = Scan(body: Bodies.cell, states: 1, scanned: 1, length: 3)
      return [
        WrongCase(op, [input([2]), input([4, 2]), input([2])]), WrongCase(op, [input([2]), input([3, 2])]),
        WrongCase(op, [input([3]), input([3, 2]), input([2])]),
        WrongCase(op, [input([2]), Input([3, 2], .float32), input([2])]),
      ]
    default:
      let end = self == .loop ? [] : [input([2])]
      let op: any Op = self == .loop ? Bodies.loop : gradient
      return [
        WrongCase(op, [i, input([3]), i, i, input([2])] + end), WrongCase(op, [i, input([2]), i, input([2])] + end),
        // More steps than the maximum.
        WrongCase(op, [i, input([2]), integer(.list([1])), integer(.list([10])), input([2])] + end),
      ]
    }
  }
}
