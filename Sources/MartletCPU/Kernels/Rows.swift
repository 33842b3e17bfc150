import CKernels
import MartletCore
import MartletOps

func registerRows() {
  Kernels.register(Softmax.self, .cpu) { op, arguments in
    guard let x = Dense(arguments, 0) else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime(x) {} }
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    return KernelStatus(
      ck_softmax(arguments.dtype(0).code, outer, size, inner, arguments.outputPointer(), x.pointer))
  }
  Kernels.register(LogSoftmax.self, .cpu) { op, arguments in
    guard let x = Dense(arguments, 0) else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime(x) {} }
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    return KernelStatus(
      ck_log_softmax(arguments.dtype(0).code, outer, size, inner, arguments.outputPointer(), x.pointer))
  }
  Kernels.register(CrossEntropy.self, .cpu) { op, arguments in
    let dtype = arguments.dtype(0)
    guard dtype == .float32 || dtype == .float64 else { return .unsupported }
    guard let logits = Dense(arguments, 0), let labels = Dense(arguments, 1) else {
      return .library(Int64(CK_NO_MEMORY))
    }
    defer { withExtendedLifetime((logits, labels)) {} }
    let shape = arguments.shape(0)
    guard let sums = Storage(bytes: shape[0] * dtype.size) else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime(sums) {} }
    return KernelStatus(
      ck_cross_entropy(
        dtype.code, Int64(shape[0]), Int64(shape[1]), arguments.dtype(1).code, logits.pointer, labels.pointer,
        Int64(op.ignoreIndex), arguments.outputPointer(), sums.pointer))
  }
  Kernels.register(TopK.self, .cpu) { op, arguments in
    guard let x = Dense(arguments, 0) else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime(x) {} }
    let shape = arguments.shape(0)
    let size = shape[shape.rank - 1]
    let rows = size == 0 ? 0 : arguments.elementCount(0) / size
    return KernelStatus(
      ck_topk(
        arguments.dtype(0).code, Int64(rows), Int64(size), Int64(op.k), op.largest, arguments.outputPointer(0),
        arguments.outputPointer(1).assumingMemoryBound(to: Int64.self), x.pointer))
  }
}
