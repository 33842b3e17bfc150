// To and from Swift values and memory.

extension Tensor {
  /// A tensor of the given shape with the elements of an array, in row-major order, and their dtype; numbers that are written
  /// out, `Tensor([0.5, 1])`, are `float32`, or `int64` where all are whole.
  ///
  /// Traps when the number of elements is not that of the shape.
  @_disfavoredOverload
  public init<S: TensorScalar>(_ elements: [S], shape: Shape? = nil, device: Device = .current) {
    self.init(copying: elements, shape, device)
  }
  /// Written out, as in `Tensor([0.5, 1])`, numbers are `float32`.
  public init(_ elements: [Float], shape: Shape? = nil, device: Device = .current) {
    self.init(copying: elements, shape, device)
  }
  /// Written out, as in `Tensor([1, 2])`, whole numbers are `int64`.
  public init(_ elements: [Int], shape: Shape? = nil, device: Device = .current) {
    self.init(copying: elements, shape, device)
  }

  package init<S: TensorScalar>(copying elements: [S], _ shape: Shape?, _ device: Device) {
    let shape = shape ?? [elements.count]
    guard shape.checkedElementCount == elements.count else {
      self = failure(
        .misuse(
          "\(ErrorText.counted(elements.count, "element")) \(elements.count == 1 ? "does" : "do") not fill the shape \(shape)",
          rule: "the sizes of the shape multiply to the number of elements"), op: "Tensor")
      return
    }
    self = Tensor.make(TensorSpec(shape, S.dtype, device: device)) { target in
      elements.withUnsafeBytes { target.copyMemory(from: $0) }
    }
  }

  /// A tensor without axes, of the number's dtype; a number that is written out, `Tensor(0.5)`, is `float32`, or `int64` if it
  /// is whole.
  @_disfavoredOverload
  public init<S: TensorScalar>(_ value: S, device: Device = .current) { self.init(copying: value, device) }
  /// Written out, as in `Tensor(0.5)`, a number is `float32`.
  public init(_ value: Float, device: Device = .current) { self.init(copying: value, device) }
  /// Written out, as in `Tensor(3)`, a whole number is `int64`.
  public init(_ value: Int, device: Device = .current) { self.init(copying: value, device) }

  /// A number in a complex dtype.
  package init(scalar value: Complex<Double>, _ dtype: DType, device: Device) {
    self = Tensor.make(TensorSpec([], dtype, device: device)) { $0.store(value, 0, dtype) }
  }

  private init<S: TensorScalar>(copying value: S, _ device: Device) {
    self = Tensor.make(TensorSpec([], S.dtype, device: device)) { $0.storeBytes(of: value, as: S.self) }
  }

  /// A scalar of a given dtype, rounded to it.
  package init(scalar value: Double, _ dtype: DType, device: Device) {
    self = Tensor.make(TensorSpec([], dtype, device: device)) { $0.store(value, 0, dtype) }
  }

  /// A tensor over memory that the caller lends: nothing is copied, and `owner` is kept alive as long as a tensor uses it.
  ///
  /// The memory must not change while tensors use it; tensors never write to it. Only for devices whose memory is the
  /// program's (the CPU).
  public init(borrowing bytes: UnsafeRawBufferPointer, shape: Shape, dtype: DType, owner: AnyObject) {
    let spec = TensorSpec(shape, dtype)
    guard let count = shape.checkedElementCount, let needed = spec.checkedByteCount, needed <= bytes.count else {
      self = failure(
        .misuse(
          "\(ErrorText.counted(bytes.count, "byte")) \(bytes.count == 1 ? "is" : "are") too few for \(spec)",
          rule: "elements × \(dtype.size) bytes"),
        op: "Tensor(borrowing:)")
      return
    }
    guard Int(bitPattern: bytes.baseAddress) % dtype.size == 0 else {
      self = failure(
        .misuse(
          "the memory does not start at a multiple of \(dtype.size) bytes", rule: "elements are aligned to their size",
          remedy: "Tensor(_:shape:), which copies"), op: "Tensor(borrowing:)")
      return
    }
    if count == 0 {
      self = Tensor.make(spec) { _ in }
      return
    }
    let storage = Storage(
      borrowing: UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes: count * dtype.size, owner: owner)
    node = TensorNode(spec: spec, storage: storage)
  }

  /// A tensor whose elements `body` writes, in row-major order.
  package static func make(_ spec: TensorSpec, _ body: (UnsafeMutableRawBufferPointer) -> Void) -> Tensor {
    do throws(OpError) {
      let onHost = try uninitialized(spec)
      body(UnsafeMutableRawBufferPointer(start: onHost.node.pointer, count: spec.byteCount))
      if Origins.areOn { Origins.note(onHost, "Tensor") }
      return onHost
    } catch { return fail(error)[0] }
  }

