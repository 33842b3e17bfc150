import Foundation
import Martlet
import MartletCore
import MartletFormats
import Testing

private func numbers(_ x: Tensor) -> [Complex<Double>] { x.array(as: Complex<Double>.self) }
/// Within `#expect` both sides of `==` are made on their own, so that the dtype has to be said.
private func c(_ real: Double, _ imaginary: Double = 0) -> Complex<Double> { Complex(real, imaginary) }

@Suite struct ComplexTests {
  let z = Tensor([Complex(1, 2), Complex(0, -1.5)])

  @Test func scalars() {
    let (a, b) = (Complex(1.0 as Double, 2), Complex(3.0 as Double, -4))
    #expect(a + b == Complex(4, -2) && a - b == Complex(-2, 6) && a * b == Complex(11, 2) && -a == Complex(-1, -2))
    #expect(a / b == Complex(-0.2, 0.4) && b / Complex(0, 2) == Complex(-2, -1.5))
    #expect(b.magnitude == 5 && b.conjugate == Complex(3, 4) && abs(Complex(0, 2).angle - .pi / 2) < 1e-6)
    #expect(a * 2 == Complex(2, 4) && 2 * a == a * 2 && a / 2 == Complex(0.5, 1))
    #expect((Complex<Double>.polar(2, .pi / 2) - Complex(0, 2)).magnitude < 1e-15)
    #expect("\(a)" == "1.0+2.0i" && "\(b)" == "3.0-4.0i" && Set([a, a, b]).count == 2)
    // The squares of the parts are out of range.
    #expect(c(1e300, 1e300) / c(1e300, 1e300) == c(1))
    #expect(Complex(3e30, 4e30).magnitude == 5e30)
  }

  @Test func valuesComeAndGo() {
    #expect(z.dtype == .complex64 && z.shape == [2] && z.spec.byteCount == 16)
    #expect(z.array(as: Complex<Float>.self) == [Complex(1, 2), Complex(0, -1.5)])
    #expect(Tensor([Complex(1 as Double, 2)]).dtype == .complex128)
    #expect(Tensor(Complex(1, 2)).item(as: Complex<Double>.self) == c(1, 2))
    #expect(Tensor([1.5, 2]).array(as: Complex<Float>.self) == [Complex(1.5), Complex(2)])
    #expect(z.real.floats == [1, 0] && z.imaginary.floats == [2, -1.5] && z.real.dtype == .float32)
    #expect(Tensor([1, 2]).imaginary.dtype == .int64 && Tensor([2]).real.item() == 2)
    #expect(viewAsReal(z).floats == [1, 2, 0, -1.5] && numbers(viewAsComplex(viewAsReal(z))) == numbers(z))
    #expect(numbers(complex(Tensor([1, 2]), Tensor(0.5))) == [c(1, 0.5), c(2, 0.5)])
  }

  @Test func viewsShareMemory() {
    let pairs = count([3, 4])
    #expect(viewAsComplex(pairs.reshaped(3, 2, 2)).address == pairs.address)
    #expect(viewAsReal(z).address == z.address && z.real.address == z.address && z.imaginary.address == z.address + 4)
    let turned = viewAsComplex(pairs.reshaped(3, 2, 2)).transposed()
    #expect(turned.imaginary.floats == [1, 5, 9, 3, 7, 11])
    // Pairs that are apart, or begin at an odd place, are copied.
    #expect(numbers(viewAsComplex(count([2, 3]).transposed())) == [c(0, 3), c(1, 4), c(2, 5)])
    #expect(numbers(viewAsComplex(count([5])[1..<3])) == [c(1, 2)])
  }

  @Test func printing() {
    #expect("\(z)" == "[1.0+2.0i, 0.0-1.5i]")
    #expect("\(Tensor(Complex(1, 2)))" == "1.+2.i")
    #expect("\(Tensor([Complex(.nan, -.infinity), Complex(1, 0)]))" == "[nan-infi,   1.+0.i]")
    #expect(abs(z.summary.maximum - 5.0.squareRoot()) < 1e-6)
  }

