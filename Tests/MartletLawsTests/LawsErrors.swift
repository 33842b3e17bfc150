import Martlet
import MartletCore
import MartletOps
import MartletReference
import Testing

private func f(_ shape: Shape, _ dtype: DType = .float32) -> Input { Input(shape, dtype) }
private func i(_ shape: Shape, _ values: [Double]) -> Input { Input(shape, .int64, .list(values)) }
private func region(_ start: Int, _ size: Int, _ step: Int = 1) -> Region {
  Region(starts: [start], sizes: [size], steps: [step])
}

extension OpTable {
  /// Wrong uses of a row: each is an error with a text, at the latest when the result is read.
  var wrongCases: [WrongCase] {
    let op = exampleOp
    switch self {
    case .cast: return [WrongCase(op, [f([2]), f([2])]), WrongCase(Cast(dtype: .float32), [f([2], .complex64)])]
    case .conjugate, .viewAsReal, .viewAsComplex, .fourier, .realFourier, .inverseRealFourier: return complexWrongCases
    case .detach, .copyTo, .contiguous: return [WrongCase(op, [f([2]), f([2])])]
    case .add, .subtract, .multiply, .divide, .maximum, .minimum, .power, .compare, .atan2, .remainder, .clampGradient,
      .floorDivide:
      var wrong = [
        WrongCase(op, [f([2]), f([3])]), WrongCase(op, [f([2]), f([2], .float64)]), WrongCase(op, [f([2])]),
        WrongCase(op, [f([2, 3]), f([2])]),
      ]
      if self == .divide || self == .power || self == .atan2 || self == .clampGradient {
        wrong.append(WrongCase(op, [f([2], .int32), f([2], .int32)]))
      }
      if ![.add, .subtract, .multiply, .divide].contains(self) {
        let ordering: any Op = self == .compare ? Compare(kind: .less) : op
        wrong.append(WrongCase(ordering, [f([2], .complex64), f([2], .complex64)]))
      }
      return wrong
    case .logic: return [WrongCase(op, [f([2]), f([2])]), WrongCase(op, [f([2], .bool), f([3], .bool)])]
    case .select:
      return [
        WrongCase(op, [f([2]), f([2]), f([2])]), WrongCase(op, [f([2], .bool), f([2]), f([3])]),
        WrongCase(op, [f([3], .bool), f([2]), f([2])]), WrongCase(op, [f([2], .bool), f([2]), f([2], .int32)]),
        WrongCase(op, [f([2], .bool), f([2])]),
      ]
    case .negate, .abs: return [WrongCase(op, [f([2], .bool)])]
    case .sign: return [WrongCase(op, [f([2], .bool)]), WrongCase(op, [f([2], .complex64)])]
    case .logicalNot: return [WrongCase(op, [f([2])])]
    case .relu, .round: return [WrongCase(op, [f([2], .bool)]), WrongCase(op, [f([2], .complex64)])]
    case .exp, .log, .sqrt, .tanh, .sigmoid, .sin, .cos, .expm1, .exp2, .log1p, .log2, .log10, .tan, .asin, .acos,
      .atan,
      .sinh, .cosh, .asinh, .acosh, .atanh, .erf, .silu, .gelu, .geluSlope, .clamp:
      return [WrongCase(op, [f([2], .int32)]), WrongCase(op, [f([2], .bool)]), WrongCase(op, [f([2]), f([2])])]
    case .sum: return [WrongCase(op, [f([2]), f([2])])]
    case .print: return [WrongCase(op, [])]
    case .assert: return [WrongCase(op, [f([2])]), WrongCase(op, [f([2]), f([2])])]
    case .call, .branch, .loop, .loopGradient, .scan: return controlWrongCases
    case .packKernels, .fusedConvolution: return fusedConvolutionWrongCases
    case .fusedMatmul:
      let op = FusedMatmul(hasBias: true, adds: true, function: .relu)
      let (a, b) = (f([4, 2]), f([2, 3]))
      return [
        WrongCase(op, [a, b, f([3])]), WrongCase(op, [a, b, f([2]), f([4, 3])]), WrongCase(op, [a, b, f([3]), f([3])]),
        WrongCase(op, [f([2, 4, 2]), f([2, 2, 3]), f([3]), f([2, 4, 3])]),
        WrongCase(op, [a, b, f([3], .float64), f([4, 3])]),
      ]
    case .joinedUpdates:
      let op = JoinedUpdates(
        SGDUpdate(momentum: 0, dampening: 0, weightDecay: 0, nesterov: false), count: 2, inputCount: 3)
      return [
        WrongCase(op, [f([2]), f([2]), f([])]), WrongCase(op, [f([2]), f([2]), f([]), f([2]), f([3]), f([])]),
      ]
    case .fused: return [WrongCase(op, [f([2])]), WrongCase(op, [f([2, 3]), f([2])])]
    case .mean: return [WrongCase(op, [f([2], .int64)])]
    case .max, .min: return [WrongCase(op, [f([0])]), WrongCase(op, [f([2], .complex64)])]
    case .cumsum: return [WrongCase(op, [f([])]), WrongCase(Cumsum(axis: -1), [f([2])])]
    case .argMax:
      return [WrongCase(op, [f([])]), WrongCase(op, [f([0])]), WrongCase(op, [f([2], .complex64)])]
    case .reshape: return [WrongCase(op, [f([7])]), WrongCase(Reshape(shape: [-1, 6]), [f([6])])]
    case .permute: return [WrongCase(op, [f([2])]), WrongCase(Permute(order: [0, 0]), [f([2, 3])])]
    case .expand: return [WrongCase(op, [f([2])]), WrongCase(Expand(shape: [3]), [f([1, 3])])]
    case .slice:
      return [
        WrongCase(Slice(region: region(3, 3)), [f([5])]), WrongCase(Slice(region: region(0, 2, 0)), [f([5])]),
        WrongCase(Slice(region: region(-1, 2)), [f([5])]), WrongCase(op, [f([5, 5])]),
        WrongCase(Slice(region: region(0, -2)), [f([5])]),
      ]
    case .embed: return [WrongCase(op, [f([4])]), WrongCase(Embed(shape: [5], region: region(3, 3)), [f([3])])]
    case .sliceUpdate, .sliceAdd:
      return [
        WrongCase(op, [f([5]), f([4])]), WrongCase(op, [f([5]), f([3], .int32)]), WrongCase(op, [f([2]), f([3])]),
      ]
    case .concat:
      return [
        WrongCase(op, [f([2, 3]), f([2, 4])]), WrongCase(op, [f([2]), f([2], .int32)]),
        WrongCase(op, [f([2]), f([2, 2])]),
        WrongCase(Concat(axis: 3, sizes: [1]), [f([2])]),
      ]
    case .pad: return [WrongCase(op, [f([2, 2])]), WrongCase(Pad(low: [-1], high: [0], value: 0), [f([2])])]
    case .gather:
      return [
        WrongCase(op, [f([5]), i([2], [0, 5])]), WrongCase(op, [f([5]), i([2], [-1, 0])]),
        WrongCase(op, [f([5]), f([2])]),
        WrongCase(op, [f([5, 2]), i([2], [0])]), WrongCase(Gather(axis: 1), [f([5]), i([2], [0])]),
      ]
    case .take:
      return [
        WrongCase(op, [f([5]), i([2], [0, 5])]), WrongCase(op, [f([5, 3]), i([2], [-1, 0])]),
        WrongCase(op, [f([5]), f([2])]),
        WrongCase(Take(axis: 1), [f([5]), i([2], [0])]),
      ]
    case .countingSort, .sparseMatmul, .sampledMatmul: return sparseWrongCases
    case .scatterAdd, .scatterReduce, .takeAdd, .takeUpdate:
      return [
        WrongCase(op, [f([5]), i([2], [0, 5]), f([2])]), WrongCase(op, [f([5]), i([2], [-1, 0]), f([2])]),
        WrongCase(op, [f([5]), i([2], [0]), f([3])]), WrongCase(op, [f([5]), i([2], [0]), f([2], .float64)]),
        WrongCase(op, [f([5]), f([2]), f([2])]),
      ]
        + (self == .scatterReduce ? [WrongCase(op, [f([5], .complex64), i([2], [0]), f([2], .complex64)])] : [])
    case .matmul:
      return [
        WrongCase(op, [f([2, 3]), f([4, 2])]), WrongCase(op, [f([3]), f([3, 2])]), WrongCase(op, [f([2, 3]), f([3])]),
        WrongCase(op, [f([2, 3]), f([3, 2], .float64)]), WrongCase(op, [f([2, 2, 3]), f([3, 3, 2])]),
        WrongCase(op, [f([2, 3], .complex64), f([3, 2], .complex64)]),
      ]
    case .softmax: return [WrongCase(op, [f([2], .int32)]), WrongCase(Softmax(axis: 2), [f([2, 2])])]
    case .logSoftmax: return [WrongCase(op, [f([2], .int32)]), WrongCase(LogSoftmax(axis: 2), [f([2, 2])])]
    case .crossEntropy:
      return [
        WrongCase(op, [f([2, 3]), i([2], [0, 3])]), WrongCase(op, [f([2, 3]), i([2], [-1, 0])]),
        WrongCase(op, [f([2, 3]), i([3], [0])]), WrongCase(op, [f([2]), i([2], [0])]),
        WrongCase(op, [f([2, 3]), f([2])]),
        WrongCase(op, [f([2, 3], .float16), i([2], [0, 3])]),
        WrongCase(op, [f([2, 3, 4]), i([2], [0])]), WrongCase(op, [f([2, 3, 4]), i([2, 4], [0, 1, 3])]),
      ]
    case .crossEntropyGradient:
      return [
        WrongCase(op, [f([2, 3]), i([2], [0, 3]), f([2])]), WrongCase(op, [f([2, 3]), i([2], [0]), f([3])]),
        WrongCase(op, [f([2, 3]), i([2], [0]), f([2], .float64)]), WrongCase(op, [f([2, 3]), i([3], [0]), f([2])]),
      ]
    case .convolution, .convolutionInputGradient, .convolutionWeightGradient, .maxPool, .unpool, .averagePool,
      .averagePoolGradient:
      return convolutionWrongCases
    case .attention, .attentionGradient: return attentionWrongCases
    case .recurrence, .recurrenceGradient: return recurrenceWrongCases
    case .normalize, .normalizeGradient, .normalizeRelu, .normalizeReluGradient: return normalizationWrongCases
    case .resample: return resampleWrongCases
    case .gridSample, .gridSampleGradient: return gridWrongCases
    case .roiAlign, .roiAlignGradient: return boxWrongCases
    case .searchSorted, .sortRows: return searchWrongCases
    case .randomBits, .randomUniform, .randomNormal:
      return [WrongCase(op, [f([3])]), WrongCase(op, [i([2], [1])]), WrongCase(op, [i([], [1])])]
    case .topK:
      return [
        WrongCase(op, [f([1])]), WrongCase(op, [f([])]), WrongCase(op, [f([4], .bool)]),
        WrongCase(op, [f([4], .complex64)]),
      ]
    case .ctc, .ctcGradient: return alignmentWrongCases
    case .solve, .triangularSolve, .signedLogDeterminant, .cholesky, .qr, .eigh, .svd, .pseudoInverse:
      return matrixWrongCases
    case .sgdUpdate:
      let (p, s) = (f([2]), f([]))
      return [
        WrongCase(op, [p, f([3]), s]), WrongCase(op, [p, p, p]), WrongCase(op, [p, p]), WrongCase(op, [p, p, s, p]),
        WrongCase(op, [f([2], .int32), f([2], .int32), s]), WrongCase(op, [p, p, f([], .int64)]),
      ]
    case .adamUpdate:
      let (p, s) = (f([2]), f([]))
      return [
        WrongCase(op, [p, f([3]), s, p, p, s]), WrongCase(op, [p, p, p, p, p, s]), WrongCase(op, [p, p, p]),
        WrongCase(op, [f([2], .int32), p, s, p, p, s]), WrongCase(op, [p, p, s, p, p, f([], .int64)]),
        WrongCase(op, [p, p, s, p, p, s, p]),
      ]
    }
  }

