public import MartletCore

extension Tensor {
  /// Equal elements, in memory of their own.
  public init(repeating value: Double, _ spec: TensorSpec) {
    let size = spec.dtype.size
    guard spec.shape.checkedElementCount != nil else {
      self = failure(.tooLarge(spec.shape), op: "Tensor")
      return
    }
    self = Tensor.make(spec) { target in
      guard let base = target.baseAddress, target.count > 0 else { return }
      target.store(value, 0, spec.dtype)
      // Doubling copies run at the speed of memory.
      var filled = size
      while filled < target.count {
        let part = Swift.min(filled, target.count - filled)
        (base + filled).copyMemory(from: base, byteCount: part)
        filled += part
      }
    }
  }

  /// Equal elements.
  public init(repeating value: Double, _ shape: Shape, dtype: DType = .float32, device: Device = .current) {
    self.init(repeating: value, TensorSpec(shape, dtype, device: device))
  }

  /// Zeros.
  public static func zeros(_ shape: Shape, dtype: DType = .float32, device: Device = .current) -> Tensor {
    Tensor(repeating: 0, shape, dtype: dtype, device: device)
  }
  /// Ones.
  public static func ones(_ shape: Shape, dtype: DType = .float32, device: Device = .current) -> Tensor {
    Tensor(repeating: 1, shape, dtype: dtype, device: device)
  }
  /// Zeros: `Tensor.zeros(2, 3)`.
  public static func zeros(_ sizes: Int..., dtype: DType = .float32) -> Tensor { zeros(Shape(sizes), dtype: dtype) }
  /// Ones: `Tensor.ones(2, 3)`.
  public static func ones(_ sizes: Int..., dtype: DType = .float32) -> Tensor { ones(Shape(sizes), dtype: dtype) }
  /// `start, start + step, …`, before `stop`.
  public static func range(
    from start: Double = 0, to stop: Double, by step: Double = 1, dtype: DType = .float32, device: Device = .current
  ) -> Tensor {
    guard step != 0, Swift.abs((stop - start) / step) < 0x1p53 else {
      return failure(
        .misuse(
          "the range from \(start) to \(stop) by \(step) has no end, or too many elements",
          rule: "a finite range and a step other than 0"),
        op: "range")
    }
    let count = Swift.max(0, Int(((stop - start) / step).rounded(.up)))
    return Tensor.make(TensorSpec([count], dtype, device: device)) { target in
      for index in 0..<count { target.store(start + Double(index) * step, index, dtype) }
    }
  }
  /// The identity matrix.
  public static func identity(_ size: Int, dtype: DType = .float32, device: Device = .current) -> Tensor {
    var result = Tensor(repeating: 0, [size * size], dtype: dtype, device: device)
    guard size > 0 else { return result.reshaped([0, 0]) }
    let region = Region(starts: [0], sizes: [size], steps: [size + 1])
    result = taking(SliceUpdate(region: region), &result, [Tensor(repeating: 1, [size], dtype: dtype, device: device)])
    return result.reshaped([size, size])
  }
}

/// Nested Swift arrays of numbers.
public protocol NestedArray {
  associatedtype Scalar: TensorScalar
  /// The shape, if all parts agree.
  var nestedShape: [Int]? { get }
  var leaves: [Scalar] { get }
}
extension Array: NestedArray where Element: NestedElement {
  public typealias Scalar = Element.Leaf
  public var nestedShape: [Int]? {
    guard let first else { return [0] }
    let inner = first.elementShape
    guard let inner, allSatisfy({ $0.elementShape == inner }) else { return nil }
    return [count] + inner
  }
  public var leaves: [Element.Leaf] { flatMap { $0.elementLeaves } }
}
/// A number, or an array of such.
public protocol NestedElement {
  associatedtype Leaf: TensorScalar
  var elementShape: [Int]? { get }
  var elementLeaves: [Leaf] { get }
}
extension Array: NestedElement where Element: NestedElement {
  public typealias Leaf = Element.Leaf
  public var elementShape: [Int]? { nestedShape }
  public var elementLeaves: [Element.Leaf] { leaves }
}
extension NestedElement where Self: TensorScalar {
  public var elementShape: [Int]? { [] }
  public var elementLeaves: [Self] { [self] }
}
extension Float: NestedElement {}
extension Double: NestedElement {}
extension Int: NestedElement {}
extension Int32: NestedElement {}
extension UInt8: NestedElement {}
extension Bool: NestedElement {}

extension Tensor {
  /// A tensor from nested arrays, of the dtype of their numbers; numbers that are written out, `Tensor([[0.5, 1], [2, 3]])`,
  /// are `float32`, or `int64` where all are whole. Traps when parts differ in length.
  @_disfavoredOverload
  public init<E: NestedElement>(_ elements: [[E]], device: Device = .current) { self.init(nested: elements, device) }
  // What the compiler takes for numbers that are written out, for images deep enough.
  public init(_ elements: [[Float]], device: Device = .current) { self.init(nested: elements, device) }
  public init(_ elements: [[[Float]]], device: Device = .current) { self.init(nested: elements, device) }
  public init(_ elements: [[[[Float]]]], device: Device = .current) { self.init(nested: elements, device) }
  public init(_ elements: [[Int]], device: Device = .current) { self.init(nested: elements, device) }
  public init(_ elements: [[[Int]]], device: Device = .current) { self.init(nested: elements, device) }
  public init(_ elements: [[[[Int]]]], device: Device = .current) { self.init(nested: elements, device) }

  private init<E: NestedElement>(nested elements: [[E]], _ device: Device) {
    guard let shape = elements.nestedShape else {
      self = failure(
        .misuse("the nested arrays differ in length", rule: "all rows have one length"), op: "Tensor")
      return
    }
    self.init(copying: elements.leaves, Shape(shape), device)
  }
}

// Not by number literals: the compiler would read the number of `x * 0.5` as a `float32` tensor, whatever other operators
// there are, and numbers would no longer be weak.
extension Tensor: ExpressibleByArrayLiteral {
  /// A `float32` tensor: `let x: Tensor = [1, 2, 3]`, `[[1, 2], [3, 4]]`.
  public init(arrayLiteral elements: TensorLiteral...) { self = TensorLiteral.list(elements).tensor }
}

/// A number or a list of such, as written in a tensor literal.
public enum TensorLiteral: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral {
  case number(Float)
  case list([TensorLiteral])
  public init(floatLiteral value: Float) { self = .number(value) }
  public init(integerLiteral value: Int) { self = .number(Float(value)) }
  public init(arrayLiteral elements: TensorLiteral...) { self = .list(elements) }

  private var shape: [Int]? {
    guard case .list(let items) = self else { return [] }
    guard let first = items.first else { return [0] }
    guard let inner = first.shape, items.allSatisfy({ $0.shape == inner }) else { return nil }
    return [items.count] + inner
  }
  private var numbers: [Float] {
    switch self {
    case .number(let value): [value]
    case .list(let items): items.flatMap { $0.numbers }
    }
  }
  var tensor: Tensor {
    guard let shape else {
      return failure(.misuse("the nested lists differ in length", rule: "all rows have one length"), op: "Tensor")
    }
    return Tensor(numbers, shape: Shape(shape))
  }
}
