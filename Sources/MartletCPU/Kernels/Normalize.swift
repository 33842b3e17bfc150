import CKernels
import MartletCore
import MartletOps

func registerNormalize() {
  Kernels.register(Normalize.self, .cpu) { op, arguments in
    let (shape, dtype) = (arguments.shape(0), arguments.dtype(0))
    guard let x = Wide(arguments, 0), let y = WideResult(arguments, 0),
      let weight = OptionalInput(arguments, 1), let bias = OptionalInput(arguments, 2)
    else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime((x, weight, bias)) {} }
    let status = ck_normalize(
      (dtype == .float64 ? DType.float64 : .float32).code, Int64(shape[0]), Int64(shape[1]), Int64(shape[2]),
      Int64(op.sets.groups ?? 0), op.sets.epsilon, op.sets.isCentred, y.pointer, arguments.outputPointer(1),
      arguments.outputPointer(2), x.pointer, weight.wide?.pointer, bias.wide?.pointer)
    y.finish(arguments)
    return KernelStatus(status)
  }
  Kernels.register(NormalizeGradient.self, .cpu) { op, arguments in
    let (shape, dtype) = (arguments.shape(1), arguments.dtype(1))
    guard let g = Wide(arguments, 0), let x = Wide(arguments, 1), let mean = Dense(arguments, 2),
      let variance = Dense(arguments, 3), let weight = OptionalInput(arguments, 4), let dx = WideResult(arguments, 0),
      let dweight = OptionalResult(arguments, 1), let dbias = OptionalResult(arguments, 2)
    else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime((g, x, mean, variance, weight)) {} }
    let status = ck_normalize_grad(
      (dtype == .float64 ? DType.float64 : .float32).code, Int64(shape[0]), Int64(shape[1]), Int64(shape[2]),
      Int64(op.sets.groups ?? 0), op.sets.epsilon, op.sets.isCentred, dx.pointer, dweight.wide?.pointer,
      dbias.wide?.pointer, g.pointer, x.pointer, mean.pointer, variance.pointer, weight.wide?.pointer)
    dx.finish(arguments)
    dweight.wide?.finish(arguments)
    dbias.wide?.finish(arguments)
    return KernelStatus(status)
  }
}

/// An input in row-major order; 16-bit floats as float32.
private struct Wide {
  let pointer: UnsafeMutableRawPointer
  private let dense: Dense
  private let storage: Storage?

  init?(_ arguments: borrowing KernelArguments, _ position: Int) {
    guard let dense = Dense(arguments, position) else { return nil }
    self.dense = dense
    let dtype = arguments.dtype(position)
    guard dtype.size == 2 else {
      (pointer, storage) = (dense.pointer, nil)
      return
    }
    let count = arguments.elementCount(position)
    guard let storage = Storage(bytes: count * 4) else { return nil }
    _ = ck_cast_flat(dtype.code, DType.float32.code, Int64(count), storage.pointer, dense.pointer)
    (pointer, self.storage) = (storage.pointer, storage)
  }
}

/// An input that may be missing; nil without memory.
private struct OptionalInput {
  let wide: Wide?
  init?(_ arguments: borrowing KernelArguments, _ position: Int) {
    guard position < arguments.inputCount else {
      wide = nil
      return
    }
    guard let wide = Wide(arguments, position) else { return nil }
    self.wide = wide
  }
}

/// Where a result is written: itself, or float32 for one of 16 bits.
private struct WideResult {
  let pointer: UnsafeMutableRawPointer
  private let storage: Storage?
  private let position: Int

  init?(_ arguments: borrowing KernelArguments, _ position: Int) {
    self.position = position
    guard arguments.outputSpec(position).dtype.size == 2 else {
      (pointer, storage) = (arguments.outputPointer(position), nil)
      return
    }
    guard let storage = Storage(bytes: arguments.outputElementCount(position) * 4) else { return nil }
    (pointer, self.storage) = (storage.pointer, storage)
  }

  /// Rounds what was written.
  func finish(_ arguments: borrowing KernelArguments) {
    guard let storage else { return }
    _ = ck_cast_flat(
      DType.float32.code, arguments.outputSpec(position).dtype.code, Int64(arguments.outputElementCount(position)),
      arguments.outputPointer(position), storage.pointer)
  }
}

/// A result that may be missing; nil without memory.
private struct OptionalResult {
  let wide: WideResult?
  init?(_ arguments: borrowing KernelArguments, _ position: Int) {
    guard position < arguments.outputCount else {
      wide = nil
      return
    }
    guard let wide = WideResult(arguments, position) else { return nil }
    self.wide = wide
  }
}
