import Martlet

/// Linear 784-512-512-10 with ReLU.
func mlp() -> Sequential {
  Sequential {
    Flatten()
    Linear(784, 512)
    ReLU()
    Linear(512, 512)
    ReLU()
    Linear(512, 10)
  }
}

/// Two 5×5 convolutions with pooling, then Linear 3136-512-10.
func lenet() -> Sequential {
  Sequential {
    Conv2d(1, 32, kernelSize: 5, padding: 2)
    ReLU()
    MaxPool2d(kernelSize: 2)
    Conv2d(32, 64, kernelSize: 5, padding: 2)
    ReLU()
    MaxPool2d(kernelSize: 2)
    Flatten()
    Linear(3136, 512)
    ReLU()
    Linear(512, 10)
  }
}

/// A model of the next word by an LSTM: `[T, B]` → `[T, B, words]`.
final class WordModel: Module {
  let embedding: Embedding
  let lstm: LSTM
  let head: Linear
  init(words: Int, features: Int, layers: Int) {
    embedding = Embedding(words, features)
    lstm = LSTM(features, features, layers: layers)
    head = Linear(features, words)
  }
  func forward(_ x: Tensor) -> Tensor { head(lstm(embedding(x)).output) }
}

/// A transformer that predicts the next character: `[B, T]` → `[B, T, characters]`.
final class GPT: Module {
  final class Block: Module {
    let norm1: LayerNorm
    let qkv: Linear
    let out: Linear
    let norm2: LayerNorm
    let up: Linear
    let down: Linear
    let heads: Int
    init(_ features: Int, _ heads: Int) {
      self.heads = heads
      (norm1, norm2) = (LayerNorm(features), LayerNorm(features))
      (qkv, out) = (Linear(features, 3 * features), Linear(features, features))
      (up, down) = (Linear(features, 4 * features), Linear(4 * features, features))
    }
    func forward(_ x: Tensor) -> Tensor {
      let (batch, length, features) = (x.shape[0], x.shape[1], x.shape[2])
      let parts = qkv(norm1(x)).split([features, features, features], axis: 2).map {
        $0.reshaped([batch, length, heads, features / heads]).transposed(1, 2)
      }
      let attended = scaledDotProductAttention(parts[0], parts[1], parts[2], isCausal: true)
      let y = x + out(attended.transposed(1, 2).reshaped(x.shape))
      return y + down(gelu(up(norm2(y)), approximate: true))
    }
  }

  let characters: Embedding
  let places: Embedding
  let blocks: [Block]
  let norm: LayerNorm
  let head: Linear
  init(characters: Int, length: Int, features: Int, heads: Int, layers: Int) {
    self.characters = Embedding(characters, features)
    places = Embedding(length, features)
    blocks = (0..<layers).map { _ in Block(features, heads) }
    norm = LayerNorm(features)
    head = Linear(features, characters, bias: false)
  }
  func forward(_ x: Tensor) -> Tensor {
    let start = characters(x) + places(Tensor.range(to: Double(x.shape[1]), dtype: .int64))
    return head(norm(blocks.reduce(start) { $1($0) }))
  }
}

/// A network from images to images of classes: four steps down and four up, which also see what stood beside them.
final class UNet: Module {
  final class Step: Module {
    let convolution: Conv2d
    let transposed: ConvTranspose2d?
    init(_ inputs: Int, isDecoder: Bool) {
      convolution = Conv2d(inputs, 16, kernelSize: 3, stride: isDecoder ? 1 : 2, padding: 1, bias: false)
      transposed =
        isDecoder ? ConvTranspose2d(16, 16, kernelSize: 3, stride: 2, padding: 1, outputPadding: 1, bias: false) : nil
    }
    func forward(_ x: Tensor) -> Tensor {
      let y = relu(convolution(x))
      return transposed.map { $0(y) } ?? y
    }
  }

  let encoders = [3, 16, 16, 16].map { Step($0, isDecoder: false) }
  let decoders = [16, 32, 32, 32].map { Step($0, isDecoder: true) }
  let classifier: Conv2d
  init(classes: Int) { classifier = Conv2d(16, classes, kernelSize: 1, bias: false) }
  func forward(_ x: Tensor) -> Tensor {
    var steps = [x]
    for encoder in encoders { steps.append(encoder(steps.last!)) }
    var y = decoders[0](steps[4])
    for (decoder, skip) in zip(decoders[1...], [steps[3], steps[2], steps[1]]) {
      y = decoder(concat([y, skip], axis: 1))
    }
    return classifier(y)
  }
}
