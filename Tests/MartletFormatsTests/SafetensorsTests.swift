import Foundation
import MartletFormats
import Testing

/// A folder of its own for each test, removed with it.
private final class Folder {
  let path = FileManager.default.temporaryDirectory.appending(path: "martlet \(UUID())").path
  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(atPath: path) }
  var file: String { path + "/a file.safetensors" }

  func reason(_ bytes: [UInt8]) -> String {
    do {
      try Data(bytes).write(to: URL(filePath: file))
      _ = try Safetensors(contentsOf: file)
      return ""
    } catch let error as FileError {
      return error.reason
    } catch {
      return "\(error)"
    }
  }
}

private func bytes(_ header: String, data: Int) -> [UInt8] {
  withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8)
    + [UInt8](repeating: 7, count: data)
}

private func entry(_ name: String, _ dtype: String, _ shape: String, _ offsets: String) -> String {
  "\"\(name)\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":\(offsets)}"
}

private let sharedFolder: String = {
  let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  let shared = ProcessInfo.processInfo.environment["MARTLET_SHARED"]
  return (shared.map { URL(filePath: $0) } ?? package.appending(path: "../shared")).path
}()
private let golden = sharedFolder + "/golden/golden.safetensors"

private let tensors = [
  RawTensor(name: "b.weight", dtype: "F32", shape: [2, 3], bytes: (0..<24).map { $0 }),
  RawTensor(name: "flag", dtype: "BOOL", shape: [], bytes: [1]),
  RawTensor(name: "ids \"é\\\n", dtype: "I64", shape: [2], bytes: (0..<16).map { $0 }),
  RawTensor(name: "none", dtype: "F16", shape: [0, 5], bytes: []),
]

@Suite struct SafetensorsTests {
  @Test func thereAndBack() throws {
    let folder = try Folder()
    try Safetensors.write(tensors, metadata: ["format": "pt", "note": "a\nb"], to: folder.file)
    let read = try Safetensors(contentsOf: folder.file)
    #expect(read.metadata == ["format": "pt", "note": "a\nb"])
    #expect(read.tensors.map(\.dtype) == ["I64", "F32", "F16", "BOOL"])
    for tensor in tensors {
      let other = try read.tensor(named: tensor.name)
      #expect(other.dtype == tensor.dtype && other.shape == tensor.shape && other.bytes == tensor.bytes)
    }
    #expect(read["ids \"é\\\n"]?.array(of: UInt64.self)?.first == 0x0706_0504_0302_0100)
    let error = #expect(throws: FileError.self) { try read.tensor(named: "b.wieght") }
    #expect(error?.reason == "has no tensor \"b.wieght\"; did you mean \"b.weight\"?")
    // Nothing but the file is left.
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a file.safetensors"])
  }

  /// The checksum is that of the bytes that were given, not of what the disk made of them.
  @Test func checksumIsOfWhatWasGiven() throws {
    let folder = try Folder()
    var file = try AtomicFile(path: folder.file)
    try file.write(Array("1234".utf8))
    try file.write(Array("56789".utf8))
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    try #require(names.count == 1)
    let handle = try #require(FileHandle(forUpdatingAtPath: folder.path + "/" + names[0]))
    try handle.write(contentsOf: Data("x".utf8))
    try handle.close()
    let mark = try file.commit()
    // The check value of CRC-32.
    #expect(mark.bytes == 9 && mark.crc32 == 0xcbf4_3926)
    #expect(try String(contentsOfFile: folder.file, encoding: .utf8) == "x23456789")
  }

  @Test func tensorOutlivesTheFileObject() throws {
    let folder = try Folder()
    try Safetensors.write(tensors, to: folder.file)
    let tensor = try Safetensors(contentsOf: folder.file).tensor(named: "b.weight")
    try FileManager.default.removeItem(atPath: folder.file)
    #expect(tensor.bytes == tensors[0].bytes)
  }

