import ArgumentParser
import Martlet

struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Tells what this machine offers and what is missing.")

  @Flag(help: "Prints the algorithms that convolutions have been found to run fastest by.")
  var convolutions = false

  @Flag(help: "Prints one JSON object.")
  var json = false

  func run() throws {
    if json {
      let facts = Machine.facts.map { ($0.name.lowercased().replacing(" ", with: "_"), JSONValue.text($0.value)) }
      let missing = Machine.missing
      var fields = facts + [("missing", .list(missing.map { .text($0) }))]
      if convolutions { fields.append(("convolutions", .list(ConvolutionChoices.remembered.map { .text("\($0)") }))) }
      Report(json: true, quiet: false).event("doctor", fields)
      if !missing.isEmpty { throw ExitCode(1) }
      return
    }
    try reportingErrors {
      for (name, value) in Machine.facts { print("\(name.padded(to: 16))\(value)") }
      let missing = Machine.missing
      print(missing.isEmpty ? "\nnothing is missing" : "\nmissing:")
      for line in missing { print("  \(line)") }
      if convolutions {
        print()
        for line in ConvolutionChoices.remembered { print(line) }
      }
      if !missing.isEmpty { throw ExitCode(1) }
    }
  }
}
