import MartletCore

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A saved moment of a run: tensors by part (`model`, `optimizer`, …), and a description that can be encoded.
///
/// A run's folder holds checkpoints, each a folder of its own, and a file `latest` that names the newest whole one. Each file
/// is written under a temporary name, brought to the disk and renamed, and `latest` is replaced last: a run that is killed at
/// any moment leaves a checkpoint from which it can go on. A checksum of each file is checked when it is read.
public struct Checkpoint: Sendable {
  /// The checkpoint's own folder.
  public let folder: String
  private let manifest: Manifest

  private struct Manifest: Codable, Sendable {
    var format = 1
    /// By the name of the file: of what was to be written, so that what the disk made of it is noticed.
    let files: [String: FileMark]
  }

  private static let manifestName = "manifest.json"
  private static let descriptionName = "description.json"
  private static let latestName = "latest"

  // MARK: reading

  /// The newest whole checkpoint of a run.
  public static func latest(in run: String) throws(FileError) -> Checkpoint {
    let pointer = joined(run, latestName)
    guard fileExists(run) else { throw FileError(run, "does not exist; the folder of a run is needed") }
    guard fileExists(pointer) else { throw FileError(run, "holds no checkpoint: there is no file \(latestName) in it") }
    let text = try FileBytes(path: pointer)
    let name =
      text.withBytes { String(decoding: $0.prefix(256), as: UTF8.self) }
      .split(separator: "\n").first.map(String.init) ?? ""
    guard !name.isEmpty, !name.contains("/"), name != ".", name != ".." else {
      throw FileError(pointer, "does not name a checkpoint")
    }
    return try Checkpoint(folder: joined(run, name))
  }

  /// Whether a folder holds a run, damaged or not.
  public static func exists(in run: String) -> Bool {
    fileExists(joined(run, latestName))
      || entries(run).contains { isName($0) && fileExists(joined(run, $0 + "/" + manifestName)) }
  }

  /// The newest checkpoint of a run, or, if the folder is a checkpoint's own, that one.
  public static func find(in folder: String) throws(FileError) -> Checkpoint {
    fileExists(joined(folder, manifestName)) ? try Checkpoint(folder: folder) : try latest(in: folder)
  }

  /// Opens a checkpoint's own folder.
  public init(folder: String) throws(FileError) {
    self.folder = folder
    manifest = try Checkpoint.decode(Manifest.self, joined(folder, Checkpoint.manifestName))
    guard manifest.format == 1 else {
      throw FileError(joined(folder, Checkpoint.manifestName), "is of format \(manifest.format); this version reads 1")
    }
  }

  /// The tensors of one part.
  public func state(_ part: String) throws(FileError) -> State {
    let name = part + ".safetensors"
    return try State(safetensors: try verified(name))
  }

  /// The description.
  public func description<D: Decodable>(_ type: D.Type = D.self) throws(FileError) -> D {
    try Checkpoint.decode(type, try verified(Checkpoint.descriptionName))
  }

  /// Names other whole checkpoints of the run, for errors.
  private var others: String {
    let parts = folder.split(separator: "/")
    guard let own = parts.last, let end = folder.lastIndex(of: "/") else { return "" }
    let run = String(folder[..<end])
    let names = Checkpoint.entries(run).filter {
      Checkpoint.isName($0) && $0 != own && fileExists(joined(run, $0 + "/" + Checkpoint.manifestName))
    }
    return names.isEmpty ? "" : "; another checkpoint of the run is \(joined(run, names.sorted().last!))"
  }

  /// The path of a file whose bytes are those that were written.
  private func verified(_ name: String) throws(FileError) -> String {
    let path = joined(folder, name)
    guard let expected = manifest.files[name] else { throw FileError(folder, "holds no \(name)") }
    let found = try FileBytes(path: path).withBytes { FileMark(bytes: $0.count, crc32: checksum($0)) }
    guard found.bytes == expected.bytes else {
      throw FileError(path, "has \(found.bytes) bytes, but \(expected.bytes) were written\(others)")
    }
    guard found.crc32 == expected.crc32 else {
      throw FileError(path, "is damaged: its checksum is not the one written\(others)")
    }
    return path
  }

