import MartletCore
import MartletOps

private let special: [Double] = [
  .infinity, -.infinity, .nan, 0, -0.0, 1, -1, 0.5, -2.5, 1e-7, 60000, -300,
]

/// Integers at the ends of their range.
func extremes(_ dtype: DType) -> [Double] {
  switch dtype {
  case .uint8: [0, 1, 255, 254, 128]
  case .int8: [-128, 127, 0, -1, 5]
  case .int16: [-32768, 32767, 0, -1, 300]
  case .int32: [-2_147_483_648, 2_147_483_647, 0, -1, 70000]
  case .uint32: [0, 4_294_967_295, 1, 3_000_000_000, 7]
  default: [0, 1]
  }
}
let wideIntegers: [Int64] = [.max, .min, 0, -1, 9_007_199_254_740_993, -9_007_199_254_740_995, 3]

/// Shapes and layouts of one input of a dtype; more of them for the common dtypes.
func forms(_ dtype: DType, _ values: Values) -> [Input] {
  var forms = [
    Input([], dtype, values), Input([0], dtype, values), Input([1], dtype, values), Input([65], dtype, values),
    Input([3, 5], dtype, values, .transposed), Input([9], dtype, values, .strided),
  ]
  if dtype == .float32 || dtype == .float64 || dtype == .int64 || dtype == .complex64 {
    for size in [63, 64, 1000] { forms.append(Input([size], dtype, values)) }
    forms.append(Input([2, 0, 3], dtype, values))
    forms.append(Input([4, 6], dtype, values, .strided))
    forms.append(Input([4, 6], dtype, values, .reversed))
    forms.append(Input([4, 6], dtype, values, .expanded))
    forms.append(Input([2, 3, 4], dtype, values, .offset))
    forms.append(Input([2, 17, 33], dtype, values, .transposed))
  }
  return forms
}

extension OpTable {
  var unaryCases: [OpCase] {
    switch self {
    case .negate: unary(Negate(), .between(-2, 2), signedTypes) + complexForms(Negate(), .between(-2, 2))
    case .abs:
      unary(Abs(), .away(0.2, 3), signedTypes) + complexForms(Abs(), .away(0.2, 3)) + [
        OpCase(Abs(), [Input([3], .float64, .list([0]))], .kinked)
      ]
    case .sign: unary(Sign(), .away(0.2, 3), signedTypes)
    case .relu:
      unary(Relu(), .away(0.2, 3), integerTypes) + [OpCase(Relu(), [Input([3], .float64, .list([0]))], .kinked)]
    case .exp: unary(Exp(), .between(-3, 3), []) + complexForms(Exp(), .between(-2, 2))
    case .log: unary(Log(), .between(0.2, 4), []) + complexForms(Log(), .between(0.2, 4))
    case .sqrt: unary(Sqrt(), .between(0.2, 4), []) + complexForms(Sqrt(), .between(0.2, 4))
    case .tanh: unary(Tanh(), .between(-3, 3), []) + complexForms(Tanh(), .away(0.4, 2))
    case .sigmoid: unary(Sigmoid(), .between(-5, 5), [])
    case .sin: unary(Sin(), .between(-7, 7), []) + complexForms(Sin(), .between(-3, 3))
    case .cos: unary(Cos(), .between(-7, 7), []) + complexForms(Cos(), .between(-3, 3))
    case .expm1: unary(Expm1(), .between(-2, 2), [])
    case .exp2: unary(Exp2(), .between(-3, 3), [])
    case .log1p: unary(Log1p(), .between(-0.8, 3), [])
    case .log2: unary(Log2(), .between(0.2, 4), [])
    case .log10: unary(Log10(), .between(0.2, 4), [])
    case .tan: unary(Tan(), .between(-1.2, 1.2), []) + complexForms(Tan(), .between(-1, 1))
    case .asin: unary(Asin(), .between(-0.9, 0.9), [])
    case .acos: unary(Acos(), .between(-0.9, 0.9), [])
    case .atan: unary(Atan(), .between(-3, 3), [])
    case .sinh: unary(Sinh(), .between(-2, 2), []) + complexForms(Sinh(), .between(-2, 2))
    case .cosh: unary(Cosh(), .between(-2, 2), []) + complexForms(Cosh(), .between(-2, 2))
    case .asinh: unary(Asinh(), .between(-3, 3), [])
    case .acosh: unary(Acosh(), .between(1.3, 4), [])
    case .atanh: unary(Atanh(), .between(-0.9, 0.9), [])
    case .erf: unary(Erf(), .between(-3, 3), [])
    case .round: Round.Kind.allCases.flatMap { unary(Round(kind: $0), .between(-5, 5), integerTypes) + halves($0) }
    case .silu: unary(Silu(), .between(-5, 5), []).map { $0.loosened(4) }
    case .gelu:
      [false, true].flatMap { unary(Gelu(approximate: $0), .between(-4, 4), []).map { $0.loosened(4) } }
    case .geluSlope:
      [false, true].flatMap { unary(GeluSlope(approximate: $0), .between(-4, 4), []).map { $0.loosened(8) } }
    case .clamp:
      // Away from the bounds, then at them.
      [Clamp(low: -0.1, high: 5), Clamp(low: .nan, high: 0.1, isOpen: true)].flatMap {
        unary($0, .away(0.2, 3), []) + [OpCase($0, [Input([4], .float64, .list([-0.1, 5, 0.1, 0]))], .kinked)]
      } + [OpCase(Clamp(low: 1, high: -1), [Input([9], .float32, .between(-2, 2))])]
    case .logicalNot: forms(.bool, .below(2)).map { OpCase(LogicalNot(), [$0], .none) }
    case .detach: allTypes.flatMap { forms($0, .grid(0)).map { OpCase(Detach(), [$0], .none) } }
    case .copyTo: copies
    default: casts
    }
  }

