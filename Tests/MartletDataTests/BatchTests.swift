import Martlet
import MartletData
import MartletFormats
import Testing

@Suite struct BatchTests {
  @Test(arguments: [(0, 3), (1, 1), (10, 3), (9, 3), (1000, 128)])
  func orderIsAPermutation(_ count: Int, _ size: Int) {
    let order = BatchOrder(count: count, batchSize: size, seed: 7)
    for epoch in 0..<3 {
      let batches = order.batches(epoch: epoch)
      #expect(batches.count == order.batchCount)
      #expect(batches.flatMap { $0 }.sorted() == Array(0..<count))
      #expect(batches.dropLast().allSatisfy { $0.count == size })
      #expect(order.examples(epoch: epoch) == order.examples(epoch: epoch))
    }
    if count > 5 {
      #expect(order.examples(epoch: 0) != order.examples(epoch: 1))
      #expect(order.examples(epoch: 0) != BatchOrder(count: count, batchSize: size, seed: 8).examples(epoch: 0))
    }
    #expect(BatchOrder(count: count, batchSize: size).examples(epoch: 2) == Array(0..<count))
  }

  /// Each example is as often at each place: 6000 draws of 6, within five deviations.
  @Test func orderIsUniform() {
    var counts = [[Int]](repeating: [Int](repeating: 0, count: 6), count: 6)
    let order = BatchOrder(count: 6, batchSize: 6, seed: 1)
    for epoch in 0..<6000 {
      for (place, example) in order.examples(epoch: epoch).enumerated() { counts[place][example] += 1 }
    }
    for count in counts.joined() { #expect(abs(count - 1000) < 145) }
  }

  @Test func streamKeepsTheOrder() throws {
    let stream = BatchStream(Array(0..<50), ahead: 3) { $0 * 2 }
    var found: [Int] = []
    while let batch = try stream.next() { found.append(batch) }
    #expect(found == (0..<50).map { $0 * 2 })
    #expect(try stream.next() == nil)
  }

  @Test func streamsMayBeLetGo() throws {
    for taken in 0..<4 {
      let stream = BatchStream(Array(0..<100), ahead: 2) { Tensor([$0]) }
      for _ in 0..<taken { _ = try stream.next() }
    }
  }

  @Test func errorsComeOutInTheirPlace() throws {
    struct Bad: Error {}
    let stream = BatchStream(Array(0..<10)) { part in
      if part == 3 { throw Bad() }
      return part
    }
    for part in 0..<3 { #expect(try stream.next() == part) }
    #expect(throws: Bad.self) { try stream.next() }
    #expect(try stream.next() == nil)
  }

  @Test func batchesAreScaled() {
    let images = RawImages(count: 2, rows: 1, columns: 2, pixels: [0, 255, 51, 102])
    let set = LabeledImages(images: images, labels: [3, 9])
    let batch = set.batch([1, 0], scaling: ImageScaling(mean: 0.2, deviation: 0.4))
    #expect(batch.images.shape == [2, 1, 1, 2])
    #expect(zip(batch.images.floats, [0, 0.5, -0.5, 2]).allSatisfy { abs($0 - $1) < 1e-6 })
    #expect(batch.labels.array(as: Int.self) == [9, 3])
  }
}

@Suite struct PNGTests {
  private let image = GrayImage(rows: 3, columns: 5, pixels: (0..<15).map { UInt8($0 * 17) })

  @Test func comesBack() throws {
    #expect(try GrayImage(png: image.png()) == image)
  }

  @Test func damageThrows() throws {
    let whole = try image.png()
    for length in 0..<whole.count - 12 {
      #expect(throws: FileError.self) { try GrayImage(png: Array(whole.prefix(length))) }
    }
    var random = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      var changed = whole
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        changed[Int.random(in: 0..<whole.count, using: &random)] = .random(in: 0...255, using: &random)
      }
      _ = try? GrayImage(png: changed)  // any result, but no crash
    }
    #expect(throws: FileError.self) { try GrayImage(png: whole, limit: 14) }
    #expect(throws: FileError.self) { try GrayImage(png: []) }
    #expect(throws: FileError.self) { try GrayImage(rows: 0, columns: 3, pixels: []).png() }
  }

  /// A header may claim any size; nothing is allocated for pixels of which there are no bytes.
  @Test func sizesOfTheHeaderAreNotTrusted() throws {
    func claiming(_ columns: UInt32, _ rows: UInt32) throws -> [UInt8] {
      var bytes = try image.png()
      // After the signature: length, "IHDR", width, height, five bytes, CRC-32 of all but the length.
      func put(_ value: UInt32, _ place: Int) {
        for byte in 0..<4 { bytes[place + byte] = UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * byte)) }
      }
      put(columns, 16)
      put(rows, 20)
      put(bytes[12..<29].withUnsafeBytes { checksum($0) }, 29)
      return bytes
    }
    func reason(_ columns: UInt32, _ rows: UInt32) throws -> String {
      do {
        _ = try GrayImage(png: try claiming(columns, rows))
        return ""
      } catch let error as FileError { return error.reason }
    }
    #expect(try GrayImage(png: claiming(5, 3)) == image)
    #expect(try reason(8000, 8000).contains("has 8000 x 8000 pixels by its header, but only"))
    #expect(try reason(900_000, 900_000).contains("at most 67108864 are read"))
    #expect(try reason(.max, .max) != "")
    #expect(try reason(0, 3) != "")
  }

  /// Dark on bright, larger and off centre: the same digit in the middle.
  @Test func digitsAreCentred() {
    var pixels = [UInt8](repeating: 255, count: 60 * 90)
    for row in 10..<50 { for column in 70..<80 { pixels[row * 90 + column] = 0 } }
    let digit = GrayImage(rows: 60, columns: 90, pixels: pixels).asDigit
    #expect(digit.rows == 28 && digit.columns == 28)
    let bright = digit.pixels.indices.filter { digit.pixels[$0] > 200 }
    #expect(bright.map { $0 / 28 }.min() == 4 && bright.map { $0 / 28 }.max() == 23)
    let columns = bright.map { $0 % 28 }
    #expect(abs(columns.min()! + columns.max()! - 27) <= 1)
    let same = GrayImage(rows: 28, columns: 28, pixels: digit.pixels)
    #expect(same.asDigit == same)
    #expect(GrayImage(rows: 2, columns: 2, pixels: [0, 0, 0, 0]).asDigit.pixels.allSatisfy { $0 == 0 })
  }
}
