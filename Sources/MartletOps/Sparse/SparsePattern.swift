public import MartletCore

/// An operation on a sparse matrix in compressed rows: its first inputs are `rowPointers: [R + 1]` and `columns: [n]`, both
/// `int64`, and its last three, which may be missing, the same matrix in compressed columns, from which gradients of what it
/// is multiplied by are made: `columnPointers: [C + 1]`, `rows: [n]` and `order: [n]`, the place of each of them among the
/// former.
/// Of the two inputs with values at 2 and 3 it is a product.
public protocol SparsePatternOp: Op {
  /// The cotangent of input 2 from that of the result.
  func firstCotangent(_ ct: Tensor, _ saved: Saved) -> Tensor
  /// What the transposed matrix is multiplied by for the cotangent of input 3: its values and the other operand.
  func secondFactors(_ ct: Tensor, _ saved: Saved) -> (values: Tensor, b: Tensor)
}

extension SparsePatternOp {
  public func saves(needs: Positions) -> Saves {
    var inputs: Positions = [0, 1, 4, 5, 6]
    inputs[3] = needs[2]
    inputs[2] = needs[3]
    return Saves(inputs: inputs)
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    var result = [Cotangent?](repeating: nil, count: saved.inputs.count)
    if needs[2] { result[2] = .dense(firstCotangent(ct[0]!, saved)) }
    if needs[3] {
      let factors = secondFactors(ct[0]!, saved)
      result[3] = .dense(
        SparsePattern.transposedProduct(saved, factors.values, factors.b, columns: saved.spec(3).shape[0]))
    }
    return result
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    var parts: [Tensor] = []
    for position in [2, 3] {
      guard let tangent = t[position] else { continue }
      var changed = inputs
      changed[position] = tangent
      parts += apply(self, changed)
    }
    return [plus(parts.first, parts.count == 2 ? parts[1] : nil)]
  }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  // What the decomposition of all examples together would hold is the size of a table for each value.
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { looped(self, inputs, mapped) }
  public var canFault: Bool { true }
  public func fault(_ status: KernelStatus, _ inputs: [TensorSpec]) -> Fact {
    let count = inputs[1].shape[0]
    if status.code == SparsePattern.badPointers {
      return .misuse(
        "rowPointers are wrong at \(status.value)",
        rule: "they begin with 0, do not fall and end with \(count), the number of values")
    }
    return .misuse(
      "column \(status.value) is out of range for \(inputs[3].shape[0]) columns",
      rule: "0 ≤ column < \(inputs[3].shape[0])")
  }
}

/// What operations on compressed rows share.
package enum SparsePattern {
  /// The fault of a kernel that pointers fall or do not fit; the value is the first place.
  package static let badPointers: Int32 = 4

  /// Checks the pattern, and the inputs at 2 and 3 by their ranks and dtype.
  static func check(_ inputs: [TensorSpec], ranks: (Int, Int)) throws(OpError) {
    guard inputs.count == 4 || inputs.count == 7 else {
      throw OpError(.numberOfInputs(inputs.count, expected: "4, or 7 with the matrix in compressed columns"))
    }
    for position in [0, 1, 4, 5, 6] where position < inputs.count {
      guard inputs[position].dtype == .int64 else { throw OpError(.dtype(argument: position, expected: "int64")) }
      guard inputs[position].rank == 1 else { throw OpError(.rank(argument: position, expected: "1")) }
    }
    guard inputs[0].count >= 1 else { throw OpError(.argumentShape(argument: 0, expected: "[rows + 1]")) }
    for (position, rank) in [(2, ranks.0), (3, ranks.1)] where inputs[position].rank != rank {
      throw OpError(.rank(argument: position, expected: "\(rank)"))
    }
    guard inputs[2].dtype.isFloating else { throw OpError(.dtype(argument: 2, expected: Domain.floating.rawValue)) }
    guard inputs[3].dtype == inputs[2].dtype else { throw OpError(.dtypesDiffer) }
    guard inputs.count == 7 else { return }
    let sizes = [inputs[3].shape[0] + 1, inputs[1].count, inputs[1].count]
    for (position, size) in zip(4..<7, sizes) where inputs[position].count != size {
      throw OpError(.argumentShape(argument: position, expected: "[\(size)]"))
    }
  }

  /// The row of each value.
  package static func rows(_ pointers: Tensor, count: Int) -> Tensor {
    let rows = pointers.shape[0] - 1
    let none = Tensor(repeating: 0, TensorSpec([count + 1], .int64, device: pointers.device))
    guard rows > 1 else { return none[..<count] }
    // One more at each begin of a row behind the first; their running sum counts the rows that have begun.
    let begins = pointers[1..<rows]
    let marks = apply(TakeAdd(axis: 0), [none, begins, Tensor(repeating: 1, begins.spec)])[0]
    return marks.cumsum(axis: 0)[..<count]
  }

  /// The matrix in compressed columns: columnPointers, rows and order.
  package static func transposed(_ pointers: Tensor, _ columns: Tensor, count: Int) -> [Tensor] {
    let sorted = apply(CountingSort(count: count), [columns])
    let rows = rows(pointers, count: columns.shape[0]).take(axis: 0, sorted[0])
    return [sorted[1], rows, sorted[0]]
  }

  /// The product of the transposed matrix with the given values and `b`, for the saved pattern of an operation.
  static func transposedProduct(_ saved: Saved, _ values: Tensor, _ b: Tensor, columns: Int) -> Tensor {
    let known = saved.inputs.count == 7 ? [saved.input(4), saved.input(5), saved.input(6)] : nil
    let by = known ?? transposed(saved.input(0), saved.input(1), count: columns)
    return apply(SparseMatmul(), [by[0], by[1], values.take(axis: 0, by[2]), b])[0]
  }

  /// The inputs that name the pattern, before and behind the two that have values.
  static func inputs(_ saved: Saved, _ a: Tensor, _ b: Tensor) -> [Tensor] {
    [saved.input(0), saved.input(1), a, b]
      + (saved.inputs.count == 7 ? [saved.input(4), saved.input(5), saved.input(6)] : [])
  }
}
