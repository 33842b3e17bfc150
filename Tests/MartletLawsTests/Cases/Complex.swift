import MartletCore
import MartletOps

/// Lengths of transforms: 1, twos, other small primes, products, and primes that take the convolution with a chirp.
private let lengths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 15, 16, 30, 31, 32, 37, 48, 64, 74, 77, 100, 127, 128]

/// Shapes with an axis of length n between others, and how the input lies.
private func around(_ n: Int) -> [(Shape, Int, Layout)] {
  [
    ([n], 0, .dense), ([3, n], 1, .dense), ([n, 2], 0, .dense), ([2, n, 3], 1, .transposed), ([n, 19], 0, .strided),
    ([17, n], 1, .reversed), ([2, 0, n], 2, .dense), ([4, n], 1, .expanded),
  ]
}

extension OpTable {
  var complexCases: [OpCase] {
    switch self {
    case .conjugate: complexTypes.flatMap { forms($0, .between(-2, 2)).map { OpCase(Conjugate(), [$0]) } }
    case .viewAsReal: complexTypes.flatMap { forms($0, .between(-2, 2)).map { OpCase(ViewAsReal(), [$0]) } }
    default:
      [DType.float32, .float64].flatMap { dtype in
        ([[2], [0, 2], [5, 2], [3, 4, 2], [2, 1, 3, 2]] as [Shape]).flatMap { shape in
          Layout.allCases.map { OpCase(ViewAsComplex(), [Input(shape, dtype, .between(-2, 2), $0)]) }
        }
      }
    }
  }

  var fourierCases: [OpCase] {
    var cases: [OpCase] = []
    for n in lengths {
      for (index, (shape, axis, layout)) in around(n).enumerated() where n < 40 || index < 4 {
        let scale = index % 2 == 0 ? 1 : 1 / Double(n)
        for wide in [false, true] {
          let complexInput = Input(shape, wide ? .complex128 : .complex64, .between(-1, 1), layout)
          switch self {
          case .fourier:
            for inverse in [false, true] {
              cases.append(OpCase(Fourier(axis: axis, inverse: inverse, scale: scale), [complexInput], loose: 24))
            }
          case .realFourier:
            let input = Input(shape, wide ? .float64 : .float32, .between(-1, 1), layout)
            cases.append(OpCase(RealFourier(axis: axis, scale: scale), [input], loose: 24))
          default:
            var half = complexInput
            half.shape[axis] = n / 2 + 1
            cases.append(OpCase(InverseRealFourier(axis: axis, n: n, scale: scale), [half], loose: 24))
          }
        }
      }
    }
    return cases
  }

  var complexWrongCases: [WrongCase] {
    func f(_ shape: Shape, _ dtype: DType = .float32) -> Input { Input(shape, dtype) }
    let z = DType.complex64
    switch self {
    case .conjugate: return [WrongCase(Conjugate(), [f([2])]), WrongCase(Conjugate(), [f([2], z), f([2], z)])]
    case .viewAsReal:
      return [WrongCase(ViewAsReal(), [f([2])]), WrongCase(ViewAsReal(), [f([1, 1, 1, 1, 1, 1, 1, 1], z)])]
    case .viewAsComplex:
      return [
        WrongCase(ViewAsComplex(), [f([3])]), WrongCase(ViewAsComplex(), [f([])]),
        WrongCase(ViewAsComplex(), [f([2], .float16)]), WrongCase(ViewAsComplex(), [f([2], z)]),
      ]
    case .fourier:
      let op = Fourier(axis: 1, inverse: false, scale: 1)
      return [
        WrongCase(op, [f([2, 2])]), WrongCase(op, [f([2], z)]), WrongCase(op, [f([2, 0], z)]), WrongCase(op, []),
        WrongCase(Fourier(axis: -1, inverse: false, scale: 1), [f([2], z)]),
      ]
    case .realFourier:
      let op = RealFourier(axis: 0, scale: 1)
      return [
        WrongCase(op, [f([2], z)]), WrongCase(op, [f([0])]), WrongCase(op, [f([2], .int32)]), WrongCase(op, [f([])]),
      ]
    default:
      let op = InverseRealFourier(axis: 0, n: 6, scale: 1)
      return [
        WrongCase(op, [f([4])]), WrongCase(op, [f([5], z)]), WrongCase(op, [f([0], z)]), WrongCase(op, [f([], z)]),
        WrongCase(InverseRealFourier(axis: 0, n: 0, scale: 1), [f([1], z)]),
      ]
    }
  }
}
