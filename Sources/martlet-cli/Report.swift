import Martlet
import MartletFormats

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// How a run tells what it does: lines and a bar for people, or one JSON object a line.
final class Report {
  private let json: Bool
  private let quiet: Bool
  private let drawsBar: Bool
  private let clock = ContinuousClock()
  private var lastBar: ContinuousClock.Instant?
  private var barIsDrawn = false

  init(json: Bool, quiet: Bool) {
    self.json = json
    self.quiet = quiet
    drawsBar = !json && !quiet && isatty(STDERR_FILENO) == 1
  }

  /// One line for people.
  func say(_ text: String) {
    guard !json, !quiet else { return }
    clearBar()
    printNow(text)
  }

  /// One line for people, also with `--quiet`.
  func conclude(_ text: String) {
    guard !json else { return }
    clearBar()
    printNow(text)
  }

  /// One object for programs; with `--quiet` only the last.
  func event(_ name: String, _ fields: [(String, JSONValue)], isLast: Bool = false) {
    guard json, isLast || !quiet else { return }
    let members = [("event", JSONValue.text(name))] + fields
    printNow("{" + members.map { "\(JSONValue.text($0.0)):\($0.1)" }.joined(separator: ",") + "}")
  }

  /// The bar of an epoch, at most ten times a second.
  func progress(_ progress: TrainingProgress, epochs: Int, rate: Double, remaining: Double) {
    guard drawsBar else { return }
    let now = clock.now
    let isLast = progress.position.batch == progress.batchCount
    if let lastBar, now - lastBar < .milliseconds(100), !isLast { return }
    lastBar = now
    let part = Double(progress.position.batch) / Double(max(1, progress.batchCount))
    let head = "epoch \(progress.position.epoch + 1)/\(epochs) "
    let tail =
      " \(String(Int(part * 100)).flushed(to: 3)) %  loss \(progress.score.loss.text(4))  "
      + "accuracy \((progress.score.accuracy * 100).text(2)) %  \(Int(rate)) samples/s  \(Report.time(remaining)) left"
    let room = max(0, min(30, Report.width - head.count - tail.count - 1))
    let done = Int(part * Double(room))
    let bar = String(repeating: "━", count: done) + String(repeating: "╌", count: room - done)
    writeError("\r\u{1b}[K" + head + bar + tail)
    barIsDrawn = true
  }

  func clearBar() {
    guard barIsDrawn else { return }
    writeError("\r\u{1b}[K")
    barIsDrawn = false
  }

  private static var width: Int {
    var size = winsize()
    return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
  }

  /// Minutes and seconds.
  static func time(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 360_000 else { return "?" }
    let whole = Int(seconds.rounded())
    let text = "\(whole / 60 % 60):\(whole % 60 < 10 ? "0" : "")\(whole % 60)"
    return whole < 3600 ? text : "\(whole / 3600):\(text.count < 5 ? "0" : "")\(text)"
  }
}

/// A value of a JSON line.
enum JSONValue: CustomStringConvertible {
  case text(String)
  case number(Double)
  case integer(Int)
  case list([JSONValue])
  case null

  var description: String {
    switch self {
    case .null: return "null"
    case .integer(let number): return "\(number)"
    // JSON has no NaN.
    case .number(let number): return number.isFinite ? "\(number)" : "null"
    case .list(let values): return "[" + values.map { "\($0)" }.joined(separator: ",") + "]"
    case .text(let text): return quotedJSON(text)
    }
  }
}
