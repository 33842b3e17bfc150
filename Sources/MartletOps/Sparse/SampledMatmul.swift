public import MartletCore

/// The product `a · bᵀ` where a sparse matrix in compressed rows has values, and nowhere else:
/// `y[k] = Σ a[row(k), :] · b[columns[k], :]`. `[R + 1]`, `[n]`, `[R, K]`, `[C, K]` → `[n]`.
///
/// The adjoint of `sparseMatmul` with respect to the values. Source: PyTorch `sparse.sampled_addmm`.
public struct SampledMatmul: SparsePatternOp {
  public static var id: OpID { OpTable.sampledMatmul.id }
  public static var name: String { "sampledMatmul" }
  public static var argumentNames: [String] {
    ["rowPointers", "columns", "a", "b", "columnPointers", "rows", "order"]
  }
  public init() {}
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try SparsePattern.check(inputs, ranks: (2, 2))
    guard inputs[2].shape[0] == inputs[0].count - 1, inputs[2].shape[1] == inputs[3].shape[1] else {
      throw OpError(
        .argumentShape(argument: 2, expected: "[\(inputs[0].count - 1), \(inputs[3].shape[1])]: rows, and those of b"))
    }
    return [inputs[2].with(shape: inputs[1].shape)]
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let rows = SparsePattern.rows(inputs[0], count: inputs[1].shape[0])
    return [(inputs[2].take(axis: 0, rows) * inputs[3].take(axis: 0, inputs[1])).sum(axis: 1)]
  }
  public func firstCotangent(_ ct: Tensor, _ saved: Saved) -> Tensor {
    apply(SparseMatmul(), SparsePattern.inputs(saved, ct, saved.input(3)))[0]
  }
  public func secondFactors(_ ct: Tensor, _ saved: Saved) -> (values: Tensor, b: Tensor) { (ct, saved.input(2)) }
}
