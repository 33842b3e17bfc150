public import MartletCore

/// Attention: `softmax(scale · q · kᵀ + mask) · v`, without holding the matrix of scores.
///
/// `q: […, H, T, D]`, `k: […, G, S, D]`, `v: […, G, S, E]` → `[…, H, T, E]`; `[T, D]` is one head. Where `G < H`, each head
/// of keys and values serves `H / G` heads of queries that follow each other (grouped heads). A query that may see no key
/// yields zeros.
///
/// - Parameters:
///   - mask: broadcasts to `[…, H, T, S]`; bool (true: the key is seen), or floating and added to the scores. A floating mask
///     that needs a gradient costs the memory of the scores.
///   - isCausal: query `i` sees keys `0 ... i`. May stand beside a mask.
///   - dropout: in 0 ..< 1, the probability that a weight is left out; the others grow by `1 / (1 - dropout)`.
///   - scale: `1 / √D` when nil.
///   - key: `[3]`, the key of the dropout's random numbers; the next of the generator when nil.
///
/// Source: Vaswani and others 2017; Dao 2023 (the order of the computation); PyTorch `scaled_dot_product_attention`, whose
/// bool mask and causal mask may not stand together.
public func scaledDotProductAttention(
  _ q: Tensor, _ k: Tensor, _ v: Tensor, mask: Tensor? = nil, isCausal: Bool = false, dropout: Double = 0,
  scale: Double? = nil, key: Tensor? = nil
) -> Tensor {
  let (q, k, v) = (q.autocast, k.autocast, v.autocast)
  let all = [q, k, v] + (mask.map { [$0.dtype == .bool ? $0 : $0.autocast] } ?? [])
  guard dropout >= 0, dropout < 1 else {
    return failure(
      .misuse("dropout is \(dropout)", rule: "0 ≤ dropout < 1"), op: Attention.name, all, names: Attention.argumentNames
    )
  }
  guard q.rank >= 2 else {
    return failure(
      .rank(argument: 0, expected: "2 or more: […, heads, rows, features]"), op: Attention.name, all,
      names: Attention.argumentNames)
  }
  if q.rank == 2, k.rank == 2, v.rank == 2 {
    let heads = [q, k, v].map { $0.expandedDims(axis: 0) }
    return scaledDotProductAttention(
      heads[0], heads[1], heads[2], mask: mask, isCausal: isCausal, dropout: dropout, scale: scale, key: key
    ).squeezed(axis: 0)
  }
  let depth = q.shape[q.rank - 1]
  let op = Attention(
    scale: scale ?? 1 / Double(Swift.max(1, depth)).squareRoot(), isCausal: isCausal, hasMask: mask != nil,
    dropout: dropout)
  let keys = dropout > 0 ? [key ?? Random.generator.next()] : []
  return apply(op, all + keys)[0]
}
