public import MartletCore

/// The matrix product over the last two axes, with broadcasting of the others: `[…, M, K] · [..., K, N] → [..., M, N]`. Of real
/// numbers: the function `matmul` makes a complex product of a real one.
public struct Matmul: BinaryOp {
  public static var id: OpID { OpTable.matmul.id }
  public static var name: String { "matmul" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public static var argumentNames: [String] { ["a", "b"] }
  public init() {}
  public func output(for a: TensorSpec, _ b: TensorSpec) throws(OpError) -> TensorSpec {
    guard a.dtype == b.dtype else { throw OpError(.dtypesDiffer) }
    guard Domain.numeric.contains(a.dtype) else {
      throw OpError(.dtype(argument: 0, expected: Domain.numeric.rawValue))
    }
    guard a.rank >= 2 else { throw OpError(.rank(argument: 0, expected: "2 or more")) }
    guard b.rank >= 2 else { throw OpError(.rank(argument: 1, expected: "2 or more")) }
    let (k, l) = (a.shape[a.rank - 1], b.shape[b.rank - 2])
    guard k == l else { throw OpError(.innerSizes(k, l)) }
    if a.rank == 2, b.rank == 2 {
      var shape = a.shape  // an array literal would be a heap object
      shape[1] = b.shape[1]
      return a.with(shape: shape)
    }
    var batchA = a.shape
    var batchB = b.shape
    batchA.remove(at: a.rank - 1)
    let rows = batchA.remove(at: a.rank - 2)
    let columns = batchB.remove(at: b.rank - 1)
    batchB.remove(at: b.rank - 2)
    guard var shape = batchA.broadcast(with: batchB) else { throw OpError(.broadcast) }
    shape.append(rows)
    shape.append(columns)
    return a.with(shape: shape)
  }
  public func saves(needs: Positions) -> Saves {
    var inputs = Positions()
    if needs[0] { inputs[1] = true }
    if needs[1] { inputs[0] = true }
    return Saves(inputs: inputs)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [
      needs[0] ? .dense(apply(self, ct[0]!, saved.input(1).transposed())) : nil,
      needs[1] ? .dense(byRight(ct[0]!, saved.input(0), saved.spec(1))) : nil,
    ]
  }
  /// aᵀ · ct; where b was shared by all of a's leading axes, as one product over all their rows.
  private func byRight(_ ct: Tensor, _ a: Tensor, _ b: TensorSpec) -> Tensor {
    if b.rank == 2, a.rank > 2 {
      let flatA = a.reshaped([a.count / Swift.max(1, a.shape[a.rank - 1]), a.shape[a.rank - 1]])
      let flatCt = ct.reshaped([ct.count / Swift.max(1, ct.shape[ct.rank - 1]), ct.shape[ct.rank - 1]])
      if flatA.shape[0] == flatCt.shape[0] { return apply(self, flatA.transposed(), flatCt) }
    }
    return apply(self, a.transposed(), ct)
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [plus(t[0].map { apply(self, $0, inputs[1]) }, t[1].map { apply(self, inputs[0], $0) })]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    if mapped[0], !mapped[1], inputs[1].rank == 2, inputs[0].rank == 3 {
      // One product over the rows of all examples.
      let (a, b) = (inputs[0], inputs[1])
      let flat = apply(self, a.reshaped([a.shape[0] * a.shape[1], a.shape[2]]), b)
      return [flat.reshaped([a.shape[0], a.shape[1], b.shape[1]])]
    }
    let inputs = aligned(inputs, mapped)
    return [apply(self, inputs[0], inputs[1])]
  }
}

/// The matrix product: `[…, M, K] · […, K, N] → […, M, N]`, leading axes broadcast. A vector is a row on the left and a
/// column on the right, and its axis does not appear in the result. Dtypes promote.
public func matmul(_ a: Tensor, _ b: Tensor) -> Tensor {
  let names = Matmul.argumentNames
  guard a.rank > 0 else {
    return failure(.rank(argument: 0, expected: "1 or more"), op: Matmul.name, [a, b], names: names)
  }
  guard b.rank > 0 else {
    return failure(.rank(argument: 1, expected: "1 or more"), op: Matmul.name, [a, b], names: names)
  }
  let (a, b) = (a.autocast, b.autocast)
  let dtype = a.dtype == b.dtype ? a.dtype : a.dtype.promoted(with: b.dtype)
  let x = a.cast(to: dtype)
  let y = b.cast(to: dtype)
  if a.rank > 1, b.rank > 1 { return product(x, y) }
  if a.rank == 1, b.rank == 1, a.shape != b.shape {
    return failure(.innerSizes(a.shape[0], b.shape[0]), op: Matmul.name, [a, b], names: names)
  }
  let matrix = product(a.rank == 1 ? x.expandedDims(axis: 0) : x, b.rank == 1 ? y.expandedDims(axis: 1) : y)
  var shape = matrix.shape
  if b.rank == 1 { shape.remove(at: shape.rank - 1) }
  if a.rank == 1 { shape.remove(at: shape.rank - (b.rank == 1 ? 1 : 2)) }
  return matrix.reshaped(shape)
}

/// The product of matrices of one dtype.
private func product(_ a: Tensor, _ b: Tensor) -> Tensor {
  guard a.dtype.isComplex, a.shape[a.rank - 1] == b.shape[b.rank - 2] else { return apply(Matmul(), a, b) }
  // Of numbers twice: the row of a with its parts side by side, and for each row of b one more, turned by i.
  func flat(_ x: Tensor) -> Tensor { viewAsReal(x).flattened(from: -2) }
  let (k, n) = (b.shape[b.rank - 2], b.shape[b.rank - 1])
  let columns = concat([flat(b), flat(b * Complex<Double>(0, 1))], axis: -1)
    .reshaped(Shape(Array(b.shape.dropLast(2)) + [2 * k, 2 * n]))
  let both = apply(Matmul(), flat(a), columns)
  return viewAsComplex(both.reshaped(Shape(Array(both.shape.dropLast()) + [n, 2])))
}
