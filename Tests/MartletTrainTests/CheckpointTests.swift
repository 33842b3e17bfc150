import Foundation
import Martlet
import MartletFormats
import Testing

@Suite struct CheckpointTests {
  private func write(_ run: String, _ step: Int = 1, keeping: Int = 2) throws -> Checkpoint {
    try Checkpoint.write(
      [("model", State([("w", Tensor([1, 2, 3] as [Float]))]))], description: ["a": 1], to: run, step: step,
      keeping: keeping)
  }

  @Test func comesBack() throws {
    let folder = try Folder()
    let run = folder.path + "/deep/er/run"
    _ = try write(run)
    let checkpoint = try Checkpoint.latest(in: run)
    #expect(try checkpoint.state("model")["w"]!.floats == [1, 2, 3])
    #expect(try checkpoint.description([String: Int].self) == ["a": 1])
    #expect(reason { _ = try checkpoint.state("optimizer") }.contains("holds no optimizer.safetensors"))
    #expect(reason { _ = try checkpoint.description([Int].self) }.contains("another kind"))
  }

  @Test func newestStay() throws {
    let folder = try Folder()
    for step in 1...5 { _ = try write(folder.path, step) }
    _ = try write(folder.path, 5)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(names == ["latest", "step-00000005", "step-00000005-2"])
    #expect(try Checkpoint.latest(in: folder.path).folder.hasSuffix("step-00000005-2"))
  }

  @Test func whatOthersPutThereStays() throws {
    let folder = try Folder()
    let first = try write(folder.path)
    try FileManager.default.copyItem(atPath: first.folder, toPath: folder.path + "/best")
    try FileManager.default.createDirectory(atPath: folder.path + "/step-export", withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      atPath: first.folder + "/model.safetensors", toPath: folder.path + "/step-export/model.safetensors")
    try FileManager.default.createSymbolicLink(
      atPath: folder.path + "/step-00000099", withDestinationPath: folder.path + "/best")
    try FileManager.default.createDirectory(atPath: folder.path + "/step-mine", withIntermediateDirectories: true)
    try "x".write(toFile: folder.path + "/step-mine/notes.md", atomically: true, encoding: .utf8)
    for step in 1...3 { _ = try write(folder.path, step, keeping: 1) }
    #expect(FileManager.default.fileExists(atPath: folder.path + "/step-mine/notes.md"))
    #expect(FileManager.default.fileExists(atPath: folder.path + "/step-export/model.safetensors"))
    #expect(try Checkpoint(folder: folder.path + "/best").state("model")["w"]!.floats == [1, 2, 3])
    #expect(try Checkpoint.find(in: folder.path + "/best").folder.hasSuffix("best"))
    #expect(!FileManager.default.fileExists(atPath: first.folder))
  }

  @Test func numbersThatAreNoneComeBack() throws {
    let folder = try Folder()
    try Checkpoint.write([], description: [Double.nan, .infinity, 1], to: folder.path, step: 1)
    let found: [Double] = try Checkpoint.latest(in: folder.path).description()
    #expect(found[0].isNaN && found[1] == .infinity && found[2] == 1)
  }

  /// Every file cut short at every length, and every byte changed: an error with the file's name, never other numbers.
  @Test func damageIsFound() throws {
    let folder = try Folder()
    let checkpoint = try write(folder.path)
    for name in ["model.safetensors", "description.json", "manifest.json"] {
      let path = checkpoint.folder + "/" + name
      let whole = try Data(contentsOf: URL(filePath: path))
      func read() throws {
        let opened = try Checkpoint.latest(in: folder.path)
        guard try opened.state("model")["w"]!.floats == [1, 2, 3], try opened.description() == ["a": 1] else {
          Issue.record("\(name): other values")
          return
        }
      }
      for length in stride(from: 0, to: whole.count, by: name == "manifest.json" ? 1 : 7) {
        try whole.prefix(length).write(to: URL(filePath: path))
        // A manifest without its last line break says the same.
        if name == "manifest.json", length >= whole.count - 1 { continue }
        #expect(!reason(read).isEmpty, "\(name) cut at \(length)")
      }
      for place in whole.indices where name != "manifest.json" {
        var changed = whole
        changed[place] ^= 0x41
        try changed.write(to: URL(filePath: path))
        #expect(reason(read).contains("damaged"), "\(name) changed at \(place)")
      }
      try whole.write(to: URL(filePath: path))
      #expect(reason(read).isEmpty)
    }
  }

  @Test func oneRunInAFolder() throws {
    let folder = try Folder()
    let run = folder.path + "/new"
    let lock = try RunLock(run)
    #expect(reason { _ = try RunLock(run) } == "is in use by process \(getpid()), which trains into it")
    _ = try write(run)
    withExtendedLifetime(lock) {}
    #expect(reason { _ = try RunLock("/proc/nothing") }.contains("cannot be made"))
  }

  @Test func lockGoesWithTheRun() throws {
    let folder = try Folder()
    let run = folder.path + "/new"
    do {
      let lock = try RunLock(run)
      #expect(FileManager.default.fileExists(atPath: run + "/lock"))
      withExtendedLifetime(lock) {}
    }
    // A run that did not begin leaves nothing.
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    // A file that a killed process has left locks nobody out.
    try FileManager.default.createDirectory(atPath: run, withIntermediateDirectories: true)
    try "1\n".write(toFile: run + "/lock", atomically: true, encoding: .utf8)
    do {
      let lock = try RunLock(run)
      _ = try write(run)
      withExtendedLifetime(lock) {}
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: run).sorted() == ["latest", "step-00000001"])
  }

  @Test func missingAndWrongFolders() throws {
    let folder = try Folder()
    #expect(reason { _ = try Checkpoint.latest(in: folder.path + "/none") }.contains("does not exist"))
    #expect(reason { _ = try Checkpoint.latest(in: folder.path) }.contains("holds no checkpoint"))
    for text in ["", "../../etc\n", "..\n", "gone\n"] {
      try text.write(toFile: folder.path + "/latest", atomically: true, encoding: .utf8)
      #expect(!reason { _ = try Checkpoint.latest(in: folder.path) }.isEmpty)
    }
    try "x".write(toFile: folder.path + "/file", atomically: true, encoding: .utf8)
    #expect(!reason { _ = try write(folder.path + "/file") }.isEmpty)
    #expect(!reason { _ = try write("/proc/nothing") }.isEmpty)
  }

  /// A checkpoint that cannot be finished leaves the earlier one and nothing of its own.
  @Test func failedWriteLeavesTheEarlierOne() throws {
    struct Unencodable: Encodable {
      func encode(to encoder: any Encoder) throws { throw CocoaError(.coderInvalidValue) }
    }
    let folder = try Folder()
    _ = try write(folder.path)
    #expect(
      !reason {
        _ = try Checkpoint.write([("model", State([]))], description: Unencodable(), to: folder.path, step: 2)
      }.isEmpty)
    #expect(try Checkpoint.latest(in: folder.path).state("model")["w"]!.floats == [1, 2, 3])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["latest", "step-00000001"])
  }
}
