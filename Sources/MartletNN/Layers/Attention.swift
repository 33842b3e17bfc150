public import MartletCore
public import MartletOps

/// What a layer of attention takes.
public struct AttentionInput {
  public let query: Tensor
  public let key: Tensor
  public let value: Tensor
  /// Broadcasts to `[B, heads, T, S]`; bool (true: the key is seen) or floating (added to the scores).
  public let mask: Tensor?
  /// `[B, S]` (or `[S]`), true where a key is seen: false where a sequence is padded.
  public let keyMask: Tensor?
  public let isCausal: Bool
}

/// Attention with several heads, each over its own projection of queries, keys and values.
///
///     let attention = MultiheadAttention(512, 8, batchFirst: true)
///     let y = attention(x, isCausal: true)                 // to itself
///     let z = attention(x, memory, memory, keyMask: seen)  // to another sequence
///
/// **Shapes** queries `[T, B, embedDim]`, keys and values `[S, B, …]`, or `[B, T, embedDim]` and `[B, S, …]` with
/// `batchFirst`, or without `B`; the result is shaped like the queries. Parameters have PyTorch's names (`in_proj_weight`,
/// `in_proj_bias`, `out_proj.weight`, …); weights start as Xavier uniform, biases as zeros.
///
/// Source: Vaswani et al. 2017; PyTorch `MultiheadAttention`, in whose masks true means not seen.
public final class MultiheadAttention: Module {
  public let embedDim: Int
  public let heads: Int
  public let batchFirst: Bool
  /// The probability of a weight to become zero while training.
  public let dropout: Double
  /// The projections of queries, keys and values as one: `[3 · embedDim, embedDim]`; nil where sizes differ.
  public let inProjWeight: Parameter?
  public let qProjWeight: Parameter?
  public let kProjWeight: Parameter?
  public let vProjWeight: Parameter?
  public let inProjBias: Parameter?
  public let outProj: Linear
  public let mode = Mode()
  public let generator: Generator

  /// - Parameters:
  ///   - keyDim: the features of keys; `embedDim` when nil.
  ///   - valueDim: the features of values; `embedDim` when nil.
  public init(
    _ embedDim: Int, _ heads: Int, dropout: Double = 0, bias: Bool = true, keyDim: Int? = nil, valueDim: Int? = nil,
    batchFirst: Bool = false, dtype: DType = .float32, generator: Generator = Random.generator
  ) {
    if heads < 1 || embedDim < 1 || embedDim % Swift.max(1, heads) != 0 {
      fail(
        OpError(
          .misuse("\(heads) heads over \(embedDim) features", rule: "the heads divide the features evenly"),
          op: "MultiheadAttention"))
    }
    if !(0..<1).contains(dropout) {
      fail(OpError(.misuse("the dropout is \(dropout)", rule: "0 ≤ dropout < 1"), op: "MultiheadAttention"))
    }
    (self.embedDim, self.heads, self.batchFirst) = (embedDim, heads, batchFirst)
    (self.dropout, self.generator) = (dropout, generator)
    func weight(_ shape: Shape) -> Parameter {
      Parameter(.xavierUniform(shape, dtype: dtype, generator: generator))
    }
    let (k, v) = (keyDim ?? embedDim, valueDim ?? embedDim)
    if k == embedDim, v == embedDim {
      inProjWeight = weight([3 * embedDim, embedDim])
      (qProjWeight, kProjWeight, vProjWeight) = (nil, nil, nil)
    } else {
      inProjWeight = nil
      qProjWeight = weight([embedDim, embedDim])
      kProjWeight = weight([embedDim, k])
      vProjWeight = weight([embedDim, v])
    }
    inProjBias = bias ? Parameter(.zeros([3 * embedDim], dtype: dtype)) : nil
    outProj = Linear(embedDim, embedDim, bias: bias, dtype: dtype, generator: generator)
    if let bias = outProj.bias { bias.value = .zeros([embedDim], dtype: dtype) }
  }

  public var stateNames: [String: String] {
    [
      "inProjWeight": "in_proj_weight", "inProjBias": "in_proj_bias", "qProjWeight": "q_proj_weight",
      "kProjWeight": "k_proj_weight", "vProjWeight": "v_proj_weight", "outProj": "out_proj",
    ]
  }

  public var settings: String {
    "\(embedDim), \(heads)" + (dropout > 0 ? ", dropout: \(dropout)" : "") + (inProjBias == nil ? ", bias: false" : "")
      + (batchFirst ? ", batchFirst: true" : "")
  }

  /// Attention of queries to keys and values.
  public func callAsFunction(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, mask: Tensor? = nil, keyMask: Tensor? = nil, isCausal: Bool = false
  ) -> Tensor {
    self(AttentionInput(query: query, key: key, value: value, mask: mask, keyMask: keyMask, isCausal: isCausal))
  }

  /// Attention of a sequence to itself.
  public func callAsFunction(
    _ x: Tensor, mask: Tensor? = nil, keyMask: Tensor? = nil, isCausal: Bool = false
  ) -> Tensor {
    self(AttentionInput(query: x, key: x, value: x, mask: mask, keyMask: keyMask, isCausal: isCausal))
  }

  public func forward(_ input: AttentionInput) -> Tensor {
    let (q, k, v, mask): (Tensor, Tensor, Tensor, Tensor?)
    switch projected(input) {
    case .success(let parts): (q, k, v, mask) = parts
    case .failure(let error):
      return failure(
        error.fact, op: "MultiheadAttention", [input.query, input.key, input.value],
        names: ["query", "key", "value"])
    }
    let isDropping = dropout > 0 && mode.isTraining
    let y = scaledDotProductAttention(
      q, k, v, mask: mask, isCausal: input.isCausal, dropout: isDropping ? dropout : 0,
      key: isDropping ? generator.next() : nil)
    // [B, heads, T, D] → [B, T, heads · D]
    let joined = y.transposed(1, 2).reshaped([y.shape[0], y.shape[2], embedDim])
    return restored(outProj(joined), input.query)
  }

