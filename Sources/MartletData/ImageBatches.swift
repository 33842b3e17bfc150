import MartletFormats
public import MartletCore

/// Gray images with labels, as training takes them.
public struct ImageBatch: Sendable {
  /// `[B, 1, rows, columns]`, float32, as `ImageScaling` says.
  public let images: Tensor
  /// `[B]`, int64.
  public let labels: Tensor
  /// The number of examples.
  public var count: Int { labels.count }
}

/// How pixels of 0 … 255 become numbers: `(pixel / 255 - mean) / deviation`.
public struct ImageScaling: Sendable, Hashable, Codable {
  public let mean: Float
  public let deviation: Float
  public init(mean: Float, deviation: Float) {
    self.mean = mean
    self.deviation = deviation
  }
  /// Mean and deviation of MNIST's training images.
  public static let mnist = ImageScaling(mean: 0.1307, deviation: 0.3081)
}

extension LabeledImages {
  /// Some of the images and their labels as tensors.
  public func batch(_ examples: some Collection<Int>, scaling: ImageScaling = .mnist) -> ImageBatch {
    let size = images.rows * images.columns
    // One multiplication and one addition for each pixel, looked up: a byte has 256 values.
    let table = (0..<256).map { (Float($0) / 255 - scaling.mean) / scaling.deviation }
    let spec = TensorSpec([examples.count, 1, images.rows, images.columns], .float32, device: .current)
    let pixels = Tensor.make(spec) { raw in
      let target = raw.bindMemory(to: Float.self)
      var place = 0
      images.pixels.withUnsafeBufferPointer { source in
        for example in examples {
          precondition(example >= 0 && example < count, "batch: example \(example) is outside of 0..<\(count)")
          for pixel in source[example * size..<(example + 1) * size] {
            target[place] = table[Int(pixel)]
            place += 1
          }
        }
      }
    }
    return ImageBatch(images: pixels, labels: Tensor(examples.map { Int(labels[$0]) }))
  }
}
