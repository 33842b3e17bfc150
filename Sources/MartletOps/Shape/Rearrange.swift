public import MartletCore

// Parts, repetitions and orders that are made of views, `concat` and `take`.

/// What `padded` puts around a tensor.
public enum PadMode: Sendable, Hashable {
  case constant(Double)
  /// The tensor mirrored at its border elements: `c b | a b c | b a`. Widths are below the size of the axis.
  case reflect
  /// The border elements: `a a | a b c | c c`.
  case replicate
  /// The tensor over again: `b c | a b c | a b`. Widths are at most the size of the axis.
  case circular
}

extension Tensor {
  /// A part of one axis.
  private func slice(_ axis: Int, from start: Int, _ size: Int) -> Tensor {
    var region = Region(whole: shape)
    region.starts[axis] = start
    region.sizes[axis] = size
    return apply(view: Slice(region: region), self)
  }

  /// Parts of the given sizes along an axis, without copies.
  public func split(_ sizes: [Int], axis: Int = 0) -> [Tensor] {
    guard let position = position(of: axis, op: "split") else { return sizes.map { _ in afterFailure } }
    guard sizes.allSatisfy({ $0 >= 0 }), sizes.reduce(0, &+) == shape[position] else {
      return MartletCore.fail(
        OpError(
          .misuse(
            "the sizes are \(sizes)",
            rule: "sizes are 0 or more and add up to \(shape[position]), the size of axis \(axis)"),
          op: "split", arguments: [spec]), [self], count: sizes.count)
    }
    var start = 0
    return sizes.map { size in
      defer { start += size }
      return slice(position, from: start, size)
    }
  }
  /// Parts of one size along an axis, without copies; the last is smaller where the size does not divide the axis.
  public func split(size: Int, axis: Int = 0) -> [Tensor] {
    guard let position = position(of: axis, op: "split") else { return [afterFailure] }
    guard size > 0 else { return [failure(.count(name: "size", size, allowed: "1 or more"), op: "split", [self])] }
    let total = shape[position]
    let starts = total == 0 ? [0] : Array(stride(from: 0, to: total, by: size))
    return starts.map { slice(position, from: $0, Swift.min(size, total - $0)) }
  }
  /// At most `count` parts of equal size along an axis, the last of which may be smaller. Source: PyTorch `chunk`.
  public func chunked(_ count: Int, axis: Int = 0) -> [Tensor] {
    guard let position = position(of: axis, op: "chunked") else { return [afterFailure] }
    guard count > 0 else {
      return [failure(.count(name: "the number of parts", count, allowed: "1 or more"), op: "chunked", [self])]
    }
    return split(size: Swift.max(1, (shape[position] + count - 1) / count), axis: position)
  }

  /// The elements in the reverse order along `axes`, all by default; without a copy.
  public func flipped(axes: [Int]? = nil) -> Tensor {
    guard let positions = positions(of: axes, op: "flipped") else { return afterFailure }
    var region = Region(whole: shape)
    for axis in 0..<rank where positions[axis] && shape[axis] > 0 {
      region.starts[axis] = shape[axis] - 1
      region.steps[axis] = -1
    }
    return apply(view: Slice(region: region), self)
  }

  /// The elements moved by `shift` places along an axis; those that leave at one end come in at the other.
  public func rolled(by shift: Int, axis: Int) -> Tensor {
    guard let position = position(of: axis, op: "rolled") else { return afterFailure }
    let size = shape[position]
    if size == 0 { return self }
    let start = ((-shift % size) + size) % size
    if start == 0 { return self }
    let parts = split([start, size - start], axis: position)
    return concat([parts[1], parts[0]], axis: position)
  }

  /// The whole tensor `counts[i]` times along axis `i`. With more counts than axes, axes come in front. PyTorch's `tile`.
  public func tiled(_ counts: [Int]) -> Tensor {
    guard counts.allSatisfy({ $0 >= 0 }) else {
      return failure(.misuse("the counts are \(counts)", rule: "counts are 0 or more"), op: "tiled", [self])
    }
    let target = Swift.max(rank, counts.count)
    var x = reshaped(Shape([Int](repeating: 1, count: target - rank) + Array(shape)))
    let counts = [Int](repeating: 1, count: target - counts.count) + counts
    for (axis, count) in counts.enumerated() where count != 1 {
      let sizes = x.shape
      let wide = x.reshaped(sizes.inserting(1, at: axis)).expanded(to: sizes.inserting(count, at: axis))
      var joined = sizes
      joined[axis] *= count
      x = wide.reshaped(joined)
    }
    return x
  }

