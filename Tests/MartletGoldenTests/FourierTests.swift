import Foundation
import Martlet
import MartletFormats
import Testing

/// A case of `scripts/golden-fourier`: a name in the file, and what computes it.
struct FourierCase: Sendable, CustomTestStringConvertible {
  let name: String
  let inputs: Int
  let f: @Sendable ([Tensor]) -> Tensor
  init(_ name: String, _ inputs: Int = 1, _ f: @escaping @Sendable ([Tensor]) -> Tensor) {
    self.name = name
    self.inputs = inputs
    self.f = f
  }
  var testDescription: String { name }

  private static let file = try! Safetensors(
    contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(
      path: "Fixtures/fourier.safetensors"
    ).path)
  static func tensor(_ key: String) -> Tensor { try! file.tensor(named: key).tensor() }
  func tensors(_ kind: String) -> [Tensor] { (0..<inputs).map { Self.tensor("\(name)/\(kind)\($0)") } }

  static let complexCases: [FourierCase] = [
    .init("exp") { exp($0[0]) }, .init("sin") { sin($0[0]) }, .init("cos") { cos($0[0]) }, .init("tan") { tan($0[0]) },
    .init("sinh") { sinh($0[0]) }, .init("cosh") { cosh($0[0]) }, .init("tanh") { tanh($0[0]) },
    .init("square") { square($0[0]) }, .init("abs") { abs($0[0]) }, .init("angle") { angle($0[0]) },
    .init("sign") { sign($0[0]) }, .init("conjugated") { $0[0].conjugated() }, .init("real") { $0[0].real },
    .init("imaginary") { $0[0].imaginary }, .init("reciprocal") { reciprocal($0[0]) },
    .init("pow3") { pow($0[0], 3) }, .init("powMinus2") { pow($0[0], -2) }, .init("sum") { $0[0].sum(axis: 0) },
    .init("mean") { $0[0].mean(axis: 1) }, .init("prod") { $0[0].prod(axis: 1) },
    .init("cumsum") { $0[0].cumsum(axis: 1) }, .init("cumprod") { $0[0].cumprod(axis: 1) },
    .init("plusReal") { $0[0] + 2 }, .init("timesI") { $0[0] * Complex(0, 2) }, .init("log") { log($0[0]) },
    .init("sqrt") { sqrt($0[0]) }, .init("pow25") { pow($0[0], 2.5) }, .init("pow", 2) { pow($0[0], $0[1]) },
    .init("times", 2) { $0[0] * $0[1] }, .init("over", 2) { $0[0] / $0[1] }, .init("timesReal", 2) { $0[0] * $0[1] },
    .init("complex", 2) { complex($0[0], $0[1]) }, .init("polar", 2) { polar($0[0], $0[1]) },
    .init("matmul", 2) { matmul($0[0], $0[1]) }, .init("matmulReal", 2) { matmul($0[0], $0[1]) },
    .init("vector", 2) { matmul($0[0], $0[1]) }, .init("einsum", 2) { einsum("bij,bkj->bik", $0[0], $0[1]) },
  ]

  static let transforms: [FourierCase] = [
    .init("fft") { fft($0[0]) }, .init("fftReal") { fft($0[0]) },
    .init("fftCut") { fft($0[0], n: 5, axis: 0, norm: .ortho) },
    .init("fftPadded") { fft($0[0], n: 9, axis: 1, norm: .forward) }, .init("ifft") { ifft($0[0]) },
    .init("ifftOrtho") { ifft($0[0], n: 8, norm: .ortho) }, .init("ifftForward") { ifft($0[0], norm: .forward) },
    .init("rfft") { rfft($0[0]) }, .init("rfftOdd") { rfft($0[0], axis: 0, norm: .ortho) },
    .init("rfftCut") { rfft($0[0], n: 6, norm: .forward) }, .init("irfft") { irfft($0[0]) },
    .init("irfftOdd") { irfft($0[0], n: 9, norm: .ortho) },
    .init("irfftPadded") { irfft($0[0], n: 13, axis: 0, norm: .forward) }, .init("hfft") { hfft($0[0]) },
    .init("hfftOrtho") { hfft($0[0], n: 7, norm: .ortho) }, .init("ihfft") { ihfft($0[0]) },
    .init("ihfftForward") { ihfft($0[0], n: 6, norm: .forward) }, .init("fft2") { fft2($0[0]) },
    .init("ifft2") { ifft2($0[0], size: [4, 3], axes: [0, 2], norm: .ortho) }, .init("rfft2") { rfft2($0[0]) },
    .init("irfft2") { irfft2($0[0], size: [4, 5]) }, .init("fftn") { fftn($0[0]) },
    .init("fftnSizes") { fftn($0[0], size: [2, 5]) }, .init("ifftn") { ifftn($0[0], axes: [0, 1], norm: .forward) },
    .init("rfftn") { rfftn($0[0]) }, .init("irfftn") { irfftn($0[0]) },
  ]