  private func complexForms(_ op: any Op, _ values: Values) -> [OpCase] {
    complexTypes.flatMap { forms($0, values).map { OpCase(op, [$0], loose: 8) } }
  }

  private func halves(_ kind: Round.Kind) -> [OpCase] {
    floatingTypes.map { OpCase(Round(kind: kind), [Input([8], $0, .list([0.5, 1.5, 2.5, -0.5, -1.5, -2.5]))], .none) }
  }

  private func unary(_ op: any Op, _ values: Values, _ integers: [DType]) -> [OpCase] {
    var cases: [OpCase] = []
    for dtype in floatingTypes {
      cases += forms(dtype, values).map { OpCase(op, [$0]) }
      cases.append(OpCase(op, [Input([special.count], dtype, .list(special))], .none))
    }
    for dtype in integers {
      cases += forms(dtype, .between(dtype == .uint8 || dtype == .uint32 ? 0 : -100, 100)).map { OpCase(op, [$0]) }
      cases.append(
        OpCase(op, [Input([20], dtype, dtype == .int64 ? .exact(wideIntegers) : .list(extremes(dtype)))], .none))
    }
    return cases
  }

  private var copies: [OpCase] {
    var cases: [OpCase] = []
    for device in [Device.cpu, .reference, .delayed] {
      for dtype in allTypes { cases += forms(dtype, .grid(0)).map { OpCase(CopyTo(device: device), [$0]) } }
    }
    return cases
  }