  /// Each element `count` times in a row along an axis. PyTorch's `repeat_interleave`.
  public func repeated(_ count: Int, axis: Int) -> Tensor {
    guard let position = position(of: axis, op: "repeated") else { return afterFailure }
    guard count >= 0 else { return failure(.count(name: "count", count, allowed: "0 or more"), op: "repeated", [self]) }
    var joined = shape
    joined[position] *= count
    return reshaped(shape.inserting(1, at: position + 1)).expanded(to: shape.inserting(count, at: position + 1))
      .reshaped(joined)
  }

  /// One axis parted into several; one of the sizes may be -1.
  public func unflattened(axis: Int, sizes: Shape) -> Tensor {
    guard let position = position(of: axis, op: "unflattened") else { return afterFailure }
    let known = sizes.reduce(1) { $1 == -1 ? $0 : $0 * $1 }
    var sizes = Array(sizes)
    if let unknown = sizes.firstIndex(of: -1), known > 0, shape[position] % known == 0 {
      sizes[unknown] = shape[position] / known
    }
    guard sizes.allSatisfy({ $0 >= 0 }), sizes.reduce(1, *) == shape[position] else {
      return failure(
        .misuse(
          "axis \(axis) of size \(shape[position]) cannot be parted into \(sizes)",
          rule: "the product of the sizes is that of the axis"), op: "unflattened", [self])
    }
    return reshaped(Shape(Array(shape[..<position]) + sizes + Array(shape[(position + 1)...])))
  }

  /// Something around the tensor: for each axis the widths before and behind it. Source: PyTorch `pad`.
  public func padded(_ widths: [(Int, Int)], mode: PadMode) -> Tensor {
    if case .constant(let value) = mode { return padded(widths, value: value) }
    guard widths.count == rank else {
      return failure(
        .count(name: "the number of pairs of widths", widths.count, allowed: "\(rank), one for each axis"),
        op: Pad.name, [self])
    }
    var x = self
    for (axis, (low, high)) in widths.enumerated() where low != 0 || high != 0 {
      let size = shape[axis]
      let limit =
        switch mode {
        case .reflect: size - 1
        case .circular: size
        default: size > 0 ? Int.max : 0
        }
      for width in [low, high] where width < 0 || width > limit {
        let most = limit == .max ? "0 or more" : "0 … \(Swift.max(0, limit)), for axis \(axis) of size \(size)"
        return failure(.count(name: "a width", width, allowed: most), op: Pad.name, [self])
      }
      let indices = (-low..<(size + high)).map { place -> Int in
        switch mode {
        case .reflect:
          let mirrored = Swift.abs(place)
          return mirrored < size ? mirrored : 2 * (size - 1) - mirrored
        case .circular: return (place + size) % size
        default: return Swift.min(Swift.max(place, 0), size - 1)
        }
      }
      x = x.take(axis: axis, Tensor(indices, device: device))
    }
    return x
  }

  /// The elements in ascending or descending order along an axis, and where they were (`int64`).
  ///
  /// The order is stable. NaN counts as the largest: last when ascending, first when descending, as in PyTorch's `sort`.
  public func sorted(axis: Int = -1, descending: Bool = false) -> (values: Tensor, indices: Tensor) {
    if rank == 0 { return (self, Tensor(repeating: 0, spec.with(.int64))) }
    guard let position = position(of: axis, op: "sorted") else { return (afterFailure, afterFailure) }
    let x = dtype == .bool ? cast(to: .uint8) : self
    let (values, indices) = x.topK(shape[position], axis: position, largest: descending)
    return (values.cast(to: dtype), indices)
  }
  /// The positions (`int64`) that put the elements along an axis in order; stable, NaN counts as the largest.
  public func argSort(axis: Int = -1, descending: Bool = false) -> Tensor {
    sorted(axis: axis, descending: descending).indices
  }

  /// A number where the mask holds, else this tensor's element; mask and tensor broadcast.
  public func maskedFill<N: WeakNumber>(_ mask: Tensor, _ value: N) -> Tensor { select(mask, value, self) }
}
