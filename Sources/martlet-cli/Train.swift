import ArgumentParser
import Martlet
import MartletFormats

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Trains a network on digits.",
    discussion: """
      The output folder holds checkpoints, of which the newest two stay. Ctrl-C finishes the batch and saves; --resume goes \
      on from there, and ends with the same bits as an uninterrupted run on this machine.
      """)

  @Argument(help: "mnist, read from --data, or digits, which the program draws itself.")
  var dataset: DataName

  @Option(help: "The folder with the four files of MNIST, plain or .gz.")
  var data: String?
  @Option(help: "mlp or lenet. (default: lenet)")
  var model: Network?
  @Option(help: "Passes over the training images. (default: 3)")
  var epochs: Int?
  @Option(help: "Images of one step. (default: 128)")
  var batchSize: Int?
  @Option(help: "Of the weights and the order of the images. (default: 1)")
  var seed: Int?
  @Option(help: "adam, adamw or sgd (with momentum 0.9). (default: adam)")
  var optimizer: OptimizerName?
  @Option(help: "The highest learning rate. (default: 0.001; 0.05 for sgd)")
  var learningRate: Double?
  @Option(help: "constant, cosine, step or one-cycle. (default: cosine)")
  var schedule: ScheduleName?
  @Option(help: "now, or compiled: each step as one program. (default: compiled)")
  var moment: MomentName?
  @Option(help: "Images to draw, for digits. (default: 20000)")
  var images: Int?
  @Option(help: "The folder for checkpoints. (default: runs/MODEL)")
  var output: String?
  @Option(
    help: """
      Goes on with the run in this folder; its other options are those that it began with, but that --epochs may ask for \
      more.
      """)
  var resume: String?
  @Flag(help: "Begins anew in a folder that holds a run.")
  var overwrite = false
  @Option(help: "Threads to compute with; 0 for all.")
  var threads = 0
  @Option(help: "Saves a checkpoint after so many batches too.")
  var checkpointEvery = 0
  @Flag(help: "Looks for the first operation that makes a NaN or an infinity; slow.")
  var detectAnomaly = false
  @Flag(help: "Prints the result only; with --json its line only.")
  var quiet = false
  @Flag(help: "Prints one JSON object a line; the last is the result.")
  var json = false

  // Called by run(): what validate() throws would hide the names of unknown options.
  private func check() throws {
    for (name, value, allowed) in [
      ("--epochs", epochs, RunLimits.epochs), ("--batch-size", batchSize, RunLimits.batch),
      ("--images", images, RunLimits.images), ("--threads", threads, RunLimits.threads),
    ] {
      if let value, !allowed.contains(value) {
        throw ValidationError("\(name) is \(value), but must be \(allowed.lowerBound) … \(allowed.upperBound)")
      }
    }
    if let learningRate, !(learningRate > 0 && learningRate.isFinite) {
      throw ValidationError("--learning-rate is \(learningRate), but must be a positive number")
    }
    guard checkpointEvery >= 0 else {
      throw ValidationError("--checkpoint-every is \(checkpointEvery), but must be 0 or more")
    }
    if dataset == .mnist, data == nil { throw ValidationError("mnist needs --data DIR. \(mnistHint)") }
    if dataset == .digits, data != nil { throw ValidationError("digits are drawn by the program and take no --data") }
    if dataset == .mnist, images != nil { throw ValidationError("--images is for digits; mnist takes all images") }
    guard resume != nil else { return }
    let given: [(String, Bool)] = [
      ("--model", model != nil), ("--batch-size", batchSize != nil),
      ("--seed", seed != nil),
      ("--optimizer", optimizer != nil), ("--learning-rate", learningRate != nil), ("--schedule", schedule != nil),
      ("--moment", moment != nil), ("--output", output != nil), ("--images", images != nil), ("--overwrite", overwrite),
    ]
    let named = given.filter(\.1).map(\.0)
    if !named.isEmpty {
      throw ValidationError(
        "--resume takes the options that the run began with; leave out \(named.joined(separator: ", "))")
    }
  }

  func run() throws {
    try check()
    try reportingErrors {
      let report = Report(json: json, quiet: quiet)
      try withThreads(threads) {
        let training = try prepare(report)
        guard let last = try training.run() else { throw training.interruptedCode }
        training.conclude(last)
      }
    }
  }

  private func prepare(_ report: Report) throws -> Training {
    if let resume {
      let lock = try RunLock(try SavedRun(resume).run)
      // Only now nobody else writes into it.
      let saved = try SavedRun(resume)
      var options = saved.description.options
      guard options.data == dataset else {
        throw FileError(resume, "is a run on \(options.data.rawValue), not on \(dataset.rawValue)")
      }
      if saved.description.threads != Machine.threadCount {
        printError(
          "martlet: the run began with \(saved.description.threads) threads and goes on with \(Machine.threadCount): "
            + "its last bits may differ from those of an uninterrupted run")
      }
      if !saved.fitsMachine {
        printError(
          "martlet: the run began on another machine or with other libraries: its last bits may differ from those of an "
            + "uninterrupted run")
      }
      if let epochs {
        if epochs != options.epochs, options.schedule != .constant {
          printError(
            "martlet: from here on the learning rate is that of a run of \(epochs) epochs; the run began as one of "
              + "\(options.epochs)")
        }
        options.epochs = max(epochs, saved.description.position.epoch)
      }
      return try training(options, output: saved.run, lock, saved: saved, report)
    }
    let network = model ?? .lenet
    let optimizer = optimizer ?? .adam
    let folder = output ?? "runs/\(network.rawValue)"
    let lock = try RunLock(folder)
    if !overwrite, Checkpoint.exists(in: folder) {
      throw FileError(
        folder,
        "holds a run already; --resume \(folder) goes on with it, --overwrite begins anew, --output names another folder"
      )
    }
    let options = RunOptions(
      data: dataset, model: network, epochs: epochs ?? 3, batchSize: batchSize ?? 128, seed: seed ?? 1,
      optimizer: optimizer, learningRate: learningRate ?? optimizer.defaultRate, schedule: schedule ?? .cosine,
      moment: moment ?? .compiled, drawn: [images ?? 20_000, 5_000])
    return try training(options, output: folder, lock, saved: nil, report)
  }

  private func training(
    _ options: RunOptions, output: String, _ lock: RunLock, saved: SavedRun?, _ report: Report
  ) throws -> Training {
    try Training(
      options, output: output, lock: lock, data: data, saved: saved, threads: Machine.threadCount,
      checkpointBatches: checkpointEvery, detectsAnomaly: detectAnomaly, report: report)
  }
}
