import Martlet

/// Sound as a picture of time and frequency: the power of each frequency in short overlapping frames.
enum Spectrogram: Lesson {
  static let name = "spectrogram"

  /// `[samples]` → `[frames, size / 2 + 1]`: Fourier's sums as two products with tables of cosines and sines.
  static func power(_ sound: Tensor, size: Int, hop: Int) -> Tensor {
    let positions = Tensor.range(to: Double(size))
    let frequencies = Tensor.range(to: Double(size / 2 + 1))
    let window = 0.5 - 0.5 * cos(positions * (2 * Double.pi / Double(size)))  // Hann's
    // Products of whole numbers below 2²⁴ are exact in float32; the rest of the division keeps angles small.
    let angles = remainder(outer(positions, frequencies), Double(size)) * (2 * Double.pi / Double(size))
    let starts = Tensor.range(to: Double(sound.count - size + 1), by: Double(hop), dtype: .int64)
    let frames = sound[starts[.all, .newAxis] + Tensor.range(to: Double(size), dtype: .int64)] * window
    return square(matmul(frames, cos(angles))) + square(matmul(frames, sin(angles)))
  }

  static func run() throws -> String {
    // One second at 8 kHz: 500 Hz, then 1500 Hz at half the amplitude.
    let (rate, size, hop) = (8000.0, 256, 128)
    let time = Tensor.range(to: rate / 2) / rate
    let sound = concat([sin(time * (2 * Double.pi * 500)), 0.5 * sin(time * (2 * Double.pi * 1500))])
    let spectrogram = power(sound, size: size, hop: hop)
    try check(spectrogram.shape == [61, 129], "the spectrogram is \(spectrogram.shape)")

    // A tone of amplitude A at the middle of a row has power (A · size / 4)² there.
    let rows = [500.0, 1500].map { Int($0 * Double(size) / rate) }
    let loudest = spectrogram.argMax(axis: 1).array(as: Int.self)
    try check(loudest[0] == rows[0] && loudest[60] == rows[1], "the loudest rows are \(loudest)")
    try check(spectrogram[0, rows[0]].item(), is: 4096, within: 1e-3, "the power of the first tone")
    try check(spectrogram[60, rows[1]].item(), is: 1024, within: 1e-3, "the power of the second tone")
    try check(spectrogram[0, 40].item() < 1e-3, "power between the tones: \(spectrogram[0, 40].item())")
    return "\(spectrogram.spec), loudest at \(rows[0]) and then at \(rows[1])"
  }
}
