import COneDNN
import CKernels
import MartletCore
import MartletOps

func registerMatmul() {
  Kernels.register(Matmul.self, .cpu) { _, arguments in
    if let status = small(arguments) { return status }
    return multiply(arguments, nil)
  }
  FusedMatmul.isFast = { op, a, b in
    takes(op.function, a.dtype, a.count / Swift.max(1, b.shape[0]), b.shape[1], b.shape[0])
  }
  Kernels.register(FusedMatmul.self, .cpu) { op, arguments in
    let (a, b) = (arguments.spec(0), arguments.shape(1))
    guard takes(op.function, a.dtype, a.count / Swift.max(1, b[0]), b[1], b[0]) else { return .unsupported }
    guard let bias = MaybeDense(arguments, op.hasBias ? 2 : arguments.inputCount),
      let added = MaybeDense(arguments, op.adds ? arguments.inputCount - 1 : arguments.inputCount)
    else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime((bias, added)) {} }
    let tail = Tail(bias: bias.dense?.pointer, added: added.dense?.pointer, function: op.function, widens: op.widens)
    if let status = small(arguments) {
      let shape = arguments.outputSpec().shape
      tail.finish(arguments.outputPointer(), rows: shape[0], columns: shape[1])
      return status
    }
    return multiply(arguments, tail)
  }
}

/// What follows a product of float32 or bfloat16.
private struct Tail {
  let bias: UnsafeMutableRawPointer?
  let added: UnsafeMutableRawPointer?
  let function: FusedMatmul.Function?
  let widens: Bool

  /// Applies it to float32 numbers in place.
  func finish(_ out: UnsafeMutableRawPointer, rows: Int, columns: Int) {
    ck_matmul_finish_f32(
      Int64(rows), Int64(columns), out.assumingMemoryBound(to: Float.self), bias?.assumingMemoryBound(to: Float.self),
      added?.assumingMemoryBound(to: Float.self), function == .relu)
  }
}

/// Whether products are own work: too small for oneDNN.
private func isSmall(_ dtype: DType, _ m: Int, _ n: Int, _ k: Int) -> Bool { dtype == .float32 && m * n * k <= 1 << 18 }

/// Whether what follows a product is done by what makes it.
private func takes(_ function: FusedMatmul.Function?, _ dtype: DType, _ m: Int, _ n: Int, _ k: Int) -> Bool {
  if m == 0 || n == 0 || k == 0 { return false }
  if isSmall(dtype, m, n, k) { return function == nil || function == .relu }
  return dn_available() && dnnlType(dtype) != nil && function != .relu
}

private func dnnlType(_ dtype: DType) -> Int32? {
  switch dtype {
  case .float32: Int32(DN_F32)
  case .bfloat16: Int32(DN_BF16)
  default: nil
  }
}

private func multiply(_ arguments: borrowing KernelArguments, _ tail: Tail?) -> KernelStatus {
  let (a, c) = (arguments.spec(0), arguments.outputSpec())
  let m = c.shape[c.rank - 2]
  let n = c.shape[c.rank - 1]
  let k = a.shape[a.rank - 1]
  if c.count == 0 { return .ok }
  // A product of all rows as one takes what follows it.
  guard let left = Factor(arguments, 0, isDense: tail != nil && a.rank > 2), let right = Factor(arguments, 1) else {
    return .library(Int64(CK_NO_MEMORY))
  }
  defer { withExtendedLifetime((left, right)) {} }
  let out = arguments.outputPointer()
  if k == 0 {
    out.initializeMemory(as: UInt8.self, repeating: 0, count: c.byteCount)
    return .ok
  }
  var batch = Batch(c.shape, left, right)
  var product = Product(dtype: a.dtype, m: m, n: n, k: k, left: left, right: right, tail: tail)
  if let step = batch.rows(left, right, m: m) {
    product.m = step
    batch = Batch(single: ())
  }
  return product.run(batch, out)
}

