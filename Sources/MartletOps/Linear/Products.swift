public import MartletCore

/// The sum over pairs of axes: the last `axes` of `a` with the first `axes` of `b`, in their order.
/// `a: [A…, K…]`, `b: [K…, B…]` → `[A…, B…]`. Source: NumPy `tensordot`.
public func tensordot(_ a: Tensor, _ b: Tensor, axes count: Int = 2) -> Tensor {
  guard count >= 0, count <= Swift.min(a.rank, b.rank) else {
    return failure(
      .misuse("axes is \(count)", rule: "0 ... the smaller rank, \(Swift.min(a.rank, b.rank))"), op: "tensordot",
      [a, b],
      names: Matmul.argumentNames)
  }
  return tensordot(a, b, axes: (Array((a.rank - count)..<a.rank), Array(0..<count)))
}

/// The sum over pairs of axes: `axes.0` of `a` with `axes.1` of `b`. The result has the other axes of `a`, then those of
/// `b`. Source: NumPy `tensordot`.
public func tensordot(_ a: Tensor, _ b: Tensor, axes: ([Int], [Int])) -> Tensor {
  func wrong(_ problem: String, _ rule: String) -> Tensor {
    failure(.misuse(problem, rule: rule), op: "tensordot", [a, b], names: Matmul.argumentNames)
  }
  guard axes.0.count == axes.1.count else {
    return wrong("there are \(axes.0.count) axes of a and \(axes.1.count) of b", "axes meet in pairs")
  }
  for (given, x) in [(axes.0, a), (axes.1, b)] {
    if let axis = given.first(where: { $0 < -x.rank || $0 >= x.rank }) {
      return failure(.axis(axis, rank: x.rank), op: "tensordot", [a, b], names: Matmul.argumentNames)
    }
  }
  let (left, right) = (axes.0.map { $0 < 0 ? $0 + a.rank : $0 }, axes.1.map { $0 < 0 ? $0 + b.rank : $0 })
  if let axis = left.indices.first(where: { left[..<$0].contains(left[$0]) || right[..<$0].contains(right[$0]) }) {
    return failure(.repeatedAxis(axes.0[axis]), op: "tensordot", [a, b], names: Matmul.argumentNames)
  }
  for (i, j) in zip(left, right) where a.shape[i] != b.shape[j] {
    return wrong(
      "axis \(i) of a has size \(a.shape[i]) and axis \(j) of b has size \(b.shape[j])", "axes that meet have one size")
  }
  let (rows, columns) = ((0..<a.rank).filter { !left.contains($0) }, (0..<b.rank).filter { !right.contains($0) })
  func size(_ x: Tensor, _ axes: [Int]) -> Int { axes.reduce(1) { $0 * x.shape[$1] } }
  let x = a.permuted(rows + left).reshaped([size(a, rows), size(a, left)])
  let y = b.permuted(right + columns).reshaped([size(b, right), size(b, columns)])
  return matmul(x, y).reshaped(Shape(rows.map { a.shape[$0] } + columns.map { b.shape[$0] }))
}

/// The Kronecker product: each element of `a` times all of `b`, along every axis. A tensor with fewer axes gets axes of
/// size 1 in front. `[A1, …]`, `[B1, …]` → `[A1 · B1, …]`. Source: NumPy `kron`.
public func kron(_ a: Tensor, _ b: Tensor) -> Tensor {
  let rank = Swift.max(a.rank, b.rank)
  func padded(_ x: Tensor) -> [Int] { [Int](repeating: 1, count: rank - x.rank) + Array(x.shape) }
  let (m, n) = (padded(a), padded(b))
  guard rank <= Shape.maxRank / 2 else {
    return failure(
      .rank(argument: a.rank == rank ? 0 : 1, expected: "at most \(Shape.maxRank / 2)"), op: "kron", [a, b],
      names: Matmul.argumentNames)
  }
  let product = a.reshaped(Shape(m.flatMap { [$0, 1] })) * b.reshaped(Shape(n.flatMap { [1, $0] }))
  return product.reshaped(Shape(zip(m, n).map { $0 * $1 }))
}

