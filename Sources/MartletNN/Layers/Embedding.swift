public import MartletCore
public import MartletOps

/// A table of vectors that are looked up by integers.
///
/// **Shapes** `[…]` integers in `0 ..< numEmbeddings` → `[…, dim]`; `weight` is `[numEmbeddings, dim]` and starts normal
/// with deviation 1. Source: PyTorch `Embedding`.
public final class Embedding: Module {
  public let weight: Parameter
  public let paddingIndex: Int?
  /// Whether the gradient is kept as rows.
  public var sparse: Bool { weight.keepsGradientRows }

  /// - Parameters:
  ///   - paddingIndex: the row that stands for nothing: it starts as zeros and gets no gradient.
  ///   - sparse: keep the gradient as the rows that were looked up (`weight.gradientRows`): then a step of `SGD` without
  ///     momentum, `Adagrad` or `SparseAdam` costs what the lookups cost, whatever the size of the table. Most other
  ///     optimizers refuse such a gradient. Inside `compile` it is dense.
  public init(
    _ numEmbeddings: Int, _ dim: Int, paddingIndex: Int? = nil, sparse: Bool = false, dtype: DType = .float32,
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
    weight.keepsGradientRows = sparse
    weight.rowWithoutGradient = paddingIndex
    self.paddingIndex = paddingIndex
  }
  public var settings: String {
    let shape = weight.read()!.shape
    return "\(shape[0]), \(shape[1])" + (paddingIndex.map { ", paddingIndex: \($0)" } ?? "")
      + (sparse ? ", sparse: true" : "")
  }

  public func forward(_ indices: Tensor) -> Tensor {
    let call = Context.enter("Embedding")
    defer { Context.leave(call) }
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

/// Rows of a table looked up and reduced bag by bag, as in `embeddingBag`.
///
///     let bag = EmbeddingBag(1000, 16, mode: .sum)
///     bag(indices)                    // [B, L]: a bag in each row
///     bag(indices, offsets: begins)   // [n], and where each bag begins
///
/// **Shapes** → `[B, dim]`; `weight` is `[numEmbeddings, dim]` and starts normal with deviation 1.
/// Source: PyTorch `EmbeddingBag`, without `max_norm` and `scale_grad_by_freq`.
public final class EmbeddingBag: Module {
  public let weight: Parameter
  public let bagMode: BagMode
  public let paddingIndex: Int?
  public let includesLastOffset: Bool
  /// Whether the gradient is kept as rows.
  public var sparse: Bool { weight.keepsGradientRows }

  /// - Parameters:
  ///   - paddingIndex: the row that counts as not there: it starts as zeros and gets no gradient.
  ///   - sparse: keep the gradient as the rows that were looked up, as in `Embedding`.
  ///   - includesLastOffset: whether the last offset is the end of the last bag.
  public init(
    _ numEmbeddings: Int, _ dim: Int, mode: BagMode = .mean, sparse: Bool = false, paddingIndex: Int? = nil,
    includesLastOffset: Bool = false, dtype: DType = .float32, generator: Generator = Random.generator
  ) {
    // The same table as that of an `Embedding`, with its checks.
    weight =
      Embedding(
        numEmbeddings, dim, paddingIndex: paddingIndex, sparse: sparse, dtype: dtype, generator: generator
      ).weight
    bagMode = mode
    self.paddingIndex = paddingIndex
    self.includesLastOffset = includesLastOffset
  }
  public var settings: String {
    let shape = weight.read()!.shape
    return "\(shape[0]), \(shape[1]), mode: \(bagMode)" + (sparse ? ", sparse: true" : "")
      + (paddingIndex.map { ", paddingIndex: \($0)" } ?? "")
      + (includesLastOffset ? ", includesLastOffset: true" : "")
  }

  /// - Parameters:
  ///   - offsets: where each bag begins, for `[n]` indices.
  ///   - perSampleWeights: a factor for each index, for mode `.sum`.
  public func callAsFunction(_ indices: Tensor, offsets: Tensor? = nil, perSampleWeights: Tensor? = nil) -> Tensor {
    self(BagInput(indices: indices, offsets: offsets, perSampleWeights: perSampleWeights))
  }
  public func forward(_ input: BagInput) -> Tensor {
    embeddingBag(
      input.indices, weight.value, offsets: input.offsets, mode: bagMode, perSampleWeights: input.perSampleWeights,
      paddingIndex: paddingIndex, includesLastOffset: includesLastOffset)
  }
}

/// What an `EmbeddingBag` takes.
public struct BagInput {
  public let indices: Tensor
  public let offsets: Tensor?
  public let perSampleWeights: Tensor?
}
