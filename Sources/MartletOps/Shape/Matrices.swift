public import MartletCore

extension Tensor {
  /// Which elements of the last two axes lie at most `offset` above the main diagonal.
  private func isBelow(_ offset: Int) -> Tensor {
    // Beyond the matrix nothing changes, and the sum below would overflow.
    let offset = Swift.max(-shape[rank - 2] - 1, Swift.min(shape[rank - 1], offset))
    let rows = Tensor(Array(0..<shape[rank - 2]), shape: [shape[rank - 2], 1], device: device)
    let columns = Tensor(Array(0..<shape[rank - 1]), device: device)
    return columns .<= rows + offset
  }
  private func checkMatrix(_ op: String) -> Tensor? {
    rank >= 2 ? nil : failure(.rank(argument: 0, expected: "2 or more: […, rows, columns]"), op: op, [self])
  }
  /// The lower triangle of the last two axes, up to the `diagonal`-th above the main one; 0 elsewhere.
  public func tril(_ diagonal: Int = 0) -> Tensor { checkMatrix("tril") ?? select(isBelow(diagonal), self, 0) }
  /// The upper triangle of the last two axes, from the `diagonal`-th above the main one on; 0 elsewhere.
  public func triu(_ diagonal: Int = 0) -> Tensor {
    checkMatrix("triu") ?? select(isBelow(Swift.max(diagonal, .min + 1) - 1), 0, self)
  }

  /// The diagonal of the last two axes as one axis; `offset` counts upward from the main one. `[…, R, C]` → `[…, n]`.
  public func diagonal(_ offset: Int = 0) -> Tensor {
    if let error = checkMatrix("diagonal") { return error }
    let (rows, columns) = (shape[rank - 2], shape[rank - 1])
    let size = Swift.max(0, Swift.min(rows + Swift.min(0, offset), columns - Swift.max(0, offset)))
    let flat = flattened(from: -2)
    var region = Region(whole: flat.shape)
    region.sizes[flat.rank - 1] = size
    region.steps[flat.rank - 1] = columns + 1
    if size > 0 { region.starts[flat.rank - 1] = offset >= 0 ? offset : -offset * columns }
    return apply(view: Slice(region: region), flat)
  }
  /// Square matrices with the last axis as their diagonal, zero elsewhere: `[…, n]` → `[…, n, n]`; with an `offset`, which
  /// counts upward from the main diagonal, they are larger by its magnitude. Source: PyTorch `diag_embed`.
  public func diagonalMatrix(_ offset: Int = 0) -> Tensor {
    guard rank >= 1 else { return failure(.rank(argument: 0, expected: "1 or more"), op: "diagonalMatrix", [self]) }
    guard offset.magnitude < 1 << 30, shape[rank - 1] < 1 << 30 else {
      return failure(
        .misuse(
          "the offset is \(offset) for \(ErrorText.counted(shape[rank - 1], "element"))",
          rule: "matrices have fewer than 2^31 rows"), op: "diagonalMatrix", [self])
    }
    let size = shape[rank - 1] + Swift.abs(offset)
    var flat = shape
    flat[rank - 1] = size * size
    var region = Region(whole: shape)
    region.steps[rank - 1] = size + 1
    if shape[rank - 1] > 0 { region.starts[rank - 1] = offset >= 0 ? offset : -offset * size }
    return apply(Embed(shape: flat, region: region), self).reshaped(Shape(Array(shape[..<(rank - 1)]) + [size, size]))
  }
  /// The sum of the main diagonal of the last two axes.
  public func trace() -> Tensor { checkMatrix("trace") ?? diagonal().sum(axis: -1) }

  /// Ones on the main diagonal of a matrix, else zeros.
  public static func eye(_ rows: Int, _ columns: Int? = nil, dtype: DType = .float32, device: Device = .current)
    -> Tensor
  {
    let columns = columns ?? rows
    guard rows >= 0, columns >= 0 else {
      return failure(.misuse("the sizes are \(rows) and \(columns)", rule: "sizes are 0 or more"), op: "eye")
    }
    return Tensor.identity(Swift.max(rows, columns), dtype: dtype, device: device)[..<rows, ..<columns]
  }

