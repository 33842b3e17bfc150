import Martlet

/// Half the height and width.
final class Down: Module {
  let conv: Conv2d
  init(_ inChannels: Int, _ outChannels: Int) {
    conv = Conv2d(inChannels, outChannels, kernelSize: 3, stride: 2, padding: 1, bias: false)
  }
  func forward(_ x: Tensor) -> Tensor { relu(conv(x)) }
}

/// Twice the height and width of what comes from below, together with what comes from the side.
final class Up: Module {
  let conv: Conv2d
  let transposed: ConvTranspose2d
  init(_ inChannels: Int, _ outChannels: Int) {
    conv = Conv2d(inChannels, outChannels, kernelSize: 3, padding: 1, bias: false)
    transposed = ConvTranspose2d(
      outChannels, outChannels, kernelSize: 3, stride: 2, padding: 1, outputPadding: 1, bias: false)
  }
  func forward(_ inputs: [Tensor]) -> Tensor { transposed(relu(conv(concat(inputs, axis: 1)))) }
}

/// A small U-Net: four steps down, four up, each of which sees what the way down had at its size.
final class UNet: Module {
  let down1, down2, down3, down4: Down
  let up4, up3, up2, up1: Up
  let classifier: Conv2d

  init(classes: Int, inChannels: Int = 3) {
    (down1, down2, down3, down4) = (Down(inChannels, 16), Down(16, 16), Down(16, 16), Down(16, 16))
    (up4, up3, up2, up1) = (Up(16, 16), Up(32, 16), Up(32, 16), Up(32, 16))
    classifier = Conv2d(16, classes, kernelSize: 1, bias: false)
  }

  func forward(_ x: Tensor) -> Tensor {
    let x1 = down1(x)
    let x2 = down2(x1)
    let x3 = down3(x2)
    let y4 = up4([down4(x3)])
    let y3 = up3([y4, x3])
    let y2 = up2([y3, x2])
    return classifier(up1([y2, x1]))
  }
}

enum UNetLesson: Lesson {
  static let name = "unet"

  /// Noisy pictures with one bright rectangle, and for each pixel whether it is part of it.
  static func pictures(_ count: Int, size: Int) -> (images: Tensor, labels: Tensor) {
    var images = Tensor.uniform([count, 3, size, size], low: -0.5, high: 0.5)
    var labels = Tensor.zeros([count, size, size], dtype: .int64)
    for n in 0..<count {
      let (top, left) = (n * 5 % (size / 2), n * 3 % (size / 2))
      let (rows, columns) = (top..<(top + size / 3), left..<(left + size / 2))
      images[n, .all, rows, columns] += 1
      labels[n, rows, columns] = 1
    }
    return (images, labels)
  }

  static func run() throws -> String {
    let (images, labels) = pictures(8, size: 32)
    let model = UNet(classes: 2)
    try check(model(images).shape == [8, 2, 32, 32], "the output is \(model(images).shape)")

    let optimizer = Adam(model.parameters, learningRate: 3e-3)
    let losses = (0..<80).map { _ in
      optimizer.zeroGrad()
      let loss = crossEntropy(model(images), labels)
      loss.backward()
      optimizer.step()
      return loss.item()
    }
    try check(losses.last! < losses[0] / 4, "the loss fell from \(losses[0]) to \(losses.last!) only")
    let right = (model(images).argMax(axis: 1) .== labels).cast(to: .float32).mean().item()
    try check(right > 0.95, "only \(right) of the pixels are right")
    return "loss \(losses[0].short) → \(losses.last!.short), \(right.short) of the pixels right"
  }
}
