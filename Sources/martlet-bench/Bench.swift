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

  /// `compiled` compiles the whole step, `compiled_model` the model alone.
  static let modes = ["eager", "channels_last", "compiled", "compiled_model", "bf16", "compiled_bf16"]

  @Flag(help: "Print what was made of compiled steps, with the time of each operation.")
  var explain = false
  // Set once, before the first workload.
  nonisolated(unsafe) private(set) static var explains = false

  @Option(help: "The modes to run, separated by commas: \(Bench.modes.joined(separator: ", ")).")
  var modes = Bench.modes.joined(separator: ",")

  @Option(help: "Seconds for each workload.")
  var seconds = 4.0

  func validate() throws {
    for mode in modes.split(separator: ",") where !Bench.modes.contains(String(mode)) {
      throw ValidationError("unknown mode '\(mode)'; the modes are \(Bench.modes.joined(separator: ", "))")
    }
    guard seconds > 0 else { throw ValidationError("--seconds is more than 0") }
  }

  func run() throws {
    Bench.explains = explain
    let modes = Set(modes.split(separator: ",").map(String.init))
    let atStart = Machine.peakMemory
    for workload in workloads.isEmpty ? Workload.allCases : workloads {
      switch workload {
      case .calibration: calibration(seconds: seconds)
      case .overhead: overhead(modes: modes, seconds: seconds)
      case .elementwise: elementwise(modes: modes, seconds: seconds)
      case .sparse: sparse(modes: modes, seconds: seconds)
      case .mlp: TrainingWorkload.mnist("mlp_mnist_train_b128", mlp).run(modes: modes, seconds: seconds)
      case .lenet: TrainingWorkload.mnist("lenet_mnist_train_b128", lenet).run(modes: modes, seconds: seconds)
      case .resnet18: TrainingWorkload.resnet18.run(modes: modes, seconds: seconds)
      case .resnet50:
        for batch in [1, 16] {
          inference("resnet50_infer_b\(batch)", ResNet.resnet50(), batch: batch, modes: modes, seconds: seconds)
        }
      case .mobilenet: inference("mobilenet_v2_infer_b1", MobileNetV2(), batch: 1, modes: modes, seconds: seconds)
      case .unet: TrainingWorkload.unet.run(modes: modes, seconds: seconds)
      case .lstm: TrainingWorkload.lstm.run(modes: modes, seconds: seconds)
      case .gpt: TrainingWorkload.gpt.run(modes: modes, seconds: seconds)
      }
    }
    // As PyTorch's rows: for one workload in one mode a process.
    emit("peak_rss", "all", Machine.peakMemory, "MiB", median: Machine.peakMemory)
    emit("peak_rss_above_import", "all", Machine.peakMemory - atStart, "MiB", median: Machine.peakMemory - atStart)
    // Last, because of its memory.
    if workloads != [.calibration] { calibration(seconds: 1) }
  }
}

enum Workload: String, CaseIterable, ExpressibleByArgument {
  case calibration, overhead, elementwise, sparse, mlp, lenet, resnet18, unet, lstm, gpt, resnet50, mobilenet
}