  /// `count` numbers at equal distances from `start` to `end`, both of them included.
  public static func linspace(
    from start: Double, to end: Double, count: Int, dtype: DType = .float32, device: Device = .current
  ) -> Tensor {
    guard count >= 0 else {
      return failure(.misuse("the count is \(count)", rule: "the count is 0 or more"), op: "linspace")
    }
    let step = count > 1 ? (end - start) / Double(count - 1) : 0
    return Tensor.make(TensorSpec([count], dtype, device: device)) { target in
      for index in 0..<count {
        // From the nearer end, so that both are met exactly.
        let value =
          index < count / 2 || count == 1 ? start + Double(index) * step : end - Double(count - 1 - index) * step
        target.store(value, index, dtype)
      }
    }
  }
}

/// 1 at the position of each label along a new last axis, else 0: `[…]` → `[…, classes]`.
///
/// A label outside of `0 ..< classes` is an error. Source: PyTorch `one_hot`, which gives `int64`.
public func oneHot(_ labels: Tensor, classes: Int, dtype: DType = .float32) -> Tensor {
  let call = Context.enter("oneHot")
  defer { Context.leave(call) }
  guard labels.dtype == .int64 || labels.dtype == .int32 else {
    return failure(.dtype(argument: 0, expected: "int64 or int32"), op: "oneHot", [labels], names: ["labels"])
  }
  guard classes >= 0 else {
    return failure(.count(name: "classes", classes, allowed: "0 or more"), op: "oneHot", [labels], names: ["labels"])
  }
  let places = labels.expandedDims(axis: -1)
  let zeros = Tensor(
    repeating: 0, TensorSpec(Shape(Array(labels.shape) + [classes]), dtype, device: labels.device))
  return zeros.scatterAdding(axis: -1, places, Tensor(repeating: 1, places.spec.with(dtype)))
}

/// Vectors as coordinates of a grid: of sizes n, m, … each becomes a tensor `[n, m, …]`, without a copy. PyTorch's
/// `meshgrid` with `indexing: "ij"`.
public func meshgrid(_ vectors: [Tensor]) -> [Tensor] {
  for (index, vector) in vectors.enumerated() where vector.rank != 1 {
    return MartletCore.fail(
      OpError(.rank(argument: index, expected: "1"), op: "meshgrid", arguments: vectors.map(\.spec)), vectors,
      count: vectors.count)
  }
  let shape = Shape(vectors.map(\.count))
  return vectors.enumerated().map { axis, vector in
    var own = Shape(repeating: 1, count: vectors.count)
    own[axis] = vector.count
    return vector.reshaped(own).expanded(to: shape)
  }
}

/// All products of an element of `a` with one of `b`: `[n]`, `[m]` → `[n, m]`.
public func outer(_ a: Tensor, _ b: Tensor) -> Tensor {
  guard a.rank == 1, b.rank == 1 else {
    return failure(.rank(argument: a.rank == 1 ? 1 : 0, expected: "1"), op: "outer", [a, b], names: ["a", "b"])
  }
  return a.expandedDims(axis: 1) * b
}

/// The sum of the products of two vectors: `[n]`, `[n]` → `[]`.
public func dot(_ a: Tensor, _ b: Tensor) -> Tensor {
  guard a.rank == 1, b.rank == 1 else {
    return failure(.rank(argument: a.rank == 1 ? 1 : 0, expected: "1"), op: "dot", [a, b], names: ["a", "b"])
  }
  guard a.count == b.count else {
    return failure(
      .argumentShape(argument: 1, expected: "\(a.shape), that of a"), op: "dot", [a, b], names: ["a", "b"])
  }
  return (a * b).sum()
}