  static let spectra: [FourierCase] = [
    .init("stft") { stft($0[0], nFFT: 16, window: .window(.hann, 16)) },
    .init("stftPlain") { stft($0[0], nFFT: 12, hop: 5, center: false) },
    .init("stftWindow") {
      stft(
        $0[0], nFFT: 16, hop: 6, windowLength: 10, window: .window(.hamming, 10), padMode: .constant(0),
        normalized: true)
    },
    .init("stftTwosided") { stft($0[0], nFFT: 8, hop: 3, padMode: .replicate, onesided: false) },
    .init("stftComplex") { stft($0[0], nFFT: 9, hop: 4) },
    .init("istft") { istft($0[0], nFFT: 16, window: .window(.hann, 16)) },
    .init("istftLength") {
      istft($0[0], nFFT: 16, hop: 5, window: .window(.hamming, 16), normalized: true, length: 50)
    },
    .init("istftPadded") { istft($0[0], nFFT: 8, hop: 3, length: 40) },
    .init("istftPlain") { istft($0[0], nFFT: 12, hop: 4, windowLength: 10, onesided: false, returnComplex: true) },
    .init("melSpectrogram") {
      melSpectrogram($0[0], sampleRate: 16000, nFFT: 64, hop: 16, mels: 8)
    },
  ]
  static let all = complexCases + transforms + spectra
}

@Suite struct FourierTests {
  private func parts(_ x: Tensor) -> [Double] {
    x.dtype.isComplex
      ? x.array(as: Complex<Float>.self).flatMap { [Double($0.real), Double($0.imaginary)] } : x.array(as: Double.self)
  }

  private func expectNear(_ a: Tensor, _ b: Tensor, _ what: String, at location: SourceLocation = #_sourceLocation) {
    guard a.shape == b.shape, a.dtype == b.dtype else {
      Issue.record("\(what): \(a.spec) is not \(b.spec)", sourceLocation: location)
      return
    }
    let (x, y) = (parts(a), parts(b))
    let scale = 1 + (y.map { abs($0) }.max() ?? 0)
    for (place, (p, q)) in zip(x, y).enumerated() where !(abs(p - q) <= 1e-5 * scale) {
      Issue.record("\(what): \(p) at \(place) is not \(q)", sourceLocation: location)
      return
    }
  }

  private func dot(_ a: [Tensor], _ b: [Tensor]) -> Double {
    zip(a, b).reduce(0) { $0 + zip(parts($1.0), parts($1.1)).reduce(0) { $0 + $1.0 * $1.1 } }
  }

  @Test(arguments: FourierCase.all) func isPyTorchs(_ c: FourierCase) {
    let x = c.tensors("in")
    let expected = FourierCase.tensor("\(c.name)/out")
    expectNear(c.f(x), expected, "now")
    expectNear(lazy { c.f(x) }, expected, "lazy")
    let compiled = compile(c.f)
    for _ in 0..<2 { expectNear(compiled(x), expected, "compiled") }
    let pairs = x.map { stack([$0, $0 * 0.5]) }
    let mapped = vmap { (y: [Tensor]) in c.f(y) }(pairs)
    expectNear(mapped, stack([expected, c.f(x.map { $0 * 0.5 })]), "mapped")
  }

  @Test(arguments: FourierCase.all) func hasPyTorchsGradients(_ c: FourierCase) {
    let x = c.tensors("in")
    let cotangent = FourierCase.tensor("\(c.name)/cot")
    let expected = c.tensors("grad")
    let (_, pullback) = vjp(c.f, x)
    for (position, (found, wanted)) in zip(pullback(cotangent), expected).enumerated() {
      expectNear(found, wanted, "gradient \(position)")
    }
    let compiled = compile { (x: [Tensor]) in vjp(c.f, x).pullback(cotangent) }
    for (found, wanted) in zip(compiled(x), expected) { expectNear(found, wanted, "compiled gradient") }
    // Forward mode is the adjoint.
    let tangent = jvp(c.f, x, x.map { $0 * 0.5 + 1 }).tangent
    let (forward, backward) = (dot([tangent], [cotangent]), dot(x.map { $0 * 0.5 + 1 }, expected))
    #expect(abs(forward - backward) <= 2e-4 * (1 + abs(backward)), "\(forward) is not \(backward)")
  }

  @Test func tables() {
    let numbers: [(String, Tensor)] = [
      ("fftfreq8", fftFrequencies(8, spacing: 0.5)), ("fftfreq7", fftFrequencies(7)),
      ("rfftfreq8", rfftFrequencies(8, spacing: 0.5)), ("rfftfreq7", rfftFrequencies(7)),
      ("fftshift", fftShifted(Tensor.range(to: 15).reshaped(3, 5))),
      ("ifftshift", ifftShifted(Tensor.range(to: 15).reshaped(3, 5), axes: [1])),
      ("melHTK", melFilterBank(bins: 33, mels: 8, sampleRate: 16000)),
      (
        "melSlaney",
        melFilterBank(bins: 65, mels: 12, sampleRate: 16000, low: 100, high: 7000, scale: .slaney, normalized: true)
      ),
      (
        "mfcc/out",
        mfcc(FourierCase.tensor("mfcc/in0"), sampleRate: 16000, coefficients: 5, nFFT: 64, hop: 16, mels: 8) * 0.01
      ),
    ]
    for (name, found) in numbers {
      let expected = FourierCase.tensor(name)
      expectNear(found, name.hasPrefix("mfcc") ? expected * 0.01 : expected, name)
    }
    let windows: [(String, WindowFunction)] = [
      ("hann", .hann), ("hamming", .hamming), ("blackman", .blackman), ("bartlett", .bartlett),
      ("kaiser", .kaiser(beta: 8.6)),
    ]
    for (name, function) in windows {
      for (kind, periodic) in [("periodic", true), ("symmetric", false)] {
        for size in [1, 2, 7, 10] {
          expectNear(
            Tensor.window(function, size, periodic: periodic), FourierCase.tensor("\(name)/\(kind)\(size)"),
            "\(name), \(kind), \(size)")
        }
      }
    }
  }
}
