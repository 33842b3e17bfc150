import Foundation
import MartletData
import MartletFormats
import Testing

/// The folder of data sets beside the package, which need not exist.
private let mnistFolder: String = {
  let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  let shared = ProcessInfo.processInfo.environment["MARTLET_SHARED"]
  return (shared.map { URL(filePath: $0) } ?? package.appending(path: "../shared")).appending(path: "data/mnist").path
}()

private func reason(_ body: () throws(FileError) -> Void) -> String {
  do {
    try body()
    return ""
  } catch {
    return error.reason
  }
}

private func big(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

private let images: [UInt8] = [0, 0, 8, 3] + big(2) + big(2) + big(3) + (1...12).map { $0 }
private let labels: [UInt8] = [0, 0, 8, 1] + big(2) + [9, 0]

@Suite struct IDXTests {
  @Test(arguments: [false, true]) func readsPlainAndGzip(compressed: Bool) throws {
    let read = try IDX(compressed ? Gzip.deflate(images) : images)
    #expect(read.shape == [2, 2, 3])
    let pictures = try read.images()
    #expect(pictures == RawImages(count: 2, rows: 2, columns: 3, pixels: (1...12).map { $0 }))
    #expect(Array(pictures[1]) == [7, 8, 9, 10, 11, 12])
    #expect(try IDX(compressed ? Gzip.deflate(labels) : labels).labels(classes: 10) == [9, 0])
  }

  @Test(
    arguments: [
      ([], "too short"),
      ([1, 0, 8, 1], "it begins with the bytes 01 00 08 01"),
      ([0, 0, 7, 1] + big(0), "is not IDX"),
      ([0, 0, 8, 255] + big(1), "do not hold the sizes of 255 axes"),
      ([0, 0, 8, 2] + big(.max) + big(1000) + [1], "more than the allowed"),
      ([0, 0, 8, 3] + big(.max) + big(.max) + big(.max), "too large for 64 bits"),
      ([0, 0, 8, 1] + big(4_000_000_000) + [1], "ends early"),
      (images.dropLast(), "ends early: uint8 [2, 2, 3] needs 12 bytes of data, but 11 are present"),
      (images + [0], "has more than the 12 bytes"),
    ] as [([UInt8], String)])
  func badFiles(bytes: [UInt8], expected: String) {
    #expect(reason { () throws(FileError) in _ = try IDX(bytes) }.contains(expected))
    #expect(reason { () throws(FileError) in _ = try IDX(Gzip.deflate(bytes)) }.contains(expected))
  }

  @Test func aBombIsStoppedByTheHeader() {
    let bomb = Gzip.deflate(labels + [UInt8](repeating: 0, count: 10_000_000))
    #expect(reason { () throws(FileError) in _ = try IDX(bomb) }.contains("has more than the 2 bytes"))
  }

  @Test func cutAnywhereIsAnError() {
    for bytes in [images, Gzip.deflate(images)] {
      for count in 0..<bytes.count {
        #expect(throws: FileError.self) { try IDX(Array(bytes.prefix(count))) }
      }
    }
  }

  @Test func labelsAreChecked() {
    #expect(
      reason { () throws(FileError) in _ = try IDX(labels).labels(classes: 9) }
        == "label 9 at index 0 is outside of 0..<9")
    #expect(reason { () throws(FileError) in _ = try IDX(images).labels(classes: 9) }.contains("not labels"))
    #expect(reason { () throws(FileError) in _ = try IDX(labels).images() }.contains("not images"))
  }
}

@Suite struct MNISTTests {
  @Test func namesTheMissingFile() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "martlet \(UUID())").path
    #expect(
      reason { () throws(FileError) in _ = try MNIST.load(from: folder) }.hasPrefix("does not exist"))
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try Data(images).write(to: URL(filePath: folder + "/train-images-idx3-ubyte"))
    let error = #expect(throws: FileError.self) { try MNIST.load(from: folder) }
    #expect(error?.file == folder + "/train-labels-idx1-ubyte")
    #expect(
      error?.reason.hasPrefix("is missing, also as train-labels-idx1-ubyte.gz; the folder needs the four files") == true
    )
    try Data([0, 0, 8, 1, 0, 0, 0, 1, 3]).write(to: URL(filePath: folder + "/train-labels-idx1-ubyte"))
    #expect(
      reason { () throws(FileError) in _ = try MNIST.load(from: folder) }.hasPrefix("has 1 labels, but "))
  }

  @Test(
    .enabled(if: FileManager.default.fileExists(atPath: mnistFolder), "MNIST is not there (MARTLET_SHARED names it)"))
  func readsTheRealFiles() throws {
    let mnist = try MNIST.load(from: mnistFolder)
    #expect(mnist.train.count == 60_000 && mnist.test.count == 10_000)
    #expect(mnist.train.images.rows == 28 && mnist.train.images.columns == 28)
    var histogram = [Int](repeating: 0, count: 10)
    for label in mnist.train.labels { histogram[Int(label)] += 1 }
    #expect(histogram == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
  }
}