  private var casts: [OpCase] {
    var cases: [OpCase] = []
    for from in allTypes {
      for to in from.isComplex ? complexTypes : allTypes {
        let op = Cast(dtype: to)
        // In float64 a cast to a narrower float is a staircase.
        let smoothness: Smoothness = to == .float64 || to == .complex128 ? .smooth : to.isInexact ? .kinked : .none
        let values: Values = from.isInteger ? .below(100) : .between(-100, 100)
        cases.append(OpCase(op, [Input([65], from, values)], smoothness, loose: 4))
        cases.append(OpCase(op, [Input([5, 3], from, values, .transposed)], smoothness, loose: 4))
        cases.append(OpCase(op, [Input([0], from, values)], .none))
        if from.isFloating {
          let wild = special.filter { $0.magnitude < 100 || !$0.isFinite || from != .float16 }
          cases.append(
            OpCase(op, [Input([24], from, .list(wild + (from == .float64 ? [1e30, -1e30, 2.9] : [])))], .none))
        } else if from == .int64 {
          cases.append(OpCase(op, [Input([20], from, .exact(wideIntegers))], .none))
        } else if from != .bool, !from.isComplex {
          cases.append(OpCase(op, [Input([20], from, .list(extremes(from)))], .none))
        }
      }
    }
    return cases
  }
}

/// Pairs of shapes that broadcast, with layouts.
private let pairs: [(Shape, Layout, Shape, Layout)] = [
  ([], .dense, [], .dense), ([0], .dense, [0], .dense), ([1], .dense, [1], .dense), ([65], .dense, [65], .dense),
  ([64], .dense, [], .dense), ([], .dense, [63], .dense), ([3, 1], .dense, [1, 5], .dense),
  ([3, 5], .transposed, [3, 5], .dense), ([0], .dense, [1], .dense),
]
private let morePairs: [(Shape, Layout, Shape, Layout)] = [
  ([1000], .dense, [1000], .dense), ([64], .dense, [64], .dense), ([63], .strided, [63], .dense),
  ([2, 3, 4], .dense, [3, 1], .dense), ([3, 1], .dense, [2, 3, 4], .dense), ([2, 0], .dense, [1, 0], .dense),
  ([4, 6], .expanded, [4, 6], .dense), ([4, 6], .dense, [6], .reversed), ([4, 6], .offset, [4, 6], .strided),
  ([5, 65], .transposed, [65], .dense), ([2, 1, 3, 1], .dense, [4, 1, 5], .transposed),
  ([17, 33], .dense, [17, 1], .dense),
]

private func isCommon(_ dtype: DType) -> Bool {
  dtype == .float32 || dtype == .float64 || dtype == .int64 || dtype == .complex64
}

extension OpTable {
  var binaryCases: [OpCase] {
    switch self {
    case .add:
      return arithmetic(Add(), .between(-2, 2), .between(-2, 2), [.bool] + integerTypes) + complexPairs(Add())
    case .subtract:
      return arithmetic(Subtract(), .between(-2, 2), .between(-2, 2), integerTypes) + complexPairs(Subtract())
    case .multiply:
      return arithmetic(Multiply(), .between(-2, 2), .between(-2, 2), [.bool] + integerTypes)
        + complexPairs(Multiply())
    case .divide: return arithmetic(Divide(), .between(-2, 2), .away(0.3, 2), []) + complexPairs(Divide())
    case .maximum: return arithmetic(Maximum(), .grid(0), .grid(0.05), [.bool] + integerTypes) + ties(Maximum())
    case .minimum: return arithmetic(Minimum(), .grid(0), .grid(0.05), [.bool] + integerTypes) + ties(Minimum())
    case .power:
      var cases = arithmetic(Power(), .between(0.3, 3), .between(-2, 2), [])
      cases.append(
        OpCase(
          Power(), [Input([4], .float64, .list([0, 2, -2, 0])), Input([4], .float64, .list([0, 0, 3, 2]))], .none))
      return cases
    case .atan2: return arithmetic(Atan2(), .away(0.3, 2), .away(0.3, 2), [])
    case .remainder:
      // Away from the jumps for the derivatives, then over them.
      return arithmetic(Remainder(), .between(-7.8, -7.2), .between(3, 3.1), integerTypes)
        + floatingTypes.map {
          OpCase(Remainder(), [Input([300], $0, .grid(0.05)), Input([300], $0, .away(0.3, 2))], .none, loose: 4)
        }
    case .floorDivide: return arithmetic(FloorDivide(), .between(-9, 9), .away(0.3, 2), integerTypes)
    case .clampGradient:
      return [
        ClampGradient(low: -0.1, high: 5), ClampGradient(low: .nan, high: 0.1),
        ClampGradient(low: 0, high: .nan, isOpen: true),
      ].flatMap {
        arithmetic($0, .between(-2, 2), .away(0.2, 3), [])
          + [
            OpCase(
              $0, [Input([4], .float64, .between(-1, 1)), Input([4], .float64, .list([-0.1, 5, 0.1, 0]))], .kinked)
          ]
      }
    case .compare:
      return Compare.Kind.allCases.flatMap { arithmetic(Compare(kind: $0), .grid(0), .grid(0), [.bool] + integerTypes) }
        + [Compare.Kind.equal, .notEqual].flatMap { complexPairs(Compare(kind: $0), .list([0.5, 1, 0.5]), .none) }
    case .logic:
      return Logic.Kind.allCases.flatMap { kind in
        (pairs + morePairs).map { a, la, b, lb in
          OpCase(Logic(kind: kind), [Input(a, .bool, .below(2), la), Input(b, .bool, .below(2), lb)], .none)
        }
      }
    default: return selections
    }
  }