  /// Calls `body` with the elements in row-major order, without a copy when they lie so.
  ///
  /// Runs pending operations and waits for the device. Traps for tensors without a value (mapped, symbolic).
  public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R? {
    try withUnsafeBytes(op: "value", body)
  }

  /// - Parameter op: What error texts call the reading.
  private func withUnsafeBytes<R>(op: String, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R? {
    let plain: Tensor
    do throws(OpError) {
      plain = try concrete()
      try Executors.synchronize(plain.device)
    } catch {
      fail(error.op.isEmpty ? OpError(error.fact, op: op, arguments: [spec]) : error, [self])
      return nil
    }
    if plain.isContiguous {
      defer { withExtendedLifetime(plain) {} }
      return try body(UnsafeRawBufferPointer(start: plain.node.pointer, count: plain.spec.byteCount))
    }
    return try plain.gathered().withUnsafeBytes { try body($0) }
  }

  /// The bytes of the elements in row-major order. Only for plain tensors.
  private func gathered() -> [UInt8] {
    if self.count == 0 { return [] }  // the initialiser below would write to the empty array that all threads share
    let size = dtype.size
    let strides = node.elementStrides
    let base = UnsafeRawPointer(node.pointer)
    defer { withExtendedLifetime(self) {} }
    return [UInt8](unsafeUninitializedCapacity: spec.byteCount) { buffer, count in
      var index = Shape(repeating: 0, count: rank)
      var position = 0
      for target in 0..<self.count {
        (UnsafeMutableRawPointer(buffer.baseAddress!) + target * size).copyMemory(
          from: base + position * size, byteCount: size)
        var axis = rank - 1
        while axis >= 0 {
          index[axis] += 1
          position += strides[axis]
          if index[axis] < shape[axis] { break }
          position -= strides[axis] * shape[axis]
          index[axis] = 0
          axis -= 1
        }
      }
      count = spec.byteCount
    }
  }

  /// The elements in row-major order, converted to `S`; floats are cut to integers toward zero and clamped to their range.
  ///
  /// Traps where complex elements are to become real ones.
  public func array<S: TensorScalar>(as type: S.Type = S.self) -> [S] { array(op: "array") }

  private func array<S: TensorScalar>(op: String) -> [S] {
    if dtype.isComplex, !S.dtype.isComplex {
      _ = failure(
        .misuse(
          "\(dtype) elements cannot be read as \(S.self)", rule: "real numbers have no imaginary part",
          remedy: "array(as: Complex<Float>.self), or .real, .imaginary or abs(z) first"), op: op, [self])
      return [S](repeating: Scalars.nothing(), count: count)
    }
    let result = withUnsafeBytes(op: op) { bytes -> [S] in
      if S.dtype == dtype { return Array(bytes.bindMemory(to: S.self)) }
      return (0..<count).map { Scalars.convert(bytes, $0, dtype) }
    }
    return result ?? [S](repeating: Scalars.nothing(), count: count)
  }

  /// The elements as floats, in row-major order.
  public var floats: [Float] { array(op: "floats") }

  /// The only element. Runs what is pending and waits for the device.
  ///
  /// Traps when the tensor has several elements, or no value (mapped, symbolic): `file` and `line` are for that text. An
  /// error tensor gives NaN.
  public func item<S: TensorScalar>(as type: S.Type, file: StaticString = #fileID, line: UInt = #line) -> S {
    guard count == 1 else {
      _ = failure(.notScalar, op: "item", [self])
      return Scalars.nothing()
    }
    if node.trace != nil, let fact = missingValue {
      var error = OpError(fact, op: "item", arguments: [spec])
      error.place = "\(file):\(line)"
      fail(error, [self])
      return Scalars.nothing()
    }
    return array(as: S.self)[0]
  }

  /// The only element as a `Double`.
  public func item(file: StaticString = #fileID, line: UInt = #line) -> Double {
    item(as: Double.self, file: file, line: line)
  }

  /// The elements as `Double`, for printing and statistics.
  package var doubles: [Double] { array() }
}

extension UnsafeMutableRawBufferPointer {
  /// Stores a number as an element of `dtype`.
  package func store(_ value: Double, _ index: Int, _ dtype: DType) {
    let offset = index * dtype.size
    switch dtype {
    case .bool: storeBytes(of: value != 0 ? 1 : 0, toByteOffset: offset, as: UInt8.self)
    case .uint8: storeBytes(of: UInt8(clampedTo: value), toByteOffset: offset, as: UInt8.self)
    case .int8: storeBytes(of: Int8(clampedTo: value), toByteOffset: offset, as: Int8.self)
    case .int16: storeBytes(of: Int16(clampedTo: value), toByteOffset: offset, as: Int16.self)
    case .int32: storeBytes(of: Int32(clampedTo: value), toByteOffset: offset, as: Int32.self)
    case .int64: storeBytes(of: Int64(clampedTo: value), toByteOffset: offset, as: Int64.self)
    case .uint32: storeBytes(of: UInt32(clampedTo: value), toByteOffset: offset, as: UInt32.self)
    case .float16: storeBytes(of: Float16(value), toByteOffset: offset, as: Float16.self)
    case .bfloat16: storeBytes(of: BFloat16(Float(value)), toByteOffset: offset, as: BFloat16.self)
    case .float32: storeBytes(of: Float(value), toByteOffset: offset, as: Float.self)
    case .float64: storeBytes(of: value, toByteOffset: offset, as: Double.self)
    case .complex64, .complex128: store(Complex<Double>(value), index, dtype)
    }
  }
}

extension UnsafeMutableRawBufferPointer {
  /// Stores a number as an element of a complex dtype.
  package func store(_ value: Complex<Double>, _ index: Int, _ dtype: DType) {
    if dtype == .complex64 {
      storeBytes(of: Float(value.real), toByteOffset: index * 8, as: Float.self)
      storeBytes(of: Float(value.imaginary), toByteOffset: index * 8 + 4, as: Float.self)
    } else {
      storeBytes(of: value.real, toByteOffset: index * 16, as: Double.self)
      storeBytes(of: value.imaginary, toByteOffset: index * 16 + 8, as: Double.self)
    }
  }
}

extension FixedWidthInteger {
  /// The integer part, clamped to the range; 0 for NaN.
  package init(clampedTo value: Double) {
    if value.isNaN {
      self = 0
    } else if value >= Double(Self.max) {
      self = .max
    } else if value <= Double(Self.min) {
      self = .min
    } else {
      self = Self(value)
    }
  }
}

package enum Scalars {
  /// Element `index` of memory that holds elements of `dtype`.
  package static func load(_ bytes: UnsafeRawBufferPointer, _ index: Int, _ dtype: DType) -> Double {
    let offset = index * dtype.size
    return switch dtype {
    case .bool, .uint8: Double(bytes.loadUnaligned(fromByteOffset: offset, as: UInt8.self))
    case .int8: Double(bytes.loadUnaligned(fromByteOffset: offset, as: Int8.self))
    case .int16: Double(bytes.loadUnaligned(fromByteOffset: offset, as: Int16.self))
    case .int32: Double(bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self))
    case .int64: Double(bytes.loadUnaligned(fromByteOffset: offset, as: Int64.self))
    case .uint32: Double(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    case .float16: Double(bytes.loadUnaligned(fromByteOffset: offset, as: Float16.self))
    case .bfloat16: bytes.loadUnaligned(fromByteOffset: offset, as: BFloat16.self).doubleValue
    case .float32: Double(bytes.loadUnaligned(fromByteOffset: offset, as: Float.self))
    case .float64: bytes.loadUnaligned(fromByteOffset: offset, as: Double.self)
    case .complex64, .complex128: loadComplex(bytes, index, dtype).real
    }
  }

  /// Element `index` of memory that holds elements of `dtype`, as a complex number.
  package static func loadComplex(_ bytes: UnsafeRawBufferPointer, _ index: Int, _ dtype: DType) -> Complex<Double> {
    let part = dtype.realPart
    guard dtype.isComplex else { return Complex<Double>(load(bytes, index, dtype)) }
    return Complex<Double>(load(bytes, 2 * index, part), load(bytes, 2 * index + 1, part))
  }

  /// Element `index` as an `S`. Integers pass exactly.
  static func convert<S: TensorScalar>(_ bytes: UnsafeRawBufferPointer, _ index: Int, _ dtype: DType) -> S {
    if dtype == .int64, S.dtype == .int64 {
      return unsafeBitCast(bytes.loadUnaligned(fromByteOffset: index * 8, as: Int64.self), to: S.self)
    }
    return S.dtype.isComplex ? make(loadComplex(bytes, index, dtype)) : make(load(bytes, index, dtype))
  }

  static func make<S: TensorScalar>(_ value: Double) -> S {
    withUnsafeTemporaryAllocation(byteCount: 16, alignment: 16) { buffer in
      buffer.store(value, 0, S.dtype)
      return buffer.load(as: S.self)
    }
  }

  /// A complex `S`.
  private static func make<S: TensorScalar>(_ value: Complex<Double>) -> S {
    withUnsafeTemporaryAllocation(byteCount: 16, alignment: 16) { buffer in
      buffer.store(value, 0, S.dtype)
      return buffer.load(as: S.self)
    }
  }

  /// What error tensors yield: NaN, or 0 for integers.
  static func nothing<S: TensorScalar>() -> S { make(.nan) }
}
