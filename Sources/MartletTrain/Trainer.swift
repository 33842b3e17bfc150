public import MartletCore
public import MartletData
public import MartletNN
import MartletOps

/// Where a run stands: after `step` updates, of which `batch` belong to the epoch `epoch`, both counted from 0.
public struct TrainingPosition: Sendable, Hashable, Codable {
  public var epoch = 0
  public var batch = 0
  public var step = 0
  public init() {}
}

/// Sums over the examples seen so far.
public struct TrainingScore: Sendable, Hashable, Codable {
  public private(set) var examples = 0
  private var lossSum = 0.0
  private var correct = 0
  public init() {}

  /// The mean loss of an example; NaN before the first.
  public var loss: Double { examples == 0 ? .nan : lossSum / Double(examples) }
  /// The share of examples whose class was found, in 0 … 1; NaN before the first.
  public var accuracy: Double { examples == 0 ? .nan : Double(correct) / Double(examples) }

  /// Adds a batch by its mean loss and the number of its examples whose class was found.
  public mutating func add(loss: Double, correct: Int, examples: Int) {
    lossSum += loss * Double(examples)
    self.correct += correct
    self.examples += examples
  }
}

/// What a trainer reports after each batch.
public struct TrainingProgress: Sendable {
  public let position: TrainingPosition
  /// Batches of an epoch.
  public let batchCount: Int
  /// The mean loss of this batch.
  public let loss: Double
  /// Of the epoch so far.
  public let score: TrainingScore
  /// Examples of the batch.
  public let examples: Int
}

/// Why a run stopped by itself.
public struct TrainingError: Error, CustomStringConvertible {
  public let description: String
}

/// Trains a classifier of images, batch by batch, so that a run can stop after any batch and go on exactly there.
///
/// Everything that a step changes lies in cells: the model's parameters and buffers, the optimizer's moments, the
/// generators. The order of the examples is a function of the seed and the epoch, the rate one of the step. So a resumed run
/// repeats the uninterrupted one bit for bit, on one machine with one thread count.
public final class Trainer {
  public let model: any Module<Tensor, Tensor>
  public let optimizer: any Optimizer
  public let schedule: Schedule
  /// The generators whose draws the model or its making uses, by name.
  public let generators: [(name: String, generator: Generator)]
  public private(set) var position = TrainingPosition()
  /// Of the current epoch.
  public private(set) var score = TrainingScore()
  private let step: (Tensor, Tensor) -> (Tensor, Tensor)
  private var detectsAnomaly: Bool

  /// - Parameters:
  ///   - compiled: captures the step as one program at its first run.
  ///   - detectsAnomaly: looks at the result of every operation, and stops at the first that is NaN or infinite; slow.
  public init(
    _ model: any Module<Tensor, Tensor>, optimizer: any Optimizer, schedule: Schedule,
    generators: [(name: String, generator: Generator)] = [], compiled: Bool = false, detectsAnomaly: Bool = false
  ) {
    self.model = model
    self.optimizer = optimizer
    self.schedule = schedule
    self.generators = generators
    self.detectsAnomaly = detectsAnomaly
    func train(_ images: Tensor, _ labels: Tensor) -> (Tensor, Tensor) {
      optimizer.zeroGrad()
      let logits = model.callAsFunction(images)
      let loss = crossEntropy(logits, labels)
      loss.backward()
      optimizer.step()
      return (loss.detached(), (logits.detached().argMax(axis: 1) .== labels).sum())
    }
    if compiled, !detectsAnomaly {
      let program = compile { (images: Tensor, labels: Tensor) in train(images, labels) }
      step = { images, labels in program(images, labels) }
    } else {
      step = train
    }
  }

