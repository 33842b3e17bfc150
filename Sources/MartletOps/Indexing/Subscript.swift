public import MartletCore

/// What may stand in a tensor's subscript: an integer, a range, `.all`, `.newAxis`, `.ellipsis`, `.range(…)`, or a tensor of
/// integers or bools.
public protocol TensorIndex {
  var item: SubscriptItem { get }
}

/// One item of a subscript.
public enum SubscriptItem {
  case index(Int)
  case range(start: Int?, stop: Int?, step: Int)
  case newAxis
  case ellipsis
  case tensor(Tensor)
}

/// Subscript items that are written with a leading dot.
public struct AxisItem: TensorIndex {
  public let item: SubscriptItem
}
extension TensorIndex where Self == AxisItem {
  /// The whole axis.
  public static var all: AxisItem { AxisItem(item: .range(start: nil, stop: nil, step: 1)) }
  /// A new axis of size 1.
  public static var newAxis: AxisItem { AxisItem(item: .newAxis) }
  /// As many whole axes as are left.
  public static var ellipsis: AxisItem { AxisItem(item: .ellipsis) }
  /// Indices from `start` up to but without `stop`, both counted from the end when negative and cut to the axis.
  public static func range(from start: Int? = nil, to stop: Int? = nil, by step: Int = 1) -> AxisItem {
    AxisItem(item: .range(start: start, stop: stop, step: step))
  }
}
extension Int: TensorIndex { public var item: SubscriptItem { .index(self) } }
extension Range<Int>: TensorIndex {
  public var item: SubscriptItem { .range(start: lowerBound, stop: upperBound, step: 1) }
}
extension ClosedRange<Int>: TensorIndex {
  public var item: SubscriptItem {
    .range(start: lowerBound, stop: upperBound == -1 ? nil : upperBound + 1, step: 1)
  }
}
extension PartialRangeFrom<Int>: TensorIndex {
  public var item: SubscriptItem { .range(start: lowerBound, stop: nil, step: 1) }
}
extension PartialRangeUpTo<Int>: TensorIndex {
  public var item: SubscriptItem { .range(start: nil, stop: upperBound, step: 1) }
}
extension PartialRangeThrough<Int>: TensorIndex {
  public var item: SubscriptItem { .range(start: nil, stop: upperBound == -1 ? nil : upperBound + 1, step: 1) }
}
extension Tensor: TensorIndex { public var item: SubscriptItem { .tensor(self) } }

/// A number that is written into a part of a tensor: `y[0, 1] = 9`.
public struct NumberLiteral: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral, Sendable {
  let value: Double
  public init(floatLiteral value: Double) { self.value = value }
  public init(integerLiteral value: Int) { self.value = Double(value) }
}

/// A subscript, resolved against a shape: a region, then a shape with dropped and new axes, then tensors of indices.
private struct Selection {
  var region: Region
  /// The shape after dropping indexed axes and adding new ones.
  var shape = Shape()
  /// Tensors of indices and the axis of `shape` that each replaces.
  var indices: [(axis: Int, tensor: Tensor)] = []
  /// The axes of the tensor itself on which they stand.
  var sources: [Int] = []