  @Test func dtypesPromote() {
    for dtype in [DType.bool, .uint8, .int64, .float16, .bfloat16, .float32] {
      #expect(dtype.promoted(with: .complex64) == .complex64 && DType.complex64.promoted(with: dtype) == .complex64)
    }
    #expect(DType.float64.promoted(with: .complex64) == .complex128)
    #expect(DType.complex64.promoted(with: .complex128) == .complex128)
    #expect((z * 2).dtype == .complex64 && (z + 0.5).dtype == .complex64 && (1 / z).dtype == .complex64)
    #expect((z + Tensor([1, 2])).dtype == .complex64 && (z * Tensor([1.0 as Double])).dtype == .complex128)
    #expect((Tensor([1, 2]) * Complex(0, 1)).dtype == .complex64)
    #expect((Tensor([1.0 as Double]) + Complex(0, 1)).dtype == .complex128)
    #expect(numbers(Complex(0, 1) - z) == [c(-1, -1), c(0, 2.5)])
    #expect(numbers(Complex(0, 3) / Tensor([Complex(0, 1.5)])) == [c(2, 0)])
    #expect((z .== Complex(0, -1.5)).array(as: Bool.self) == [false, true])
    #expect((z .!= z).array(as: Bool.self) == [false, false] && (z .== 1).array(as: Bool.self) == [false, false])
    #expect(z.isFinite.all().item() == 1 && Tensor([Complex(.nan, 0), Complex(0, .nan)]).isNaN.all().item() == 1)
    #expect(allClose(z, z + 1e-9) && !allClose(z, z.conjugated()))
    var w = z
    w += Complex(1, 1) * Tensor([1.0, 0])
    w *= 2
    #expect(numbers(w) == [c(4, 6), c(0, -3)])
  }