  /// Trains to the end of the current epoch, or until `report` returns false.
  ///
  /// - Returns: whether the epoch is complete; then the position is the first batch of the next.
  /// - Throws: `TrainingError` when a loss is not finite, before anything else is done with the model, and what
  ///   `makeBatch` throws.
  public func runEpoch(
    _ order: BatchOrder, makeBatch: @escaping @Sendable (ArraySlice<Int>) throws -> ImageBatch,
    report: (TrainingProgress) throws -> Bool
  ) throws -> Bool {
    model.train()
    let parts = Array(order.batches(epoch: position.epoch).dropFirst(position.batch))
    let stream = BatchStream(parts, make: makeBatch)
    while let batch = try stream.next() {
      optimizer.learningRate = schedule.rate(at: position.step)
      let (loss, correct) = try run(batch)
      guard loss.isFinite else {
        throw TrainingError(
          description:
            "the loss is \(loss) at step \(position.step + 1) (epoch \(position.epoch + 1), batch \(position.batch + 1))"
        )
      }
      position.batch += 1
      position.step += 1
      score.add(loss: loss, correct: correct, examples: batch.count)
      let progress = TrainingProgress(
        position: position, batchCount: order.batchCount, loss: loss, score: score, examples: batch.count)
      if try !report(progress), position.batch < order.batchCount { return false }
    }
    position.epoch += 1
    position.batch = 0
    score = TrainingScore()
    return true
  }

  private func run(_ batch: ImageBatch) throws -> (loss: Double, correct: Int) {
    guard detectsAnomaly else {
      let (loss, correct) = step(batch.images, batch.labels)
      return (loss.item(), Int(correct.item()))
    }
    return try withAnomalyDetection {
      let (loss, correct) = step(batch.images, batch.labels)
      return (loss.item(), Int(correct.item()))
    }
  }

  // MARK: saving

  /// Everything that the coming steps depend on, by part.
  public var state: [(name: String, state: State)] {
    [
      ("model", model.state),
      ("optimizer", State(optimizer.cells.compactMap { entry in entry.cell.read().map { (entry.name, $0) } })),
      ("generators", State(generators.map { ($0.name, $0.generator.read()!) })),
    ]
  }

  /// Goes on from a saved state.
  ///
  /// - Throws: an error that lists all names and shapes that do not fit; then nothing was changed.
  public func resume(
    model saved: State, optimizer moments: State, generators keys: State, position: TrainingPosition,
    score: TrainingScore
  ) throws {
    try check(moments, Dictionary(uniqueKeysWithValues: optimizer.cells.map { ($0.name, $0.cell) }), "the optimizer")
    try check(
      keys, Dictionary(uniqueKeysWithValues: generators.map { ($0.name, $0.generator as Cell) }), "the generators")
    try model.load(saved)
    for entry in optimizer.cells { entry.cell.write(moments[entry.name]) }
    for entry in generators { if let key = keys[entry.name] { entry.generator.write(key) } }
    self.position = position
    self.score = score
  }

  private func check(_ state: State, _ cells: [String: Cell], _ what: String) throws {
    var wrong: [String] = []
    for (name, tensor) in state.entries {
      guard let cell = cells[name] else {
        wrong.append("\(name) is unexpected")
        continue
      }
      if let here = cell.read(), here.shape != tensor.shape || here.dtype != tensor.dtype {
        wrong.append("\(name) is \(tensor.spec), here \(here.spec)")
      }
    }
    for (name, cell) in cells where state[name] == nil && cell.read() != nil { wrong.append("\(name) is missing") }
    if !wrong.isEmpty {
      throw TrainingError(description: "the state of \(what) does not fit: \(wrong.sorted().joined(separator: "; "))")
    }
  }
}

/// Loss and accuracy of a classifier over a set of images, without dropout and without changing it.
public func evaluate(
  _ model: any Module<Tensor, Tensor>, count: Int, batchSize: Int = 200,
  makeBatch: @escaping @Sendable (ArraySlice<Int>) throws -> ImageBatch
) throws -> TrainingScore {
  model.eval()
  defer { model.train() }
  let stream = BatchStream(BatchOrder(count: count, batchSize: batchSize).batches(epoch: 0), make: makeBatch)
  var score = TrainingScore()
  while let batch = try stream.next() {
    let (loss, correct) = withoutGradient { () -> (Tensor, Tensor) in
      let logits = model.callAsFunction(batch.images)
      return (crossEntropy(logits, batch.labels), (logits.argMax(axis: 1) .== batch.labels).sum())
    }
    score.add(loss: loss.item(), correct: Int(correct.item()), examples: batch.count)
  }
  return score
}
