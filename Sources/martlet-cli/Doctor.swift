import ArgumentParser
import Martlet

struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Tells what this machine offers and what is missing.")

  @Flag(help: "Prints the algorithms that convolutions have been found to run fastest by.")
  var convolutions = false

  func run() throws {
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
