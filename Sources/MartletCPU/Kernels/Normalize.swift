import CKernels
import MartletCore
import MartletOps

func registerNormalize() {
  Kernels.register(Normalize.self, .cpu) { op, arguments in
    let shape = arguments.shape(0)
    guard let x = Wide(arguments, 0), let y = WideResult(arguments, 0),
      let weight = OptionalInput(arguments, 1), let bias = OptionalInput(arguments, 2)
    else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime((x, weight, bias)) {} }
    let status = ck_normalize(
      x.code, Int64(shape[0]), Int64(shape[1]), Int64(shape[2]),
      Int64(op.sets.groups ?? 0), op.sets.epsilon, op.sets.isCentred, y.pointer, arguments.outputPointer(1),
      arguments.outputPointer(2), x.pointer, weight.wide?.pointer, bias.wide?.pointer)
    y.finish(arguments)
    return KernelStatus(status)
  }
  Kernels.register(NormalizeGradient.self, .cpu) { op, arguments in
    let shape = arguments.shape(1)
    guard let g = Wide(arguments, 0), let x = Wide(arguments, 1), let mean = Dense(arguments, 2),
      let variance = Dense(arguments, 3), let weight = OptionalInput(arguments, 4), let dx = WideResult(arguments, 0),
      let dweight = OptionalResult(arguments, 1), let dbias = OptionalResult(arguments, 2)
    else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime((g, x, mean, variance, weight)) {} }
    let status = ck_normalize_grad(
      x.code, Int64(shape[0]), Int64(shape[1]), Int64(shape[2]),
      Int64(op.sets.groups ?? 0), op.sets.epsilon, op.sets.isCentred, dx.pointer, dweight.wide?.pointer,
      dbias.wide?.pointer, g.pointer, x.pointer, mean.pointer, variance.pointer, weight.wide?.pointer)
    dx.finish(arguments)
    dweight.wide?.finish(arguments)
    dbias.wide?.finish(arguments)
    return KernelStatus(status)
  }
}
