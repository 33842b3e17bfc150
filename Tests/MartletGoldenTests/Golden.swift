import Foundation
import Martlet
import MartletFormats

/// A folder of golden cases: `manifest.json` and `golden.safetensors`, as `generate.py` writes them.
struct Golden: Sendable {
  let cases: [GoldenCase]
  private let file: Safetensors

  /// The folder named by `MARTLET_GOLDEN`, else `golden` in the shared folder; nil when there is none.
  static let shared: Golden? = {
    let environment = ProcessInfo.processInfo.environment
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let folder =
      environment["MARTLET_GOLDEN"]
      ?? (environment["MARTLET_SHARED"] ?? root.deletingLastPathComponent().appending(path: "shared").path) + "/golden"
    guard FileManager.default.fileExists(atPath: folder + "/manifest.json") else {
      print("skipped: no golden cases at \(folder); name a folder by MARTLET_GOLDEN")
      return nil
    }
    return try! Golden(folder)
  }()

  /// What `scripts/golden-layers` wrote; part of the repository.
  static let layers = try! Golden(
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/Layers").path)

  init(_ folder: String) throws {
    let file = try Safetensors(contentsOf: folder + "/golden.safetensors")
    let data = try Data(contentsOf: URL(fileURLWithPath: folder + "/manifest.json"))
    self.file = file
    cases = try (JSONSerialization.jsonObject(with: data) as! [[String: Any]]).map { GoldenCase($0, file) }
  }

  func tensor(_ key: String) throws -> Tensor { try file.tensor(named: key).tensor() }
}

/// One entry of the manifest.
struct GoldenCase: @unchecked Sendable, CustomTestStringConvertible {
  let name: String
  let kind: String
  let op: String
  let inputs: [String]
  let outputs: [String]
  let cotangents: [String]
  let grads: [Int: String]
  let rtol: Double
  let atol: Double
  let attributes: [String: Any]
  private let file: Safetensors

  var testDescription: String { name }

  init(_ entry: [String: Any], _ file: Safetensors) {
    self.file = file
    name = entry["name"] as! String
    kind = entry["kind"] as! String
    op = entry["op"] as! String
    inputs = entry["inputs"] as? [String] ?? []
    outputs = entry["outputs"] as? [String] ?? []
    cotangents = entry["cotangents"] as? [String] ?? []
    grads = Dictionary(
      uniqueKeysWithValues: (entry["grads"] as? [String: String] ?? [:]).map { (Int($0.key)!, $0.value) })
    rtol = entry["rtol"] as? Double ?? 1e-4
    atol = entry["atol"] as? Double ?? 1e-5
    attributes = entry["attrs"] as? [String: Any] ?? [:]
  }

  func tensor(_ key: String) throws -> Tensor { try file.tensor(named: key).tensor() }

  func int(_ name: String) -> Int { (attributes[name] as! NSNumber).intValue }
  func double(_ name: String, default value: Double = 0) -> Double {
    (attributes[name] as? NSNumber)?.doubleValue ?? value
  }
  func bool(_ name: String) -> Bool { (attributes[name] as? NSNumber)?.boolValue ?? false }
  func ints(_ name: String) -> [Int] {
    (attributes[name] as? [NSNumber])?.map(\.intValue) ?? [int(name)]
  }
  func string(_ name: String) -> String { attributes[name] as! String }
  func doubles(_ name: String) -> [Double] { (attributes[name] as! [NSNumber]).map(\.doubleValue) }
  /// Whether an attribute is there and is not null.
  func has(_ name: String) -> Bool { attributes[name].map { !($0 is NSNull) } ?? false }
  func extent(_ name: String) -> Extent { Extent(ints(name)) }
}

import Testing

/// Compares with PyTorch's values in the manner of `allclose`.
func expectClose(
  _ actual: Tensor, _ expected: Tensor, _ c: GoldenCase, _ what: String,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard actual.shape == expected.shape else {
    Issue.record("\(c.name) \(what): shape \(actual.shape), expected \(expected.shape)", sourceLocation: sourceLocation)
    return
  }
  let a: [Double] = actual.array()
  let e: [Double] = expected.array()
  let worst = zip(a, e).map { x, y in
    x == y || x.isNaN && y.isNaN ? 0 : abs(x - y) - c.atol - c.rtol * abs(y)
  }
  if let position = worst.indices.max(by: { !(worst[$0] >= worst[$1]) }), !(worst[position] <= 0) {
    Issue.record(
      "\(c.name) \(what): \(a[position]) at \(position), expected \(e[position])", sourceLocation: sourceLocation)
  }
}

/// The layers of cases, made when a case first runs, which is now: layers are not made within `compile`.
enum Made {
  // A `Lock` and not a `Mutex`, whose futex the thread sanitizer does not see.
  private static let lock = Lock()
  nonisolated(unsafe) private static var layers: [String: AnyObject] = [:]

  static func layer<M: Module>(_ name: String, _ make: () -> M) -> M {
    lock.holding {
      if let made = layers[name] { return made as! M }
      let made = make()
      layers[name] = made
      return made
    }
  }
}
