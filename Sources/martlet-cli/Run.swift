import Martlet

/// What a run was asked to do: saved with its checkpoints, so that it can be resumed, evaluated and used.
struct RunOptions: Codable {
  var data: DataName
  var model: Network
  var epochs: Int
  var batchSize: Int
  var seed: Int
  var optimizer: OptimizerName
  var learningRate: Double
  var schedule: ScheduleName
  var moment: MomentName
  /// Training and test images to draw, for `digits`.
  var drawn: [Int]
}

/// What a checkpoint says beside its tensors.
struct RunDescription: Codable {
  var options: RunOptions
  var position: TrainingPosition
  var score: TrainingScore
  var scaling: ImageScaling
  var threads: Int
  var versions: [String: String]
  /// The training images, by their number and a checksum of pixels and labels.
  var images: ImagesMark
  /// The algorithms by which convolutions ran, so that the resumed run takes the same.
  var convolutions: [String: String]
  /// Of each complete epoch.
  var history: [Epoch]

  struct Epoch: Codable {
    var epoch: Int
    var trainLoss: Double
    var trainAccuracy: Double
    var testLoss: Double
    var testAccuracy: Double
  }
}

/// Tells sets of images apart.
struct ImagesMark: Codable, Equatable {
  var count: Int
  var checksum: UInt32

  init(_ set: LabeledImages) {
    count = set.count
    checksum = set.checksum
  }
}

/// A network as a run has left it.
struct SavedRun {
  let checkpoint: Checkpoint
  let description: RunDescription
  /// The folder of the run, of which the checkpoint's own is a part.
  let run: String

  /// - Parameter folder: that of a run, whose newest checkpoint is taken, or a checkpoint's own.
  init(_ folder: String) throws {
    checkpoint = try Checkpoint.find(in: folder)
    let path = checkpoint.folder
    run = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    description = try checkpoint.description()
    // What a file says is not to be relied on.
    let (options, position) = (description.options, description.position)
    let isSound =
      RunLimits.epochs.contains(options.epochs) && RunLimits.batch.contains(options.batchSize)
      && options.learningRate > 0 && options.learningRate.isFinite && options.drawn.count == 2
      && options.drawn.allSatisfy(RunLimits.images.contains) && (0...options.epochs).contains(position.epoch)
      && position.batch >= 0 && position.step >= 0 && description.scaling.deviation > 0
      && (position.epoch == 0 || !description.history.isEmpty)
    guard isSound else { throw FileError(checkpoint.folder, "describes a run that cannot be") }
    if fitsMachine { ConvolutionChoices.remember(description.convolutions) }
  }

  /// Whether results repeat here in their last bits.
  var fitsMachine: Bool { description.versions == Machine.versions }

  /// The network with the saved weights.
  func model() throws -> Sequential {
    let model = description.options.model.make(Generator(seed: description.options.seed))
    try load(model)
    return model
  }

  private func load(_ model: Sequential) throws {
    do { try model.load(try checkpoint.state("model")) } catch let error as OpError {
      throw FileError(
        checkpoint.folder, "does not fit the model \(description.options.model.rawValue). \(error)")
    }
  }
}

/// What numbers of a run may be.
enum RunLimits {
  static let epochs = 1...1_000_000
  static let batch = 1...(1 << 24)
  static let images = 1...10_000_000
  static let threads = 0...4096
}

/// The images that a run trains on and is tested with.
func images(_ data: DataName, folder: String?, drawn: [Int], seed: Int) throws -> MNIST {
  switch data {
  case .mnist:
    guard let folder else {
      throw FileError(
        "mnist", "needs --data with the folder of its four files. \(mnistHint)")
    }
    let set = try MNIST.load(from: folder)
    for part in [set.train, set.test] where part.images.rows != 28 || part.images.columns != 28 {
      throw FileError(folder, "has images of \(part.images.rows) x \(part.images.columns); the networks take 28 x 28")
    }
    guard set.train.count > 0, set.test.count > 0 else { throw FileError(folder, "has no images") }
    return set
  case .digits:
    return DrawnDigits(seed: UInt64(bitPattern: Int64(seed))).split(train: drawn[0], test: drawn[1])
  }
}

/// The images with which a run is tested.
func testImages(_ options: RunOptions, folder: String?) throws -> LabeledImages {
  guard options.data == .mnist, let folder else {
    return try images(options.data, folder: folder, drawn: options.drawn, seed: options.seed).test
  }
  return try MNIST.loadTest(from: folder)
}

let mnistHint =
  "MNIST is train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz, "
  + "from https://ossci-datasets.s3.amazonaws.com/mnist/"
