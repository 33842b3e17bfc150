public import MartletCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// How frequencies become mels, which are evenly spaced to the ear.
public enum MelScale: Sendable {
  /// `2595 log₁₀(1 + f / 700)`.
  case htk
  /// Straight up to 1000 Hz, logarithmic above: that of Slaney's Auditory Toolbox.
  case slaney

  func mels(_ hertz: Double) -> Double {
    switch self {
    case .htk: 2595 * log10(1 + hertz / 700)
    case .slaney: hertz < 1000 ? hertz * 3 / 200 : 15 + log(hertz / 1000) * 27 / log(6.4)
    }
  }
  func hertz(_ mels: Double) -> Double {
    switch self {
    case .htk: 700 * (pow(10, mels / 2595) - 1)
    case .slaney: mels < 15 ? mels * 200 / 3 : 1000 * exp((mels - 15) * log(6.4) / 27)
    }
  }
}

/// Triangles that sum the frequencies of a spectrum to mels: `[bins, mels]`.
///
/// - Parameters:
///   - bins: the number of frequencies of the spectrum, from 0 to half the sample rate; 2 or more.
///   - mels: the number of triangles; 1 or more.
///   - low, high: the lowest and the highest frequency in hertz; `0 ≤ low < high`. `high` is half the sample rate by default.
///   - normalized: whether each triangle has area 1 (Slaney's), in place of height 1.
///
/// Source: torchaudio `functional.melscale_fbanks`; librosa `filters.mel`, transposed, with `.slaney` and `normalized`.
public func melFilterBank(
  bins: Int, mels: Int, sampleRate: Double, low: Double = 0, high: Double? = nil, scale: MelScale = .htk,
  normalized: Bool = false, dtype: DType = .float32, device: Device = .current
) -> Tensor {
  func wrong(_ fact: Fact) -> Tensor { failure(fact, op: "melFilterBank") }
  let high = high ?? sampleRate / 2
  guard bins >= 2 else { return wrong(.count(name: "bins", bins, allowed: "2 or more: nFFT / 2 + 1")) }
  guard mels >= 1 else { return wrong(.count(name: "mels", mels, allowed: "1 or more")) }
  guard dtype.isFloating else {
    return wrong(.misuse("the dtype is \(dtype)", rule: "filters are of a floating dtype"))
  }
  guard sampleRate > 0, sampleRate.isFinite, low >= 0, low < high, high.isFinite else {
    return wrong(
      .misuse(
        "the sample rate is \(sampleRate), the frequencies are from \(low) to \(high)",
        rule: "0 < sampleRate and 0 ≤ low < high"))
  }
  let (first, last) = (scale.mels(low), scale.mels(high))
  let corners = (0...(mels + 1)).map { scale.hertz(first + (last - first) * Double($0) / Double(mels + 1)) }
  return Tensor.make(TensorSpec([bins, mels], dtype, device: device)) { target in
    for bin in 0..<bins {
      let frequency = sampleRate / 2 * Double(bin) / Double(bins - 1)
      for mel in 0..<mels {
        let (left, middle, right) = (corners[mel], corners[mel + 1], corners[mel + 2])
        let height = Swift.min((frequency - left) / (middle - left), (right - frequency) / (right - middle))
        target.store(Swift.max(0, height) * (normalized ? 2 / (right - left) : 1), bin * mels + mel, dtype)
      }
    }
  }
}

/// The power of a signal in mels over time: `[T]` or `[B, T]` → `[…, mels, frames]`.
///
/// - Parameters:
///   - window: by default Hann's, of `windowLength` elements.
///   - power: 2 for the power, 1 for the magnitude.
///
/// The others are those of `stft` and `melFilterBank`. Source: torchaudio `transforms.MelSpectrogram`; librosa's
/// `melspectrogram` with `.slaney`, `normalized` and `padMode: .constant(0)`.
public func melSpectrogram(
  _ x: Tensor, sampleRate: Double, nFFT: Int = 400, hop: Int? = nil, windowLength: Int? = nil, window: Tensor? = nil,
  mels: Int = 128, low: Double = 0, high: Double? = nil, scale: MelScale = .htk, normalized: Bool = false,
  power: Double = 2, center: Bool = true, padMode: PadMode = .reflect
) -> Tensor {
  let dtype: DType = x.dtype == .float64 ? .float64 : .float32
  let length = windowLength ?? nFFT
  let spectra = stft(
    x, nFFT: nFFT, hop: hop ?? Swift.max(1, length / 2), windowLength: length,
    window: window ?? .window(.hann, Swift.max(0, length), dtype: dtype, device: x.device), center: center,
    padMode: padMode)
  if spectra.isError { return spectra }
  let bank = melFilterBank(
    bins: nFFT / 2 + 1, mels: mels, sampleRate: sampleRate, low: low, high: high, scale: scale, normalized: normalized,
    dtype: dtype, device: x.device)
  if bank.isError { return bank }
  // The square has a gradient at 0, the absolute value none that means something.
  let (re, im) = (spectra.real, spectra.imaginary)
  let energies = power == 2 ? re * re + im * im : power == 1 ? abs(spectra) : pow(abs(spectra), power)
  return matmul(bank.transposed(), energies)
}

