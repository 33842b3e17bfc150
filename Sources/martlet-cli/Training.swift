import ArgumentParser
import Martlet
import MartletFormats

/// One run of training, from its first step or from a checkpoint to its end.
final class Training {
  let options: RunOptions
  let output: String
  /// Other processes stay out of the folder as long as this lives.
  private let lock: RunLock
  private let report: Report
  private let interrupts = Interrupts()
  private let set: MNIST
  private let mark: ImagesMark
  private let trainer: Trainer
  private let order: BatchOrder
  private let checkpointBatches: Int
  private var history: [RunDescription.Epoch] = []
  private let threads: Int
  private let dataFolder: String?
  private let clock = ContinuousClock()
  private var trainingSeconds = 0.0
  private var trainedExamples = 0
  private(set) var model: Sequential

  /// - Parameters:
  ///   - saved: where to go on; nil for a new run.
  ///   - checkpointBatches: a checkpoint after so many batches, beside those after each epoch and each minute; 0 for none.
  init(
    _ options: RunOptions, output: String, lock: RunLock, data: String?, saved: SavedRun?, threads: Int,
    checkpointBatches: Int,
    detectsAnomaly: Bool, report: Report
  ) throws {
    self.options = options
    self.output = output
    self.lock = lock
    self.report = report
    self.checkpointBatches = checkpointBatches
    self.threads = threads
    dataFolder = data
    set = try images(options.data, folder: data, drawn: options.drawn, seed: options.seed)
    mark = ImagesMark(set.train)
    let generator = Generator(seed: options.seed)
    model = options.model.make(generator)
    order = BatchOrder(
      count: set.train.count, batchSize: options.batchSize, seed: UInt64(bitPattern: Int64(options.seed)))
    let optimizer = options.optimizer.make(model.parameters, learningRate: options.learningRate)
    trainer = Trainer(
      model, optimizer: optimizer,
      schedule: options.schedule.make(
        options.learningRate, steps: options.epochs * order.batchCount, stepsPerEpoch: order.batchCount),
      generators: [("generator", generator)], compiled: options.moment == .compiled, detectsAnomaly: detectsAnomaly)
    if let saved {
      guard mark == saved.description.images else {
        throw FileError(
          data ?? options.data.rawValue,
          "does not hold the images of the run: \(mark.count) images, checksum \(mark.checksum), and the run began with "
            + "\(saved.description.images.count), checksum \(saved.description.images.checksum)")
      }
      guard saved.description.position.batch <= order.batchCount else {
        throw FileError(saved.checkpoint.folder, "describes a run that cannot be")
      }
      history = saved.description.history
      do {
        try trainer.resume(
          model: try saved.checkpoint.state("model"), optimizer: try saved.checkpoint.state("optimizer"),
          generators: try saved.checkpoint.state("generators"), position: saved.description.position,
          score: saved.description.score)
      } catch let error as OpError {
        throw FileError(saved.checkpoint.folder, "does not fit the model \(options.model.rawValue). \(error)")
      } catch let error as TrainingError {
        throw FileError(saved.checkpoint.folder, error.description)
      }
    }
  }

  /// Trains to the end and gives the last evaluation; nil when a signal has stopped the run.
  func run() throws -> RunDescription.Epoch? {
    let fresh = trainer.position.step == 0
    report.event(
      fresh ? "start" : "resume",
      [
        ("model", .text(options.model.rawValue)), ("images", .integer(set.train.count)),
        ("epochs", .integer(options.epochs)), ("epoch", .integer(trainer.position.epoch)),
        ("step", .integer(trainer.position.step)), ("threads", .integer(threads)), ("output", .text(output)),
      ])
    report.say(
      "\(options.model.rawValue): \(options.model.summary), \(parameterCount) parameters\n"
        + "\(set.train.count) images to train, \(set.test.count) to test, \(threads) thread\(threads == 1 ? "" : "s")")
    if trainer.position.epoch >= options.epochs {
      report.say(
        "the run is complete: it is already trained for \(trainer.position.epoch) "
          + "epoch\(trainer.position.epoch == 1 ? "" : "s"); a larger --epochs goes on")
    } else if !fresh {
      report.say("going on in epoch \(trainer.position.epoch + 1) after \(trainer.position.step) steps")
    }
    // Now, so that a folder that cannot be written is known before an hour of training.
    if fresh { try save() }
    while trainer.position.epoch < options.epochs {
      guard try runEpoch() else { return nil }
    }
    return history.last
  }

  private var parameterCount: Int { model.parameters.reduce(0) { $0 + $1.value.count } }

