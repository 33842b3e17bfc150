import MartletCore
import MartletOps

/// The sizes of a convolution.
private struct Example {
  var examples = 2
  var channels: (Int, Int) = (1, 1)
  var size: Shape
  var kernel: Shape
  var stride: Shape?
  var dilation: Shape?
  var padding: Shape?
  var high: Shape?
  var groups = 1

  var window: ConvolutionWindow {
    let ones = Shape(repeating: 1, count: size.rank)
    let low = padding ?? Shape(repeating: 0, count: size.rank)
    return ConvolutionWindow(
      stride: stride ?? ones, dilation: dilation ?? ones, low: low, high: high ?? low, groups: groups, isPrecise: true)
  }
  var x: Shape { Shape([examples, channels.0] + Array(size)) }
  var w: Shape { Shape([channels.1, channels.0 / groups] + Array(kernel)) }
  var y: Shape { Shape([examples, channels.1] + Array(window.outputSize(size, kernel: kernel)!)) }
}

private let examples: [Example] = [
  Example(size: [1, 1], kernel: [1, 1]),
  Example(channels: (2, 3), size: [5, 4], kernel: [3, 2]),
  Example(channels: (2, 3), size: [5, 4], kernel: [3, 3], padding: [1, 1]),
  Example(examples: 3, channels: (4, 6), size: [7, 6], kernel: [2, 3], stride: [2, 3], padding: [1, 0], groups: 2),
  Example(channels: (3, 3), size: [6, 7], kernel: [3, 3], dilation: [2, 1], padding: [2, 2], groups: 3),
  Example(channels: (2, 2), size: [4, 4], kernel: [2, 2], padding: [1, 0], high: [0, 2]),
  Example(channels: (2, 4), size: [4, 5], kernel: [1, 1]),
  Example(channels: (3, 2), size: [9], kernel: [4], stride: [2], padding: [2]),
  Example(channels: (2, 3), size: [4, 3, 5], kernel: [2, 3, 2], stride: [2, 1, 1], padding: [0, 1, 1]),
  Example(examples: 0, channels: (2, 3), size: [4, 4], kernel: [2, 2]),
  Example(channels: (0, 3), size: [4, 4], kernel: [2, 2]),
  Example(examples: 1, channels: (16, 17), size: [9, 8], kernel: [3, 3], padding: [1, 1]),
]

private let slidingWindows: [(PoolingWindow, Shape)] = [
  (window([2, 2], [2, 2]), [2, 3, 4, 6]), (window([3, 2], [1, 2], padding: [1, 1]), [2, 2, 5, 4]),
  (window([3, 3], [3, 3], padding: [1, 1], ceilMode: true), [1, 2, 7, 8]),
  (window([2, 2], [3, 1], dilation: [2, 3]), [2, 1, 7, 6]), (window([3], [2], padding: [1]), [2, 2, 9]),
  (window([2, 1, 2], [1, 1, 2]), [1, 2, 3, 2, 5]), (window([2, 2], [2, 2]), [0, 3, 4, 4]),
  (window([1, 1], [1, 1]), [1, 1, 1, 1]), (window([2, 2], [2, 2]), [1, 2, 4, 70]),
  (window([2, 3], [2, 3], padding: [0, 1], ceilMode: true), [1, 2, 5, 300]),
  (PoolingWindow(adaptiveTo: [3, 2]), [2, 3, 7, 5]), (PoolingWindow(adaptiveTo: [1, 1]), [2, 3, 4, 4]),
  (PoolingWindow(adaptiveTo: [5, 4]), [1, 2, 3, 4]), (PoolingWindow(adaptiveTo: [2]), [2, 1, 5]),
]

private func window(
  _ kernel: Shape, _ stride: Shape, padding: Shape? = nil, dilation: Shape? = nil, ceilMode: Bool = false
) -> PoolingWindow {
  let padding = padding ?? Shape(repeating: 0, count: kernel.rank)
  return PoolingWindow(
    kernel: kernel, stride: stride, dilation: dilation ?? Shape(repeating: 1, count: kernel.rank), low: padding,
    high: padding, ceilMode: ceilMode)
}

extension OpTable {
  var convolutionCases: [OpCase] {
    var cases: [OpCase] = []
    for dtype in floatingTypes {
      let isCommon = dtype == .float32 || dtype == .float64
      for example in isCommon ? examples : Array(examples.prefix(4)) {
        for (la, lb) in isCommon
          ? [(Layout.dense, Layout.dense), (.transposed, .strided)] : [(.dense, .dense)]
        {
          func input(_ shape: Shape, _ layout: Layout) -> Input { Input(shape, dtype, .between(-1, 1), layout) }
          switch self {
          case .convolution:
            let operands = [input(example.x, la), input(example.w, lb)]
            cases.append(OpCase(Convolution(example.window), operands, loose: 16))
            cases.append(
              OpCase(Convolution(example.window), operands + [input([example.channels.1], lb)], loose: 16))
          case .convolutionInputGradient:
            cases.append(
              OpCase(
                ConvolutionInputGradient(example.window, size: example.size),
                [input(example.y, la), input(example.w, lb)],
                loose: 16))
          default:
            cases.append(
              OpCase(
                ConvolutionWeightGradient(example.window, kernel: example.kernel),
                [input(example.x, la), input(example.y, lb)], loose: 32))
          }
        }
      }
    }
    return cases
  }

