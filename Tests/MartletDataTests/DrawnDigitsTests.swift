import MartletData
import Testing

@Suite struct DrawnDigitsTests {
  @Test func dependsOnSeedAndIndexOnly() {
    let digits = DrawnDigits(seed: 7)
    let all = digits.images(0..<64)
    let part = digits.images(32..<64)
    #expect(Array(all.images.pixels[(32 * 784)...]) == part.images.pixels)
    #expect(Array(all.labels[32...]) == part.labels)
    #expect((0..<64).map { digits.label(at: $0) } == all.labels)
    #expect(DrawnDigits(seed: 8).images(0..<64) != all)
    #expect(digits.images(5..<5).count == 0)
  }

  @Test func everyDigitIsDrawnInsideTheImage() {
    let set = DrawnDigits(seed: 1).images(0..<2000)
    var histogram = [Int](repeating: 0, count: 10)
    for i in 0..<set.count {
      histogram[Int(set.labels[i])] += 1
      let dark = set.images[i].count { $0 >= 128 }
      #expect((10..<300).contains(dark), "image \(i), digit \(set.labels[i])")
    }
    #expect(histogram.allSatisfy { (130..<270).contains($0) }, "\(histogram)")
  }

  @Test func isFastEnoughToServeAsADataSet() {
    let digits = DrawnDigits(seed: 3)
    let time = ContinuousClock().measure { _ = digits.images(0..<4000) }
    print("drawn digits: \(Int(4000 / (time / .seconds(1)))) images/s")
    // The aim is 20,000 a second; the bound leaves room for sanitizers and busy machines.
    #expect(time < .seconds(8))
  }

  @Test func terminalText() {
    let pixels: [UInt8] = [255, 0, 255, 0, 255, 255, 0, 0, 255]
    #expect(MartletData.terminalText(pixels, columns: 3) == "▀▄█\n  ▀\n")
    let colored = MartletData.terminalText(pixels, columns: 3, colors: true)
    #expect(colored.hasPrefix("\u{1b}[38;2;255;255;255;48;2;0;0;0m▀"))
    #expect(colored.hasSuffix("\u{1b}[0m\n"))
  }
}