  /// The weights of attention, `[B, heads, T, S]` (without `B` as given), without dropout.
  public func weights(
    _ query: Tensor, _ key: Tensor, mask: Tensor? = nil, keyMask: Tensor? = nil, isCausal: Bool = false
  ) -> Tensor {
    let value =
      vProjWeight == nil
      ? key
      : Tensor(
        repeating: 0, key.spec.with(shape: Shape(Array(key.shape.dropLast()) + [vProjWeight!.read()!.shape[1]])))
    let input = AttentionInput(query: query, key: key, value: value, mask: mask, keyMask: keyMask, isCausal: isCausal)
    guard case .success(let parts) = projected(input) else { return forward(input) }
    // The values are the unit vectors, so that the result is the weights.
    let (q, k) = (parts.0, parts.1)
    let unit = Tensor.identity(k.shape[2], dtype: k.dtype, device: k.device)
    let y = scaledDotProductAttention(
      q, k, unit.expanded(to: [k.shape[0], heads, k.shape[2], k.shape[2]]), mask: parts.3, isCausal: isCausal)
    return query.rank == 2 ? y.squeezed(axis: 0) : y
  }

  /// `[B, T, D]` as the query lies.
  private func restored(_ y: Tensor, _ query: Tensor) -> Tensor {
    query.rank == 2 ? y.squeezed(axis: 0) : batchFirst ? y : y.transposed(0, 1)
  }

  /// Heads `[B, heads, T, D]` of queries, keys and values, and the mask.
  private func projected(_ input: AttentionInput) -> Result<(Tensor, Tensor, Tensor, Tensor?), OpError> {
    func misuse(
      _ problem: String, _ rule: String, _ remedy: String? = nil
    ) -> Result<(Tensor, Tensor, Tensor, Tensor?), OpError> {
      .failure(OpError(.misuse(problem, rule: rule, remedy: remedy)))
    }
    let given = [input.query, input.key, input.value]
    let sizes = [embedDim, kProjWeight?.read()!.shape[1] ?? embedDim, vProjWeight?.read()!.shape[1] ?? embedDim]
    for (position, (x, size)) in zip(given, sizes).enumerated() {
      guard x.rank == 2 || x.rank == 3, x.rank == given[0].rank else {
        let name = ["query", "key", "value"][position]
        return misuse(
          "\(name) has \(ErrorText.counted(x.rank, "axis", "axes"))",
          "its number of axes is 3: \(axisOrder(batchFirst)), or 2: [T, D]; query, key and value have equally many",
          "expandedDims(axis:) for an axis that is missing; \(otherOrder(batchFirst, "MultiheadAttention"))")
      }
      guard x.shape[x.rank - 1] == size else {
        return .failure(OpError(.argumentShape(argument: position, expected: "\(size) features along the last axis")))
      }
    }
    let isSelf = input.query.node === input.key.node && input.key.node === input.value.node
    let x = given.map { $0.rank == 2 ? $0.expandedDims(axis: 0) : batchFirst ? $0 : $0.transposed(0, 1) }
    let batch = x[0].shape[0]
    guard x[1].shape[0] == batch, x[2].shape[0] == batch, x[1].shape[1] == x[2].shape[1] else {
      return misuse(
        "the shapes are \(given.map { "\($0.shape)" }.joined(separator: ", "))",
        "queries, keys and values have one batch size, keys and values one length; the axes are \(axisOrder(batchFirst))",
        otherOrder(batchFirst, "MultiheadAttention"))
    }
    var parts: [Tensor]
    if isSelf, let weight = inProjWeight?.value {
      var all = matmul(x[0], weight.transposed())
      if let bias = inProjBias?.value { all = all + bias }
      parts = all.split([embedDim, embedDim, embedDim], axis: 2)
    } else {
      let weights =
        inProjWeight.map { $0.value.split([embedDim, embedDim, embedDim], axis: 0) }
        ?? [qProjWeight!.value, kProjWeight!.value, vProjWeight!.value]
      parts = zip(x, weights).map { matmul($0, $1.transposed()) }
      if let bias = inProjBias?.value {
        parts = zip(parts, bias.split([embedDim, embedDim, embedDim], axis: 0)).map { $0 + $1 }
      }
    }
    let split = parts.map { $0.reshaped([batch, $0.shape[1], heads, embedDim / heads]).transposed(1, 2) }
    var mask = input.mask
    if let own = mask, own.rank == 3, own.shape[0] == batch * heads, batch > 1 || heads > 1 {
      mask = own.reshaped([batch, heads, own.shape[1], own.shape[2]])  // as PyTorch's [B · heads, T, S]
    }
    if let keys = input.keyMask {
      let columns = x[1].shape[1]
      guard keys.dtype == .bool, keys.shape == [batch, columns] || batch == 1 && keys.shape == [columns] else {
        return misuse("keyMask is \(keys.spec)", "bool, [\(batch), \(columns)]: true where a key is seen")
      }
      let seen = keys.reshaped([batch, 1, 1, columns])
      mask = mask.map { $0.dtype == .bool ? $0 .& seen : select(seen, $0, -Double.infinity) } ?? seen
    }
    return .success((split[0], split[1], split[2], mask))
  }
}
