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
  /// The generators whose draws the model or its making uses, by name: those given and those that layers hold.
  public let generators: [(name: String, generator: Generator)]
  public private(set) var position = TrainingPosition()
  private var isSpoilt = false
  /// Of the current epoch.
  public private(set) var score = TrainingScore()
  private let step: (Tensor, Tensor) -> (Tensor, Tensor)
  private let detectsAnomaly: Bool

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
    // Those that layers hold, too: what is not saved cannot come back.
    var all = generators
    for (name, cell) in ModuleTree(model).cells {
      guard let generator = cell as? Generator, !all.contains(where: { $0.generator === generator }) else { continue }
      all.append((name, generator))
    }
    self.generators = all
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
  /// - Throws: `TrainingError` when a loss is not finite: then the model has been spoilt by that step, and cannot be saved;
  ///   and what `makeBatch` throws.
  public func runEpoch(
    _ order: BatchOrder, makeBatch: @escaping @Sendable (ArraySlice<Int>) throws -> ImageBatch,
    report: (TrainingProgress) throws -> Bool
  ) throws -> Bool {
    guard !isSpoilt else { throw TrainingError(description: "the run has ended with a loss that is not finite") }
    let parts = Array(order.batches(epoch: position.epoch).dropFirst(position.batch))
    let stream = BatchStream(parts, make: makeBatch)
    while let batch = try stream.next() {
      optimizer.learningRate = schedule.rate(at: position.step)
      let (loss, correct) = try run(batch)
      guard loss.isFinite else {
        isSpoilt = true
        throw TrainingError(
          description:
            "the loss is \(loss.isNaN ? "NaN" : "\(loss)") at step \(position.step + 1) (epoch \(position.epoch + 1), batch \(position.batch + 1))"
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
  ///
  /// - Throws: `TrainingError` after a loss that was not finite: there is nothing to go on from.
  public func state() throws -> [(name: String, state: State)] {
    guard !isSpoilt else {
      throw TrainingError(description: "the loss was not finite, so there is nothing to save")
    }
    return [
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
    guard position.epoch >= 0, position.batch >= 0, position.step >= 0 else {
      throw TrainingError(description: "the position \(position) is none")
    }
    try check(moments, optimizer.cells, "the optimizer")
    try check(keys, generators.map { ($0.name, $0.generator as Cell) }, "the generators")
    try model.load(saved)
    for entry in optimizer.cells { entry.cell.write(moments[entry.name]) }
    for entry in generators { if let key = keys[entry.name] { entry.generator.write(key) } }
    self.position = position
    self.score = score
  }

  private func check(_ state: State, _ cells: [(name: String, cell: Cell)], _ what: String) throws {
    let known = Dictionary(cells.map { ($0.name, $0.cell) }) { first, _ in first }
    let given = Dictionary(state.entries.map { ($0.name, $0.tensor) }) { first, _ in first }
    var wrong: [String] = []
    for (name, tensor) in state.entries {
      guard let cell = known[name] else {
        wrong.append("\(name) is unexpected")
        continue
      }
      if let here = cell.read()?.spec ?? parameterSpec(name[...], optimizer),
        here.shape != tensor.shape || here.dtype != tensor.dtype
      {
        wrong.append("\(name) is \(tensor.spec), here \(here)")
      }
    }
    for (name, cell) in cells where given[name] == nil && cell.read() != nil { wrong.append("\(name) is missing") }
    if !wrong.isEmpty {
      throw TrainingError(description: "the state of \(what) does not fit: \(wrong.sorted().joined(separator: "; "))")
    }
  }

  /// What a cell that is empty before the first step will hold: like the parameter whose number its name ends with.
  private func parameterSpec(_ name: Substring, _ optimizer: any Optimizer) -> TensorSpec? {
    if let group = optimizer as? OptimizerGroup {
      guard let dot = name.firstIndex(of: "."), let index = Int(name[..<dot]), group.optimizers.indices.contains(index)
      else { return nil }
      return parameterSpec(name[name.index(after: dot)...], group.optimizers[index])
    }
    guard let last = name.split(separator: ".").last, let index = Int(last),
      optimizer.parameters.indices.contains(index)
    else { return nil }
    return optimizer.parameters[index].read()?.spec
  }
}

/// Loss and accuracy of a classifier over a set of images, without dropout and without changing it.
public func evaluate(
  _ model: any Module<Tensor, Tensor>, count: Int, batchSize: Int = 200,
  makeBatch: @escaping @Sendable (ArraySlice<Int>) throws -> ImageBatch
) throws -> TrainingScore {
  let modes = ModuleTree(model).modes.map { ($0, $0.isTraining) }
  model.eval()
  defer { for (mode, wasTraining) in modes { mode.isTraining = wasTraining } }
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