/// The product of two small float32 matrices, without looking further; nil for others.
@inline(__always)
private func small(_ arguments: borrowing KernelArguments) -> KernelStatus? {
  let (a, b) = (arguments.shape(0), arguments.shape(1))
  guard a.rank == 2, b.rank == 2, arguments.dtype(0) == .float32 else { return nil }
  let (m, k, n) = (a[0], a[1], b[1])
  guard m > 0, n > 0, k > 0, isSmall(.float32, m, n, k), let left = leading(a, arguments.strides(0)),
    let right = leading(b, arguments.strides(1))
  else { return nil }
  ck_matmul_small_f32(
    Int64(m), Int64(n), Int64(k), arguments.pointer(0).assumingMemoryBound(to: Float.self), Int64(left.elements),
    left.isTransposed, arguments.pointer(1).assumingMemoryBound(to: Float.self), Int64(right.elements),
    right.isTransposed, arguments.outputPointer().assumingMemoryBound(to: Float.self), Int64(n))
  return .ok
}

/// Elements from one stored row of a matrix to the next; nil when neither rows nor columns are stored whole. The stride of an
/// axis of size 1 means nothing.
@inline(__always)
private func leading(_ shape: Shape, _ strides: Shape) -> (elements: Int, isTransposed: Bool)? {
  let (rows, columns) = (shape[0], shape[1])
  if columns == 1 || strides[1] == 1 {
    let elements = rows == 1 ? columns : strides[0]
    if elements >= columns { return (elements, false) }
  }
  if rows == 1 || strides[0] == 1 {
    let elements = columns == 1 ? rows : strides[1]
    if elements >= rows { return (elements, true) }
  }
  return nil
}

/// An operand of a matrix product, with a unit stride along one of its last axes where oneDNN and the small kernel need it.
private struct Factor {
  let pointer: UnsafeMutableRawPointer
  let shape: Shape
  let strides: Shape
  let row: Int
  let column: Int
  private let storage: Storage?

  /// - Parameter isDense: Whether the rows must follow each other through the leading axes.
  init?(_ arguments: borrowing KernelArguments, _ position: Int, isDense: Bool = false) {
    let spec = arguments.spec(position)
    shape = spec.shape
    let rank = spec.rank
    var strides = arguments.strides(position)
    // The stride of an axis of size 1 means nothing; give it the value that makes the matrix regular.
    if shape[rank - 1] == 1 { strides[rank - 1] = 1 }
    if shape[rank - 2] == 1 { strides[rank - 2] = shape[rank - 1] * strides[rank - 1] }
    let (row, column) = (strides[rank - 2], strides[rank - 1])
    let regular =
      isDense
      ? strides == shape.contiguousStrides
      : column == 1 && row >= shape[rank - 1] || row == 1 && column >= shape[rank - 2]
    if regular {
      pointer = arguments.pointer(position)
      storage = nil
    } else {
      guard let storage = Storage(bytes: spec.byteCount) else { return nil }
      copy(spec, arguments.strides(position), arguments.pointer(position), to: storage.pointer)
      pointer = storage.pointer
      self.storage = storage
      strides = spec.shape.contiguousStrides
    }
    self.strides = strides
    self.row = strides[rank - 2]
    self.column = strides[rank - 1]
  }

  var isTransposed: Bool { column != 1 }
  /// Elements from one stored row to the next.
  var leading: Int { isTransposed ? column : row }
}

/// The leading axes of a product, with the operands' strides over them.
private struct Batch {
  var sizes: [Int] = []
  var left: [Int] = []
  var right: [Int] = []
  var count: Int { sizes.reduce(1, *) }

  init(single: Void) {}

  init(_ shape: Shape, _ a: Factor, _ b: Factor) {
    for axis in 0..<(shape.rank - 2) where shape[axis] != 1 {
      sizes.append(shape[axis])
      func stride(_ factor: Factor) -> Int {
        let source = axis - (shape.rank - factor.shape.rank)
        return source < 0 || factor.shape[source] == 1 ? 0 : factor.strides[source]
      }
      left.append(stride(a))
      right.append(stride(b))
    }
    // Axes that lie one inside the other in both operands are one axis.
    var axis = sizes.count - 1
    while axis > 0 {
      if left[axis - 1] == left[axis] * sizes[axis], right[axis - 1] == right[axis] * sizes[axis] {
        sizes[axis - 1] *= sizes[axis]
        left[axis - 1] = left[axis]
        right[axis - 1] = right[axis]
        sizes.remove(at: axis)
        left.remove(at: axis)
        right.remove(at: axis)
      }
      axis -= 1
    }
  }

