import MartletCore
import MartletOps

extension OpTable {
  var rowCases: [OpCase] {
    switch self {
    case .matmul: matmuls
    case .softmax: softmaxes { Softmax(axis: $0) }
    case .logSoftmax: softmaxes { LogSoftmax(axis: $0) }
    case .crossEntropy, .crossEntropyGradient: crossEntropies
    default: topKs
    }
  }

  private var matmuls: [OpCase] {
    let shapes: [(Shape, Shape)] = [
      ([1, 1], [1, 1]), ([0, 3], [3, 2]), ([2, 0], [0, 3]), ([2, 3], [3, 0]), ([8, 8], [8, 8]), ([1, 64], [64, 1]),
      ([5, 1], [1, 7]), ([63, 3], [3, 65]), ([2, 3, 4], [4, 5]), ([3, 4], [2, 4, 5]), ([2, 1, 3, 4], [5, 4, 2]),
      ([0, 2, 3], [3, 2]), ([2, 2, 0], [2, 0, 3]),
    ]
    var cases: [OpCase] = []
    for dtype in integerTypes + floatingTypes {
      let isCommon = dtype == .float32 || dtype == .float64
      let values: Values = dtype.isFloating ? .between(-1, 1) : .below(20)
      for (a, b) in shapes {
        for (la, lb) in isCommon
          ? [
            (Layout.dense, Layout.dense), (.transposed, .dense), (.dense, .transposed), (.transposed, .transposed),
            (.strided, .reversed), (.expanded, .offset),
          ] : [(.dense, .dense), (.transposed, .strided)]
        {
          cases.append(OpCase(Matmul(), [Input(a, dtype, values, la), Input(b, dtype, values, lb)], loose: 8))
        }
      }
      if isCommon {
        cases.append(OpCase(Matmul(), [Input([65, 64], dtype, values), Input([64, 63], dtype, values)], loose: 16))
        cases.append(
          OpCase(
            Matmul(), [Input([33, 200], dtype, values), Input([200, 130], dtype, values, .transposed)], loose: 32))
      }
    }
    cases.append(
      OpCase(
        Matmul(), [Input([2, 3], .float32, .list([1, .nan, .infinity, 0, 2, 1])), Input([3, 2], .float32)], .none))
    return cases
  }

  private func softmaxes(_ op: (Int) -> any Op) -> [OpCase] {
    var cases: [OpCase] = []
    for dtype in floatingTypes {
      for (shape, axis) in [
        ([1], 0), ([65], 0), ([1000], 0), ([3, 5], 1), ([3, 5], 0), ([2, 3, 4], 1), ([0, 3], 1), ([3, 0], 1),
        ([2, 64], 1),
        ([63, 2], 0),
      ] as [(Shape, Int)] {
        for layout in [Layout.dense, .transposed, .strided] {
          cases.append(OpCase(op(axis), [Input(shape, dtype, .between(-3, 3), layout)], loose: 4))
        }
      }
      cases.append(
        OpCase(op(1), [Input([2, 3], dtype, .list([-.infinity, 1, 2, 10000, 1, -10000]))], .none))
      cases.append(OpCase(op(1), [Input([2, 2], dtype, .list([.nan, 1, -.infinity, -.infinity]))], .none))
    }
    return cases
  }

  private var crossEntropies: [OpCase] {
    var cases: [OpCase] = []
    /// A case of the row's operation; its gradient also takes cotangents.
    func add(
      _ shape: Shape, _ dtype: DType, _ layout: Layout, _ labels: DType, _ values: Values,
      ignoring ignoreIndex: Int = -100
    ) {
      let rows = shape.removing(at: 1)
      var inputs = [Input(shape, dtype, .between(-3, 3), layout), Input(rows, labels, values, layout)]
      if self == .crossEntropyGradient { inputs.append(Input(rows, dtype, .between(-1, 1), layout)) }
      let op: any Op =
        self == .crossEntropy
        ? CrossEntropy(ignoreIndex: ignoreIndex) : CrossEntropyGradient(ignoreIndex: ignoreIndex)
      cases.append(OpCase(op, inputs, loose: 8))
    }
    for dtype in floatingTypes {
      for shape: Shape in [
        [1, 1], [4, 5], [0, 3], [65, 10], [3, 1000], [130, 32], [7, 33], [2, 3, 5], [3, 35, 70], [1, 10, 64],
        [2, 4, 9, 11],
        [2, 70, 3, 6], [40, 5, 3], [70, 40, 2], [2, 3, 0], [3, 1, 4],
      ] {
        for labels in [DType.int64, .int32] {
          // Of three axes, transposed ones have their classes next to each other.
          for layout in [Layout.dense, .transposed, .strided] {
            add(shape, dtype, layout, labels, .below(shape[1]))
          }
        }
      }
      add([4, 5], dtype, .dense, .int64, .list([-100, 2, 0, -100]))
      add([4, 3], dtype, .dense, .int64, .list([1, 2, 0, 1]), ignoring: 1)
      add([2, 3, 70], dtype, .dense, .int64, .list([1, 2, 0, 1, 0]), ignoring: 1)
    }
    return cases
  }