/// The cross product of vectors of three elements along `axis`, of tensors of one rank; other axes are broadcast.
/// Source: PyTorch `linalg.cross`.
public func cross(_ a: Tensor, _ b: Tensor, axis: Int = -1) -> Tensor {
  guard a.rank == b.rank else {
    return failure(
      .rank(argument: 1, expected: "\(a.rank), that of a"), op: "cross", [a, b], names: Matmul.argumentNames)
  }
  for (argument, x) in [a, b].enumerated() {
    guard axis >= -x.rank, axis < x.rank else {
      return failure(.axis(axis, rank: x.rank), op: "cross", [a, b], names: Matmul.argumentNames)
    }
    guard x.shape[axis < 0 ? axis + x.rank : axis] == 3 else {
      return failure(
        .argumentShape(argument: argument, expected: "3 elements along axis \(axis)"), op: "cross", [a, b],
        names: Matmul.argumentNames)
    }
  }
  func turned(_ x: Tensor, by shift: Int) -> Tensor { x.rolled(by: shift, axis: axis) }
  return turned(a, by: -1) * turned(b, by: 1) - turned(a, by: 1) * turned(b, by: -1)
}

/// A product with two vectors for each output: `y[…, o] = Σ a[…, i] · weight[o, i, j] · b[…, j] + bias[o]`.
///
/// `a: […, I]`, `b: […, J]`, `weight: [O, I, J]`, `bias: [O]` → `[…, O]`. Source: PyTorch `bilinear`.
public func bilinear(_ a: Tensor, _ b: Tensor, _ weight: Tensor, bias: Tensor? = nil) -> Tensor {
  let names = ["a", "b", "weight", "bias"]
  let all = [a, b, weight] + (bias.map { [$0] } ?? [])
  guard weight.rank == 3 else {
    return failure(
      .rank(argument: 2, expected: "3: [outputs, features of a, features of b]"), op: "bilinear", all,
      names: names)
  }
  guard a.rank >= 1, b.rank == a.rank, a.shape[a.rank - 1] == weight.shape[1], b.shape[b.rank - 1] == weight.shape[2]
  else {
    return failure(
      .misuse(
        "weight has shape \(weight.shape)",
        rule: "a is […, \(weight.shape[1])] and b is […, \(weight.shape[2])], with the same other axes"),
      op: "bilinear", all, names: names)
  }
  if let bias, bias.shape != [weight.shape[0]] {
    return failure(.argumentShape(argument: 3, expected: "[\(weight.shape[0])]"), op: "bilinear", all, names: names)
  }
  let y = einsum("...i,oij,...j->...o", a, weight, b)
  return bias.map { y + $0 } ?? y
}

/// The distances between the rows of `a` and those of `b`: `[…, P, D]`, `[…, R, D]` → `[…, P, R]`, leading axes broadcast.
///
/// Between equal rows the gradient is zero. For `order` 2 and more than 25 rows the squares come from a matrix product,
/// which is fast, and loses digits where rows are far from 0 and close to each other. Source: PyTorch `cdist`.
///
/// - Parameter order: the order of the norm, 0 … `.infinity`.
public func cdist(_ a: Tensor, _ b: Tensor, order: Double = 2) -> Tensor {
  let names = Matmul.argumentNames
  guard a.rank >= 2, b.rank >= 2 else {
    return failure(
      .rank(argument: a.rank < 2 ? 0 : 1, expected: "2 or more: […, rows, features]"), op: "cdist", [a, b], names: names
    )
  }
  let size = a.shape[a.rank - 1]
  guard size == b.shape[b.rank - 1] else {
    return failure(
      .argumentShape(argument: 1, expected: "rows of \(size) features, as a has"), op: "cdist", [a, b], names: names)
  }
  guard order >= 0 else {
    return failure(.misuse("order is \(order)", rule: "0 ≤ order"), op: "cdist", [a, b], names: names)
  }
  guard order == 2, Swift.max(a.shape[a.rank - 2], b.shape[b.rank - 2]) > 25 else {
    return (a.expandedDims(axis: -2) - b.expandedDims(axis: -3)).norm(order, axis: -1)
  }
  let squares =
    (a * a).sum(axis: -1, keepDims: true) + (b * b).sum(axis: -1).expandedDims(axis: -2) - 2 * matmul(a, b.transposed())
  let isNear = squares .<= 0
  return select(isNear, 0, sqrt(select(isNear, 1, squares)))
}
