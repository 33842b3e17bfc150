import CKernels
import MartletCore
import MartletOps

func registerNormalize() {
  Kernels.register(Normalize.self, .cpu) { op, arguments in
    let sizes = NormalizedSizes(op.sets, arguments.shape(0), arguments.outputStrides())
    guard let x = Dense(arguments, 0, like: arguments.outputStrides()), let weight = MaybeDense(arguments, 1),
      let bias = MaybeDense(arguments, 2)
    else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime((x, weight, bias)) {} }
    return KernelStatus(
      ck_normalize(
        arguments.dtype(0).code, sizes.examples, sizes.channels, sizes.inner, Int64(op.sets.groups ?? 0),
        op.sets.epsilon, op.sets.isCentred, arguments.outputPointer(), arguments.outputPointer(1),
        arguments.outputPointer(2), x.pointer, weight.dense?.pointer, bias.dense?.pointer))
  }
  Kernels.register(NormalizeGradient.self, .cpu) { op, arguments in
    let strides = arguments.outputStrides()
    let sizes = NormalizedSizes(op.sets, arguments.shape(1), strides)
    guard let g = Dense(arguments, 0, like: strides), let x = Dense(arguments, 1, like: strides),
      let mean = Dense(arguments, 2), let variance = Dense(arguments, 3), let weight = MaybeDense(arguments, 4)
    else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime((g, x, mean, variance, weight)) {} }
    return KernelStatus(
      ck_normalize_grad(
        arguments.dtype(1).code, sizes.examples, sizes.channels, sizes.inner, Int64(op.sets.groups ?? 0),
        op.sets.epsilon, op.sets.isCentred, arguments.outputPointer(),
        arguments.outputCount > 1 ? arguments.outputPointer(1) : nil,
        arguments.outputCount > 2 ? arguments.outputPointer(2) : nil, g.pointer, x.pointer, mean.pointer,
        variance.pointer, weight.dense?.pointer))
  }
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
