public import MartletCore

/// What `stft` and `istft` agree on.
private struct Frames {
  let size, hop: Int
  let window: Tensor
  /// Whether the transform is times 1/√size.
  let norm: FourierNorm

  /// Nil after an error, which is reported.
  init?(
    _ x: Tensor, _ nFFT: Int, _ hop: Int?, _ windowLength: Int?, _ window: Tensor?, _ normalized: Bool, _ op: String
  ) {
    func wrong(_ fact: Fact) { _ = failure(fact, op: op, [x]) }
    let hop = hop ?? nFFT / 4
    let length = windowLength ?? nFFT
    guard nFFT >= 1 else { wrong(.count(name: "nFFT", nFFT, allowed: "1 or more")); return nil }
    guard hop >= 1 else { wrong(.count(name: "hop", hop, allowed: "1 or more")); return nil }
    // So that no product below overflows.
    for (name, value) in [("nFFT", nFFT), ("hop", hop)] where value > Int(Int32.max) {
      wrong(.count(name: name, value, allowed: "at most \(Int32.max)"))
      return nil
    }
    guard length >= 1, length <= nFFT else {
      wrong(.count(name: "the length of the window", length, allowed: "1 … nFFT = \(nFFT)"))
      return nil
    }
    if let window, window.shape != [length] || window.dtype.isComplex {
      // Filled up only when that is asked for: a window of another size is most often a mistake.
      let isShort = windowLength == nil && window.rank == 1 && window.count < nFFT && !window.dtype.isComplex
      wrong(
        .misuse(
          "the window is \(window.spec)",
          rule: "it has \(length) real elements, \(windowLength == nil ? "nFFT" : "windowLength") of them",
          remedy: isShort
            ? "windowLength: \(window.count), which puts it in the middle of the frame"
            : "Tensor.window(.hann, \(length))"))
      return nil
    }
    let dtype = x.dtype.realPart
    var wide = (window ?? Tensor.ones([length], dtype: dtype, device: x.device)).cast(to: dtype)
    let low = (nFFT - length) / 2
    if length < nFFT { wide = wide.padded([(low, nFFT - length - low)]) }
    size = nFFT
    self.hop = hop
    self.window = wide
    norm = normalized ? .ortho : .backward
  }

  /// The number of hops that a frame spans.
  private var hops: Int { (size + hop - 1) / hop }

  /// `[B, T]` → `[B, frames, size]`: pieces of a hop each, side by side.
  func cut(_ x: Tensor) -> Tensor {
    let count = (x.shape[1] - size) / hop + 1
    let whole = (count + hops - 1) * hop
    let filled =
      whole > x.shape[1]
      ? x.padded([(0, 0), (0, whole - x.shape[1])]) : x.slice(axis: 1, 0, whole)
    let pieces = filled.reshaped([x.shape[0], count + hops - 1, hop])
    let frames = concat((0..<hops).map { pieces.slice(axis: 1, $0, count) }, axis: 2)
    return hops * hop == size ? frames : frames.slice(axis: 2, 0, size)
  }

  /// `[B, frames, size]` → `[B, T]`: the sum where frames overlap, the adjoint of `cut`.
  func joined(_ frames: Tensor) -> Tensor {
    let count = frames.shape[1]
    let wide = hops * hop == size ? frames : frames.padded([(0, 0), (0, 0), (0, hops * hop - size)])
    var sum: Tensor?
    for part in 0..<hops {
      let piece = wide.slice(axis: 2, part * hop, hop).padded([(0, 0), (part, hops - 1 - part), (0, 0)])
      sum = sum.map { $0 + piece } ?? piece
    }
    return sum!.reshaped([frames.shape[0], (count + hops - 1) * hop]).slice(axis: 1, 0, (count - 1) * hop + size)
  }
}

extension Tensor {
  /// `size` elements from `start` on along an axis.
  fileprivate func slice(axis: Int, _ start: Int, _ size: Int) -> Tensor {
    if start == 0, size == shape[axis] { return self }
    var region = Region(whole: shape)
    region.starts[axis] = start
    region.sizes[axis] = size
    return apply(view: Slice(region: region), self)
  }
}

