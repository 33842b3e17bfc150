package import MartletCore

/// Every operation: the number of its row is the index of its kernels.
package enum OpTable: Int, CaseIterable {
  case detach = 1, call
  case add, subtract, multiply, divide, maximum, minimum, power
  case compare, logic, logicalNot, select
  case atan2, remainder, floorDivide
  case negate, abs, sign, exp, log, sqrt, tanh, sigmoid, relu, sin, cos
  case expm1, exp2, log1p, log2, log10, tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh, erf, round
  case silu, gelu, geluSlope, clamp, clampGradient
  case cast, copyTo
  case conjugate, viewAsReal, viewAsComplex
  case fourier, realFourier, inverseRealFourier
  case sum, mean, max, min, argMax, cumsum
  case contiguous, reshape, permute, expand, slice, embed, sliceUpdate, sliceAdd, concat, pad
  case gather, scatterAdd, scatterReduce, take, takeAdd, takeUpdate
  case searchSorted, sortRows
  case countingSort, sparseMatmul, sampledMatmul
  case solve, triangularSolve, signedLogDeterminant, cholesky, qr, eigh, svd, pseudoInverse
  case matmul, softmax, logSoftmax, crossEntropy, crossEntropyGradient
  case attention, attentionGradient
  case recurrence, recurrenceGradient
  case convolution, convolutionInputGradient, convolutionWeightGradient
  case normalize, normalizeGradient
  case maxPool, unpool, averagePool, averagePoolGradient
  case resample, gridSample, gridSampleGradient, roiAlign, roiAlignGradient
  case randomBits, randomUniform, randomNormal
  case topK, ctc, ctcGradient, adamUpdate, sgdUpdate
  case fused, fusedMatmul, packKernels, fusedConvolution, normalizeRelu, normalizeReluGradient, joinedUpdates
  case print, assert
  case branch, loop, loopGradient, scan

  /// Whether passes make it, for one process: programs are saved as they were before them.
  package var isMadeByPasses: Bool { type is any PassMade.Type }

  /// The type that states the row's meaning and rules.
  package var type: any Op.Type {
    switch self {
    case .detach: Detach.self
    case .call: Call.self
    case .add: Add.self
    case .subtract: Subtract.self
    case .multiply: Multiply.self
    case .divide: Divide.self
    case .maximum: Maximum.self
    case .minimum: Minimum.self
    case .power: Power.self
    case .compare: Compare.self
    case .logic: Logic.self
    case .logicalNot: LogicalNot.self
    case .select: Select.self
    case .atan2: Atan2.self
    case .remainder: Remainder.self
    case .floorDivide: FloorDivide.self
    case .negate: Negate.self
    case .abs: Abs.self
    case .sign: Sign.self
    case .exp: Exp.self
    case .log: Log.self
    case .sqrt: Sqrt.self
    case .tanh: Tanh.self
    case .sigmoid: Sigmoid.self
    case .relu: Relu.self
    case .sin: Sin.self
    case .cos: Cos.self
    case .expm1: Expm1.self
    case .exp2: Exp2.self
    case .log1p: Log1p.self
    case .log2: Log2.self
    case .log10: Log10.self
    case .tan: Tan.self
    case .asin: Asin.self
    case .acos: Acos.self
    case .atan: Atan.self
    case .sinh: Sinh.self
    case .cosh: Cosh.self
    case .asinh: Asinh.self
    case .acosh: Acosh.self
    case .atanh: Atanh.self
    case .erf: Erf.self
    case .round: Round.self
    case .silu: Silu.self
    case .gelu: Gelu.self
    case .geluSlope: GeluSlope.self
    case .clamp: Clamp.self
    case .clampGradient: ClampGradient.self
    case .cast: Cast.self
    case .copyTo: CopyTo.self
    case .conjugate: Conjugate.self
    case .viewAsReal: ViewAsReal.self
    case .viewAsComplex: ViewAsComplex.self
    case .fourier: Fourier.self
    case .realFourier: RealFourier.self
    case .inverseRealFourier: InverseRealFourier.self
    case .sum: Sum.self
    case .mean: Mean.self
    case .max: Max.self
    case .min: Min.self
    case .argMax: ArgMax.self
    case .cumsum: Cumsum.self
    case .contiguous: Contiguous.self
    case .reshape: Reshape.self
    case .permute: Permute.self
    case .expand: Expand.self
    case .slice: Slice.self
    case .embed: Embed.self
    case .sliceUpdate: SliceUpdate.self
    case .sliceAdd: SliceAdd.self
    case .concat: Concat.self
    case .pad: Pad.self
    case .gather: Gather.self
    case .scatterAdd: ScatterAdd.self
    case .scatterReduce: ScatterReduce.self
    case .take: Take.self
    case .takeAdd: TakeAdd.self
    case .takeUpdate: TakeUpdate.self
    case .searchSorted: SearchSorted.self
    case .sortRows: SortRows.self
    case .countingSort: CountingSort.self
    case .sparseMatmul: SparseMatmul.self
    case .sampledMatmul: SampledMatmul.self
    case .solve: Solve.self
    case .triangularSolve: TriangularSolve.self
    case .signedLogDeterminant: SignedLogDeterminant.self
    case .cholesky: Cholesky.self
    case .qr: QR.self
    case .eigh: Eigh.self
    case .svd: SVD.self
    case .pseudoInverse: PseudoInverse.self
    case .matmul: Matmul.self
    case .softmax: Softmax.self
    case .logSoftmax: LogSoftmax.self
    case .crossEntropy: CrossEntropy.self
    case .crossEntropyGradient: CrossEntropyGradient.self
    case .attention: Attention.self
    case .attentionGradient: AttentionGradient.self
    case .recurrence: Recurrence.self
    case .recurrenceGradient: RecurrenceGradient.self
    case .convolution: Convolution.self
    case .convolutionInputGradient: ConvolutionInputGradient.self
    case .convolutionWeightGradient: ConvolutionWeightGradient.self
    case .normalize: Normalize.self
    case .normalizeGradient: NormalizeGradient.self
    case .maxPool: MaxPool.self
    case .unpool: Unpool.self
    case .averagePool: AveragePool.self
    case .averagePoolGradient: AveragePoolGradient.self
    case .resample: Resample.self
    case .gridSample: GridSample.self
    case .gridSampleGradient: GridSampleGradient.self
    case .roiAlign: RoiAlign.self
    case .roiAlignGradient: RoiAlignGradient.self
    case .randomBits: RandomBits.self
    case .randomUniform: RandomUniform.self
    case .randomNormal: RandomNormal.self
    case .topK: TopK.self
    case .ctc: CTC.self
    case .ctcGradient: CTCGradient.self
    case .adamUpdate: AdamUpdate.self
    case .sgdUpdate: SGDUpdate.self
    case .fused: Fused.self
    case .fusedMatmul: FusedMatmul.self
    case .packKernels: PackKernels.self
    case .fusedConvolution: FusedConvolution.self
    case .normalizeRelu: NormalizeRelu.self
    case .normalizeReluGradient: NormalizeReluGradient.self
    case .joinedUpdates: JoinedUpdates.self
    case .print: Print.self
    case .assert: Assert.self
    case .branch: Branch.self
    case .loop: Loop.self
    case .loopGradient: LoopGradient.self
    case .scan: Scan.self
    }
  }

  package var id: OpID { OpID(rawValue) }
}
