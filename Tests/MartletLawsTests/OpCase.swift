import MartletCore
import MartletOps

/// Whether the derivatives of a case are tested.
enum Smoothness: Sendable {
  /// Against finite differences too.
  case smooth
  /// Only forward against backward: at ties and kinks.
  case kinked
  case none
}

/// One use of an operation.
struct OpCase: Sendable {
  var op: any Op
  var inputs: [Input]
  var smoothness: Smoothness = .smooth
  /// A factor of the tolerances.
  var loose: Double = 1

  init(_ op: any Op, _ inputs: [Input], _ smoothness: Smoothness = .smooth, loose: Double = 1) {
    self.op = op
    self.inputs = inputs
    self.smoothness = smoothness
    self.loose = loose
  }

  func loosened(_ loose: Double) -> OpCase { OpCase(op, inputs, smoothness, loose: loose) }

  /// What the case is, for reports; also the seed of its numbers.
  var name: String {
    let arguments = inputs.map { "\($0.dtype)\($0.shape)" + ($0.layout == .dense ? "" : " \($0.layout)") }
    let attributes = op.attributes
    return "\(type(of: op).name)(\(arguments.joined(separator: ", ")))"
      + (attributes.isEmpty ? "" : " {\(attributes)}") + " #\(mark)"
  }
  /// Tells cases apart that differ in their values.
  private var mark: String {
    inputs.map { input in
      switch input.values {
      case .between: "u"
      case .away: "a"
      case .grid: "g"
      case .spaced: "s"
      case .below: "i"
      case .list: "l"
      case .exact: "x"
      }
    }.joined()
  }

  /// The inputs as tensors. `wide`: floating ones as float64, complex ones as complex128.
  func tensors(on device: Device, example: Int = 0, wide: Bool = false) -> [Tensor] {
    inputs.enumerated().map { position, input in
      let widest: DType? = input.dtype.isComplex ? .complex128 : input.dtype.isFloating ? .float64 : nil
      return input.tensor("\(name) \(position) \(example)", on: device, dtype: wide ? widest : nil)
    }
  }

  var hasFloatingInput: Bool { inputs.contains { $0.dtype.isInexact } }

  /// Derivatives are tested in float64, so once and not for each floating dtype.
  var isForDerivatives: Bool {
    if case .none = smoothness { return false }
    let rules = type(of: op).rules
    guard hasFloatingInput, !rules.contains(.constant) else { return false }
    return inputs.allSatisfy { !$0.dtype.isInexact || $0.dtype == .float64 || $0.dtype == .complex128 }
  }
}

/// A wrong use of an operation.
struct WrongCase: Sendable {
  var op: any Op
  var inputs: [Input]
  init(_ op: any Op, _ inputs: [Input]) {
    self.op = op
    self.inputs = inputs
  }
  var name: String { OpCase(op, inputs).name }
}

let floatingTypes: [DType] = [.float16, .bfloat16, .float32, .float64]
let integerTypes: [DType] = [.uint8, .int8, .int16, .int32, .int64, .uint32]
let signedTypes: [DType] = [.int8, .int16, .int32, .int64]
let complexTypes: [DType] = [.complex64, .complex128]
let realTypes: [DType] = [.bool] + integerTypes + floatingTypes
let allTypes: [DType] = realTypes + complexTypes

extension OpTable {
  /// The cases of a row.
  var cases: [OpCase] {
    switch self {
    case .add, .subtract, .multiply, .divide, .maximum, .minimum, .power, .compare, .logic, .select, .atan2, .remainder,
      .floorDivide, .clampGradient:
      binaryCases
    case .logicalNot, .negate, .abs, .sign, .exp, .log, .sqrt, .tanh, .sigmoid, .relu, .sin, .cos, .cast, .copyTo,
      .detach, .expm1, .exp2, .log1p, .log2, .log10, .tan, .asin, .acos, .atan, .sinh, .cosh, .asinh, .acosh, .atanh,
      .erf, .round, .silu, .gelu, .geluSlope, .clamp:
      unaryCases
    case .conjugate, .viewAsReal, .viewAsComplex: complexCases
    case .fourier, .realFourier, .inverseRealFourier: fourierCases
    case .sum, .mean, .max, .min, .argMax, .cumsum: reductionCases
    case .contiguous, .reshape, .permute, .expand, .slice, .embed, .sliceUpdate, .sliceAdd, .concat, .pad: shapeCases
    case .gather, .scatterAdd, .scatterReduce, .take, .takeAdd, .takeUpdate: indexingCases
    case .countingSort, .sparseMatmul, .sampledMatmul: sparseCases
    case .matmul, .softmax, .logSoftmax, .crossEntropy, .crossEntropyGradient, .topK: rowCases
    case .convolution, .convolutionInputGradient, .convolutionWeightGradient: convolutionCases
    case .attention, .attentionGradient: attentionCases
    case .recurrence, .recurrenceGradient: recurrenceCases
    case .normalize, .normalizeGradient, .normalizeRelu, .normalizeReluGradient: normalizationCases
    case .maxPool, .unpool, .averagePool, .averagePoolGradient: poolingCases
    case .resample: resampleCases
    case .gridSample, .gridSampleGradient: gridCases
    case .roiAlign, .roiAlignGradient: boxCases
    case .searchSorted, .sortRows: searchCases
    case .ctc, .ctcGradient: alignmentCases
    case .solve, .triangularSolve, .signedLogDeterminant, .cholesky, .qr, .eigh, .svd, .pseudoInverse: matrixCases
    case .randomBits, .randomUniform, .randomNormal, .adamUpdate, .sgdUpdate: otherCases
    case .fused: fusedCases
    case .fusedMatmul: fusedMatmulCases
    case .joinedUpdates: joinedUpdateCases
    case .packKernels, .fusedConvolution: fusedConvolutionCases
    case .print, .assert: effectCases
    case .call, .branch, .loop, .loopGradient, .scan: controlCases
    }
  }
}