  /// Without a packing, which each device makes for itself.
  var fusedConvolutionCases: [OpCase] {
    var cases: [OpCase] = []
    for dtype in [DType.float32, .float64, .bfloat16] {
      for (number, example) in examples.enumerated() {
        func input(_ shape: Shape) -> Input { Input(shape, dtype, .between(-1, 1)) }
        let (hasBias, adds) = (number % 2 == 0, number % 3 != 0)
        let bounds = [nil, ConvolutionBounds(low: 0, high: .infinity), ConvolutionBounds(low: -0.5, high: 0.75)][
          number % 3]
        let op = FusedConvolution(example.window, kernels: example.w, hasBias: hasBias, adds: adds, bounds: bounds)
        if self == .packKernels {
          cases.append(OpCase(PackKernels(op, x: TensorSpec(example.x, dtype)), [input(example.w)]))
          continue
        }
        cases.append(
          OpCase(
            op,
            [input(example.x), input(example.w)]
              + (hasBias
                ? [Input([example.channels.1], dtype == .bfloat16 ? .float32 : dtype, .between(-1, 1))] : [])
              + (adds ? [input(example.y)] : []), bounds == nil ? .smooth : .kinked, loose: 16))
      }
    }
    return cases
  }

  var fusedConvolutionWrongCases: [WrongCase] {
    let op = FusedConvolution(
      ConvolutionWindow(axes: 1), kernels: [2, 3, 1], hasBias: true, adds: true,
      bounds: ConvolutionBounds(low: 0, high: .infinity))
    func f(_ shape: Shape) -> Input { Input(shape, .float32) }
    let (x, w, b) = (f([1, 3, 4]), f([2, 3, 1]), f([2]))
    if self == .packKernels {
      return [
        WrongCase(PackKernels(op, x: TensorSpec([1, 3, 4])), [f([2, 3, 2])]),
        WrongCase(PackKernels(op, x: TensorSpec([1, 3, 4])), [w, w]),
      ]
    }
    return [
      WrongCase(op, [x, w, b]), WrongCase(op, [x, f([2, 3, 2]), b, f([1, 2, 4])]),
      WrongCase(op, [x, w, b, f([1, 2, 3])]),
      WrongCase(op, [x, w, f([3]), f([1, 2, 4])]),
    ]
  }

  var poolingCases: [OpCase] {
    var cases: [OpCase] = []
    for dtype in floatingTypes {
      for (window, shape) in slidingWindows {
        for layout in [Layout.dense, .transposed] {
          let size = Shape(shape[2...])
          guard let out = try? window.outputSize(size) else { continue }
          let pooled = Shape(Array(shape[..<2]) + Array(out))
          switch self {
          case .maxPool: cases.append(OpCase(MaxPool(window), [Input(shape, dtype, .spaced, layout)]))
          case .unpool:
            cases.append(
              OpCase(
                Unpool(size: size),
                [
                  Input(pooled, dtype, .between(-1, 1), layout),
                  Input(pooled, .int32, .below(size.elementCount), layout),
                ],
                loose: 16))
          case .averagePool:
            for countsPadding in window.isAdaptive ? [false] : [false, true] {
              cases.append(
                OpCase(
                  AveragePool(window, countsPadding: countsPadding), [Input(shape, dtype, .between(-1, 1), layout)],
                  loose: 8))
            }
          default:
            cases.append(
              OpCase(
                AveragePoolGradient(window, countsPadding: !window.isAdaptive, size: size),
                [Input(pooled, dtype, .between(-1, 1), layout)], loose: 8))
          }
        }
      }
      if self == .maxPool {
        cases.append(
          OpCase(
            MaxPool(slidingWindows[0].0),
            [Input([1, 1, 2, 4], dtype, .list([1, .nan, -.infinity, -.infinity, 3, 1]))],
            .none))
        cases.append(OpCase(MaxPool(slidingWindows[0].0), [Input([1, 1, 4, 4], dtype, .list([1, 1, 0]))], .kinked))
      }
    }
    return cases
  }

