import ArgumentParser
import Martlet
import MartletCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The command line: trains, checks and uses models.
@main
struct Command: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet",
    abstract: "Trains, checks and uses neural networks.",
    discussion: """
      martlet train mnist --data DIR --model lenet --epochs 3 --output runs/lenet
      martlet evaluate runs/lenet --data DIR
      martlet predict runs/lenet digit.png
      martlet save runs/lenet digits.martlet
      martlet program digits.martlet digit.png
      """,
    version: "martlet \(martletVersion)",
    subcommands: [
      Train.self, Evaluate.self, Predict.self, Save.self, ShowProgram.self, Demo.self, Doctor.self,
    ])

  static func main() {
    let arguments = withNegativeNumbers(Array(CommandLine.arguments.dropFirst()))
    let names = configuration.subcommands.map { $0._commandName } + ["help"]
    if let first = arguments.first, !first.hasPrefix("-"), !names.contains(first) {
      let near = Spelling.nearest(to: first, in: names)
      printError(
        "Error: Unknown command '\(first)'. "
          + (near.map { "Did you mean '\($0)'?" } ?? "The commands are \(names.joined(separator: ", "))."))
      exit(withError: ExitCode(64))
    }
    for argument in arguments {
      let name = String(argument.prefix { $0 != "=" })
      if let meant = otherNames[name] {
        printError("Error: Unknown option '\(name)'. Did you mean '\(meant)'?")
        exit(withError: ExitCode(64))
      }
    }
    do {
      var command = try parseAsRoot(arguments)
      do { try command.run() } catch let error as ValidationError {
        let usage = usageString(for: type(of: command))
        let name = "martlet \(type(of: command)._commandName)"
        printError("Error: \(error.message)\nUsage: \(usage)\n  See '\(name) --help' for more information.")
        exit(withError: ExitCode(64))
      }
    } catch { exit(withError: error) }
  }

  /// What options are called elsewhere, too far from their names here to be found by their spelling.
  private static let otherNames = [
    "--lr": "--learning-rate", "--rate": "--learning-rate", "--batch": "--batch-size", "--bs": "--batch-size",
    "--out": "--output", "--dir": "--output", "--network": "--model", "--arch": "--model", "--opt": "--optimizer",
    "--num-threads": "--threads", "--workers": "--threads", "--data-dir": "--data", "--checkpoint": "--resume",
  ]

  /// `--epochs -1` as `--epochs=-1`: what is wrong is the number, and no option that is called -1.
  private static func withNegativeNumbers(_ arguments: [String]) -> [String] {
    arguments.reduce(into: []) { result, argument in
      if argument.hasPrefix("-"), Double(argument) != nil, let option = result.last, option.hasPrefix("--"),
        option != "--", !option.contains("=")
      {
        result[result.count - 1] = option + "=" + argument
      } else {
        result.append(argument)
      }
    }
  }
}

/// Runs a command's body; what goes wrong with files and data becomes one line and exit code 1.
func reportingErrors(_ body: () throws -> Void) throws {
  do { try body() } catch let error where error is ExitCode || error is ValidationError || error is CleanExit {
    throw error
  } catch {
    printError("martlet: \(error)")
    throw ExitCode(1)
  }
}

/// A line on standard error, after what was printed so far.
func printError(_ text: String) {
  writeError(text + "\n")
}

/// Text on standard error, unbuffered.
func writeError(_ text: String) {
  fflush(nil)
  let bytes = Array(text.utf8)
  _ = write(STDERR_FILENO, bytes, bytes.count)
}

/// A line on standard output, seen at once also by a program at the other end of a pipe.
func printNow(_ text: String) {
  print(text)
  fflush(nil)
}

extension Double {
  /// With a number of decimals.
  func text(_ decimals: Int) -> String {
    guard isFinite else { return "\(self)" }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    guard magnitude * scale < 1e18 else { return "\(self)" }
    let digits = String(Int((magnitude * scale).rounded()))
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    return (self < 0 && digits != "0" ? "-" : "") + padded.dropLast(decimals) + (decimals > 0 ? "." : "")
      + padded.suffix(decimals)
  }
}

extension String {
  /// To the left of a width.
  func padded(to width: Int) -> String { self + String(repeating: " ", count: Swift.max(0, width - count)) }
  /// To the right of a width.
  func flushed(to width: Int) -> String { String(repeating: " ", count: Swift.max(0, width - count)) + self }
}