  private func arithmetic(_ op: any Op, _ a: Values, _ b: Values, _ integers: [DType]) -> [OpCase] {
    var cases: [OpCase] = []
    for dtype in floatingTypes {
      for (shapeA, layoutA, shapeB, layoutB) in isCommon(dtype) ? pairs + morePairs : pairs {
        cases.append(OpCase(op, [Input(shapeA, dtype, a, layoutA), Input(shapeB, dtype, b, layoutB)]))
      }
      // Every special value with every other.
      let n = special.count
      cases.append(
        OpCase(op, [Input([n, 1], dtype, .list(special)), Input([1, n], dtype, .list(special))], .none, loose: 4))
    }
    for dtype in integers {
      let values: Values = dtype == .bool ? .below(2) : .below(100)
      for (shapeA, layoutA, shapeB, layoutB) in isCommon(dtype) ? pairs + morePairs : pairs {
        cases.append(OpCase(op, [Input(shapeA, dtype, values, layoutA), Input(shapeB, dtype, values, layoutB)], .none))
      }
      if dtype == .bool { continue }
      let ends: Values = dtype == .int64 ? .exact(wideIntegers) : .list(extremes(dtype))
      cases.append(OpCase(op, [Input([7, 1], dtype, ends), Input([1, 7], dtype, ends)], .none))
    }
    return cases
  }

  private func complexPairs(
    _ op: any Op, _ values: Values = .away(0.3, 2), _ smoothness: Smoothness = .smooth
  ) -> [OpCase] {
    complexTypes.flatMap { dtype in
      (pairs + morePairs).map { a, la, b, lb in
        OpCase(op, [Input(a, dtype, values, la), Input(b, dtype, values, lb)], smoothness, loose: 8)
      }
    }
  }

  private func ties(_ op: any Op) -> [OpCase] {
    [OpCase(op, [Input([200], .float64, .grid(0)), Input([200], .float64, .grid(0))], .kinked)]
  }

  private var selections: [OpCase] {
    var cases: [OpCase] = []
    for dtype in allTypes {
      let values: Values = dtype.isInexact ? .between(-2, 2) : dtype == .bool ? .below(2) : .below(100)
      for (a, la, b, lb) in isCommon(dtype) ? pairs + morePairs : pairs {
        for condition in [a, b, []] {
          cases.append(
            OpCase(
              Select(), [Input(condition, .bool, .below(2)), Input(a, dtype, values, la), Input(b, dtype, values, lb)]))
        }
      }
      cases.append(
        OpCase(
          Select(),
          [
            Input([4, 6], .bool, .below(2), .transposed), Input([], dtype, values),
            Input([4, 6], dtype, values, .strided),
          ]))
    }
    return cases
  }
}