  var convolutionWrongCases: [WrongCase] {
    func f(_ shape: Shape, _ dtype: DType = .float32) -> Input { Input(shape, dtype) }
    let plain = ConvolutionWindow(axes: 2)
    let grouped = ConvolutionWindow(stride: [1, 1], dilation: [1, 1], low: [0, 0], high: [0, 0], groups: 2)
    let still = ConvolutionWindow(stride: [0, 1], dilation: [1, 1], low: [0, 0], high: [0, 0], groups: 1)
    let inward = ConvolutionWindow(stride: [1, 1], dilation: [1, 1], low: [-1, 0], high: [0, 0], groups: 1)
    switch self {
    case .convolution:
      return [
        WrongCase(Convolution(plain), [f([1, 2, 4, 4]), f([3, 1, 2, 2])]),
        WrongCase(Convolution(plain), [f([1, 2, 4, 4]), f([3, 2, 5, 2])]),
        WrongCase(Convolution(plain), [f([1, 2, 4]), f([3, 2, 2, 2])]),
        WrongCase(Convolution(plain), [f([1, 2, 4, 4]), f([3, 2, 2, 2], .float64)]),
        WrongCase(Convolution(plain), [f([1, 2, 4, 4], .int32), f([3, 2, 2, 2], .int32)]),
        WrongCase(Convolution(plain), [f([1, 2, 4, 4]), f([3, 2, 2, 2]), f([2])]),
        WrongCase(Convolution(grouped), [f([1, 2, 4, 4]), f([3, 1, 2, 2])]),
        WrongCase(Convolution(still), [f([1, 2, 4, 4]), f([3, 2, 2, 2])]),
        WrongCase(Convolution(inward), [f([1, 2, 4, 4]), f([3, 2, 2, 2])]),
        WrongCase(Convolution(plain), [f([1, 2, 4, 4]), f([3, 2, 0, 2])]),
      ]
    case .convolutionInputGradient:
      return [
        WrongCase(ConvolutionInputGradient(plain, size: [4, 4]), [f([1, 3, 2, 3]), f([3, 2, 2, 2])]),
        WrongCase(ConvolutionInputGradient(plain, size: [4, 4]), [f([1, 2, 3, 3]), f([3, 2, 2, 2])]),
        WrongCase(ConvolutionInputGradient(plain, size: [-4, 4]), [f([1, 3, 3, 3]), f([3, 2, 2, 2])]),
      ]
    case .convolutionWeightGradient:
      return [
        WrongCase(ConvolutionWeightGradient(plain, kernel: [2, 2]), [f([1, 2, 4, 4]), f([2, 3, 3, 3])]),
        WrongCase(ConvolutionWeightGradient(plain, kernel: [2, 2]), [f([1, 2, 4, 4]), f([1, 3, 2, 3])]),
        WrongCase(ConvolutionWeightGradient(plain, kernel: [2]), [f([1, 2, 4, 4]), f([1, 3, 3, 3])]),
      ]
    case .unpool:
      return [
        WrongCase(Unpool(size: [2, 2]), [f([1, 1, 1, 1]), Input([1, 1, 1, 1], .int32, .list([4]))]),
        WrongCase(Unpool(size: [2, 2]), [f([1, 1, 1, 1]), Input([1, 1, 1, 1], .int32, .list([-1]))]),
        WrongCase(Unpool(size: [2, 2]), [f([1, 1, 1, 1]), Input([1, 1, 1, 1], .int64, .list([0]))]),
        WrongCase(Unpool(size: [2, 2]), [f([1, 1, 1, 1]), Input([1, 1, 1, 2], .int32, .list([0]))]),
      ]
    case .averagePoolGradient:
      return [
        WrongCase(
          AveragePoolGradient(window([2, 2], [2, 2]), countsPadding: true, size: [4, 4]), [f([1, 1, 2, 3])]),
        WrongCase(AveragePoolGradient(window([2, 2], [2, 2]), countsPadding: true, size: [4]), [f([1, 1, 2, 2])]),
      ]
    default:
      func pool(_ window: PoolingWindow) -> any Op {
        self == .maxPool ? MaxPool(window) : AveragePool(window, countsPadding: true)
      }
      return [
        WrongCase(pool(window([2, 2], [2, 2])), [f([1, 2, 4])]),
        WrongCase(pool(window([5, 2], [2, 2])), [f([1, 2, 4, 4])]),
        WrongCase(pool(window([2, 2], [0, 2])), [f([1, 2, 4, 4])]),
        WrongCase(pool(window([2, 2], [2, 2], padding: [2, 0])), [f([1, 2, 4, 4])]),
        WrongCase(pool(window([2, 2], [2, 2])), [f([1, 2, 4, 4], .int32)]),
        WrongCase(pool(PoolingWindow(adaptiveTo: [0, 2])), [f([1, 2, 4, 4])]),
      ]
    }
  }
}