  private static func decode<D: Decodable>(_ type: D.Type, _ path: String) throws(FileError) -> D {
    let file = try FileBytes(path: path)
    guard file.count <= 64 << 20 else { throw FileError(path, "has \(file.count) bytes; at most 64 MiB are read") }
    let data = file.withBytes { Data($0) }
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "infinity", negativeInfinity: "-infinity", nan: "NaN")
    do { return try decoder.decode(type, from: data) } catch {
      throw FileError(path, "cannot be read: \(reason(error))")
    }
  }

  private static func reason(_ error: any Error) -> String {
    func at(_ path: [any CodingKey]) -> String {
      path.isEmpty ? "" : " at \(path.map { $0.stringValue }.joined(separator: "."))"
    }
    switch error {
    case DecodingError.keyNotFound(let key, let context):
      return "\(key.stringValue) is missing\(at(context.codingPath))"
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
      return "a value of another kind\(at(context.codingPath))"
    case DecodingError.dataCorrupted(let context):
      return context.codingPath.isEmpty ? "it is no valid JSON" : "a value that is not known\(at(context.codingPath))"
    default: return "\(error)"
    }
  }

  // MARK: writing

  /// Writes a checkpoint into a run's folder, which is made if need be, and removes older ones but for `keeping`.
  ///
  /// - Parameters:
  ///   - step: gives the checkpoint's folder its name, `step-00001000`; another one is found when it is taken. Folders
  ///     with other names, and links, are never removed.
  ///   - keeping: how many checkpoints stay, this one included; 1 or more.
  @discardableResult
  public static func write(
    _ parts: [(name: String, state: State)], description: some Encodable, to run: String, step: Int, keeping: Int = 2
  ) throws(FileError) -> Checkpoint {
    try makeFolder(run)
    let digits = String(max(0, step))
    let folder = try makeFresh(run, "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits)
    let own = folder.split(separator: "/").last.map(String.init) ?? folder
    var files: [String: FileMark] = [:]
    do throws(FileError) {
      for part in parts {
        let file = part.name + ".safetensors"
        files[file] = try part.state.save(safetensors: joined(folder, file))
      }
      files[descriptionName] = try encode(description, joined(folder, descriptionName))
      try encode(Manifest(files: files), joined(folder, manifestName))
      try syncFolder(run)
    } catch {
      // What is not whole is of no use to anybody; the older checkpoints stay.
      removeFolder(folder)
      throw error
    }
    // From here on the new checkpoint may be the one that `latest` names, also when this throws.
    try text("\(own)\n", to: joined(run, latestName))
    removeOld(run, except: own, keeping: keeping)
    return Checkpoint(folder: folder, manifest: Manifest(files: files))
  }

  private init(folder: String, manifest: Manifest) {
    self.folder = folder
    self.manifest = manifest
  }

  @discardableResult
  private static func encode(_ value: some Encodable, _ path: String) throws(FileError) -> FileMark {
    let encoder = JSONEncoder()
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "infinity", negativeInfinity: "-infinity", nan: "NaN")
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    let data: Data
    do { data = try encoder.encode(value) } catch { throw FileError(path, "cannot be encoded: \(error)") }
    return try text(String(decoding: data, as: UTF8.self) + "\n", to: path)
  }

  @discardableResult
  private static func text(_ text: String, to path: String) throws(FileError) -> FileMark {
    var file = try AtomicFile(path: path)
    try file.write(Array(text.utf8))
    return try file.commit()
  }

  private static func makeFresh(_ run: String, _ name: String) throws(FileError) -> String {
    for attempt in 1...1000 {
      let folder = joined(run, attempt == 1 ? name : "\(name)-\(attempt)")
      if mkdir(folder, 0o777) == 0 { return folder }
      guard errno == EEXIST else { throw FileError(folder, "cannot be made: \(systemReason(errno))") }
    }
    throw FileError(joined(run, name), "exists, and so do 999 others of that name")
  }

  /// Whether a folder is named as this writer names its checkpoints: `step-00000120`, `step-00000120-2`.
  private static func isName(_ name: String) -> Bool {
    let parts = name.split(separator: "-", omittingEmptySubsequences: false)
    return (2...3).contains(parts.count) && parts[0] == "step"
      && parts.dropFirst().allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }
  }

  /// Removes the checkpoints beyond those to keep, and what killed runs have left.
  private static func removeOld(_ run: String, except newest: String, keeping: Int) {
    var found: [(name: String, time: Int, order: Int)] = []
    for name in entries(run) {
      let folder = joined(run, name)
      var info = stat()
      guard isName(name), name != newest, lstat(folder, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else { continue }
      // Only what a checkpoint is made of is ever removed.
      let files = entries(folder)
      guard files.allSatisfy({ isOurs($0) }) else { continue }
      if files.contains(manifestName) {
        #if canImport(Darwin)
          found.append((name, info.st_mtimespec.tv_sec, info.st_mtimespec.tv_nsec))
        #else
          found.append((name, info.st_mtim.tv_sec, info.st_mtim.tv_nsec))
        #endif
      } else {
        removeFolder(folder)
      }
    }
    found.sort { ($0.time, $0.order, $0.name) > ($1.time, $1.order, $1.name) }
    for old in found.dropFirst(max(0, keeping - 1)) { removeFolder(joined(run, old.name)) }
  }

  private static func isOurs(_ file: String) -> Bool {
    file.hasSuffix(".safetensors") || file == manifestName || file == descriptionName || file.hasSuffix(".tmp")
  }

  private static func removeFolder(_ folder: String) {
    // The manifest first: without it nothing takes the rest for a checkpoint.
    unlink(joined(folder, manifestName))
    for name in entries(folder) where isOurs(name) { unlink(joined(folder, name)) }
    rmdir(folder)
  }

  private static func entries(_ folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }
}