/// The spectra of overlapping frames of a signal: `[T]` or `[B, T]` → `[…, nFFT / 2 + 1, frames]`, complex.
///
/// - Parameters:
///   - nFFT: the size of a frame.
///   - hop: the distance of frames; a quarter of `nFFT` by default.
///   - windowLength: the size of the window, at most `nFFT`, which it is by default: a smaller one stands in the middle of the
///     frame, between zeros.
///   - window: what frames are multiplied with; ones by default.
///   - center: whether the signal is padded so that frame t is around `t * hop`; else it begins there.
///   - padMode: how it is padded.
///   - normalized: whether the spectra are divided by √nFFT.
///   - onesided: whether only the elements 0, …, nFFT / 2 are given; by default for real signals.
///
/// Source: PyTorch `stft` with `return_complex=True`.
public func stft(
  _ x: Tensor, nFFT: Int, hop: Int? = nil, windowLength: Int? = nil, window: Tensor? = nil, center: Bool = true,
  padMode: PadMode = .reflect, normalized: Bool = false, onesided: Bool? = nil
) -> Tensor {
  guard x.rank == 1 || x.rank == 2 else {
    return failure(.rank(argument: 0, expected: "1 or 2: [T] or [B, T]"), op: "stft", [x])
  }
  var signal = x.dtype.isComplex || x.dtype == .float64 ? x : x.cast(to: .float32)
  let onesided = onesided ?? !x.dtype.isComplex
  guard !onesided || !x.dtype.isComplex else {
    return failure(
      .misuse("the signal is \(x.dtype)", rule: "onesided spectra are of real signals", remedy: "onesided: false"),
      op: "stft", [x])
  }
  if x.rank == 1 { signal = signal.expandedDims(axis: 0) }
  guard let frames = Frames(signal, nFFT, hop, windowLength, window, normalized, "stft") else { return x.afterFailure }
  if center {
    signal = signal.padded([(0, 0), (nFFT / 2, nFFT / 2)], mode: padMode)
    if signal.isError { return signal }
  }
  guard signal.shape[1] >= nFFT else {
    return failure(
      .misuse(
        "the signal has \(ErrorText.counted(signal.shape[1], "element"))", rule: "a frame has nFFT = \(nFFT)",
        remedy: "a smaller nFFT, or center: true"), op: "stft", [x])
  }
  let cut = frames.cut(signal) * frames.window
  let spectra = onesided ? rfft(cut, norm: frames.norm) : fft(cut, norm: frames.norm)
  let result = spectra.transposed()
  return x.rank == 1 ? result.squeezed(axis: 0) : result
}

/// The signal of the spectra of its overlapping frames, the inverse of `stft`: `[…, nFFT / 2 + 1, frames]` → `[…, T]`.
///
/// Frames overlap and are added up, weighted by the window, and divided by the sum of the squares of the windows; where no
/// window reaches the signal is 0.
///
/// - Parameters:
///   - length: of the signal, which is cut to it or filled up with zeros. By default what the frames reach.
///   - returnComplex: whether the signal is complex; then the spectra are not onesided.
///
/// The others are those of `stft`. Source: PyTorch `istft`, which refuses windows that leave a part of the signal out.
public func istft(
  _ spectra: Tensor, nFFT: Int, hop: Int? = nil, windowLength: Int? = nil, window: Tensor? = nil, center: Bool = true,
  normalized: Bool = false, onesided: Bool? = nil, length: Int? = nil, returnComplex: Bool = false
) -> Tensor {
  func wrong(_ fact: Fact) -> Tensor { failure(fact, op: "istft", [spectra], names: ["spectra"]) }
  guard spectra.dtype.isComplex else { return wrong(.dtype(argument: 0, expected: Domain.complex.rawValue)) }
  guard spectra.rank == 2 || spectra.rank == 3 else {
    return wrong(.rank(argument: 0, expected: "2 or 3: [frequencies, frames] or [B, frequencies, frames]"))
  }
  if let length, length < 0 { return wrong(.count(name: "length", length, allowed: "0 or more")) }
  if let length, length > 1 << 40 { return wrong(.count(name: "length", length, allowed: "at most \(1 << 40)")) }
  let onesided = onesided ?? !returnComplex
  guard !(onesided && returnComplex) else {
    return wrong(
      .misuse("a complex signal is wanted", rule: "onesided spectra are of real signals", remedy: "onesided: false"))
  }
  guard let frames = Frames(spectra, nFFT, hop, windowLength, window, normalized, "istft") else {
    return spectra.afterFailure
  }
  let bins = onesided ? nFFT / 2 + 1 : nFFT
  guard spectra.shape[spectra.rank - 2] == bins, spectra.shape[spectra.rank - 1] > 0 else {
    return wrong(.argumentShape(argument: 0, expected: "[…, \(bins), frames], with a frame"))
  }
  let batch = spectra.rank == 2 ? spectra.expandedDims(axis: 0) : spectra
  var pieces =
    onesided
    ? irfft(batch.transposed(), n: nFFT, norm: frames.norm) : ifft(batch.transposed(), norm: frames.norm)
  if !returnComplex, !onesided { pieces = pieces.real }
  let count = batch.shape[2]
  let squares = (frames.window * frames.window).expanded(to: [1, count, nFFT])
  let weights = frames.joined(squares)
  var signal = frames.joined(pieces * frames.window) / select(weights .> 1e-11, weights, 1)
  let start = center ? nFFT / 2 : 0
  let reach = signal.shape[1]
  let end = length.map { start + $0 } ?? (center ? Swift.max(start, reach - nFFT / 2) : reach)
  signal = signal.slice(axis: 1, start, Swift.min(end, reach) - start)
  if end > reach { signal = signal.padded([(0, 0), (0, end - reach)]) }
  return spectra.rank == 2 ? signal.squeezed(axis: 0) : signal
}
