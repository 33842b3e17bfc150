/// The sizes of a tensor's axes, stored inline; at most 8 axes.
///
/// A shape is written as an array literal and read like an array: `let shape: Shape = [3, 4]`, `shape[0]`, `shape.count`
/// (the number of axes), `shape.elementCount` (the product).
public struct Shape: Sendable, Hashable, ExpressibleByArrayLiteral, RandomAccessCollection, MutableCollection {
  /// The largest number of axes.
  public static var maxRank: Int { 8 }

  @usableFromInline package var sizes: InlineArray<8, Int>
  @usableFromInline package var rankByte: UInt8

  /// The shape without axes, that of a scalar.
  @inlinable
  public init() {
    sizes = InlineArray(repeating: 0)
    rankByte = 0
  }

  public init(arrayLiteral elements: Int...) { self.init(elements) }

  /// Takes the sizes of a sequence of at most 8 numbers.
  @inlinable
  public init(_ elements: some Sequence<Int>) {
    self.init()
    for size in elements { append(size) }
  }

  /// `rank` axes of equal size.
  public init(repeating size: Int, count rank: Int) {
    self.init()
    for _ in 0..<rank { append(size) }
  }

  /// The number of axes.
  @inlinable
  public var rank: Int { Int(rankByte) }
  @inlinable
  public var startIndex: Int { 0 }
  @inlinable
  public var endIndex: Int { Int(rankByte) }

  /// The size along an axis; negative axes count from the last: `shape[-1]`.
  @inlinable
  public subscript(axis: Int) -> Int {
    get { sizes[place(of: axis)] }
    set { sizes[place(of: axis)] = newValue }
  }

  @inlinable
  func place(of axis: Int) -> Int {
    let place = axis < 0 ? axis &+ rank : axis
    guard place >= 0, place < rank else { misuse(axis) }
    return place
  }

  @usableFromInline @inline(never)
  func misuse(_ axis: Int) -> Never { endProgram(OpError(.axis(axis, rank: rank), op: "shape")) }

  /// The product of the sizes; 1 for a scalar.
  @inlinable
  public var elementCount: Int {
    var product = 1
    for axis in 0..<rank { product &*= sizes[axis] }
    return product
  }

  /// The product of the sizes, or nil if a size is negative or the product is beyond `Int.max`.
  @inlinable
  package var checkedElementCount: Int? {
    var product = 1
    for axis in 0..<rank {
      guard sizes[axis] >= 0 else { return nil }
      let (next, overflow) = product.multipliedReportingOverflow(by: sizes[axis])
      if overflow { return nil }
      product = next
    }
    return product
  }

  /// Adds an axis at the end.
  @inlinable
  public mutating func append(_ size: Int) {
    guard rank < Shape.maxRank else {
      // Not a shape of any tensor: every rule refuses it, with a text that says so.
      sizes[0] = .min
      return
    }
    sizes[rank] = size
    rankByte += 1
  }

  /// Adds an axis of `size` before axis `index`.
  @inlinable
  public mutating func insert(_ size: Int, at index: Int) {
    append(size)
    var axis = rank - 1
    while axis > index {
      sizes[axis] = sizes[axis - 1]
      axis -= 1
    }
    sizes[index] = size
  }

  /// Removes axis `index`.
  @inlinable @discardableResult
  public mutating func remove(at index: Int) -> Int {
    let size = self[index]
    for axis in index..<(rank - 1) { sizes[axis] = sizes[axis + 1] }
    rankByte -= 1
    sizes[rank] = 0
    return size
  }

  @inlinable
  package func inserting(_ size: Int, at index: Int) -> Shape {
    var shape = self
    shape.insert(size, at: index)
    return shape
  }

  @inlinable
  package func removing(at index: Int) -> Shape {
    var shape = self
    shape.remove(at: index)
    return shape
  }

  /// Strides, in elements, of a row-major array of this shape.
  @inlinable
  package var contiguousStrides: Shape {
    var strides = self
    var step = 1
    var axis = rank - 1
    while axis >= 0 {
      strides.sizes[axis] = step
      step &*= sizes[axis]
      axis -= 1
    }
    return strides
  }

  @inlinable
  public static func == (a: Shape, b: Shape) -> Bool {
    if a.rankByte != b.rankByte { return false }
    for axis in 0..<a.rank where a.sizes[axis] != b.sizes[axis] { return false }
    return true
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(rankByte)
    for axis in 0..<rank { hasher.combine(sizes[axis]) }
  }

  /// The shape to which both broadcast (NumPy's rule, aligned at the last axis), or nil.
  @inlinable
  package func broadcast(with other: Shape) -> Shape? {
    if self == other { return self }
    var (long, short) = rank >= other.rank ? (self, other) : (other, self)
    let shift = long.rank - short.rank
    for axis in 0..<short.rank {
      let a = long.sizes[axis + shift]
      let b = short.sizes[axis]
      if a == b || b == 1 { continue }
      guard a == 1 else { return nil }
      long.sizes[axis + shift] = b
    }
    short = long
    return short
  }
}

extension Shape: CustomStringConvertible {
  /// True when more than `maxRank` axes were asked for.
  package var isTooLong: Bool { rank == Shape.maxRank && sizes[0] == .min }

  public var description: String {
    isTooLong ? "[more than \(Shape.maxRank) axes]" : "[" + map(String.init).joined(separator: ", ") + "]"
  }
}

/// A part of a shape, `shape[1...]`, prints as a shape; `Shape(part)` makes one of it.
extension Slice: @retroactive CustomStringConvertible where Base == Shape {
  public var description: String { Shape(self).description }
}
