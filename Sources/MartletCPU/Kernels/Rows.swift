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
    guard let logits = Logits(arguments), let labels = Dense(arguments, 1) else {
      return .library(Int64(CK_NO_MEMORY))
    }
    defer { withExtendedLifetime((logits, labels)) {} }
    return KernelStatus(
      ck_cross_entropy(
        dtype.code, logits.outer, logits.classes, logits.inner, arguments.dtype(1).code, logits.pointer,
        labels.pointer, Int64(op.ignoreIndex), arguments.outputPointer()))
  }
  Kernels.register(CrossEntropyGradient.self, .cpu) { op, arguments in
    let dtype = arguments.dtype(0)
    guard dtype == .float32 || dtype == .float64 else { return .unsupported }
    guard let logits = Logits(arguments, givesLogits: true), let labels = Dense(arguments, 1),
      let scale = Dense(arguments, 2),
      let result = logits.areLast ? DenseResult(arguments, 0, as: ()) : DenseResult(arguments, 0)
    else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime((logits, labels, scale, result)) {} }
    let status = ck_cross_entropy_grad(
      dtype.code, logits.outer, logits.classes, logits.inner, arguments.dtype(1).code, result.pointer, logits.pointer,
      labels.pointer, Int64(op.ignoreIndex), scale.pointer)
    result.finish(arguments, 0)
    return KernelStatus(status)
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

/// Logits `[B, K, …]` as `[outer, classes, inner]`: as they lie in row-major or channels-last order, else a copy in
/// row-major order.
private struct Logits {
  let outer, classes, inner: Int64
  /// Whether the classes lie next to each other in logits of more than two axes.
  let areLast: Bool
  private let dense: Dense
  var pointer: UnsafeMutableRawPointer { dense.pointer }

  /// `givesLogits`: whether the result, which has their shape, must lie like them.
  init?(_ arguments: borrowing KernelArguments, givesLogits: Bool = false) {
    let shape = arguments.shape(0)
    areLast =
      !arguments.isContiguous(0) && Order.isChannelsLast(shape, arguments.strides(0))
      && (!givesLogits || Order.isChannelsLast(shape, arguments.outputStrides()))
    guard let dense = areLast ? Dense(arguments, 0, as: ()) : Dense(arguments, 0) else { return nil }
    self.dense = dense
    let positions = shape[2...].reduce(1, *)
    classes = Int64(shape[1])
    outer = Int64(areLast ? shape[0] * positions : shape[0])
    inner = Int64(areLast ? 1 : positions)
  }
}
