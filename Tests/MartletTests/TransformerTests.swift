import Foundation
import Martlet
import Testing

@Suite struct AttentionLayerTests {
  private let generator = Generator(seed: 4)
  private func normal(_ shape: Shape) -> Tensor { .normal(shape, dtype: .float64, generator: generator) }
  private func attention(batchFirst: Bool = true, keyDim: Int? = nil, valueDim: Int? = nil) -> MultiheadAttention {
    let layer = MultiheadAttention(
      6, 2, keyDim: keyDim, valueDim: valueDim, batchFirst: batchFirst, dtype: .float64, generator: generator)
    layer.inProjBias!.value = normal([18])
    return layer
  }

  /// The definition, head by head; `seen[t][s]`.
  private func byHand(
    _ layer: MultiheadAttention, _ q: Tensor, _ k: Tensor, _ v: Tensor, seen: (Int, Int) -> Bool = { _, _ in true }
  ) -> Tensor {
    let w =
      layer.inProjWeight?.value.split([6, 6, 6]) ?? [
        layer.qProjWeight!.value, layer.kProjWeight!.value, layer.vProjWeight!.value,
      ]
    let b = layer.inProjBias!.value.split([6, 6, 6])
    let (q, k, v) = (
      matmul(q, w[0].transposed()) + b[0], matmul(k, w[1].transposed()) + b[1], matmul(v, w[2].transposed()) + b[2]
    )
    var rows: [Tensor] = []
    for t in 0..<q.shape[0] {
      var parts: [Tensor] = []
      for head in 0..<2 {
        let range = (3 * head)..<(3 * head + 3)
        var (sum, total) = (Tensor.zeros([3], dtype: .float64), 0.0)
        for s in 0..<k.shape[0] where seen(t, s) {
          let score = Foundation.exp((q[t, range] * k[s, range]).sum().item() / 3.0.squareRoot())
          total += score
          sum = sum + v[s, range] * score
        }
        parts.append(sum / total)
      }
      rows.append(concat(parts))
    }
    return layer.outProj(stack(rows))
  }

  /// Attention and its gradients have the same bits for any number of threads, also in bfloat16, where they are sums of pairs.
  @Test(arguments: [DType.float32, .bfloat16]) func bitsDoNotDependOnThreads(dtype: DType) {
    func draw(_ shape: Shape, _ seed: Int) -> Tensor {
      .normal(shape, generator: Generator(seed: seed)).cast(to: dtype)
    }
    let q = draw([2, 4, 205, 64], 1), k = draw([2, 2, 301, 64], 2), v = draw([2, 2, 301, 56], 3)
    for isCausal in [false, true] {
      let found = [1, 2, 3].map { threads in
        withThreads(threads) {
          grad { (x: [Tensor]) in
            let y = scaledDotProductAttention(x[0], x[1], x[2], isCausal: isCausal).cast(to: .float32)
            return (y * y).sum()
          }([q, k, v]).map { $0.floats }
        }
      }
      #expect(found[0] == found[1] && found[0] == found[2])
    }
  }

  @Test func isItsDefinition() throws {
    let layer = attention()
    let x = normal([3, 5, 6])
    let y = layer(x)
    for example in 0..<3 { expectSame(y[example], byHand(layer, x[example], x[example], x[example]), within: 1e-12) }
    let causal = layer(x, isCausal: true)
    expectSame(causal[1], byHand(layer, x[1], x[1], x[1]) { $1 <= $0 }, within: 1e-12)
    let memory = normal([3, 4, 6])
    let mask = Tensor([[true, true, false, true], [true, true, true, true], [false, true, true, true]])
    let z = layer(x, memory, memory, keyMask: mask)
    for (example, hidden) in [(0, 2), (1, -1), (2, 0)] {
      expectSame(
        z[example], byHand(layer, x[example], memory[example], memory[example]) { $1 != hidden }, within: 1e-12)
    }
    // Without a batch, and with the batch behind the time.
    expectSame(layer(x[2]), y[2], within: 1e-12)
    let turned = attention(batchFirst: false)
    try turned.load(layer.state)
    expectSame(turned(x.transposed(0, 1)).transposed(0, 1), y, within: 1e-12)
    try checkGradients({ layer($0, isCausal: true) }, x, order: 2)
  }

