import ArgumentParser
import Foundation
import Martlet
import MartletReference

/// Writes the pages and programs that are made from others.
@main
struct Docs: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet-docs",
    abstract: "Writes Documentation/Ops.md from the table of operations, and Examples/Readme from what the pages show.")

  @Flag(help: "Write nothing; fail when a file differs from its source.")
  var check = false

  func run() throws {
    let readme = try String(contentsOfFile: "README.md", encoding: .utf8)
    let names = try String(contentsOfFile: "Documentation/FromPyTorch.md", encoding: .utf8)
    let programs = try String(contentsOfFile: "Documentation/Programs.md", encoding: .utf8)
    var differs = false
    for pass in Pass.all where !programs.contains("\n| `\(pass.name)` | ") {
      print("Documentation/Programs.md has no row for the pass \(pass.name)")
      differs = true
    }
    for (path, text) in [
      ("Documentation/Ops.md", OpsPage.text), ("Examples/Readme/main.swift", ReadmeProgram.text(of: readme)),
      ("Examples/Readme/Programs.swift", ProgramsProgram.text(of: programs)),
      ("Examples/Readme/FromPyTorch.swift", NamesProgram.text(of: names)),
    ] {
      if !check {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
      } else if (try? String(contentsOfFile: path, encoding: .utf8)) != text {
        print("\(path) is not what its source says; run `swift run -c release martlet-docs`")
        differs = true
      }
    }
    if differs { throw ExitCode.failure }
  }
}

/// The README's Swift as the `main.swift` that a user makes of it, so that what it shows compiles and runs there.
enum ReadmeProgram {
  static func text(of readme: String) -> String {
    let head = ["// Made from the README by martlet-docs.", "// swift-format-ignore-file", "import Martlet", ""]
    let pages = ["", "try FromPyTorch.run()", "try Programs.run()"]
    return (head + lines(of: readme) + pages).joined(separator: "\n") + "\n"
  }

  /// The lines of the Swift blocks of a page, indented for a function.
  static func body(of page: String) -> [String] { lines(of: page).map { $0.isEmpty ? "" : "    " + $0 } }

  /// The lines of the Swift blocks of a page.
  private static func lines(of page: String) -> [String] {
    var blocks: [[Substring]] = []
    var block: [Substring]?
    for line in page.split(separator: "\n", omittingEmptySubsequences: false) {
      if line == "```swift" {
        block = []
      } else if line == "```", let lines = block {
        blocks.append(lines)
        block = nil
      } else {
        block?.append(line)
      }
    }
    let code = blocks.filter { !$0.contains("import PackageDescription") }.joined()
    return code.filter { $0 != "import Martlet" }.map { String($0) }
  }
}

/// The blocks of the page about programs, as a function: they have names of their own.
enum ProgramsProgram {
  static func text(of page: String) -> String {
    let head = [
      "// Made from Documentation/Programs.md by martlet-docs.", "// swift-format-ignore-file", "import Martlet", "",
      "enum Programs {", "  static func run() throws {",
    ]
    return (head + ReadmeProgram.body(of: page) + ["  }", "}"]).joined(separator: "\n") + "\n"
  }
}

/// The second column of the tables of names as a program: each piece of code in it is a statement.
enum NamesProgram {
  static func text(of page: String) -> String {
    let head = [
      "// Made from Documentation/FromPyTorch.md by martlet-docs.", "// swift-format-ignore-file", "import Martlet", "",
      "enum FromPyTorch {", "  /// Takes any value, so that every expression is a statement.",
      "  private static func use<T>(_ value: T) {}", "", "  static func run() throws {",
    ]
    let code = rows(of: page).map { code in
      if code.contains(" = ") { return "    \(code)" }
      return code.hasPrefix("try ") ? "    try use(\(code.dropFirst(4)))" : "    use(\(code))"
    }
    return (head + ReadmeProgram.body(of: page) + code + ["  }", "}"]).joined(separator: "\n") + "\n"
  }

  private static func rows(of page: String) -> [String] {
    page.split(separator: "\n").filter { $0.hasPrefix("| `") }.flatMap { line -> [String] in
      let cells = line.replacing("\\|", with: "\0").split(separator: "|", omittingEmptySubsequences: false)
      return cells[2].split(separator: "`", omittingEmptySubsequences: false).enumerated()
        .filter { $0.offset % 2 == 1 }.map { String($0.element.replacing("\0", with: "|")) }
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
      if O.self is any ControlOp.Type { return "•" }  // runs its bodies on any device
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
