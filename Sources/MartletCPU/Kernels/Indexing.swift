import CKernels
import MartletCore
import MartletOps

func registerIndexing() {
  reading(Gather.self) { op, arguments, x, indices in
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    return ck_gather(
      arguments.dtype(0).code, outer, size, inner, Int64(arguments.shape(1)[op.axis]), arguments.outputPointer(), x,
      arguments.dtype(1).code, indices)
  }
  reading(Take.self) { op, arguments, x, indices in
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    return ck_take(
      arguments.dtype(0).code, outer, size, inner, Int64(arguments.elementCount(1)), arguments.outputPointer(), x,
      arguments.dtype(1).code, indices)
  }
  writing(ScatterAdd.self) { op, arguments, indices, values in
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    return ck_scatter_add(
      arguments.dtype(0).code, outer, size, inner, Int64(arguments.shape(1)[op.axis]), arguments.outputPointer(),
      arguments.dtype(1).code, indices, values)
  }
  writing(ScatterReduce.self) { op, arguments, indices, values in
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    let code =
      switch op.kind {
      case .product: CK_MUL
      case .maximum: CK_MAXIMUM
      case .minimum: CK_MINIMUM
      }
    return ck_scatter_reduce(
      Int32(code), arguments.dtype(0).code, outer, size, inner, Int64(arguments.shape(1)[op.axis]),
      arguments.outputPointer(), arguments.dtype(1).code, indices, values)
  }
  writing(TakeAdd.self) { op, arguments, indices, values in
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    return ck_take_add(
      arguments.dtype(0).code, outer, size, inner, Int64(arguments.elementCount(1)), arguments.outputPointer(),
      arguments.dtype(1).code, indices, values)
  }
  writing(TakeUpdate.self) { op, arguments, indices, values in
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    let count = arguments.elementCount(1)
    let bytes = Int(inner) * arguments.dtype(0).size
    let wide = arguments.dtype(1) == .int64
    let out = arguments.outputPointer()
    for o in 0..<Int(outer) {
      for j in 0..<count {
        let index =
          wide
          ? Int(indices.load(fromByteOffset: j * 8, as: Int64.self))
          : Int(indices.load(fromByteOffset: j * 4, as: Int32.self))
        (out + (o * Int(size) + index) * bytes).copyMemory(from: values + (o * count + j) * bytes, byteCount: bytes)
      }
    }
    return Int32(CK_OK)
  }
  Kernels.register(SearchSorted.self, .cpu) { op, arguments in
    guard let sorted = Dense(arguments, 0), let values = Dense(arguments, 1) else {
      return .library(Int64(CK_NO_MEMORY))
    }
    defer { withExtendedLifetime((sorted, values)) {} }
    let (row, shape) = (arguments.shape(0), arguments.shape(1))
    let shared = row.rank == 1
    let rows = shared ? 1 : shape[..<(shape.rank - 1)].reduce(1, *)
    return KernelStatus(
      ck_search_sorted(
        arguments.dtype(0).code, Int64(rows), Int64(row[row.rank - 1]),
        Int64(shared ? arguments.elementCount(1) : shape[shape.rank - 1]), shared, op.right,
        arguments.outputPointer().assumingMemoryBound(to: Int64.self), sorted.pointer, values.pointer))
  }
  Kernels.register(SortRows.self, .cpu) { _, arguments in
    guard let x = Dense(arguments, 0) else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime(x) {} }
    let shape = arguments.shape(0)
    return KernelStatus(
      ck_sort_rows(
        arguments.dtype(0).code, Int64(shape[0]), Int64(shape[1]),
        arguments.outputPointer().assumingMemoryBound(to: Int64.self), x.pointer))
  }
}

/// Registers an operation of a tensor and indices.
private func reading<O: IndexingOp>(
  _ type: O.Type,
  _ body: @escaping @Sendable (O, borrowing KernelArguments, UnsafeRawPointer, UnsafeRawPointer) -> ck_status
) {
  Kernels.register(type, .cpu) { op, arguments in
    guard let x = Dense(arguments, 0), let indices = Dense(arguments, 1) else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime((x, indices)) {} }
    return KernelStatus(body(op, arguments, x.pointer, indices.pointer))
  }
}

/// Registers an operation that writes values at indices into the output, which holds the base by then. Indices are checked
/// before anything is written, so that a failed update has changed nothing.
private func writing<O: IndexingOp>(
  _ type: O.Type,
  _ body: @escaping @Sendable (O, borrowing KernelArguments, UnsafeRawPointer, UnsafeRawPointer) -> Int32
) {
  Kernels.register(type, .cpu) { op, arguments in
    guard let indices = Dense(arguments, 1), let values = Dense(arguments, 2) else {
      return .library(Int64(CK_NO_MEMORY))
    }
    defer { withExtendedLifetime((indices, values)) {} }
    let size = Int64(arguments.shape(0)[op.axis])
    let status = ck_check_indices(arguments.dtype(1).code, Int64(arguments.elementCount(1)), indices.pointer, size)
    if status.code != CK_OK { return KernelStatus(status) }
    base(arguments)
    return KernelStatus(body(op, arguments, indices.pointer, values.pointer))
  }
}