  private var topKs: [OpCase] {
    var cases: [OpCase] = []
    for dtype in integerTypes + floatingTypes {
      for largest in [true, false] {
        for (shape, k) in [
          ([1], 1), ([5], 0), ([0], 0), ([65], 3), ([4, 6], 6), ([2, 3, 64], 5), ([0, 4], 2), ([1000], 63),
        ]
          as [(Shape, Int)]
        {
          for layout in [Layout.dense, .transposed, .reversed] {
            let values: Values = dtype.isFloating ? .spaced : .below(100)
            cases.append(OpCase(TopK(k: k, largest: largest), [Input(shape, dtype, values, layout)]))
          }
        }
        if dtype.isFloating {
          cases.append(
            OpCase(
              TopK(k: 4, largest: largest), [Input([6], dtype, .list([1, .nan, .infinity, -.infinity, 1, .nan]))], .none
            ))
          cases.append(OpCase(TopK(k: 20, largest: largest), [Input([4, 80], dtype, .grid(0))], .kinked))
        }
      }
    }
    for largest in [true, false] {
      cases.append(OpCase(TopK(k: 5, largest: largest), [Input([7], .int64, .exact(wideIntegers))], .none))
    }
    return cases
  }

  var otherCases: [OpCase] {
    if self == .adamUpdate { return adamUpdates }
    if self == .sgdUpdate { return sgdUpdates }
    var cases: [OpCase] = []
    let shapes: [Shape] = [[], [0], [1], [63], [64], [65], [3, 4], [1000]]
    let keys: [(Shape, Layout)] = [
      ([3], .dense), ([2, 3], .dense), ([4, 2, 3], .transposed), ([0, 3], .dense), ([3], .strided),
    ]
    for shape in shapes {
      for (key, layout) in keys {
        let input = Input(key, .int64, .exact([7, 1, 5, 1 << 40, -3, 0, .max, 2, 1 << 33, 11, 12]), layout)
        switch self {
        case .randomBits: cases.append(OpCase(RandomBits(shape: shape), [input], .none))
        case .randomUniform:
          for dtype in floatingTypes { cases.append(OpCase(RandomUniform(shape: shape, dtype: dtype), [input], .none)) }
        default:
          for dtype in floatingTypes {
            cases.append(OpCase(RandomNormal(shape: shape, dtype: dtype), [input], .none, loose: 4))
          }
        }
      }
    }
    return cases
  }

  private var adamUpdates: [OpCase] {
    var cases: [OpCase] = []
    for dtype in floatingTypes {
      for shape in [[], [0], [1], [65], [3, 4], [1000]] as [Shape] {
        for (decay, decoupled, amsgrad) in [(0.0, false, false), (0.1, false, true), (0.1, true, false)] {
          for layout in [Layout.dense, .transposed] {
            let op = AdamUpdate(
              beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: decay, decoupled: decoupled, amsgrad: amsgrad)
            let top = amsgrad ? [Input(shape, dtype, .between(0.5, 2), layout)] : []
            let scalar: DType = dtype == .float64 ? .float64 : .float32
            cases.append(
              OpCase(
                op,
                [
                  Input(shape, dtype, .between(-1, 1), layout), Input(shape, dtype, .between(-1, 1)),
                  Input([], scalar, .list([0.01])), Input(shape, dtype, .between(-1, 1), layout),
                  Input(shape, dtype, .between(0.5, 2)), Input([], scalar, .list([3])),
                ] + top, amsgrad ? .kinked : .smooth, loose: 8))
          }
        }
      }
    }
    // A gradient of 16 bits, of which pieces are widened.
    for (narrow, shape) in [(.bfloat16, [3, 40]), (.float16, [2500]), (.bfloat16, [0])] as [(DType, Shape)] {
      let wide = Input(shape, .float32, .between(0.5, 2))
      cases.append(
        OpCase(
          AdamUpdate(beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, decoupled: true),
          [
            wide, Input(shape, narrow, .between(-1, 1)), Input([], .float32, .list([0.01])), wide, wide,
            Input([], .float32, .list([3])),
          ], .smooth, loose: 8))
    }
    return cases
  }

  private var sgdUpdates: [OpCase] {
    var cases: [OpCase] = []
    for dtype in floatingTypes {
      for shape in [[], [5], [65], [0], [3, 40]] as [Shape] {
        for layout in [Layout.dense, .strided] {
          for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
            let op = SGDUpdate(momentum: momentum, dampening: nesterov ? 0 : 0.1, weightDecay: 0.01, nesterov: nesterov)
            let tensor = Input(shape, dtype, .between(-1, 1), layout)
            let inputs = [tensor, tensor, Input([], dtype == .float64 ? .float64 : .float32, .list([0.1]))]
            cases.append(OpCase(op, inputs, loose: 8))
            if momentum != 0 { cases.append(OpCase(op, inputs + [tensor], loose: 8)) }
            if dtype == .float32 {
              let narrow = Input(shape, .bfloat16, .between(-1, 1), layout)
              cases.append(OpCase(op, [inputs[0], narrow, inputs[2]] + (momentum == 0 ? [] : [tensor]), loose: 8))
            }
          }
        }
      }
    }
    return cases
  }
}