  @Test func valuesAtTheEdges() {
    let zero = Tensor([Complex(0, 0)])
    #expect(numbers(pow(zero, 3)) == [c(0)] && numbers(pow(zero, 0)) == [c(1)])
    #expect(numbers(pow(zero, Tensor([Complex(1, 1)]))) == [c(0)])
    #expect(numbers(pow(zero, zero)) == [c(1)] && numbers(sign(zero)) == [c(0)])
    // PyTorch's numbers where divisors are infinite or 0, and for powers of 0.
    let (none, endless) = (Double.nan, Double.infinity)
    for dtype in [DType.complex64, .complex128] {
      func parts(_ z: Tensor) -> [Double] { viewAsReal(z.cast(to: .complex128)).flattened().array() }
      func z(_ x: [(Double, Double)]) -> Tensor {
        Tensor(x.map { Complex<Double>($0.0, $0.1) }).cast(to: dtype)
      }
      let a = z([(1, 1), (1, 1), (1, 1), (0, 0), (endless, 0), (1, 1), (1, 1), (1, 0)])
      let b = z([(endless, 0), (0, endless), (0, 0), (0, 0), (0, 0), (endless, endless), (-endless, 2), (0, 0)])
      let quotients = [0, 0, 0, 0, endless, endless, none, none, endless, none, none, none, 0, 0, endless, none]
      expectValues(viewAsReal(a / b).flattened(), [16], quotients, "\(dtype)")
      #expect(parts(z([(0, 0)]) / z([(3, 4)])) == [0, 0])
      let exponents = [(-1.0, 0.0), (-2, 0), (-0.5, 0), (0, 0), (0.5, 0), (2, 0), (0, 1), (1, 1), (-1, 1), (-100, 0)]
      let powers =
        [endless, none, endless, none, endless, none, 1, 0, 0, 0, 0, 0, none, none, 0, 0]
        + [endless, none, endless, none]
      let found = pow(z(exponents.map { _ in (0, 0) }), z(exponents))
      expectValues(viewAsReal(found).flattened(), [20], powers, "\(dtype)")
      for (index, exponent) in exponents.enumerated() where exponent.1 == 0 {
        let power = viewAsReal(pow(z([(0, 0)]), exponent.0)).flattened()
        expectValues(power, [2], Array(powers[(2 * index)..<(2 * index + 2)]), "\(dtype) to the \(exponent.0)")
      }
    }
    // Squares and products out of the range of float32, results within.
    let big = Tensor([Complex(3e30, 4e30)])
    #expect(abs(big).floats == [5e30] && numbers(big / big) == [c(1)])
    #expect(abs(Tensor([Complex(3e-30, -4e-30)])).floats == [5e-30])
    #expect(grad { (z: Tensor) in abs(z).sum() }(zero).array(as: Complex<Float>.self) == [Complex(0)])
    #expect(
      angle(Tensor([-1, 0, 2])).floats == [Float(Double.pi), 0, 0] && angle(Tensor([Float.nan])).floats[0].isNaN)
    #expect(Tensor.zeros([0], dtype: .complex64).sum().item(as: Complex<Float>.self) == Complex(0))
  }

  @Test func gradients() throws {
    // d |z|² = 2 z by PyTorch's convention.
    let gradient = grad { (z: Tensor) in (z * z.conjugated()).real.sum() }(z)
    #expect(numbers(gradient) == [c(2, 4), c(0, -3)])
    let w = Parameter(z)
    square(abs(w.value)).sum().backward()
    #expect(numbers(try #require(w.grad)) == [c(2, 4), c(0, -3)])
    try checkGradients(
      { (x: [Tensor]) in abs(fft(x[0]) * exp(x[1]) / (x[0] + 3)).sum() + rfft(x[2]).imaginary.sum() },
      [
        Tensor([Complex(1, 2), Complex(0.5, -1), Complex(0.2, 0.3)]), Tensor([Complex(0.1, 0.4)]),
        Tensor([0.5, 1, 2, -1]),
      ],
      order: 2, tolerance: 1e-5)
    #expect(throws: GradientMismatch.self) {
      // Without the conjugate the gradient is wrong.
      let wrong = customGradient(
        { (z: Tensor) in z * Complex(0, 1) }, gradient: { _, _, cotangent in cotangent * Complex(0, 1) })
      try checkGradients({ (z: Tensor) in square(wrong(z).real).sum() }, z, modes: [.reverse])
    }
  }

  @Test func files() throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "complex-\(UUID()).safetensors").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try State([("z", z)]).write(safetensors: path)
    #expect(try Safetensors(contentsOf: path).tensor(named: "z").dtype == "C64")
    #expect(numbers(try State(safetensors: path)["z"]!) == numbers(z))
    let error = #expect(throws: FileError.self) { try State([("w", z.cast(to: .complex128))]).write(safetensors: path) }
    #expect("\(error!)".contains("tensor w is complex128, which safetensors files cannot hold"))
  }

  @Test func texts() {
    let signal = Tensor.zeros([20])
    let rows = Tensor.zeros([2, 5], dtype: .complex64)
    let wrong: [(String, () -> Tensor)] = [
      ("cast: complex64 elements cannot become float32", { z.cast(to: .float32) }),
      ("try: z.real, z.imaginary or abs(z)", { z.cast(to: .int64) }),
      ("compare: a is complex64, and the operation needs real numbers", { z .< 1 }),
      ("max: x is complex64, and the operation needs real numbers", { z.max() }),
      ("maximum: a is complex64", { maximum(z, 0) }), ("topK: x is complex64", { z.topK(1).values }),
      ("round: x is complex64", { floor(z) }), ("relu: x is complex64", { relu(z) }),
      ("sigmoid: x is complex64", { sigmoid(z) }),
      ("argMax: x is complex64", { z.argMax() }), ("atan2: a is complex64", { atan2(z, z) }),
      ("remainder: a is complex64", { remainder(z, 2) }), ("compare: ", { clamp(z, min: 0) }),
      ("cannot become float32", { softmax(z, axis: 0) }),
      ("complex: imaginary is complex64", { complex(Tensor(1), z) }),
      ("do not broadcast", { complex(Tensor.zeros([2]), Tensor.zeros([3])) }),
      ("viewAsComplex: x has shape [3]", { viewAsComplex(Tensor.zeros([3])) }),
      ("viewAsReal: x is float32", { viewAsReal(Tensor.zeros([3])) }),
      ("floats: complex64 elements cannot be read as Float", { Tensor(z.floats) }),
      ("grad: the gradient of a complex64 result is not defined", { grad { (z: Tensor) in z.sum() }(z) }),
      ("fft: n is 0", { fft(z, n: 0) }), ("rfft: axis 1 is out of range", { rfft(signal, axis: 1) }),
      ("ifft: axis -1 has size 0", { ifft(Tensor.zeros([3, 0])) }), ("irfft: axis -1 has size 1", { irfft(z[..<1]) }),
      ("rfft: x is complex64, and the operation needs real numbers", { rfft(z) }), ("ihfft: x is", { ihfft(z) }),
      ("irfft: n is -2", { irfft(z, n: -2) }), ("fft2: axis -2 is out of range", { fft2(z) }),
      ("fftn: 2 sizes for 1 axis", { fftn(rows, size: [1, 2], axes: [0]) }),
      ("axis -2 is named twice", { ifftn(rows, axes: [0, -2]) }), ("there are no axes", { rfftn(signal, axes: []) }),
      ("fftFrequencies: n is 0", { fftFrequencies(0) }), ("dtype is int64", { rfftFrequencies(3, dtype: .int64) }),
      ("axis 3 is out of range", { fftShifted(rows, axes: [3]) }),
      ("stft: nFFT is 0", { stft(signal, nFFT: 0) }), ("stft: hop is 0", { stft(signal, nFFT: 8, hop: 0) }),
      ("the length of the window is 9", { stft(signal, nFFT: 8, windowLength: 9) }),
      ("it has 8 real elements, nFFT of them", { stft(signal, nFFT: 8, window: .window(.hann, 9)) }),
      ("windowLength: 6, which puts it in the middle", { stft(signal, nFFT: 8, window: .window(.hann, 6)) }),
      (
        "windowLength: 6, which puts it in the middle",
        { istft(Tensor.zeros([5, 3], dtype: .complex64), nFFT: 8, window: .window(.hann, 6)) }
      ),
      ("it has 6 real elements", { stft(signal, nFFT: 8, windowLength: 6, window: .window(.hann, 5)) }),
      ("stft: x has 3 axes", { stft(Tensor.zeros([1, 1, 20]), nFFT: 8) }),
      ("a frame has nFFT = 32", { stft(signal, nFFT: 32, center: false) }),
      ("a width is 20", { stft(signal, nFFT: 40) }),
      ("onesided spectra are of real signals", { stft(z, nFFT: 1, onesided: true) }),
      ("istft: spectra is float32", { istft(rows.real, nFFT: 2) }),
      ("its shape is […, 5, frames]", { istft(rows, nFFT: 8) }),
      ("length is -1", { istft(rows, nFFT: 2, length: -1) }),
      ("a complex signal is wanted", { istft(rows, nFFT: 2, onesided: true, returnComplex: true) }),
      ("istft: spectra has 1 axis", { istft(z, nFFT: 2) }),
      ("size is -1", { .window(.hann, -1) }), ("beta is -1.0", { .window(.kaiser(beta: -1), 4) }),
      ("a window is of a floating dtype", { .window(.hann, 4, dtype: .int32) }),
      ("bins is 1", { melFilterBank(bins: 1, mels: 2, sampleRate: 8000) }),
      ("mels is 0", { melFilterBank(bins: 5, mels: 0, sampleRate: 8000) }),
      ("0 ≤ low < high", { melFilterBank(bins: 5, mels: 2, sampleRate: 8000, low: 5000) }),
      ("floor is 0.0", { decibels(signal, floor: 0) }), ("coefficients is 9", { cosineTransform(8, coefficients: 9) }),
      ("mfcc: coefficients is 9", { mfcc(signal, sampleRate: 8000, coefficients: 9, mels: 8) }),
    ]
    for (text, body) in wrong {
      do {
        _ = try withErrors { body().detached() }
        Issue.record("no error: \(text)")
      } catch { #expect(plainText(error).contains(text), "\(text): \(error)") }
    }
  }

  /// Every length up to 70, and long ones as matrices: the inverse of the transform is the signal.
  @Test func transformsAreInverses() {
    for n in Array(1...70) + [256, 487, 1000, 4096, 4100, 5040, 6007] {
      let x = Tensor.normal([n <= 70 ? 3 : 1, n], generator: Generator(seed: n))
      let y = Tensor.normal([n <= 70 ? 3 : 1, n], generator: Generator(seed: -n))
      let z = complex(x, y)
      func near(_ a: Tensor, _ b: Tensor) -> Bool { abs(a - b).max().item() < 4e-6 }
      #expect(near(ifft(fft(z)), z) && near(irfft(rfft(x), n: n), x), "\(n)")
      #expect(near(fft(x)[.all, ..<(n / 2 + 1)] / Double(n), rfft(x) / Double(n)), "\(n)")
    }
  }

  /// One element that is not a number is in the sum of every element of the result.
  @Test func whatIsNoNumberStaysNone() {
    for n in [1, 2, 5, 8, 15, 16, 37, 64, 100] {
      var x = Tensor.ones([3, n])
      x[1, n / 2] = Tensor(Float.nan)
      for y in [fft(x), rfft(x), irfft(fft(x), n: n)] {
        let rows = y.isNaN.cast(to: .float32).mean(axis: 1).floats
        #expect(rows == [0, 1, 0], "\(n)")
      }
    }
  }

  @Test func decibelsAndWindowsOfSpectra() {
    let levels = decibels(Tensor([[1, 100], [1e-12, 10]]))
    #expect(levels.floats == [0, 20, -100, 10])
    #expect(decibels(Tensor([1, 1e-9]), range: 20).floats == [0, -20])
    #expect(decibels(Tensor([0.1, 10]), factor: 20, reference: 10).floats == [-40, 0])
    let batch = decibels(Tensor([1, 1e-9, 1e-5, 1e-9], shape: [2, 1, 1, 2]), range: 20)
    #expect(batch.floats.map { $0.rounded() } == [0, -20, -50, -70])
    // A sine of 1000 Hz is heard in the band around it, at every time.
    let time = Tensor.range(to: 8000) / 8000
    let mels = melSpectrogram(sin(time * (2000 * Double.pi)), sampleRate: 8000, nFFT: 256, mels: 20, scale: .slaney)
    #expect(mels.shape == [20, 63] && mels[.all, 10..<50].argMax(axis: 0).array(as: Int.self).allSatisfy { $0 == 8 })
    let whole = Tensor.normal([2, 300], generator: Generator(seed: 3))
    let window = Tensor.window(.hann, 32)
    let back = istft(stft(whole, nFFT: 32, hop: 8, window: window), nFFT: 32, hop: 8, window: window, length: 300)
    #expect(abs(back - whole).max().item() < 1e-5)
  }
}
