import Martlet

/// Two 3×3 convolutions, or three with a narrow middle, around which the input is added.
final class ResidualBlock: Module {
  let convolutions: [Conv2d]
  let norms: [BatchNorm2d]
  let shortcut: Conv2d?
  let shortcutNorm: BatchNorm2d?

  init(_ inputs: Int, _ width: Int, stride: Int, isNarrow: Bool) {
    let outputs = isNarrow ? 4 * width : width
    if isNarrow {
      convolutions = [
        Conv2d(inputs, width, kernelSize: 1, bias: false),
        Conv2d(width, width, kernelSize: 3, stride: Extent(stride), padding: 1, bias: false),
        Conv2d(width, outputs, kernelSize: 1, bias: false),
      ]
      norms = [BatchNorm2d(width), BatchNorm2d(width), BatchNorm2d(outputs)]
    } else {
      convolutions = [
        Conv2d(inputs, width, kernelSize: 3, stride: Extent(stride), padding: 1, bias: false),
        Conv2d(width, width, kernelSize: 3, padding: 1, bias: false),
      ]
      norms = [BatchNorm2d(width), BatchNorm2d(width)]
    }
    let changes = stride != 1 || inputs != outputs
    shortcut = changes ? Conv2d(inputs, outputs, kernelSize: 1, stride: Extent(stride), bias: false) : nil
    shortcutNorm = changes ? BatchNorm2d(outputs) : nil
  }

  func forward(_ x: Tensor) -> Tensor {
    var y = x
    for (position, (convolution, norm)) in zip(convolutions, norms).enumerated() {
      y = norm(convolution(y))
      if position < convolutions.count - 1 { y = relu(y) }
    }
    let around = shortcut.map { shortcutNorm!($0(x)) } ?? x
    return relu(y + around)
  }
}

/// A residual network: ResNet-18 for images of 32×32 pixels, ResNet-50 for photographs.
final class ResNet: Module {
  let stem: Conv2d
  let norm: BatchNorm2d
  let pool: MaxPool2d?
  let blocks: [ResidualBlock]
  let head: Linear

  init(blocks counts: [Int], isNarrow: Bool, classes: Int, forSmallImages: Bool) {
    stem =
      forSmallImages
      ? Conv2d(3, 64, kernelSize: 3, padding: 1, bias: false)
      : Conv2d(3, 64, kernelSize: 7, stride: 2, padding: 3, bias: false)
    norm = BatchNorm2d(64)
    pool = forSmallImages ? nil : MaxPool2d(kernelSize: 3, stride: 2, padding: 1)
    var blocks: [ResidualBlock] = []
    var channels = 64
    for (stage, count) in counts.enumerated() {
      let width = 64 << stage
      for position in 0..<count {
        blocks.append(
          ResidualBlock(channels, width, stride: stage > 0 && position == 0 ? 2 : 1, isNarrow: isNarrow))
        channels = isNarrow ? 4 * width : width
      }
    }
    self.blocks = blocks
    head = Linear(channels, classes)
  }

  func forward(_ x: Tensor) -> Tensor {
    var y = relu(norm(stem(x)))
    if let pool { y = pool(y) }
    for block in blocks { y = block(y) }
    return head(y.mean(axes: [2, 3]))
  }

  static func resnet18() -> ResNet { ResNet(blocks: [2, 2, 2, 2], isNarrow: false, classes: 10, forSmallImages: true) }
  static func resnet50() -> ResNet {
    ResNet(blocks: [3, 4, 6, 3], isNarrow: true, classes: 1000, forSmallImages: false)
  }
}

/// MobileNet V2: narrow residual blocks whose wide middle convolves each channel alone.
final class MobileNetV2: Module {
  final class Block: Module {
    let layers: Sequential
    let addsInput: Bool
    init(_ inputs: Int, _ outputs: Int, stride: Int, expansion: Int) {
      addsInput = stride == 1 && inputs == outputs
      let wide = inputs * expansion
      layers = Sequential {
        if expansion != 1 {
          Conv2d(inputs, wide, kernelSize: 1, bias: false)
          BatchNorm2d(wide)
          ReLU6()
        }
        Conv2d(wide, wide, kernelSize: 3, stride: Extent(stride), padding: 1, groups: wide, bias: false)
        BatchNorm2d(wide)
        ReLU6()
        Conv2d(wide, outputs, kernelSize: 1, bias: false)
        BatchNorm2d(outputs)
      }
    }
    func forward(_ x: Tensor) -> Tensor { addsInput ? x + layers(x) : layers(x) }
  }
  let stem: Sequential
  let blocks: [Block]
  let last: Sequential
  let head: Linear

  init() {
    stem = Sequential {
      Conv2d(3, 32, kernelSize: 3, stride: 2, padding: 1, bias: false)
      BatchNorm2d(32)
      ReLU6()
    }
    var blocks: [Block] = []
    var channels = 32
    let stages = [
      (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ]
    for (expansion, outputs, count, stride) in stages {
      for position in 0..<count {
        blocks.append(Block(channels, outputs, stride: position == 0 ? stride : 1, expansion: expansion))
        channels = outputs
      }
    }
    self.blocks = blocks
    last = Sequential {
      Conv2d(320, 1280, kernelSize: 1, bias: false)
      BatchNorm2d(1280)
      ReLU6()
    }
    head = Linear(1280, 1000)
  }

  func forward(_ x: Tensor) -> Tensor {
    var y = stem(x)
    for block in blocks { y = block(y) }
    return head(last(y).mean(axes: [2, 3]))
  }
}

/// Images through a network in evaluation.
func inference(
  _ name: String, _ model: any Module<Tensor, Tensor>, batch: Int, modes: Set<String>, seconds: Double
) {
  model.eval()
  let images = Tensor.normal([batch, 3, 224, 224], generator: Generator(seed: 0))
  for mode in Bench.modes where modes.contains(mode) && mode != "compiled_model" {
    let x = mode == "channels_last" ? images.channelsLast() : images
    func forward(_ x: Tensor) -> Tensor {
      withoutGradient { withAutocast(mode.hasSuffix("bf16") ? .bfloat16 : nil) { model(x) } }
    }
    let compiled = compile { (x: Tensor) in forward(x) }
    let run = mode.hasPrefix("compiled") ? compiled.function : forward
    let time = medianTime(seconds: seconds) { _ = withoutGradient { run(x) }.sum().item() }
    emit(name, mode, Double(batch) / time, "images/s", median: Double(batch) / time)
    if Bench.explains, mode.hasPrefix("compiled"), let explanation = try? withoutGradient({ try compiled.explain(x) }) {
      print(explanation)
    }
  }
}