  init?(_ items: [SubscriptItem], _ x: Tensor) {
    region = Region(whole: x.shape)
    func fail(_ fact: Fact) { _ = failure(fact, op: "subscript", [x]) }
    func width(_ item: SubscriptItem) -> Int {
      switch item {
      case .newAxis, .ellipsis: 0
      case .tensor(let t): t.dtype == .bool ? t.rank : 1
      default: 1
      }
    }
    let used = items.reduce(0) { $0 + width($1) }
    guard used <= x.rank else {
      fail(.tooManySubscripts(used, rank: x.rank))
      return nil
    }
    var items = items
    if !items.contains(where: { if case .ellipsis = $0 { true } else { false } }) { items.append(.ellipsis) }
    var axis = 0
    var seenEllipsis = false
    for item in items {
      if shape.rank >= Shape.maxRank, width(item) == 0, case .newAxis = item {
        fail(.ranksExceeded(shape.rank + 1))
        return nil
      }
      switch item {
      case .newAxis: shape.append(1)
      case .ellipsis:
        guard !seenEllipsis else {
          fail(.misuse("there are two .ellipsis", rule: "at most one", remedy: ".all for single axes"))
          return nil
        }
        seenEllipsis = true
        for _ in 0..<(x.rank - used) {
          shape.append(x.shape[axis])
          axis += 1
        }
      case .index(let index):
        let size = x.shape[axis]
        let position = index < 0 ? index + size : index
        guard position >= 0, position < size else {
          fail(.index(index, size: size, axis: axis))
          return nil
        }
        region.starts[axis] = position
        region.sizes[axis] = 1
        axis += 1
      case .range(let start, let stop, let step):
        guard step != 0 else {
          fail(.sliceStep(axis: axis))
          return nil
        }
        let size = x.shape[axis]
        func cut(_ bound: Int?, _ absent: Int) -> Int {
          guard let bound else { return absent }
          let position = bound < 0 ? bound + size : bound
          return step > 0 ? Swift.min(Swift.max(position, 0), size) : Swift.min(Swift.max(position, -1), size - 1)
        }
        let first = cut(start, step > 0 ? 0 : size - 1)
        let last = cut(stop, step > 0 ? size : -1)
        let span = step > 0 ? last - first : first - last
        region.starts[axis] = span > 0 ? first : 0
        region.steps[axis] = step
        region.sizes[axis] = span > 0 ? Int(UInt(span - 1) / step.magnitude) + 1 : 0
        shape.append(region.sizes[axis])
        axis += 1
      case .tensor(let tensor) where tensor.dtype == .bool:
        for offset in 0..<tensor.rank where tensor.shape[offset] != x.shape[axis + offset] {
          fail(
            .misuse(
              "the mask \(tensor.spec) does not fit the axes from \(axis) on",
              rule: "a mask has the sizes of the axes that it selects from"))
          return nil
        }
        if let fact = tensor.missingValue {
          fail(.maskWithoutValue(fact))
          return nil
        }
        for positions in tensor.nonzero() {
          indices.append((shape.rank, positions))
          sources.append(axis)
          shape.append(x.shape[axis])
          axis += 1
        }
      case .tensor(let tensor):
        guard tensor.dtype.isInteger else {
          fail(.misuse("a tensor of indices is \(tensor.dtype)", rule: "integer or bool", remedy: "cast(to: .int64)"))
          return nil
        }
        let size = x.shape[axis]
        let wide = tensor.cast(to: .int64)
        indices.append((shape.rank, select((wide .< 0) .& (wide .>= -size), wide + size, wide)))
        sources.append(axis)
        shape.append(size)
        axis += 1
      }
    }
  }

  /// The part without the tensors of indices.
  func base(of x: Tensor) -> Tensor {
    let part = region == Region(whole: x.shape) ? x : apply(view: Slice(region: region), x)
    return part.reshaped(shape)
  }

  /// The axes that tensors of indices replace, brought together as one axis `axis`, and the index into it.
  func joined(_ base: Tensor) -> (x: Tensor, axis: Int, index: Tensor, order: [Int], code: IndexCode?)? {
    var index = indices[0].tensor
    if indices.count == 1 { return (base, indices[0].axis, index, Array(0..<base.rank), nil) }
    let axes = indices.map { $0.axis }
    let adjacent = zip(axes, axes.dropFirst()).allSatisfy { $0 + 1 == $1 }
    let place = adjacent ? axes[0] : 0
    var order = (0..<base.rank).filter { !axes.contains($0) }
    order.insert(contentsOf: axes, at: place)
    let code = IndexCode(axes: sources, sizes: axes.map { base.shape[$0] })
    func outside(_ position: Int) -> Tensor {
      let tensor = indices[position].tensor
      return (tensor .< 0) .| (tensor .>= base.shape[axes[position]])
    }
    for (axis, tensor) in indices.dropFirst() {
      guard index.shape.broadcast(with: tensor.shape) != nil else {
        _ = failure(.broadcast, op: "subscript", [index, tensor])
        return nil
      }
      index = index * base.shape[axis] + tensor
    }
    for position in indices.indices.reversed() {
      index = select(outside(position), code.code(position, indices[position].tensor), index)
    }
    let moved = base.permuted(order)
    let size = axes.reduce(1) { $0 * base.shape[$1] }
    let shape = Array(moved.shape[..<place]) + [size] + Array(moved.shape[(place + axes.count)...])
    return (moved.reshaped(Shape(shape)), place, index, order, code)
  }
}

