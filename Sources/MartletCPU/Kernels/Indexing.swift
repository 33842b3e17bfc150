import CKernels
import MartletCore
import MartletOps

func registerIndexing() {
  Kernels.register(Gather.self, .cpu) { op, arguments in
    guard let x = Dense(arguments, 0), let indices = Dense(arguments, 1) else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime((x, indices)) {} }
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    return KernelStatus(
      ck_gather(
        arguments.dtype(0).code, outer, size, inner, Int64(arguments.shape(1)[op.axis]), arguments.outputPointer(),
        x.pointer, arguments.dtype(1).code, indices.pointer))
  }
  Kernels.register(ScatterAdd.self, .cpu) { op, arguments in
    guard let indices = Dense(arguments, 1), let values = Dense(arguments, 2) else {
      return .library(Int64(CK_NO_MEMORY))
    }
    defer { withExtendedLifetime((indices, values)) {} }
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    if let bad = badIndex(indices.pointer, arguments.dtype(1), arguments.elementCount(1), size) { return bad }
    base(arguments)
    return KernelStatus(
      ck_scatter_add(
        arguments.dtype(0).code, outer, size, inner, Int64(arguments.shape(1)[op.axis]), arguments.outputPointer(),
        arguments.dtype(1).code, indices.pointer, values.pointer))
  }
  Kernels.register(ScatterReduce.self, .cpu) { op, arguments in
    guard let indices = Dense(arguments, 1), let values = Dense(arguments, 2) else {
      return .library(Int64(CK_NO_MEMORY))
    }
    defer { withExtendedLifetime((indices, values)) {} }
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    if let bad = badIndex(indices.pointer, arguments.dtype(1), arguments.elementCount(1), size) { return bad }
    base(arguments)
    let code =
      switch op.kind {
      case .product: CK_MUL
      case .maximum: CK_MAXIMUM
      case .minimum: CK_MINIMUM
      }
    return KernelStatus(
      ck_scatter_reduce(
        Int32(code), arguments.dtype(0).code, outer, size, inner, Int64(arguments.shape(1)[op.axis]),
        arguments.outputPointer(), arguments.dtype(1).code, indices.pointer, values.pointer))
  }
  Kernels.register(Take.self, .cpu) { op, arguments in
    guard let x = Dense(arguments, 0), let indices = Dense(arguments, 1) else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime((x, indices)) {} }
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    return KernelStatus(
      ck_take(
        arguments.dtype(0).code, outer, size, inner, Int64(arguments.elementCount(1)), arguments.outputPointer(),
        x.pointer, arguments.dtype(1).code, indices.pointer))
  }
  Kernels.register(TakeAdd.self, .cpu) { op, arguments in
    guard let indices = Dense(arguments, 1), let values = Dense(arguments, 2) else {
      return .library(Int64(CK_NO_MEMORY))
    }
    defer { withExtendedLifetime((indices, values)) {} }
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    if let bad = badIndex(indices.pointer, arguments.dtype(1), arguments.elementCount(1), size) { return bad }
    base(arguments)
    return KernelStatus(
      ck_take_add(
        arguments.dtype(0).code, outer, size, inner, Int64(arguments.elementCount(1)), arguments.outputPointer(),
        arguments.dtype(1).code, indices.pointer, values.pointer))
  }
  Kernels.register(TakeUpdate.self, .cpu) { op, arguments in
    guard let indices = Dense(arguments, 1), let values = Dense(arguments, 2) else {
      return .library(Int64(CK_NO_MEMORY))
    }
    defer { withExtendedLifetime((indices, values)) {} }
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    let count = arguments.elementCount(1)
    if let bad = badIndex(indices.pointer, arguments.dtype(1), count, size) { return bad }
    base(arguments)
    let bytes = Int(inner) * arguments.dtype(0).size
    let wide = arguments.dtype(1) == .int64
    let out = arguments.outputPointer()
    for o in 0..<Int(outer) {
      for j in 0..<count {
        let index =
          wide
          ? Int(indices.pointer.load(fromByteOffset: j * 8, as: Int64.self))
          : Int(indices.pointer.load(fromByteOffset: j * 4, as: Int32.self))
        (out + (o * Int(size) + index) * bytes).copyMemory(
          from: values.pointer + (o * count + j) * bytes, byteCount: bytes)
      }
    }
    return .ok
  }
}

/// Indices are checked before anything is written, so that a failed update has changed nothing.
private func badIndex(_ pointer: UnsafeRawPointer, _ dtype: DType, _ count: Int, _ size: Int64) -> KernelStatus? {
  for position in 0..<count {
    let index =
      dtype == .int64
      ? pointer.load(fromByteOffset: position * 8, as: Int64.self)
      : Int64(pointer.load(fromByteOffset: position * 4, as: Int32.self))
    if index < 0 || index >= size { return .badIndex(index) }
  }
  return nil
}
