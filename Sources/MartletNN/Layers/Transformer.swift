public import MartletCore
public import MartletOps

/// What a layer of a transformer's encoder takes.
public struct EncoderInput {
  public let x: Tensor
  public let mask: Tensor?
  public let keyMask: Tensor?
  public let isCausal: Bool
}

/// What a layer of a transformer's decoder takes.
public struct DecoderInput {
  public let x: Tensor
  /// What the encoder made.
  public let memory: Tensor
  public let mask: Tensor?
  public let keyMask: Tensor?
  public let memoryMask: Tensor?
  public let memoryKeyMask: Tensor?
  public let isCausal: Bool
}

/// The function between the two linear layers of a transformer's layer.
public enum FeedForwardActivation: Sendable {
  case relu, gelu
  func callAsFunction(_ x: Tensor) -> Tensor { self == .relu ? MartletOps.relu(x) : MartletOps.gelu(x) }
}

/// A layer of a transformer's encoder: attention to itself and two linear layers, each added to what went in.
///
/// Shapes and masks as those of `MultiheadAttention`. Parameters have PyTorch's names (`self_attn.…`, `linear1.weight`, …).
/// Source: Vaswani et al. 2017; PyTorch `TransformerEncoderLayer`.
public final class TransformerEncoderLayer: Module {
  public let selfAttn: MultiheadAttention
  public let linear1: Linear
  public let dropout: Dropout
  public let linear2: Linear
  public let norm1: LayerNorm
  public let norm2: LayerNorm
  public let dropout1: Dropout
  public let dropout2: Dropout
  public let activation: FeedForwardActivation
  /// Whether norms come before attention and the linear layers, which trains more steadily, or behind the sums.
  public let normFirst: Bool

  /// - Parameters:
  ///   - dim: the features.
  ///   - feedForward: the features between the two linear layers.
  public init(
    _ dim: Int, _ heads: Int, feedForward: Int = 2048, dropout: Double = 0.1,
    activation: FeedForwardActivation = .relu, epsilon: Double = 1e-5, batchFirst: Bool = false,
    normFirst: Bool = false, bias: Bool = true, dtype: DType = .float32, generator: Generator = Random.generator
  ) {
    selfAttn = MultiheadAttention(
      dim, heads, dropout: dropout, bias: bias, batchFirst: batchFirst, dtype: dtype, generator: generator)
    linear1 = Linear(dim, feedForward, bias: bias, dtype: dtype, generator: generator)
    self.dropout = Dropout(dropout, generator: generator)
    linear2 = Linear(feedForward, dim, bias: bias, dtype: dtype, generator: generator)
    norm1 = LayerNorm([dim], epsilon: epsilon, bias: bias, dtype: dtype)
    norm2 = LayerNorm([dim], epsilon: epsilon, bias: bias, dtype: dtype)
    dropout1 = Dropout(dropout, generator: generator)
    dropout2 = Dropout(dropout, generator: generator)
    self.activation = activation
    self.normFirst = normFirst
  }
  public var settings: String { normFirst ? "normFirst: true" : "" }
  public var stateNames: [String: String] { ["selfAttn": "self_attn"] }

  public func callAsFunction(
    _ x: Tensor, mask: Tensor? = nil, keyMask: Tensor? = nil, isCausal: Bool = false
  ) -> Tensor { self(EncoderInput(x: x, mask: mask, keyMask: keyMask, isCausal: isCausal)) }

  public func forward(_ input: EncoderInput) -> Tensor {
    func attended(_ x: Tensor) -> Tensor {
      dropout1(selfAttn(x, mask: input.mask, keyMask: input.keyMask, isCausal: input.isCausal))
    }
    func mixed(_ x: Tensor) -> Tensor { dropout2(linear2(dropout(activation(linear1(x))))) }
    if normFirst {
      let x = input.x + attended(norm1(input.x))
      return x + mixed(norm2(x))
    }
    let x = norm1(input.x + attended(input.x))
    return norm2(x + mixed(x))
  }
}

/// A layer of a transformer's decoder: attention to itself, to what the encoder made, and two linear layers.
/// Source: PyTorch `TransformerDecoderLayer`.
public final class TransformerDecoderLayer: Module {
  public let selfAttn: MultiheadAttention
  public let multiheadAttn: MultiheadAttention
  public let linear1: Linear
  public let dropout: Dropout
  public let linear2: Linear
  public let norm1: LayerNorm
  public let norm2: LayerNorm
  public let norm3: LayerNorm
  public let dropout1: Dropout
  public let dropout2: Dropout
  public let dropout3: Dropout
  public let activation: FeedForwardActivation
  public let normFirst: Bool

