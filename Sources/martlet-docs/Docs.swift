import ArgumentParser
import Foundation
import Martlet
import MartletReference

/// Writes the pages that are made from the code.
@main
struct Docs: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet-docs", abstract: "Writes Documentation/Ops.md from the table of operations.")

  @Flag(help: "Write nothing; fail when the page differs from the code.")
  var check = false

  @Option(help: "The page.")
  var output = "Documentation/Ops.md"

  func run() throws {
    let page = OpsPage.text
    if check {
      guard let present = try? String(contentsOfFile: output, encoding: .utf8), present == page else {
        print("\(output) is not what the code says; run `swift run -c release martlet-docs`")
        throw ExitCode.failure
      }
    } else {
      try page.write(toFile: output, atomically: true, encoding: .utf8)
    }
  }
}

/// The table of operations: one row each, with its rules and the devices that have a kernel.
enum OpsPage {
  static var text: String {
    var lines = [
      "# Operations",
      "",
      "Made from the code by `martlet-docs`. A rule marked • is the operation's own, one marked ∘ follows from its",
      "decomposition, and – means that no derivative passes (the result does not depend smoothly on the inputs). A kernel",
      "marked view is none: the result shares its input's memory.",
      "",
      "| operation | inputs | decomposition | vjp | jvp | batched | cpu | reference |",
      "|---|---|---|---|---|---|---|---|",
    ]
    for row in OpTable.allCases { lines.append(line(row.type)) }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func line<O: Op>(_ op: O.Type) -> String {
    let rules = O.rules
    let composed = rules.contains(.decomposed)
    func mark(_ rule: Rules, derivative: Bool = false) -> String {
      if derivative, rules.contains(.constant) { return "–" }
      return rules.contains(rule) ? "•" : composed ? "∘" : " "
    }
    func kernel(_ device: Device) -> String {
      Rooms.require(device)
      if Kernels.hasKernel(O.self, device) { return O.self is any ViewOp.Type ? "view, •" : "•" }
      if O.self is any ViewOp.Type { return "view" }
      return composed ? "∘" : O.self == CopyTo.self ? "copy" : " "
    }
    return
      "| `\(O.name)` | \(O.argumentNames.prefix(inputCount(op)).joined(separator: ", ")) | \(composed ? "•" : " ") "
      + "| \(mark(.vjp, derivative: true)) | \(mark(.jvp, derivative: true)) | \(mark(.batched)) "
      + "| \(kernel(.cpu)) | \(kernel(.reference)) |"
  }

  private static func inputCount<O: Op>(_: O.Type) -> Int {
    if O.self is any UnaryOp.Type { return 1 }
    if O.self is any BinaryOp.Type { return 2 }
    return O.self == TopK.self || O.self == Concat.self ? 1 : .max
  }
}