  private func runEpoch() throws -> Bool {
    let set = set.train
    let epochStart = clock.now
    var lastSave = clock.now
    var saving = 0.0
    var examples = 0
    var last: TrainingProgress?
    let isComplete: Bool
    do {
      isComplete = try trainer.runEpoch(order, makeBatch: { set.batch($0) }) { progress in
        last = progress
        examples += progress.examples
        let seconds = (clock.now - epochStart).inSeconds - saving
        let rate = Double(examples) / max(1e-9, seconds)
        let left =
          (options.epochs - progress.position.epoch) * order.count - progress.position.batch * options.batchSize
        report.progress(progress, epochs: options.epochs, rate: rate, remaining: Double(max(0, left)) / rate)
        if interrupts.signalNumber != nil { return false }
        let isDue = checkpointBatches > 0 && progress.position.batch % checkpointBatches == 0
        if isDue || (clock.now - lastSave).inSeconds > 60, progress.position.batch < order.batchCount {
          let start = clock.now
          try save()
          lastSave = clock.now
          saving += (lastSave - start).inSeconds
        }
        return true
      }
    } catch {
      report.clearBar()
      throw error
    }
    trainingSeconds += (clock.now - epochStart).inSeconds - saving
    trainedExamples += examples
    guard isComplete else {
      try save()
      sayHowToGoOn()
      return false
    }
    let test = self.set.test
    let score = try evaluate(model, count: test.count) { test.batch($0) }
    let epoch = RunDescription.Epoch(
      epoch: trainer.position.epoch, trainLoss: last?.score.loss ?? .nan, trainAccuracy: last?.score.accuracy ?? .nan,
      testLoss: score.loss, testAccuracy: score.accuracy)
    history.append(epoch)
    report.event(
      "epoch",
      [
        ("epoch", .integer(epoch.epoch)), ("train_loss", .number(epoch.trainLoss)),
        ("train_accuracy", .number(epoch.trainAccuracy)), ("test_loss", .number(epoch.testLoss)),
        ("test_accuracy", .number(epoch.testAccuracy)), ("train_samples_per_second", .number(samplesPerSecond)),
      ])
    report.say(
      "epoch \(epoch.epoch)/\(options.epochs)  loss \(epoch.trainLoss.text(4))  accuracy \((epoch.trainAccuracy * 100).text(2)) %"
        + "  test loss \(epoch.testLoss.text(4))  test accuracy \((epoch.testAccuracy * 100).text(2)) %"
        + "  \(Int(samplesPerSecond)) samples/s")
    try save()
    // Not a moment too late for a signal that came during the evaluation.
    if interrupts.signalNumber != nil, trainer.position.epoch < options.epochs {
      sayHowToGoOn()
      return false
    }
    return true
  }

  private func sayHowToGoOn() {
    report.event(
      "interrupted", [("step", .integer(trainer.position.step)), ("resume", .text("--resume \(output)"))], isLast: true)
    report.conclude(
      "stopped after step \(trainer.position.step); go on with: martlet train \(options.data.rawValue)"
        + (dataFolder.map { " --data \($0)" } ?? "") + " --resume \(output)")
  }

  var samplesPerSecond: Double { Double(trainedExamples) / max(1e-9, trainingSeconds) }

  /// The exit code of a run that a signal has stopped.
  var interruptedCode: ExitCode { ExitCode(128 + (interrupts.signalNumber ?? 2)) }

  private func save() throws {
    let description = RunDescription(
      options: options, position: trainer.position, score: trainer.score, scaling: .mnist, threads: threads,
      versions: Machine.versions, images: mark,
      convolutions: Dictionary(
        uniqueKeysWithValues: ConvolutionChoices.all.map { ($0.convolution, $0.algorithm) }), history: history)
    let checkpoint = try Checkpoint.write(
      trainer.state(), description: description, to: output, step: trainer.position.step)
    report.event(
      "checkpoint", [("step", .integer(trainer.position.step)), ("path", .text(checkpoint.folder))])
  }

  /// The last line for programs, and a table for people.
  func conclude(_ last: RunDescription.Epoch) {
    report.event(
      "result",
      [
        ("test_accuracy", .number(last.testAccuracy)), ("test_loss", .number(last.testLoss)),
        ("train_samples_per_second", .number(samplesPerSecond)), ("epochs", .integer(last.epoch)),
        ("peak_rss_mib", .number(Machine.peakMemory)),
      ], isLast: true)
    report.conclude(
      """

      test accuracy   \((last.testAccuracy * 100).text(2)) %
      test loss       \(last.testLoss.text(4))
      training speed  \(trainedExamples == 0 ? "nothing was trained" : "\(Int(samplesPerSecond)) samples/s")
      peak memory     \(Int(Machine.peakMemory)) MiB
      saved in        \(output)
      """)
  }
}

extension Duration {
  var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
