import MartletCore
import MartletOps

/// Matrices of the shape whose singular values differ and are far from 0, and with `positive` definite symmetric ones.
private func matrices(_ shape: Shape, positive: Bool) -> [Double] {
  var random = Numbers("matrices \(shape)")
  let (m, n) = (shape[shape.rank - 2], shape[shape.rank - 1])
  let count = shape.prefix(shape.rank - 2).reduce(1, *)
  return (0..<count).flatMap { _ -> [Double] in
    var a = [Double](repeating: 0, count: m * n)
    for i in 0..<m {
      for j in 0..<n {
        let share = i == j ? 1.5 + 0.9 * Double(i) : random.between(-0.3, 0.3)
        a[i * n + j] = positive && j < i ? a[j * n + i] : share
      }
    }
    return a
  }
}

extension OpTable {
  private var op: any Op {
    switch self {
    case .solve: Solve()
    case .signedLogDeterminant: SignedLogDeterminant()
    case .cholesky: Cholesky()
    case .qr: QR()
    case .eigh: Eigh()
    case .svd: SVD()
    case .pseudoInverse: PseudoInverse(tolerance: 1e-6)
    default: TriangularSolve(upper: false)
    }
  }

  var matrixCases: [OpCase] {
    var cases: [OpCase] = []
    let isSquare = self != .qr && self != .svd && self != .pseudoInverse
    let ops: [any Op] =
      self == .triangularSolve
      ? [TriangularSolve(upper: true), TriangularSolve(upper: false), TriangularSolve(upper: true, unit: true)] : [op]
    for dtype in [DType.float32, .float64] {
      var shapes: [Shape] = [[1, 1], [2, 2], [5, 5], [2, 3, 3], [2, 1, 2, 2], [0, 2, 2]]
      // An empty matrix has no layout to speak of.
      if !isSquare { shapes += [[5, 3], [2, 4, 1]] }
      if self == .svd || self == .pseudoInverse { shapes += [[3, 5], [2, 1, 4]] }
      for shape in shapes {
        for layout in [Layout.dense, .transposed, .strided] {
          let list = matrices(shape, positive: self == .cholesky || self == .eigh)
          let a = Input(shape, dtype, list.isEmpty ? .between(0, 1) : .list(list), layout)
          for op in ops {
            guard self == .solve || self == .triangularSolve else {
              cases.append(OpCase(op, [a], loose: 64))
              continue
            }
            for columns in [1, 3, 0] {
              var side = shape
              side[shape.rank - 1] = columns
              cases.append(OpCase(op, [a, Input(side, dtype, .between(-1, 1), layout)], loose: 64))
            }
          }
        }
      }
    }
    if self == .signedLogDeterminant {
      cases.append(OpCase(op, [Input([2, 2], .float64, .list([1, 2, 2, 4]))], .none))
      cases.append(OpCase(op, [Input([2, 2], .float64, .list([0, 2, 3, 0]))], loose: 64))
    }
    return cases
  }

  var matrixWrongCases: [WrongCase] {
    func f(_ shape: Shape, _ dtype: DType = .float32) -> Input { Input(shape, dtype) }
    var cases = [f([3]), f([2, 2], .float16), f([2, 2], .int32)].map { WrongCase(op, [$0]) }
    cases.append(WrongCase(op, []))
    if self == .solve || self == .triangularSolve {
      let a = Input([2, 2], .float32, .list([1, 2, 3, 4]))
      cases += [
        WrongCase(op, [a]), WrongCase(op, [a, f([3, 1])]), WrongCase(op, [a, f([2, 1], .float64)]),
        WrongCase(op, [f([2, 3]), f([2, 1])]), WrongCase(op, [a, f([2])]),
        WrongCase(op, [Input([2, 2], .float32, .list([0, 0, 0, 0])), f([2, 1])]),
      ]
    } else if self == .qr {
      cases.append(WrongCase(op, [f([2, 3])]))
    } else if self != .svd, self != .pseudoInverse {
      cases.append(WrongCase(op, [f([2, 3])]))
      if self == .cholesky { cases.append(WrongCase(op, [Input([2, 2], .float32, .list([1, 2, 2, 1]))])) }
    }
    return cases
  }
}
