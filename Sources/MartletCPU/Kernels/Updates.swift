import CKernels
import MartletCore
import MartletOps

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

func registerUpdates() {
  Kernels.register(AdamUpdate.self, .cpu) { op, arguments in
    let dtype = arguments.dtype(0)
    guard dtype == .float32 || dtype == .float64 else { return .unsupported }
    guard let p = Dense(arguments, 0), let g = Dense(arguments, 1), let m = Dense(arguments, 3),
      let v = Dense(arguments, 4)
    else { return .library(Int64(CK_NO_MEMORY)) }
    var top: Dense?
    if op.amsgrad {
      guard let dense = Dense(arguments, 6) else { return .library(Int64(CK_NO_MEMORY)) }
      top = dense
    }
    defer { withExtendedLifetime((p, g, m, v, top)) {} }
    let step = scalar(arguments, 5)
    return KernelStatus(
      ck_adam(
        dtype.code, Int64(arguments.elementCount(0)), arguments.outputPointer(0), arguments.outputPointer(1),
        arguments.outputPointer(2), op.amsgrad ? arguments.outputPointer(3) : nil, p.pointer, g.pointer, m.pointer,
        v.pointer, top?.pointer, scalar(arguments, 2), op.beta1, op.beta2, op.epsilon, op.weightDecay, op.decoupled,
        1 - pow(op.beta1, step), 1 - pow(op.beta2, step)))
  }
  Kernels.register(SGDUpdate.self, .cpu) { op, arguments in
    let dtype = arguments.dtype(0)
    guard dtype == .float32 || dtype == .float64 else { return .unsupported }
    guard let p = Dense(arguments, 0), let g = Dense(arguments, 1) else { return .library(Int64(CK_NO_MEMORY)) }
    var b: Dense?
    if arguments.inputCount == 4 {
      guard let dense = Dense(arguments, 3) else { return .library(Int64(CK_NO_MEMORY)) }
      b = dense
    }
    defer { withExtendedLifetime((p, g, b)) {} }
    let hasMomentum = op.momentum != 0
    return KernelStatus(
      ck_sgd(
        dtype.code, Int64(arguments.elementCount(0)), arguments.outputPointer(0),
        hasMomentum ? arguments.outputPointer(1) : nil, p.pointer, g.pointer,
        hasMomentum ? b?.pointer ?? g.pointer : nil, scalar(arguments, 2), op.momentum, op.dampening, op.weightDecay,
        op.nesterov, b == nil))
  }
}

/// The value of a scalar argument.
private func scalar(_ arguments: borrowing KernelArguments, _ position: Int) -> Double {
  let bytes = UnsafeRawBufferPointer(start: arguments.pointer(position), count: 8)
  return Scalars.load(bytes, 0, arguments.dtype(position))
}
