import Martlet
import Testing

@Suite struct ImageTensorTests {
  private let digits = LabeledImages(
    images: RawImages(count: 2, rows: 2, columns: 3, pixels: [0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6]),
    labels: [7, 0])

  @Test func pixelsAndLabels() {
    let images = digits.images.tensor()
    #expect(images.dtype == .uint8)
    expectValues(images, [2, 2, 3], [0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6])
    let labels = digits.labelTensor()
    #expect(labels.dtype == .int64)
    expectValues(labels, [2], [7, 0])
    let scaled = digits.images.scaledTensor()
    #expect(scaled.dtype == .float32)
    expectValues(scaled[0], [2, 3], [0, 0.2, 0.4, 0.6, 0.8, 1], within: 1e-7)
    expectSame(scaled, images.cast(to: .float32) / 255, within: 1e-7)
  }

  /// The tensor lies over the array's own memory, outlives it, and leaves it as it is when written to.
  @Test func borrowsThePixels() {
    var pixels: [UInt8]? = [UInt8](repeating: 9, count: 600)
    let address = pixels!.withUnsafeBytes { UnsafeMutableRawPointer(mutating: $0.baseAddress!) }
    var images: RawImages? = RawImages(count: 6, rows: 10, columns: 10, pixels: pixels!)
    var tensor = images!.tensor(device: .cpu)
    #expect(tensor.address == address)
    tensor[0, 0, 0] = 5
    #expect(images!.pixels[0] == 9 && tensor[0, 0, 0].item() == 5)
    let second = images!.tensor(device: .cpu)
    pixels![0] = 1  // copies the array: the tensor holds the old elements
    (pixels, images) = (nil, nil)
    #expect(second.sum().item() == 5400)
  }

  @Test func noImages() {
    expectValues(RawImages(count: 0, rows: 2, columns: 2, pixels: []).tensor(), [0, 2, 2], [])
    expectValues(RawImages(count: 0, rows: 2, columns: 2, pixels: []).scaledTensor(), [0, 2, 2], [])
  }
}
