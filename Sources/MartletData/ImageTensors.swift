public import MartletCore

/// Keeps an array's memory where it is while a tensor borrows it.
private final class Lender {
  let pixels: [UInt8]
  init(_ pixels: [UInt8]) { self.pixels = pixels }
}

extension RawImages {
  /// The pixels as `uint8[count, rows, columns]`; on the CPU the tensor borrows them, without a copy.
  ///
  /// A network takes them as floats in 0 … 1: `images.tensor()[indices].cast(to: .float32) / 255` for a batch, or
  /// `scaledTensor()` for all.
  public func tensor(device: Device = .current) -> Tensor {
    let shape: Shape = [count, rows, columns]
    guard device == .cpu else { return Tensor(pixels, shape: shape, device: device) }
    // The elements of an array stay where they are as long as somebody holds it and nobody else can write to it.
    let lender = Lender(pixels)
    return lender.pixels.withUnsafeBytes { Tensor(borrowing: $0, shape: shape, dtype: .uint8, owner: lender) }
  }

  /// The pixels divided by 255, as `float32[count, rows, columns]`: four times the memory of `tensor()`.
  public func scaledTensor(device: Device = .current) -> Tensor {
    Tensor.make(TensorSpec([count, rows, columns], .float32, device: device)) { target in
      let target = target.bindMemory(to: Float.self)
      for (index, pixel) in pixels.enumerated() { target[index] = Float(pixel) / 255 }
    }
  }
}

extension LabeledImages {
  /// The classes as `int64[count]`, as `crossEntropy` takes them.
  public func labelTensor(device: Device = .current) -> Tensor { Tensor(labels.map(Int.init), device: device) }
}