  @Test(
    arguments: [
      (bytes("[]", data: 0), "is damaged, or not safetensors: its header is an array"),
      (bytes("", data: 0), "is damaged, or not safetensors: its header is not readable: the text ends early"),
      (bytes("{\"a\":1}", data: 0), "tensor \"a\" is a number, not an object"),
      (bytes("{} x", data: 0), "text after the end"),
      (bytes("{}", data: 3), "is damaged: it has 3 bytes after its last tensor"),
      (bytes("{\(entry("a", "F32", "[1]", "[0,4]")),\(entry("a", "F32", "[1]", "[4,8]"))}", data: 8), "occurs twice"),
      (bytes("{\(entry("a", "F32", "[1]", "[0,4]")),\(entry("b", "F32", "[1]", "[2,6]"))}", data: 6), "overlap"),
      (
        bytes("{\(entry("a", "F32", "[1]", "[0,4]")),\(entry("b", "F32", "[1]", "[6,10]"))}", data: 10),
        "is damaged: it has 2 bytes before tensor \"b\" that belong to none"
      ),
      (bytes("{\(entry("a", "F32", "[1]", "[0,4]"))}", data: 3), "outside of the 3 bytes present; the file is cut off"),
      (bytes("{\(entry("a", "F32", "[1]", "[4,0]"))}", data: 4), "outside of"),
      (bytes("{\(entry("a", "F32", "[1]", "[-4,0]"))}", data: 4), "outside of"),
      (bytes("{\(entry("a", "F32", "[1]", "[0,4,8]"))}", data: 4), "has 3 data offsets"),
      (bytes("{\(entry("a", "F32", "[2]", "[0,4]"))}", data: 4), "has 4 bytes, but F32 [2] needs 8"),
      (bytes("{\(entry("a", "F33", "[1]", "[0,4]"))}", data: 4), "unknown type \"F33\"; did you mean"),
      (bytes("{\(entry("a", "F32", "[-1]", "[0,4]"))}", data: 4), "negative size"),
      (bytes("{\(entry("a", "F32", "[4294967296,4294967296]", "[0,4]"))}", data: 4), "too large for 64 bits"),
      (bytes("{\(entry("a", "F32", "[99999999999999999999]", "[0,4]"))}", data: 4), "beyond 64 bits"),
      (bytes("{\(entry("a", "F32", "[1.0]", "[0,4]"))}", data: 4), "not whole"),
      (bytes("{\(entry("a", "F32", "\"x\"", "[0,4]"))}", data: 4), "\"shape\" that is no array"),
      (bytes("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", data: 4), "has no \"data_offsets\""),
      (bytes("{\"__metadata__\":{\"a\":1}}", data: 0), "not a string"),
      (bytes("{\"\\ud800\":1}", data: 0), "surrogate"),
      (bytes(String(repeating: "[", count: 100_000), data: 0), "64 levels of nesting"),
      ([UInt8](repeating: 255, count: 64), "states a header of 18446744073709551615 bytes, but only 56 follow"),
      ([1, 2, 3], "is cut off, or not safetensors: it has 3 bytes, and 8 are needed"),
      ([7], "it has 1 byte, and"),
      ([], "is cut off"),
    ] as [([UInt8], String)])
  func badFiles(bytes: [UInt8], expected: String) throws {
    let reason = try Folder().reason(bytes)
    #expect(reason.contains(expected), "\(reason)")
    #expect(!reason.contains("\n"))
  }

  @Test func cutAnywhereIsAnError() throws {
    let folder = try Folder()
    try Safetensors.write(tensors, to: folder.file)
    let whole = Array(try Data(contentsOf: URL(filePath: folder.file)))
    #expect(folder.reason(whole) == "")
    for count in 0..<whole.count { #expect(folder.reason(Array(whole.prefix(count))) != "", "cut at \(count)") }
  }

  @Test func flippedBytesNeverCrash() throws {
    let folder = try Folder()
    try Safetensors.write(tensors, metadata: ["a": "b"], to: folder.file)
    let whole = Array(try Data(contentsOf: URL(filePath: folder.file)))
    let seed = UInt64(ProcessInfo.processInfo.environment["MARTLET_FUZZ_SEED"] ?? "") ?? 1
    var state = seed
    func random() -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33)
    }
    for _ in 0..<3000 {
      var damaged = whole
      for _ in 0...random() % 3 { damaged[random() % damaged.count] = UInt8(random() & 255) }
      try Data(damaged).write(to: URL(filePath: folder.file))
      // Either an error, or tensors whose bytes are all there.
      guard let read = try? Safetensors(contentsOf: folder.file) else { continue }
      for tensor in read.tensors { #expect(tensor.bytes.count == tensor.byteCount, "seed \(seed)") }
    }
  }

  @Test(
    arguments: [
      ([tensors[1], tensors[1]], "two tensors have the name"),
      ([RawTensor(name: "__metadata__", dtype: "U8", shape: [], bytes: [1])], "cannot be named"),
      ([RawTensor(name: "a", dtype: "float", shape: [], bytes: [1])], "unknown type"),
      ([RawTensor(name: "a", dtype: "F32", shape: [2], bytes: [1])], "has 1 bytes to write"),
      ([RawTensor(name: "a", dtype: "F4", shape: [3], bytes: [1])], "no whole number of bytes"),
    ])
  func refusedWritesLeaveTheOldFile(tensors: [RawTensor], expected: String) throws {
    let folder = try Folder()
    try Data([1]).write(to: URL(filePath: folder.file))
    let error = #expect(throws: FileError.self) { try Safetensors.write(tensors, to: folder.file) }
    #expect(error?.reason.contains(expected) == true, "\(String(describing: error))")
    #expect(try Data(contentsOf: URL(filePath: folder.file)) == Data([1]))
  }

  @Test func aFailureWhileWritingLeavesNothing() throws {
    let folder = try Folder()
    let entries = [Safetensors.Entry(name: "a", dtype: "U8", shape: [4])]
    let error = #expect(throws: FileError.self) {
      try Safetensors.write(entries, to: folder.file) { _, write throws(FileError) in
        for part in [[1, 2], [3]] as [[UInt8]] {
          try part.withBytes { raw throws(FileError) in try write(raw) }
        }
      }
    }
    #expect(error?.reason.contains("has 3 bytes to write") == true)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
  }

  @Test(
    .enabled(if: FileManager.default.fileExists(atPath: golden), "no golden file (MARTLET_SHARED names its folder)"))
  func readsTheGoldenFile() throws {
    let file = try Safetensors(contentsOf: golden)
    #expect(file.tensors.count > 1000)
    #expect(file["argmax/out0"]?.shape == [4])
    for tensor in file.tensors where tensor.dtype == "F32" {
      #expect(tensor.array(of: Float.self)?.count == tensor.elementCount)
    }
  }
}