/// Amplitudes or powers in decibels: `factor · log₁₀(max(x, floor) / reference)`.
///
/// - Parameters:
///   - factor: 10 for powers, 20 for amplitudes.
///   - floor: what smaller values count as; above 0.
///   - range: how far below the largest value results may lie; nil for any. The largest is that of
///     the last three axes: of a tensor, or of each of a batch of four axes.
///
/// Source: torchaudio `functional.amplitude_to_DB`.
public func decibels(
  _ x: Tensor, factor: Double = 10, floor: Double = 1e-10, reference: Double = 1, range: Double? = nil
) -> Tensor {
  guard floor > 0, reference > 0, range ?? 0 >= 0 else {
    return failure(
      .misuse(
        "floor is \(floor), reference \(reference)\(range.map { ", range \($0)" } ?? "")",
        rule: "floor and reference are above 0, the range is 0 or more"), op: "decibels", [x])
  }
  let result = log10(clamp(x, min: floor)) * factor - factor * log10(Swift.max(floor, reference))
  guard let range, x.count > 0 else { return result }
  let top = x.rank > 3 ? result.max(axes: [-3, -2, -1], keepDims: true) : result.max()
  return maximum(result, top - range)
}

/// The matrix of the discrete cosine transform (DCT-II): `[size, coefficients]`, for a product from the right.
///
/// - Parameter orthonormal: whether its columns have length 1.
///
/// Source: torchaudio `functional.create_dct`.
public func cosineTransform(
  _ size: Int, coefficients: Int? = nil, orthonormal: Bool = true, dtype: DType = .float32, device: Device = .current
) -> Tensor {
  let count = coefficients ?? size
  guard size >= 1 else { return failure(.count(name: "size", size, allowed: "1 or more"), op: "cosineTransform") }
  guard count >= 1, count <= size else {
    return failure(.count(name: "coefficients", count, allowed: "1 … \(size)"), op: "cosineTransform")
  }
  guard dtype.isFloating else {
    return failure(.misuse("the dtype is \(dtype)", rule: "a floating dtype"), op: "cosineTransform")
  }
  return Tensor.make(TensorSpec([size, count], dtype, device: device)) { target in
    for j in 0..<size {
      for k in 0..<count {
        let length = orthonormal ? ((k == 0 ? 1 : 2) / Double(size)).squareRoot() : 2
        target.store(cos(.pi / Double(size) * (Double(j) + 0.5) * Double(k)) * length, j * count + k, dtype)
      }
    }
  }
}

/// The cepstrum of a signal in mels, a description of its timbre: `[T]` or `[B, T]` → `[…, coefficients, frames]`.
///
/// It is the cosine transform of `melSpectrogram` in decibels, cut at 80 below the largest.
///
/// Source: torchaudio `transforms.MFCC`.
public func mfcc(
  _ x: Tensor, sampleRate: Double, coefficients: Int = 40, nFFT: Int = 400, hop: Int? = nil, windowLength: Int? = nil,
  window: Tensor? = nil, mels: Int = 128, low: Double = 0, high: Double? = nil, scale: MelScale = .htk,
  normalized: Bool = false, center: Bool = true, padMode: PadMode = .reflect
) -> Tensor {
  guard coefficients >= 1, coefficients <= mels else {
    return failure(.count(name: "coefficients", coefficients, allowed: "1 … mels = \(mels)"), op: "mfcc", [x])
  }
  let spectrum = melSpectrogram(
    x, sampleRate: sampleRate, nFFT: nFFT, hop: hop, windowLength: windowLength, window: window, mels: mels, low: low,
    high: high, scale: scale, normalized: normalized, center: center, padMode: padMode)
  if spectrum.isError { return spectrum }
  let matrix = cosineTransform(mels, coefficients: coefficients, dtype: spectrum.dtype, device: x.device)
  return matmul(matrix.transposed(), decibels(spectrum, range: 80))
}
