import ArgumentParser
import Martlet

/// Martlet on the reference workloads: one JSON line for each figure.
@main
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet-bench",
    abstract: "Runs Martlet on the reference workloads and prints one JSON line for each figure.",
    discussion: """
      Workloads: \(Workload.allCases.map(\.rawValue).joined(separator: ", ")). \
      Figures of short operations are the minimum over many short samples, all variants taking turns.
      """)

  @Argument(help: "The workloads to run; all by default.")
  var workloads: [Workload] = []

  @Option(help: "The modes to run, separated by commas: eager, compiled.")
  var modes = "eager,compiled"

  @Option(help: "Seconds for each workload.")
  var seconds = 4.0

  func validate() throws {
    for mode in modes.split(separator: ",") where mode != "eager" && mode != "compiled" {
      throw ValidationError("unknown mode '\(mode)'; the modes are eager and compiled")
    }
    guard seconds > 0 else { throw ValidationError("--seconds is more than 0") }
  }

  func run() throws {
    let modes = Set(modes.split(separator: ",").map(String.init))
    for workload in workloads.isEmpty ? Workload.allCases : workloads {
      switch workload {
      case .overhead: overhead(modes: modes, seconds: seconds)
      case .elementwise: elementwise(modes: modes, seconds: seconds)
      case .mlp: training("mlp_mnist_train_b128", mlp, modes: modes, seconds: seconds)
      case .lenet: training("lenet_mnist_train_b128", lenet, modes: modes, seconds: seconds)
      }
    }
  }
}

enum Workload: String, CaseIterable, ExpressibleByArgument {
  case overhead, elementwise, mlp, lenet
}