  public init(
    _ dim: Int, _ heads: Int, feedForward: Int = 2048, dropout: Double = 0.1,
    activation: FeedForwardActivation = .relu, epsilon: Double = 1e-5, batchFirst: Bool = false,
    normFirst: Bool = false, bias: Bool = true, dtype: DType = .float32, generator: Generator = Random.generator
  ) {
    func attention() -> MultiheadAttention {
      MultiheadAttention(
        dim, heads, dropout: dropout, bias: bias, batchFirst: batchFirst, dtype: dtype, generator: generator)
    }
    func norm() -> LayerNorm { LayerNorm([dim], epsilon: epsilon, bias: bias, dtype: dtype) }
    func drop() -> Dropout { Dropout(dropout, generator: generator) }
    (selfAttn, multiheadAttn) = (attention(), attention())
    linear1 = Linear(dim, feedForward, bias: bias, dtype: dtype, generator: generator)
    linear2 = Linear(feedForward, dim, bias: bias, dtype: dtype, generator: generator)
    (norm1, norm2, norm3) = (norm(), norm(), norm())
    (self.dropout, dropout1, dropout2, dropout3) = (drop(), drop(), drop(), drop())
    self.activation = activation
    self.normFirst = normFirst
  }
  public var settings: String { normFirst ? "normFirst: true" : "" }
  public var stateNames: [String: String] { ["selfAttn": "self_attn", "multiheadAttn": "multihead_attn"] }

  public func callAsFunction(
    _ x: Tensor, _ memory: Tensor, mask: Tensor? = nil, keyMask: Tensor? = nil, memoryMask: Tensor? = nil,
    memoryKeyMask: Tensor? = nil, isCausal: Bool = false
  ) -> Tensor {
    self(
      DecoderInput(
        x: x, memory: memory, mask: mask, keyMask: keyMask, memoryMask: memoryMask, memoryKeyMask: memoryKeyMask,
        isCausal: isCausal))
  }

  public func forward(_ input: DecoderInput) -> Tensor {
    func attended(_ x: Tensor) -> Tensor {
      dropout1(selfAttn(x, mask: input.mask, keyMask: input.keyMask, isCausal: input.isCausal))
    }
    func looked(_ x: Tensor) -> Tensor {
      dropout2(multiheadAttn(x, input.memory, input.memory, mask: input.memoryMask, keyMask: input.memoryKeyMask))
    }
    func mixed(_ x: Tensor) -> Tensor { dropout3(linear2(dropout(activation(linear1(x))))) }
    if normFirst {
      var x = input.x + attended(norm1(input.x))
      x = x + looked(norm2(x))
      return x + mixed(norm3(x))
    }
    var x = norm1(input.x + attended(input.x))
    x = norm2(x + looked(x))
    return norm3(x + mixed(x))
  }
}

private func several<Layer>(_ count: Int, _ op: String, _ layer: () -> Layer) -> [Layer] {
  if count < 0 { fail(OpError(.misuse("there are \(count) layers", rule: "0 or more"), op: op)) }
  return (0..<Swift.max(0, count)).map { _ in layer() }
}

/// Layers of a transformer's encoder one after the other. Source: PyTorch `TransformerEncoder`.
public final class TransformerEncoder: Module {
  public let layers: [TransformerEncoderLayer]
  public let norm: LayerNorm?

  /// - Parameter layer: makes each layer.
  public init(layers count: Int, norm: LayerNorm? = nil, _ layer: () -> TransformerEncoderLayer) {
    layers = several(count, "TransformerEncoder", layer)
    self.norm = norm
  }
  public func callAsFunction(
    _ x: Tensor, mask: Tensor? = nil, keyMask: Tensor? = nil, isCausal: Bool = false
  ) -> Tensor { self(EncoderInput(x: x, mask: mask, keyMask: keyMask, isCausal: isCausal)) }

  public func forward(_ input: EncoderInput) -> Tensor {
    let x = layers.reduce(input.x) { x, layer in
      layer(x, mask: input.mask, keyMask: input.keyMask, isCausal: input.isCausal)
    }
    return norm.map { $0(x) } ?? x
  }
}