  /// The rows of one product that does the whole batch: the right operand is shared and the left one's rows follow each
  /// other through the batch.
  func rows(_ a: Factor, _ b: Factor, m: Int) -> Int? {
    guard sizes.count == 1, right[0] == 0, !a.isTransposed, left[0] == a.row * m else { return nil }
    return sizes[0] * m
  }
}

private struct Product {
  let dtype: DType
  var m: Int
  let n: Int
  let k: Int
  let left: Factor
  let right: Factor
  /// Where there is one the product is one, and one that `takes` takes.
  let tail: Tail?

  func run(_ batch: Batch, _ out: UnsafeMutableRawPointer) -> KernelStatus {
    let size = dtype.size
    let isRow = dtype == .float32 && m == 1 && !right.isTransposed && tail?.function == nil
    let small = isSmall(dtype, m, n, k) || isRow
    if !small, dn_available(), let code = dnnlType(dtype), batch.sizes.count <= 1 {
      return MatmulPrimitive.run(
        spec(batch, code), left.pointer, right.pointer, out, bias: tail?.bias, added: tail?.added)
    }
    if small {
      // Each product is whole on one thread, so their number changes nothing.
      let sizes = Shape(batch.sizes)
      var nd = ck_nd(sizes)
      nd.set(0, sizes, Shape(sizes.contiguousStrides.map { $0 * m * n }), to: sizes)
      nd.set(1, sizes, Shape(batch.left), to: sizes)
      nd.set(2, sizes, Shape(batch.right), to: sizes)
      ck_matmul_small_batch_f32(
        &nd, Int64(m), Int64(n), Int64(k), left.pointer.assumingMemoryBound(to: Float.self), Int64(left.leading),
        left.isTransposed, right.pointer.assumingMemoryBound(to: Float.self), Int64(right.leading), right.isTransposed,
        out.assumingMemoryBound(to: Float.self), Int64(n))
      tail?.finish(out, rows: m, columns: n)
      return .ok
    }
    var index = [Int](repeating: 0, count: batch.sizes.count)
    for number in 0..<batch.count {
      let a = left.pointer + zip(index, batch.left).reduce(0) { $0 + $1.0 * $1.1 } * size
      let b = right.pointer + zip(index, batch.right).reduce(0) { $0 + $1.0 * $1.1 } * size
      let c = out + number * m * n * size
      let status: KernelStatus
      if dn_available(), let code = dnnlType(dtype) {
        status = MatmulPrimitive.run(spec(Batch(single: ()), code), a, b, c)
      } else {
        status = KernelStatus(
          ck_matmul_generic(
            dtype.code, Int64(m), Int64(n), Int64(k), a, Int64(left.row), Int64(left.column), b, Int64(right.row),
            Int64(right.column), c, Int64(n)))
      }
      if status.code != 0 { return status }
      var axis = batch.sizes.count - 1
      while axis >= 0 {
        index[axis] += 1
        if index[axis] < batch.sizes[axis] { break }
        index[axis] = 0
        axis -= 1
      }
    }
    return .ok
  }

  private func spec(_ batch: Batch, _ code: Int32) -> dn_matmul_spec {
    var spec = dn_matmul_spec()
    spec.m = Int64(m)
    spec.n = Int64(n)
    spec.k = Int64(k)
    spec.batch = Int64(batch.count)
    spec.a_batch = Int64(batch.left.first ?? 0)
    spec.a_row = Int64(left.row)
    spec.a_column = Int64(left.column)
    spec.b_batch = Int64(batch.right.first ?? 0)
    spec.b_row = Int64(right.row)
    spec.b_column = Int64(right.column)
    spec.c_batch = Int64(m * n)
    spec.c_row = Int64(n)
    spec.dtype = code
    spec.threads = ck_threads()
    spec.bias = tail?.bias == nil ? 0 : 1
    spec.adds = tail?.added == nil ? 0 : 1
    spec.wide = tail?.widens == true ? 1 : 0
    spec.function =
      switch tail?.function {
      case .gelu: Int32(DN_GELU)
      case .geluTanh: Int32(DN_GELU_TANH)
      case .silu: Int32(DN_SILU)
      case .relu, nil: Int32(DN_IDENTITY)
      }
    return spec
  }
}
