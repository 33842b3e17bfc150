public import MartletCore

/// The product of a sparse matrix in compressed rows and a dense one: `y[r, :] = Σ values[k] · b[columns[k], :]` over
/// `rowPointers[r] ≤ k < rowPointers[r + 1]`. `[R + 1]`, `[n]`, `[n]`, `[C, N]` → `[R, N]`.
public struct SparseMatmul: SparsePatternOp {
  public static var id: OpID { OpTable.sparseMatmul.id }
  public static var name: String { "sparseMatmul" }
  public static var argumentNames: [String] {
    ["rowPointers", "columns", "values", "b", "columnPointers", "rows", "order"]
  }
  public init() {}
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try SparsePattern.check(inputs, ranks: (1, 2))
    guard inputs[2].shape == inputs[1].shape else {
      throw OpError(.argumentShape(argument: 2, expected: "\(inputs[1].shape), as that of columns"))
    }
    return [inputs[3].with(shape: [inputs[0].count - 1, inputs[3].shape[1]])]
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let (pointers, columns, values, b) = (inputs[0], inputs[1], inputs[2], inputs[3])
    let zeros = Tensor(repeating: 0, b.spec.with(shape: [pointers.shape[0] - 1, b.shape[1]]))
    let rows = SparsePattern.rows(pointers, count: columns.shape[0])
    return apply(TakeAdd(axis: 0), [zeros, rows, values.expandedDims(axis: 1) * b.take(axis: 0, columns)])
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let b = inputs[3]
    guard mapped[3], mapped.filter({ $0 }).count == 1, b.shape[0] > 0 else {
      return looped(self, inputs, mapped)
    }
    // The examples as further columns.
    var one = inputs
    let (examples, columns, size) = (b.shape[0], b.shape[1], b.shape[2])
    one[3] = b.movingAxis(0, to: 1).reshaped([columns, examples * size])
    let y = apply(self, one)[0]
    return [y.reshaped([y.shape[0], examples, size]).movingAxis(1, to: 0)]
  }
  public func firstCotangent(_ ct: Tensor, _ saved: Saved) -> Tensor {
    apply(SampledMatmul(), SparsePattern.inputs(saved, ct, saved.input(3)))[0]
  }
  public func secondFactors(_ ct: Tensor, _ saved: Saved) -> (values: Tensor, b: Tensor) { (saved.input(2), ct) }
}
