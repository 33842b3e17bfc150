public import MartletCore
public import MartletOps

/// A table of vectors that are looked up by integers.
///
/// **Shapes** `[…]` integers in `0 ..< numEmbeddings` → `[…, dim]`; `weight` is `[numEmbeddings, dim]` and starts normal
/// with deviation 1. Gradients are as sparse as the lookups. Source: PyTorch `Embedding`.
public final class Embedding: Module {
  public let weight: Parameter
  public let paddingIndex: Int?

  /// - Parameter paddingIndex: the row that stands for nothing: it starts as zeros and gets no gradient.
  public init(
    _ numEmbeddings: Int, _ dim: Int, paddingIndex: Int? = nil, dtype: DType = .float32,
    generator: Generator = Random.generator
  ) {
    if numEmbeddings < 0 || dim < 0 || paddingIndex.map({ $0 < 0 || $0 >= numEmbeddings }) ?? false {
      fail(
        OpError(
          .misuse(
            "\(numEmbeddings) vectors of size \(dim)" + (paddingIndex.map { ", padding index \($0)" } ?? ""),
            rule: "sizes are 0 or more, 0 ≤ paddingIndex < numEmbeddings"), op: "Embedding"))
    }
    var table = Tensor.normal([numEmbeddings, dim], dtype: dtype, generator: generator)
    if let paddingIndex { table[paddingIndex] = Tensor.zeros([dim], dtype: dtype) }
    weight = Parameter(table)
    self.paddingIndex = paddingIndex
  }

  public func forward(_ indices: Tensor) -> Tensor {
    guard indices.dtype == .int64 || indices.dtype == .int32 else {
      return failure(
        .dtype(argument: 0, expected: "int64 or int32, the numbers of rows of the table"), op: "Embedding", [indices],
        names: ["indices"])
    }
    let rows = weight.value.take(axis: 0, indices)
    guard let paddingIndex else { return rows }
    return select((indices .!= paddingIndex).expandedDims(axis: -1), rows, rows.detached())
  }
}