extension Tensor {
  /// The positions of the elements that are not zero: for each axis an `int64` tensor `[n]`, in row-major order.
  ///
  /// The size depends on values, so this reads the tensor: it is an error inside `compile` and for mapped tensors.
  public func nonzero() -> [Tensor] {
    if let fact = missingValue {
      let wrong = failure(
        .misuse(
          "the number of elements that are not zero depends on values that are not known here",
          rule: "shapes do not depend on values",
          remedy: "select(mask, a, b), which keeps the shape, or nonzero() outside of "
            + (fact == .valueOfMapped ? "vmap" : "the capture")), op: "nonzero", [self])
      return [Tensor](repeating: wrong.cast(to: .int64), count: rank)
    }
    let values: [Bool] = cast(to: .bool).array()
    var positions = [[Int]](repeating: [], count: rank)
    let strides = shape.contiguousStrides
    for (flat, value) in values.enumerated() where value {
      for axis in 0..<rank { positions[axis].append(flat / strides[axis] % shape[axis]) }
    }
    return positions.map { Tensor($0, device: device) }
  }

  /// A part of the tensor.
  ///
  /// Integers drop an axis (negative ones count from the end); ranges keep it; `.newAxis` adds one; `.ellipsis` stands for
  /// the axes in between; tensors of integers select along an axis, several together; a bool tensor selects where it is
  /// true. Reading without tensors of indices copies nothing. Writing changes the elements in place, at a cost of the part,
  /// when nobody else holds them; the value broadcasts to the part.
  ///
  /// Traps on an index out of range; ranges are cut to the axis.
  // One subscript for each number of items: a parameter pack crashes the compiler in a setter (Swift 6.3).
  public subscript<A: TensorIndex>(a: A) -> Tensor {
    get { read([a.item]) }
    set { write([a.item], newValue) }
  }
  public subscript<A: TensorIndex, B: TensorIndex>(a: A, b: B) -> Tensor {
    get { read([a.item, b.item]) }
    set { write([a.item, b.item], newValue) }
  }
  public subscript<A: TensorIndex, B: TensorIndex, C: TensorIndex>(a: A, b: B, c: C) -> Tensor {
    get { read([a.item, b.item, c.item]) }
    set { write([a.item, b.item, c.item], newValue) }
  }
  public subscript<A: TensorIndex, B: TensorIndex, C: TensorIndex, D: TensorIndex>(a: A, b: B, c: C, d: D) -> Tensor {
    get { read([a.item, b.item, c.item, d.item]) }
    set { write([a.item, b.item, c.item, d.item], newValue) }
  }
  public subscript<A: TensorIndex, B: TensorIndex, C: TensorIndex, D: TensorIndex, E: TensorIndex>(
    a: A, b: B, c: C, d: D, e: E
  ) -> Tensor {
    get { read([a.item, b.item, c.item, d.item, e.item]) }
    set { write([a.item, b.item, c.item, d.item, e.item], newValue) }
  }
  public subscript<A: TensorIndex, B: TensorIndex, C: TensorIndex, D: TensorIndex, E: TensorIndex, F: TensorIndex>(
    a: A, b: B, c: C, d: D, e: E, f: F
  ) -> Tensor {
    get { read([a.item, b.item, c.item, d.item, e.item, f.item]) }
    set { write([a.item, b.item, c.item, d.item, e.item, f.item], newValue) }
  }

  // `y[0, 1] = 9`: a number as a literal. The type has no operators, so that `x[0] * 2` is never read as anything but a tensor.

