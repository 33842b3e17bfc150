import MartletCore
import MartletOps

// How the naive kernels read and write: all elements of an input in row-major order of some shape, as numbers that hold
// them exactly. Everything is read before anything is written, because an output may take over an input's memory.

/// The positions in memory, in elements, of all elements of `shape`, to which an operand of shape `own` is broadcast.
func positions(of shape: Shape, _ own: Shape, _ strides: Shape) -> [Int] {
  let extra = shape.rank - own.rank
  var result = [0]
  for axis in 0..<shape.rank {
    let step = axis < extra || own[axis - extra] == 1 && shape[axis] != 1 ? 0 : strides[axis - extra]
    result = result.flatMap { start in (0..<shape[axis]).map { start + $0 * step } }
  }
  return result
}

extension KernelArguments {
  /// The elements of an input, broadcast to `shape`, as read by `read` from the memory of one element.
  private func elements<R>(_ index: Int, _ shape: Shape?, _ read: (UnsafeRawBufferPointer) -> R) -> [R] {
    let spec = spec(index)
    let base = UnsafeRawPointer(pointer(index))
    let size = spec.dtype.size
    return positions(of: shape ?? spec.shape, spec.shape, strides(index)).map {
      read(UnsafeRawBufferPointer(start: base + $0 * size, count: size))
    }
  }

  /// The elements as `Double`; exact but for large `int64`.
  func doubles(_ index: Int, as shape: Shape? = nil) -> [Double] {
    let dtype = spec(index).dtype
    return elements(index, shape) { Scalars.load($0, 0, dtype) }
  }

  /// The elements of an integer or bool input.
  func integers(_ index: Int, as shape: Shape? = nil) -> [Int64] {
    guard spec(index).dtype == .int64 else { return doubles(index, as: shape).map { Int64($0) } }
    return elements(index, shape) { $0.loadUnaligned(as: Int64.self) }
  }

  /// The elements as complex numbers.
  func complexNumbers(_ index: Int, as shape: Shape? = nil) -> [Complex<Double>] {
    let dtype = spec(index).dtype
    return elements(index, shape) { Scalars.loadComplex($0, 0, dtype) }
  }

  /// The bits of the elements, for operations that only move them.
  func bits(_ index: Int, as shape: Shape? = nil) -> [UInt128] {
    elements(index, shape) { bytes in
      switch bytes.count {
      case 1: UInt128(bytes.loadUnaligned(as: UInt8.self))
      case 2: UInt128(bytes.loadUnaligned(as: UInt16.self))
      case 4: UInt128(bytes.loadUnaligned(as: UInt32.self))
      case 8: UInt128(bytes.loadUnaligned(as: UInt64.self))
      default: bytes.loadUnaligned(as: UInt128.self)
      }
    }
  }

  private func target(_ output: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: outputPointer(output), count: outputSpec(output).byteCount)
  }

  /// Writes an output, each element rounded to its dtype.
  func write(_ values: [Double], to output: Int = 0) {
    let dtype = outputSpec(output).dtype
    let target = target(output)
    for (index, value) in values.enumerated() { target.store(value, index, dtype) }
  }

  /// Writes an integer or bool output; values beyond the range of the dtype wrap.
  func write(_ values: [Int64], to output: Int = 0) {
    let dtype = outputSpec(output).dtype
    let target = target(output)
    for (index, value) in values.enumerated() {
      let offset = index * dtype.size
      switch dtype {
      case .bool: target.storeBytes(of: value != 0 ? 1 : 0, toByteOffset: offset, as: UInt8.self)
      case .uint8: target.storeBytes(of: UInt8(truncatingIfNeeded: value), toByteOffset: offset, as: UInt8.self)
      case .int8: target.storeBytes(of: Int8(truncatingIfNeeded: value), toByteOffset: offset, as: Int8.self)
      case .int16: target.storeBytes(of: Int16(truncatingIfNeeded: value), toByteOffset: offset, as: Int16.self)
      case .int32: target.storeBytes(of: Int32(truncatingIfNeeded: value), toByteOffset: offset, as: Int32.self)
      case .uint32: target.storeBytes(of: UInt32(truncatingIfNeeded: value), toByteOffset: offset, as: UInt32.self)
      case .int64: target.storeBytes(of: value, toByteOffset: offset, as: Int64.self)
      // Directly: by way of Double a large number would be rounded twice.
      case .float32: target.storeBytes(of: Float(value), toByteOffset: offset, as: Float.self)
      case .float16, .bfloat16, .float64, .complex64, .complex128: target.store(Double(value), index, dtype)
      }
    }
  }

  /// Writes a complex output.
  func write(complex values: [Complex<Double>], to output: Int = 0) {
    let dtype = outputSpec(output).dtype
    let target = target(output)
    for (index, value) in values.enumerated() { target.store(value, index, dtype) }
  }

  /// Writes elements that were only moved.
  func write(bits values: [UInt128], to output: Int = 0) {
    let size = outputSpec(output).dtype.size
    let target = target(output)
    for (index, value) in values.enumerated() {
      let offset = index * size
      switch size {
      case 1: target.storeBytes(of: UInt8(truncatingIfNeeded: value), toByteOffset: offset, as: UInt8.self)
      case 2: target.storeBytes(of: UInt16(truncatingIfNeeded: value), toByteOffset: offset, as: UInt16.self)
      case 4: target.storeBytes(of: UInt32(truncatingIfNeeded: value), toByteOffset: offset, as: UInt32.self)
      case 8: target.storeBytes(of: UInt64(truncatingIfNeeded: value), toByteOffset: offset, as: UInt64.self)
      default: target.storeBytes(of: value, toByteOffset: offset, as: UInt128.self)
      }
    }
  }
}

/// A shape seen as the axes before one axis, the axis, and the axes behind it.
struct Blocks {
  let outer: Int
  let size: Int
  let inner: Int
  init(_ shape: Shape, axis: Int, count: Int = 1) {
    outer = shape[..<axis].reduce(1, *)
    size = shape[axis..<(axis + count)].reduce(1, *)
    inner = shape[(axis + count)...].reduce(1, *)
  }
  /// The place of an element in row-major order.
  func place(_ o: Int, _ j: Int, _ i: Int) -> Int { (o * size + j) * inner + i }
}

/// Makes a naive kernel that cannot fail.
func naive<O: Op>(_ type: O.Type, _ body: @escaping @Sendable (O, borrowing KernelArguments) -> Void) {
  Kernels.register(type, .reference) { op, arguments in
    body(op, arguments)
    return .ok
  }
}
