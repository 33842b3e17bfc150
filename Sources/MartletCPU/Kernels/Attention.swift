import CKernels
import MartletCore
import MartletOps

func registerAttention() {
  Kernels.register(Attention.self, .cpu) { op, arguments in
    guard arguments.dtype(0) != .float64 else { return .unsupported }
    let dtype = attentionDType(arguments)
    guard let q = Heads(arguments, 0, dtype), let k = Heads(arguments, 1, dtype), let v = Heads(arguments, 2, dtype),
      let mask = MaskOperand(op, arguments, 3), let y = HeadsResult(arguments, 0, dtype, isContiguous: false),
      let sums = DenseResult(arguments, 1)
    else { return .library(Int64(CK_NO_MEMORY)) }
    var attention = ck_attention(op, arguments, q, k, v, mask, dtype)
    attention.out = y.strides
    let status = ck_attend(
      &attention, y.pointer, sums.pointer.assumingMemoryBound(to: Float.self), q.pointer, k.pointer, v.pointer,
      mask.pointer)
    y.finish(arguments, 0)
    sums.finish(arguments, 1)
    withExtendedLifetime((q, k, v, mask, y, sums)) {}
    return KernelStatus(status)
  }
  Kernels.register(AttentionGradient.self, .cpu) { op, arguments in
    guard arguments.dtype(0) != .float64 else { return .unsupported }
    let dtype = attentionDType(arguments)
    guard let q = Heads(arguments, 0, dtype), let k = Heads(arguments, 1, dtype), let v = Heads(arguments, 2, dtype),
      let g = Heads(arguments, 3, dtype), let logSums = Dense(arguments, 4), let delta = Dense(arguments, 5),
      let mask = MaskOperand(op, arguments, 6), let dq = HeadsResult(arguments, 0, dtype, isContiguous: true),
      let dk = HeadsResult(arguments, 1, dtype, isContiguous: true),
      let dv = HeadsResult(arguments, 2, dtype, isContiguous: true)
    else { return .library(Int64(CK_NO_MEMORY)) }
    var attention = ck_attention(op, arguments, q, k, v, mask, dtype)
    attention.out = g.strides
    let status = ck_attend_grad(
      &attention, dq.pointer, dk.pointer, dv.pointer, q.pointer, k.pointer, v.pointer, g.pointer,
      UnsafePointer(logSums.pointer.assumingMemoryBound(to: Float.self)),
      UnsafePointer(delta.pointer.assumingMemoryBound(to: Float.self)), mask.pointer)
    dq.finish(arguments, 0)
    dk.finish(arguments, 1)
    dv.finish(arguments, 2)
    withExtendedLifetime((q, k, v, g, logSums)) {}
    withExtendedLifetime((delta, mask, dq, dk, dv)) {}
    return KernelStatus(status)
  }
}

/// What the kernels compute in: the operands' dtype where they take it, else float32.
private func attentionDType(_ arguments: borrowing KernelArguments) -> DType {
  let dtype = arguments.dtype(0)
  let (q, v) = (arguments.shape(0), arguments.shape(2))
  return ck_attends(dtype.code, Int64(q[q.rank - 1]), Int64(v[v.rank - 1])) ? dtype : .float32
}

/// How `[…, heads, rows, features]` lies: its leading axes are one, and its features follow each other.
private struct HeadsLayout {
  let batch: Int
  let head: Int
  let row: Int

  /// Nil where the kernels cannot take it so. 16-bit floats are read in pairs, which begin at multiples of their size.
  init?(_ shape: Shape, _ strides: Shape, _ dtype: DType, _ pointer: UnsafeRawPointer) {
    let rank = shape.rank
    guard shape[rank - 1] == 1 || strides[rank - 1] == 1, let batch = HeadsLayout.batchStride(shape, strides) else {
      return nil
    }
    (self.batch, head, row) = (batch, strides[rank - 3], strides[rank - 2])
    let inPairs = (batch | head | row) % 2 == 0 && UInt(bitPattern: pointer) % 4 == 0
    guard dtype.size == 4 || inPairs else { return nil }
  }

  var strides: (Int64, Int64, Int64) { (Int64(batch), Int64(head), Int64(row)) }

  /// The stride of all axes before the heads as one axis; nil when they are not one.
  static func batchStride(_ shape: Shape, _ strides: Shape) -> Int? {
    var result: Int?
    var step = 0
    for axis in (0..<(shape.rank - 3)).reversed() where shape[axis] != 1 {
      if result == nil { result = strides[axis] } else if strides[axis] != step { return nil }
      step = strides[axis] * shape[axis]
    }
    return result ?? 0
  }
}

/// An operand `[…, heads, rows, features]` in the kernel's dtype: as it lies, or a copy.
private struct Heads {
  let pointer: UnsafeRawPointer
  /// Of batch, head and row.
  let strides: (Int64, Int64, Int64)
  private let storage: Storage?

  init?(_ arguments: borrowing KernelArguments, _ position: Int, _ dtype: DType) {
    let spec = arguments.spec(position)
    let given = arguments.strides(position)
    let source = arguments.pointer(position)
    if spec.dtype == dtype, let layout = HeadsLayout(spec.shape, given, dtype, source) {
      (pointer, strides, storage) = (UnsafeRawPointer(source), layout.strides, nil)
      return
    }
    let own = spec.shape.contiguousStrides
    guard let copy = Storage(bytes: spec.count * dtype.size),
      let layout = HeadsLayout(spec.shape, own, dtype, copy.pointer)
    else { return nil }
    var nd = ck_nd(spec.shape)
    nd.set(0, spec.shape, own, to: spec.shape)
    nd.set(1, spec.shape, given, to: spec.shape)
    _ =
      dtype == spec.dtype
      ? ck_copy(dtype.code, &nd, copy.pointer, source)
      : ck_cast(spec.dtype.code, dtype.code, &nd, copy.pointer, source)
    (pointer, strides, storage) = (UnsafeRawPointer(copy.pointer), layout.strides, copy)
  }
}

