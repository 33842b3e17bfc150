import Martlet

/// Steps of training on one random batch.
struct TrainingWorkload {
  let name: String
  let model: () -> any Module<Tensor, Tensor>
  let optimizer: ([Parameter]) -> any Optimizer
  let x: Tensor
  let y: Tensor
  /// What a batch counts as: examples or tokens.
  let count: Int
  let unit: String
  let loss: (Tensor, Tensor) -> Tensor

  func run(modes: Set<String>, seconds: Double) {
    for mode in Bench.modes where modes.contains(mode) {
      let isChannelsLast = mode == "channels_last"
      // Only of images with several channels.
      if isChannelsLast, x.rank != 4 || x.shape[1] == 1 { continue }
      let x = isChannelsLast ? x.channelsLast() : x
      let model = model()
      let optimizer = optimizer(model.parameters)
      let forward = mode == "compiled_model" ? compile({ (x: Tensor) in model(x) }).function : { model($0) }
      func step(_ x: Tensor, _ y: Tensor) -> Tensor {
        optimizer.zeroGrad()
        let loss = withAutocast(mode.hasSuffix("bf16") ? .bfloat16 : nil) { self.loss(forward(x), y) }
        loss.backward()
        optimizer.step()
        return loss.detached()
      }
      let compiled = compile(step)
      let compilesStep = mode == "compiled" || mode == "compiled_bf16"
      let run = compilesStep ? compiled.function : step
      // The optimizer has no state in the first step, so that the second needs another program.
      let firstTwo = ContinuousClock().measure { for _ in 0..<2 { _ = run(x, y).item() } }
      let time = medianTime(seconds: seconds) { _ = run(x, y).item() }
      emit(name, mode, Double(count) / time, unit, median: Double(count) / time)
      if compilesStep {
        let compiling = firstTwo / .seconds(1) - 2 * time
        emit(name + "_compile", mode, compiling, "s", median: compiling)
      }
      if Bench.explains, compilesStep, let explanation = try? compiled.explain(x, y) {
        print(explanation)
      }
    }
  }

  /// Images in the sizes of MNIST, batch 128, with Adam.
  static func mnist(_ name: String, _ model: @escaping () -> any Module<Tensor, Tensor>) -> TrainingWorkload {
    let generator = Generator(seed: 0)
    return TrainingWorkload(
      name: name, model: model, optimizer: { Adam($0) }, x: .normal([128, 1, 28, 28], generator: generator),
      y: integers([128], below: 10, generator), count: 128, unit: "samples/s", loss: { crossEntropy($0, $1) })
  }

  /// Images of 32×32 pixels, batch 64, with SGD.
  static var resnet18: TrainingWorkload {
    let generator = Generator(seed: 0)
    return TrainingWorkload(
      name: "resnet18_cifar_train_b64", model: { ResNet.resnet18() },
      optimizer: { SGD($0, learningRate: 0.1, momentum: 0.9, weightDecay: 5e-4) },
      x: .normal([64, 3, 32, 32], generator: generator), y: integers([64], below: 10, generator), count: 64,
      unit: "samples/s", loss: { crossEntropy($0, $1) })
  }

  /// The next of 10,000 words, 35 steps of 20 sequences, with SGD.
  static var lstm: TrainingWorkload {
    let generator = Generator(seed: 0)
    return TrainingWorkload(
      name: "lstm_ptb_train_b20_t35", model: { WordModel(words: 10000, features: 650, layers: 2) },
      optimizer: { SGD($0, learningRate: 0.1, momentum: 0.9, weightDecay: 5e-4) },
      x: integers([35, 20], below: 10000, generator), y: integers([35, 20], below: 10000, generator), count: 700,
      unit: "tokens/s", loss: { crossEntropy($0.flattened(from: 0, to: 1), $1.flattened(from: 0)) })
  }

  /// The next of 65 characters, 8 sequences of 256, with AdamW.
  static var gpt: TrainingWorkload {
    let generator = Generator(seed: 0)
    return TrainingWorkload(
      name: "gpt_char_train_b8_t256", model: { GPT(characters: 65, length: 256, features: 384, heads: 6, layers: 6) },
      optimizer: { AdamW($0) }, x: integers([8, 256], below: 65, generator),
      y: integers([8, 256], below: 65, generator),
      count: 2048, unit: "tokens/s", loss: { crossEntropy($0.flattened(from: 0, to: 1), $1.flattened(from: 0)) })
  }

  /// Images of 128×128 pixels with a class for each, batch 8, with SGD.
  static var unet: TrainingWorkload {
    let generator = Generator(seed: 0)
    return TrainingWorkload(
      name: "unet_seed_train_b8_128", model: { UNet(classes: 10) },
      optimizer: { SGD($0, learningRate: 0.1, momentum: 0.9, weightDecay: 5e-4) },
      x: .normal([8, 3, 128, 128], generator: generator), y: integers([8, 128, 128], below: 10, generator), count: 8,
      unit: "samples/s", loss: { crossEntropy($0, $1) })
  }

  private static func integers(_ shape: Shape, below end: Int, _ generator: Generator) -> Tensor {
    (Tensor.uniform(shape, generator: generator) * Double(end)).cast(to: .int64)
  }
}
