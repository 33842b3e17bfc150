import ArgumentParser
import Martlet
import MartletFormats

struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Tests a trained network on the test images.")

  @Argument(help: ArgumentHelp("The folder of a run.", valueName: "run"))
  var folder: String
  @Option(help: "The folder with the files of MNIST, for a run on mnist.")
  var data: String?
  @Option(help: "Threads to compute with; 0 for all.")
  var threads = 0
  @Flag(help: "Prints one JSON object.")
  var json = false

  func run() throws {
    guard RunLimits.threads.contains(threads) else {
      throw ValidationError("--threads is \(threads), but must be 0 … \(RunLimits.threads.upperBound)")
    }
    try reportingErrors {
      let saved = try SavedRun(folder)
      let options = saved.description.options
      if options.data == .mnist, data == nil {
        throw ValidationError("the run is on mnist: --data DIR names the folder with its files")
      }
      let model = try saved.model()
      let set = try testImages(options, folder: data)
      let scaling = saved.description.scaling
      let score = try withThreads(threads) {
        try evaluate(model, count: set.count) { set.batch($0, scaling: scaling) }
      }
      let report = Report(json: json, quiet: false)
      report.event(
        "result",
        [
          ("test_accuracy", .number(score.accuracy)), ("test_loss", .number(score.loss)),
          ("images", .integer(score.examples)), ("step", .integer(saved.description.position.step)),
        ])
      report.conclude(
        """
        \(options.model.rawValue) after \(saved.description.position.step) steps, on \(score.examples) images
        accuracy  \((score.accuracy * 100).text(2)) %
        loss      \(score.loss.text(4))
        """)
    }
  }
}

struct Predict: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Tells which digits PNG images show.",
    discussion:
      "The drawing is made bright on black, scaled and centred as MNIST's were; what the network sees is shown.")

  @Argument(help: ArgumentHelp("The folder of a run.", valueName: "run"))
  var folder: String
  @Argument(help: "PNG files, each with one digit.")
  var images: [String]
  @Flag(help: "Prints one JSON object for each image.")
  var json = false

  func validate() throws {
    guard !images.isEmpty else { throw ValidationError("a PNG file is needed") }
  }

  func run() throws {
    if !Checkpoint.exists(in: folder), let run = images.first(where: { Checkpoint.exists(in: $0) }) {
      let pictures = ([folder] + images.filter { $0 != run }).joined(separator: " ")
      throw ValidationError("the folder of the run comes first: martlet predict \(run) \(pictures)")
    }
    try reportingErrors {
      let saved = try SavedRun(folder)
      let model = try saved.model()
      model.eval()
      let report = Report(json: json, quiet: false)
      var failures = 0
      for path in images {
        let picture: GrayImage
        do { picture = try GrayImage(png: path) } catch {
          // The others are predicted all the same.
          printError("martlet: \(error)")
          failures += 1
          continue
        }
        let digit = picture.asDigit
        guard Set(digit.pixels).count > 1, Set(picture.pixels).count > 1 else {
          report.event("prediction", [("image", .text(path)), ("digit", .null), ("probabilities", .null)])
          report.conclude("\(path): shows nothing: all pixels are alike")
          continue
        }
        let set = LabeledImages(
          images: RawImages(count: 1, rows: digit.rows, columns: digit.columns, pixels: digit.pixels), labels: [0])
        let batch = set.batch([0], scaling: saved.description.scaling)
        let probabilities = withoutGradient { softmax(model(batch.images), axis: 1)[0] }.array(as: Double.self)
        let ranked = probabilities.indices.sorted { probabilities[$0] > probabilities[$1] }
        report.event(
          "prediction",
          [
            ("image", .text(path)), ("digit", .integer(ranked[0])),
            ("probabilities", .list(probabilities.map { .number($0) })),
          ])
        report.conclude(
          terminalText(digit.pixels, columns: digit.columns)
            + "\(path): \(ranked[0])  ("
            + ranked.prefix(3).map { "\($0): \((probabilities[$0] * 100).text(1)) %" }.joined(separator: ", ") + ")")
      }
      if failures > 0 { throw ExitCode(1) }
    }
  }
}

struct Demo: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Trains a convolutional network and shows what it has learnt.",
    discussion: "Without --data the program draws its digits itself.")

  @Option(help: "The folder with the four files of MNIST.")
  var data: String?
  @Option(help: "The folder for checkpoints. (default: runs/demo, or runs/demo-2, … where there is a run)")
  var output: String?
  @Option(help: "Of the weights, the order of the images and the drawn digits.")
  var seed = 1
  @Option(help: "Passes over the training images.")
  var epochs = 3

  func run() throws {
    guard RunLimits.epochs.contains(epochs) else {
      throw ValidationError("--epochs is \(epochs), but must be 1 … \(RunLimits.epochs.upperBound)")
    }
    try reportingErrors {
      if let output, Checkpoint.exists(in: output) {
        throw FileError(output, "holds a run already; --output names another folder")
      }
      // Never one that holds a run: it would be lost.
      let free = (1...).lazy.map { $0 == 1 ? "runs/demo" : "runs/demo-\($0)" }.first { !Checkpoint.exists(in: $0) }
      let output = output ?? free!
      let report = Report(json: false, quiet: false)
      let name: DataName = data == nil ? .digits : .mnist
      let options = RunOptions(
        data: name, model: .lenet, epochs: epochs, batchSize: 128, seed: seed, optimizer: .adam, learningRate: 1e-3,
        schedule: .cosine, moment: .compiled, drawn: [20_000, 2_000])
      let training = try Training(
        options, output: output, lock: RunLock(output), data: data, saved: nil, threads: Machine.threadCount,
        checkpointBatches: 0, detectsAnomaly: false, report: report)
      guard let last = try training.run() else { throw training.interruptedCode }
      training.conclude(last)
      let test = try images(name, folder: data, drawn: options.drawn, seed: seed).test
      show(training.model, test)
      if data == nil {
        print("\nThese digits were drawn by the program. With MNIST itself: scripts/demo --data DIR")
        print(mnistHint)
      }
    }
  }

  /// A few test images beside each other, with what the network takes them for.
  private func show(_ model: Sequential, _ test: LabeledImages) {
    model.eval()
    let count = min(4, test.count)
    let chosen = (0..<count).map { $0 * test.count / max(1, count) }
    let predicted = withoutGradient { model(test.batch(chosen).images).argMax(axis: 1) }.array(as: Int.self)
    let pictures = chosen.map { index in
      test.images.terminalText(of: index).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }
    print()
    for line in 0..<14 {
      print(pictures.map { (line < $0.count ? $0[line] : "").padded(to: 29) }.joined())
    }
    print(
      zip(chosen, predicted).map { index, digit in
        let label = Int(test.labels[index])
        return "\(digit)\(digit == label ? "" : " (it is \(label))")".padded(to: 29)
      }.joined())
  }
}