  @Test func otherSizesOfKeysAndValues() {
    let layer = attention(keyDim: 4, valueDim: 3)
    let (q, k, v) = (normal([2, 5, 6]), normal([2, 7, 4]), normal([2, 7, 3]))
    expectSame(layer(q, k, v)[1], byHand(layer, q[1], k[1], v[1]), within: 1e-12)
    #expect(
      layer.state.names == [
        "q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias",
      ])
  }

  @Test func weightsAreDistributions() {
    let layer = attention()
    let x = normal([2, 5, 6])
    let weights = layer.weights(x, x, isCausal: true)
    #expect(weights.shape == [2, 2, 5, 5])
    #expect(allClose(weights.sum(axis: -1), Tensor.ones([2, 2, 5], dtype: .float64)))
    #expect(abs(weights.triu(1)).sum().item() == 0)
  }

  @Test func wrongUse() {
    let layer = attention()
    let x = normal([2, 5, 6])
    let texts: [(String, () -> Void)] = [
      ("6 features along the last axis", { _ = layer(normal([2, 5, 4])) }),
      ("one batch size", { _ = layer(x, normal([3, 5, 6]), normal([3, 5, 6])) }),
      ("keyMask is", { _ = layer(x, keyMask: Tensor([true, false])) }),
      ("the heads divide the features evenly", { _ = MultiheadAttention(6, 4) }),
      ("a shape that broadcasts to [2, 2, 5, 5]", { _ = layer(x, mask: normal([4, 4])) }),
    ]
    for (text, body) in texts {
      let found = errorText(body)
      #expect(found.contains(text), "\(found)")
    }
  }

  /// 8,192 rows of one head: the scores would take 256 MB, in each of several copies.
  @Test func longSequencesNeedLittleMemory() {
    guard Device.current == .cpu else { return }
    let length = 8192
    let parts = (0..<3).map { _ in Tensor.normal([1, length, 64], generator: generator) }
    let before = MemoryStatistics.largeBytesOfThread
    let gradients = grad { (x: [Tensor]) in
      scaledDotProductAttention(x[0], x[1], x[2], isCausal: true).sum()
    }(parts)
    // All that was taken, also what was given back on the way.
    let taken = MemoryStatistics.largeBytesOfThread - before
    #expect(taken < 64 << 20, "\(taken) bytes")
    // The weights of each row sum to one.
    #expect(
      allClose(gradients[2].sum(axis: 1), Tensor.ones([1, 64]) * Double(length), relative: 1e-3))
  }
}

@Suite struct TransformerTests {
  private let generator = Generator(seed: 6)
  private func normal(_ shape: Shape) -> Tensor { .normal(shape, dtype: .float64, generator: generator) }

  @Test func encoderLayers() throws {
    for normFirst in [false, true] {
      let layer = TransformerEncoderLayer(
        6, 2, feedForward: 8, dropout: 0.1, activation: .gelu, batchFirst: true, normFirst: normFirst, dtype: .float64,
        generator: generator)
      layer.eval()
      let x = normal([2, 4, 6])
      func mixed(_ x: Tensor) -> Tensor { layer.linear2(gelu(layer.linear1(x))) }
      let y: Tensor
      if normFirst {
        let z = x + layer.selfAttn(layer.norm1(x))
        y = z + mixed(layer.norm2(z))
      } else {
        let z = layer.norm1(x + layer.selfAttn(x))
        y = layer.norm2(z + mixed(z))
      }
      expectSame(layer(x), y, within: 1e-12)
      layer.train()
      #expect(!allClose(layer(x), layer(x)))
    }
  }

  @Test func namesArePyTorchs() {
    let layer = TransformerDecoderLayer(4, 2, feedForward: 8)
    #expect(
      Set(layer.state.names) == [
        "self_attn.in_proj_weight", "self_attn.in_proj_bias", "self_attn.out_proj.weight", "self_attn.out_proj.bias",
        "multihead_attn.in_proj_weight", "multihead_attn.in_proj_bias", "multihead_attn.out_proj.weight",
        "multihead_attn.out_proj.bias", "linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias",
        "norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias", "norm3.weight", "norm3.bias",
      ])
    let model = Transformer(4, 2, encoderLayers: 1, decoderLayers: 1, feedForward: 8)
    #expect(model.state.names.contains("encoder.layers.0.self_attn.in_proj_weight"))
    #expect(model.state.names.contains("decoder.norm.bias"))
  }

  /// What comes later in the target does not change what came before; padding of the source does not matter.
  @Test func causalAndPadded() {
    let model = Transformer(
      8, 2, encoderLayers: 2, decoderLayers: 2, feedForward: 16, batchFirst: true, dtype: .float64, generator: generator
    )
    model.eval()
    let (source, target) = (normal([2, 5, 8]), normal([2, 4, 8]))
    let y = model(source, target, isCausal: true)
    #expect(y.shape == [2, 4, 8])
    var later = target
    later[0..., 3] = normal([2, 8])
    expectSame(model(source, later, isCausal: true)[0..., ..<3], y[0..., ..<3], within: 1e-12)
    // As in PyTorch, the target sees all of itself unless told otherwise.
    #expect(!allClose(model(source, later)[0..., ..<3], model(source, target)[0..., ..<3]))
    let seen = Tensor([[true, true, true, true, false], [true, true, true, true, true]])
    var other = source
    other[0, 4] = normal([8])
    expectSame(
      model(source, target, sourceKeyMask: seen), model(other, target, sourceKeyMask: seen), within: 1e-12)
    #expect(!allClose(model(source, target)[0], model(other, target)[0]))
  }
}
