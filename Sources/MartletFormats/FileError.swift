/// Says which file could not be read or written, and why, in one line.
public struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The path as the caller gave it, or a name for bytes that came from elsewhere.
  public let file: String
  /// What is wrong with it.
  public let reason: String

  /// Makes an error; line breaks and other control characters in the parts are shown escaped.
  public init(_ file: String, _ reason: String) {
    self.file = file.inOneLine
    self.reason = reason.inOneLine
  }

  public var description: String { "\(file): \(reason)" }
}

extension String {
  /// Without control characters: texts from damaged files must not break lines or steer a terminal.
  fileprivate var inOneLine: String {
    guard unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { return self }
    var text = ""
    for scalar in unicodeScalars {
      if scalar.properties.generalCategory == .control {
        text += scalar.escaped(asASCII: true)
      } else {
        text.unicodeScalars.append(scalar)
      }
    }
    return text
  }

  /// Cut to a length that fits a message.
  package var shortened: String { unicodeScalars.count <= 80 ? self : String(unicodeScalars.prefix(77)) + "..." }
}

/// The name nearest to a mistyped one, when it is near enough to be a likely correction.
package func nearest(to name: String, in names: some Sequence<String>) -> String? {
  let wanted = Array(name.utf8.prefix(256))
  var best: (name: String, distance: Int)?
  for candidate in names {
    let other = Array(candidate.utf8.prefix(256))
    let allowed = min(max(1, max(wanted.count, other.count) / 3), (best?.distance ?? .max) - 1)
    guard abs(wanted.count - other.count) <= allowed else { continue }
    var row = Array(0...other.count)
    for (i, a) in wanted.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, b) in other.enumerated() {
        let substituted = diagonal + (a == b ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(substituted, row[j] + 1, diagonal + 1)
      }
    }
    if row[other.count] <= allowed { best = (candidate, row[other.count]) }
  }
  return best?.name
}
