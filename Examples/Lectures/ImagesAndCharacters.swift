import Martlet

/// Networks see only tensors. Images are axes of height, width and channel, a video has one more; characters are one-hot.
enum ImagesAndCharacters: Lesson {
  static let name = "images-and-characters"

  static func run() throws -> String {
    // Bytes as a file of pixels has them, row by row, red, green and blue together.
    let (height, width) = (4, 6)
    var bytes: [UInt8] = []
    for row in 0..<height {
      for column in 0..<width { bytes += [UInt8(column * 51), UInt8(row * 85), 255] }
    }
    let image = Tensor(bytes, shape: [height, width, 3])
    let channelsFirst = image.permuted(2, 0, 1).cast(to: .float32) / 255
    try check(channelsFirst.shape == [3, 4, 6] && image.dtype == .uint8, "the image is \(channelsFirst.spec)")
    try check(channelsFirst[0, 0], is: [0, 0.2, 0.4, 0.6, 0.8, 1], "red rises to the right")
    try check(channelsFirst[1, .all, 0], is: Tensor.linspace(from: 0, to: 1, count: 4), "green rises downwards")
    try check(channelsFirst[2], is: .ones([4, 6]), "blue is everywhere")
    try check(Conv2d(3, 8, kernelSize: 3)(channelsFirst).shape == [8, 2, 4], "a convolution of the image")

    let video = stack((0..<5).map { channelsFirst.rolled(by: $0, axis: 2) })
    try check(video.shape == [5, 3, 4, 6], "the video is \(video.shape)")

    let text = Array("hello")
    let alphabet = Set(text).sorted()  // e h l o
    let characters = oneHot(Tensor(text.map { alphabet.firstIndex(of: $0)! }), classes: alphabet.count)
    try check(
      characters, is: [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "the characters")
    let back = String(characters.argMax(axis: 1).array(as: Int.self).map { alphabet[$0] })
    try check(back == "hello", "back to text: \(back)")
    return "image \(channelsFirst.spec), video \(video.spec), characters \(characters.spec)"
  }
}