  private var exampleOp: any Op {
    switch self {
    case .reshape: Reshape(shape: [2, 3])
    case .permute: Permute(order: [1, 0])
    case .expand: Expand(shape: [3])
    case .embed: Embed(shape: [5], region: region(1, 3))
    case .sliceUpdate: SliceUpdate(region: region(1, 3))
    case .sliceAdd: SliceAdd(region: region(1, 3))
    case .concat: Concat(axis: 0, sizes: [2, 2])
    case .pad: Pad(low: [1], high: [1], value: 0)
    case .max: Max(axes: [0], keepDims: false)
    case .min: Min(axes: [0], keepDims: false)
    case .topK: TopK(k: 3, largest: true)
    default: cases[0].op
    }
  }
}

@Suite struct LawsErrors {
  /// Reads every result, so that what runs later has run.
  private func read(_ tensors: [Tensor]) {
    for tensor in tensors { _ = tensor.withUnsafeBytes { $0.count } }
  }

  private func expectError(_ wrong: WrongCase, _ moment: String, _ device: Device, _ body: ([Tensor]) -> [Tensor]) {
    Laws.count("wrong inputs throw")
    let inputs = OpCase(wrong.op, wrong.inputs).tensors(on: device)
    do {
      try Laws.delayed.holding {
        try withErrors {
          read(body(inputs))
          device.synchronize()
        }
      }
      Issue.record("\(moment), \(device): \(wrong.name) did not throw")
    } catch {
      let text = (error as? OpError).map { ErrorText.text($0, places: false) } ?? ""  // lines take long to find
      #expect(error is OpError && !text.isEmpty, "\(moment): \(wrong.name): \(text)")
    }
    let again = OpCase(wrong.op, wrong.inputs).tensors(on: device)
    #expect(difference(inputs, again, loose: 0) == nil, "an input was changed: \(wrong.name)")
  }

  // One after the other: a late fault of the delayed device surfaces wherever somebody waits first.
  @Test func wrongInputsThrow() {
    for row in OpTable.allCases {
      for wrong in row.wrongCases {
        for device in [Device.cpu, .reference, .delayed] {
          expectError(wrong, "now", device) { apply(any: wrong.op, $0) }
          expectError(wrong, "lazy", device) { x in lazy { apply(any: wrong.op, x) } }
          expectError(wrong, "compiled", device) { compile { (x: [Tensor]) in apply(any: wrong.op, x) }($0) }
          expectError(wrong, "gradient", device) { x in
            guard x.contains(where: { $0.dtype.isFloating }) else { return apply(any: wrong.op, x) }
            return grad { (y: [Tensor]) in
              (floating(apply(any: wrong.op, y)).first ?? y.first { $0.dtype.isFloating }!).sum()
            }(x)
          }
          expectError(wrong, "mapped", device) { x in
            let examples = x.map { stack([$0, $0]) }
            return vmap { (y: [Tensor]) in apply(any: wrong.op, y) }(examples)
          }
        }
      }
    }
  }
}