/// A result `[…, heads, rows, features]` in the kernel's dtype: the output itself, or memory that is copied to it at the end.
private struct HeadsResult {
  let pointer: UnsafeMutableRawPointer
  let strides: (Int64, Int64, Int64)
  private let dtype: DType
  private let storage: Storage?

  /// `isContiguous`: the kernel writes row by row.
  init?(_ arguments: borrowing KernelArguments, _ position: Int, _ dtype: DType, isContiguous: Bool) {
    let spec = arguments.outputSpec(position)
    let given = arguments.outputStrides(position)
    let own = spec.shape.contiguousStrides
    let output = arguments.outputPointer(position)
    self.dtype = dtype
    if spec.dtype == dtype, !isContiguous || given == own, let layout = HeadsLayout(spec.shape, given, dtype, output) {
      (pointer, strides, storage) = (output, layout.strides, nil)
      return
    }
    guard let storage = Storage(bytes: spec.count * dtype.size),
      let layout = HeadsLayout(spec.shape, own, dtype, storage.pointer)
    else { return nil }
    (pointer, strides, self.storage) = (storage.pointer, layout.strides, storage)
  }

  func finish(_ arguments: borrowing KernelArguments, _ position: Int) {
    if storage != nil { store(pointer, dtype, arguments, position) }
  }
}

/// A mask as bools or float32, with its strides over the scores.
private struct MaskOperand {
  let pointer: UnsafeRawPointer?
  let strides: (Int64, Int64, Int64, Int64)
  let isBool: Bool
  private let storage: Storage?

  init?<O: AttentionOp>(_ op: O, _ arguments: borrowing KernelArguments, _ position: Int) {
    guard op.hasMask else {
      (pointer, strides, isBool, storage) = (nil, (0, 0, 0, 0), false, nil)
      return
    }
    let spec = arguments.spec(position)
    isBool = spec.dtype == .bool
    var source = UnsafeRawPointer(arguments.pointer(position))
    var own = arguments.strides(position)
    var storage: Storage?
    let scores = op.scoreShape(arguments.shape(0), arguments.shape(1))
    let rank = scores.rank
    func over(_ shape: Shape, _ own: Shape) -> Shape {
      var strides = scores
      let shift = rank - shape.rank
      for axis in 0..<rank { strides[axis] = axis < shift || shape[axis - shift] == 1 ? 0 : own[axis - shift] }
      return strides
    }
    var wide = over(spec.shape, own)
    // Examples that are neither one axis nor all alike are written out, as are other floats: over the leading axes of the
    // scores, and over the mask's own sizes of the others.
    if HeadsLayout.batchStride(scores, wide) == nil || !isBool && spec.dtype != .float32 {
      var shape = scores
      for axis in (rank - 3)..<rank {
        let source = axis - (rank - spec.rank)
        shape[axis] = source < 0 ? 1 : spec.shape[source]
      }
      let type: DType = isBool ? .bool : .float32
      guard let copy = Storage(bytes: shape.elementCount * type.size) else { return nil }
      var nd = ck_nd(shape)
      nd.set(0, shape, shape.contiguousStrides, to: shape)
      nd.set(1, spec.shape, own, to: shape)
      _ = ck_cast(spec.dtype.code, type.code, &nd, copy.pointer, source)
      (storage, source) = (copy, UnsafeRawPointer(copy.pointer))
      own = shape.contiguousStrides
      wide = over(shape, own)
    }
    self.storage = storage
    pointer = source
    strides = (
      Int64(HeadsLayout.batchStride(scores, wide)!), Int64(wide[rank - 3]), Int64(wide[rank - 2]), Int64(wide[rank - 1])
    )
  }
}

extension ck_attention {
  fileprivate init<O: AttentionOp>(
    _ op: O, _ arguments: borrowing KernelArguments, _ q: Heads, _ k: Heads, _ v: Heads, _ mask: MaskOperand,
    _ dtype: DType
  ) {
    self.init()
    let (queries, keys, values) = (arguments.shape(0), arguments.shape(1), arguments.shape(2))
    let rank = queries.rank
    batch = Int64((0..<(rank - 3)).reduce(1) { $0 * queries[$1] })
    heads = Int64(queries[rank - 3])
    kv_heads = Int64(keys[rank - 3])
    rows = Int64(queries[rank - 2])
    columns = Int64(keys[rank - 2])
    depth = Int64(queries[rank - 1])
    value_depth = Int64(values[rank - 1])
    (self.q, self.k, self.v, self.mask) = (q.strides, k.strides, v.strides, mask.strides)
    mask_is_bool = mask.isBool
    scale = Float(op.scale)
    causal = op.isCausal
    self.dtype = dtype.code
    dropout = Float(op.dropout)
    if op.dropout > 0 {
      let position = arguments.inputCount - 1
      let key = arguments.pointer(position).assumingMemoryBound(to: Int64.self)
      let step = arguments.strides(position)[0]
      self.key = (key[0], key[step], key[2 * step])
    }
  }
}
