import CKernels
import MartletCore
import MartletOps

func registerNormalize() {
  Kernels.register(Normalize.self, .cpu) { op, arguments in forward(op.sets, arguments, isRectified: false) }
  Kernels.register(NormalizeRelu.self, .cpu) { op, arguments in forward(op.sets, arguments, isRectified: true) }
  Kernels.register(NormalizeGradient.self, .cpu) { op, arguments in backward(op.sets, arguments, isRectified: false) }
  Kernels.register(NormalizeReluGradient.self, .cpu) { op, arguments in
    backward(op.sets, arguments, isRectified: true)
  }
}

private func forward(
  _ sets: NormalizedSets, _ arguments: borrowing KernelArguments, isRectified: Bool
) -> KernelStatus {
  let sizes = NormalizedSizes(sets, arguments.shape(0), arguments.outputStrides())
  guard let x = Dense(arguments, 0, like: arguments.outputStrides()), let weight = MaybeDense(arguments, 1),
    let bias = MaybeDense(arguments, 2)
  else { return .library(Int64(CK_NO_MEMORY)) }
  defer { withExtendedLifetime((x, weight, bias)) {} }
  return KernelStatus(
    ck_normalize(
      arguments.dtype(0).code, sizes.examples, sizes.channels, sizes.inner, Int64(sets.groups ?? 0), sets.epsilon,
      sets.isCentred, isRectified, arguments.outputPointer(), arguments.outputPointer(1), arguments.outputPointer(2),
      arguments.outputCount > 3 ? arguments.outputPointer(3) : nil, x.pointer, weight.dense?.pointer,
      bias.dense?.pointer))
}

/// With a rectifier its factors are before the weight.
private func backward(
  _ sets: NormalizedSets, _ arguments: borrowing KernelArguments, isRectified: Bool
) -> KernelStatus {
  let strides = arguments.outputStrides()
  let sizes = NormalizedSizes(sets, arguments.shape(1), strides)
  guard let g = Dense(arguments, 0, like: strides), let x = Dense(arguments, 1, like: strides),
    let mean = Dense(arguments, 2), let variance = Dense(arguments, 3),
    let factors = MaybeDense(arguments, isRectified ? 4 : arguments.inputCount),
    let weight = MaybeDense(arguments, isRectified ? 5 : 4)
  else { return .library(Int64(CK_NO_MEMORY)) }
  defer { withExtendedLifetime((g, x, mean, variance, factors, weight)) {} }
  return KernelStatus(
    ck_normalize_grad(
      arguments.dtype(1).code, sizes.examples, sizes.channels, sizes.inner, Int64(sets.groups ?? 0), sets.epsilon,
      sets.isCentred, arguments.outputPointer(), arguments.outputCount > 1 ? arguments.outputPointer(1) : nil,
      arguments.outputCount > 2 ? arguments.outputPointer(2) : nil, g.pointer, x.pointer, mean.pointer,
      variance.pointer, weight.dense?.pointer, factors.dense?.pointer))
}

/// `[N, C, S]` as the kernels see it: channels-last batches are `[N · S, C, 1]`.
private struct NormalizedSizes {
  let examples: Int64
  let channels: Int64
  let inner: Int64

  init(_ sets: NormalizedSets, _ shape: Shape, _ strides: Shape) {
    let isLast = sets.groups == nil && strides != shape.contiguousStrides
    examples = Int64(isLast ? shape[0] * shape[2] : shape[0])
    channels = Int64(shape[1])
    inner = Int64(isLast ? 1 : shape[2])
  }
}
