import CKernels
import MartletCore

extension ck_nd {
  /// Sets the shape over which an operation runs; scalars run over one element.
  init(_ shape: Shape) {
    self.init()
    rank = Int32(shape.rank)
    withUnsafeMutableBytes(of: &self.shape) { raw in
      let sizes = raw.bindMemory(to: Int64.self)
      for axis in 0..<shape.rank { sizes[axis] = Int64(shape[axis]) }
    }
  }

  /// Strides of operand `slot` (0: the output), whose shape broadcasts to `target`.
  mutating func set(_ slot: Int, _ shape: Shape, _ strides: Shape, to target: Shape) {
    withUnsafeMutableBytes(of: &self.strides) { raw in
      let all = raw.bindMemory(to: Int64.self)
      let shift = target.rank - shape.rank
      for axis in 0..<target.rank {
        let source = axis - shift
        all[slot * 8 + axis] =
          source < 0 || shape[source] != target[axis] ? 0 : Int64(strides[source])
      }
    }
  }

  /// Output and inputs of a broadcasting operation.
  init(_ arguments: borrowing KernelArguments) {
    let target = arguments.outputSpec().shape
    self.init(target)
    set(0, target, arguments.outputStrides(), to: target)
    for position in 0..<arguments.inputCount {
      set(position + 1, arguments.shape(position), arguments.strides(position), to: target)
    }
  }
}

/// An operand in row-major order without gaps: itself, or a copy in pooled memory.
///
/// The copy lives as long as the operand: keep that by `withExtendedLifetime` beyond the last use of the pointer, else the
/// memory goes back to the pool before the kernel has read it.
struct Dense {
  let pointer: UnsafeMutableRawPointer
  private let storage: Storage?

  /// The operand as it lies, which the kernel knows to read.
  init?(_ arguments: borrowing KernelArguments, _ position: Int, as given: Void) {
    pointer = arguments.pointer(position)
    storage = nil
  }

  init?(_ arguments: borrowing KernelArguments, _ position: Int) {
    if arguments.isContiguous(position) {
      self.init(arguments, position, as: ())
    } else {
      self.init(arguments, position, like: arguments.shape(position).contiguousStrides)
    }
  }

  /// The operand in an order without gaps: itself, or a copy.
  init?(_ arguments: borrowing KernelArguments, _ position: Int, like strides: Shape) {
    let spec = arguments.spec(position)
    let given = arguments.strides(position)
    if (0..<spec.rank).allSatisfy({ given[$0] == strides[$0] || spec.shape[$0] == 1 }) {
      pointer = arguments.pointer(position)
      storage = nil
      return
    }
    guard let storage = Storage(bytes: spec.byteCount) else { return nil }
    copy(spec, given, arguments.pointer(position), to: storage.pointer, like: strides)
    pointer = storage.pointer
    self.storage = storage
  }
}

/// An input that may be missing; nil without memory.
struct MaybeDense {
  let dense: Dense?
  init?(_ arguments: borrowing KernelArguments, _ position: Int) {
    guard position < arguments.inputCount else {
      dense = nil
      return
    }
    guard let dense = Dense(arguments, position) else { return nil }
    self.dense = dense
  }
}

/// A result in row-major order: the output itself, or pooled memory that `finish` copies to it.
struct DenseResult {
  let pointer: UnsafeMutableRawPointer
  private let storage: Storage?

  /// The output as it lies, which the kernel knows to write.
  init?(_ arguments: borrowing KernelArguments, _ position: Int, as given: Void) {
    pointer = arguments.outputPointer(position)
    storage = nil
  }

  init?(_ arguments: borrowing KernelArguments, _ position: Int) {
    let spec = arguments.outputSpec(position)
    if arguments.outputStrides(position) == spec.shape.contiguousStrides {
      pointer = arguments.outputPointer(position)
      storage = nil
      return
    }
    guard let storage = Storage(bytes: spec.byteCount) else { return nil }
    pointer = storage.pointer
    self.storage = storage
  }

  func finish(_ arguments: borrowing KernelArguments, _ position: Int) {
    if storage != nil { store(pointer, arguments.outputSpec(position).dtype, arguments, position) }
  }
}

/// Writes row-major elements of a dtype to an output, in its dtype and as it lies.
func store(_ source: UnsafeRawPointer, _ dtype: DType, _ arguments: borrowing KernelArguments, _ position: Int) {
  let spec = arguments.outputSpec(position)
  var nd = ck_nd(spec.shape)
  nd.set(0, spec.shape, arguments.outputStrides(position), to: spec.shape)
  nd.set(1, spec.shape, spec.shape.contiguousStrides, to: spec.shape)
  let target = arguments.outputPointer(position)
  _ =
    dtype == spec.dtype
    ? ck_copy(dtype.code, &nd, target, source) : ck_cast(dtype.code, spec.dtype.code, &nd, target, source)
}

/// Copies a strided operand to row-major order, or to that of other strides.
func copy(
  _ spec: TensorSpec, _ strides: Shape, _ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer,
  like order: Shape? = nil
) {
  var nd = ck_nd(spec.shape)
  nd.set(0, spec.shape, order ?? spec.shape.contiguousStrides, to: spec.shape)
  nd.set(1, spec.shape, strides, to: spec.shape)
  _ = ck_copy(spec.dtype.code, &nd, target, source)
}

/// The first input as the output, unless the output has taken over its memory.
func base(_ arguments: borrowing KernelArguments) {
  if arguments.pointer(0) == arguments.outputPointer(), arguments.isContiguous(0) { return }
  copy(arguments.spec(0), arguments.strides(0), arguments.pointer(0), to: arguments.outputPointer())
}

extension Shape {
  /// The products of the sizes before, at and behind an axis.
  func around(_ axis: Int) -> (outer: Int64, size: Int64, inner: Int64) {
    var outer = 1
    var inner = 1
    for other in 0..<rank {
      if other < axis { outer *= self[other] } else if other > axis { inner *= self[other] }
    }
    return (Int64(outer), Int64(self[axis]), Int64(inner))
  }
}
