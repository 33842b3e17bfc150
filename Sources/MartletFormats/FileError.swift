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
