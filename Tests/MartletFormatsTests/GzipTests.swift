import MartletFormats
import Testing

private func reason(_ bytes: [UInt8], limit: Int = 1 << 20) -> String {
  do throws(FileError) {
    _ = try Gzip.inflate(bytes, limit: limit)
    return ""
  } catch {
    return error.reason
  }
}

@Suite struct GzipTests {
  private static let text = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) }
  private static let good = Gzip.deflate(text)

  @Test(arguments: [0, 1, 6, 9]) func thereAndBack(level: Int) throws {
    for count in [0, 1, 5000] {
      let bytes = Array(Self.text.prefix(count))
      #expect(try Gzip.inflate(Gzip.deflate(bytes, level: level), limit: count) == bytes)
    }
  }

  @Test func joinedStreamsFollowEachOther() throws {
    #expect(try Gzip.inflate(Self.good + Self.good, limit: 10_000) == Self.text + Self.text)
  }

  @Test func limitIsKept() {
    #expect(reason(Self.good, limit: 4999) == "inflates to more than the allowed 4999 bytes")
    let bomb = Gzip.deflate([UInt8](repeating: 0, count: 20_000_000))
    #expect(reason(bomb) == "inflates to more than the allowed 1048576 bytes")
  }

  @Test func badStreams() {
    #expect(reason([]).contains("is empty"))
    #expect(reason([0x50, 0x4b, 3, 4]).contains("is not gzip"))
    #expect(reason(Self.good + [0, 0, 0]) == "has 3 bytes after the end of its gzip stream")
    var wrong = Self.good
    wrong[wrong.count - 8] ^= 1
    #expect(reason(wrong).contains("check sum is wrong"))
    wrong = Self.good
    wrong[2] = 9
    #expect(reason(wrong).contains("unknown compression method"))
  }

  @Test func cutAnywhereIsAnError() {
    for count in 1..<Self.good.count {
      #expect(reason(Array(Self.good.prefix(count))).hasPrefix("ends early"), "cut at \(count)")
    }
  }

  @Test func missingFileAndFolder() {
    let error = #expect(throws: FileError.self) { try Gzip.inflate(contentsOf: "/no/such file.gz", limit: 1) }
    #expect(error?.description == "/no/such file.gz: does not exist")
    let folder = #expect(throws: FileError.self) { try Gzip.inflate(contentsOf: "/", limit: 1) }
    #expect(folder?.reason == "is a folder, not a file")
  }
}