/// Layers of a transformer's decoder one after the other. Source: PyTorch `TransformerDecoder`.
public final class TransformerDecoder: Module {
  public let layers: [TransformerDecoderLayer]
  public let norm: LayerNorm?

  /// - Parameter layer: makes each layer.
  public init(layers count: Int, norm: LayerNorm? = nil, _ layer: () -> TransformerDecoderLayer) {
    layers = several(count, "TransformerDecoder", layer)
    self.norm = norm
  }
  public func callAsFunction(
    _ x: Tensor, _ memory: Tensor, mask: Tensor? = nil, keyMask: Tensor? = nil, memoryMask: Tensor? = nil,
    memoryKeyMask: Tensor? = nil, isCausal: Bool = false
  ) -> Tensor {
    self(
      DecoderInput(
        x: x, memory: memory, mask: mask, keyMask: keyMask, memoryMask: memoryMask, memoryKeyMask: memoryKeyMask,
        isCausal: isCausal))
  }

  public func forward(_ input: DecoderInput) -> Tensor {
    let x = layers.reduce(input.x) { x, layer in
      layer(
        x, input.memory, mask: input.mask, keyMask: input.keyMask, memoryMask: input.memoryMask,
        memoryKeyMask: input.memoryKeyMask, isCausal: input.isCausal)
    }
    return norm.map { $0(x) } ?? x
  }
}

/// What a transformer takes.
public struct TransformerInput {
  public let source: Tensor
  public let target: Tensor
  public let sourceMask: Tensor?
  public let targetMask: Tensor?
  public let memoryMask: Tensor?
  public let sourceKeyMask: Tensor?
  public let targetKeyMask: Tensor?
  public let isCausal: Bool
}

/// An encoder and a decoder: from a source sequence and the target so far to what comes next in the target. Matrices start
/// as Xavier uniform. Source: Vaswani et al. 2017; PyTorch `Transformer`.
public final class Transformer: Module {
  public let encoder: TransformerEncoder
  public let decoder: TransformerDecoder

  public init(
    _ dim: Int = 512, _ heads: Int = 8, encoderLayers: Int = 6, decoderLayers: Int = 6, feedForward: Int = 2048,
    dropout: Double = 0.1, activation: FeedForwardActivation = .relu, batchFirst: Bool = false, normFirst: Bool = false,
    dtype: DType = .float32, generator: Generator = Random.generator
  ) {
    encoder = TransformerEncoder(layers: encoderLayers, norm: LayerNorm([dim], dtype: dtype)) {
      TransformerEncoderLayer(
        dim, heads, feedForward: feedForward, dropout: dropout, activation: activation, batchFirst: batchFirst,
        normFirst: normFirst, dtype: dtype, generator: generator)
    }
    decoder = TransformerDecoder(layers: decoderLayers, norm: LayerNorm([dim], dtype: dtype)) {
      TransformerDecoderLayer(
        dim, heads, feedForward: feedForward, dropout: dropout, activation: activation, batchFirst: batchFirst,
        normFirst: normFirst, dtype: dtype, generator: generator)
    }
    for parameter in parameters where parameter.value.rank > 1 {
      parameter.value = .xavierUniform(parameter.value.shape, dtype: dtype, generator: generator)
    }
  }

  /// - Parameters:
  ///   - sourceMask: what places of the source see of each other.
  ///   - memoryMask: what places of the target see of the source.
  ///   - sourceKeyMask: where the source is seen at all.
  ///   - isCausal: whether each place of the target sees only those before it.
  public func callAsFunction(
    _ source: Tensor, _ target: Tensor, sourceMask: Tensor? = nil, targetMask: Tensor? = nil,
    memoryMask: Tensor? = nil, sourceKeyMask: Tensor? = nil, targetKeyMask: Tensor? = nil, isCausal: Bool = false
  ) -> Tensor {
    self(
      TransformerInput(
        source: source, target: target, sourceMask: sourceMask, targetMask: targetMask, memoryMask: memoryMask,
        sourceKeyMask: sourceKeyMask, targetKeyMask: targetKeyMask, isCausal: isCausal))
  }

  public func forward(_ input: TransformerInput) -> Tensor {
    let memory = encoder(input.source, mask: input.sourceMask, keyMask: input.sourceKeyMask)
    return decoder(
      input.target, memory, mask: input.targetMask, keyMask: input.targetKeyMask, memoryMask: input.memoryMask,
      memoryKeyMask: input.sourceKeyMask, isCausal: input.isCausal)
  }
}