  /// Writes a number to every element of the part.
  @_disfavoredOverload
  public subscript<A: TensorIndex>(a: A) -> NumberLiteral {
    get { NumberLiteral(floatLiteral: read([a.item]).item()) }
    set { write([a.item], Tensor(scalar: newValue.value, dtype, device: device)) }
  }
  /// Writes a number to every element of the part.
  @_disfavoredOverload
  public subscript<A: TensorIndex, B: TensorIndex>(a: A, b: B) -> NumberLiteral {
    get { NumberLiteral(floatLiteral: read([a.item, b.item]).item()) }
    set { write([a.item, b.item], Tensor(scalar: newValue.value, dtype, device: device)) }
  }
  /// Writes a number to every element of the part.
  @_disfavoredOverload
  public subscript<A: TensorIndex, B: TensorIndex, C: TensorIndex>(a: A, b: B, c: C) -> NumberLiteral {
    get { NumberLiteral(floatLiteral: read([a.item, b.item, c.item]).item()) }
    set { write([a.item, b.item, c.item], Tensor(scalar: newValue.value, dtype, device: device)) }
  }
  /// Writes a number to every element of the part.
  @_disfavoredOverload
  public subscript<A: TensorIndex, B: TensorIndex, C: TensorIndex, D: TensorIndex>(a: A, b: B, c: C, d: D)
    -> NumberLiteral
  {
    get { NumberLiteral(floatLiteral: read([a.item, b.item, c.item, d.item]).item()) }
    set { write([a.item, b.item, c.item, d.item], Tensor(scalar: newValue.value, dtype, device: device)) }
  }

  private func read(_ items: [SubscriptItem]) -> Tensor {
    guard let selection = Selection(items, self) else { return afterFailure }
    let base = selection.base(of: self)
    guard !selection.indices.isEmpty else { return base }
    guard let (x, axis, index, _, code) = selection.joined(base) else { return afterFailure }
    return apply(Take(axis: axis, code: code), [x, index])[0]
  }

  private mutating func write(_ items: [SubscriptItem], _ value: Tensor) {
    let value = value.cast(to: dtype)
    if items.count == 1, case .tensor(let mask) = items[0], mask.dtype == .bool, mask.shape == shape, value.rank == 0 {
      self = select(mask, value, self)
      return
    }
    guard let selection = Selection(items, self) else { return }
    guard !selection.indices.isEmpty else {
      guard value.shape.broadcast(with: selection.shape) == selection.shape else {
        _ = failure(.sliceValue(value.shape, region: selection.shape), op: "subscript", [self, value])
        return
      }
      let part = value.expanded(to: selection.shape).reshaped(selection.region.sizes)
      self = taking(SliceUpdate(region: selection.region), &self, [part])
      return
    }
    if selection.indices.count == 1, selection.region == Region(whole: shape), selection.shape == shape {
      // Slices of the tensor itself: no part of it may be held here.
      let (axis, index) = selection.indices[0]
      let taken = takenShape(shape, index.shape, axis)
      guard value.shape.broadcast(with: taken) == taken else {
        _ = failure(.sliceValue(value.shape, region: taken), op: "subscript", [self, value])
        return
      }
      let before = Executors.faultsComeLate(device) ? self : nil
      self = taking(TakeUpdate(axis: axis), &self, [index, value.expanded(to: taken)])
      if let before, !settled(before.device) { self = before }
      return
    }
    guard let part = changed(selection, value) else { return }
    if Executors.faultsComeLate(device), !settled(device) { return }
    self = taking(SliceUpdate(region: selection.region), &self, [part])
  }

  /// Waits for a device; false when an index was out of range, so that the variable stays as it was.
  private func settled(_ device: Device) -> Bool {
    do throws(OpError) {
      try Executors.synchronize(device)
      return true
    } catch {
      fail(error)
      return false
    }
  }

  /// The selected part with `value` in it. The views of this tensor that it needs are gone when it returns.
  @inline(never)
  private func changed(_ selection: Selection, _ value: Tensor) -> Tensor? {
    guard let (x, axis, index, order, code) = selection.joined(selection.base(of: self)) else { return nil }
    let shape = takenShape(x.shape, index.shape, axis)
    guard value.shape.broadcast(with: shape) == shape else {
      _ = failure(.sliceValue(value.shape, region: shape), op: "subscript", [self, value])
      return nil
    }
    let changed = apply(TakeUpdate(axis: axis, code: code), [x, index, value.expanded(to: shape)])[0]
    var inverse = order
    for (position, source) in order.enumerated() { inverse[source] = position }
    return changed.reshaped(Shape(order.map { selection.shape[$0] })).permuted(inverse)
      .reshaped(selection.region.sizes)
  }
}
