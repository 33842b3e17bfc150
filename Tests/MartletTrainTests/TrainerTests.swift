import Martlet
import Testing

@Suite struct TrainerTests {
  private let order = BatchOrder(count: digits.train.count, batchSize: 12, seed: 4)

  /// Trains until `steps` steps are done.
  private func run(_ trainer: Trainer, steps: Int) throws {
    let train = digits.train
    while trainer.position.step < steps {
      _ = try trainer.runEpoch(order, makeBatch: { train.batch($0) }) { $0.position.step < steps }
    }
  }

  private func bytes(_ trainer: Trainer) -> [[UInt8]] {
    try! trainer.state().flatMap { part in
      part.state.entries.map { entry in entry.tensor.withUnsafeBytes { [UInt8]($0) } ?? [] }
    }
  }

  /// Dropout, momenta, the rate, the order of the images and the position in the epoch: all of them must come back.
  @Test(arguments: [(false, false), (true, false), (false, true), (true, true)])
  func resumedRunsRepeatTheBits(_ compiled: Bool, _ sgd: Bool) throws {
    for stop in [1, 4, 6] {
      let whole = makeTrainer(compiled: compiled, sgd: sgd)
      try run(whole, steps: 11)
      let first = makeTrainer(compiled: compiled, sgd: sgd)
      try run(first, steps: stop)
      let folder = try Folder()
      let saved = try Checkpoint.write(first.state(), description: first.position, to: folder.path, step: 1)
      let second = makeTrainer(compiled: compiled, sgd: sgd)
      try second.resume(
        model: saved.state("model"), optimizer: saved.state("optimizer"), generators: saved.state("generators"),
        position: saved.description(), score: first.score)
      try run(second, steps: 11)
      #expect(bytes(whole) == bytes(second))
      #expect(whole.position == second.position)
      #expect(whole.score == second.score)
    }
  }

  @Test func evaluationKeepsModes() throws {
    let trainer = makeTrainer(compiled: false)
    let train = digits.train
    trainer.model.eval()
    _ = try evaluate(trainer.model, count: 10) { train.batch($0) }
    #expect((trainer.model as! Small).dropout.mode.isTraining == false)
    #expect(trainer.generators.count == 1)
  }

  @Test func momentsAgree() throws {
    let (now, compiled) = (makeTrainer(compiled: false), makeTrainer(compiled: true))
    try run(now, steps: 9)
    try run(compiled, steps: 9)
    for (a, b) in zip(now.model.state.entries, compiled.model.state.entries) {
      #expect(allClose(a.tensor, b.tensor, relative: 1e-4, absolute: 1e-5))
    }
  }

  @Test func learns() throws {
    let trainer = makeTrainer(compiled: true)
    let train = digits.train
    var losses: [Double] = []
    for _ in 0..<12 {
      _ = try trainer.runEpoch(order, makeBatch: { train.batch($0) }) {
        losses.append($0.loss)
        return true
      }
    }
    #expect(losses.last! < losses[0] / 2)
    let score = try evaluate(trainer.model, count: train.count, batchSize: 7) { train.batch($0) }
    #expect(score.examples == 40)
    #expect(score.accuracy > 0.8)
  }

  @Test func stateOfAnotherModelIsRefusedWhole() throws {
    let trainer = makeTrainer(compiled: false)
    let before = bytes(trainer)
    let model = trainer.model.state
    var wrong = model
    wrong.entries[0].tensor = Tensor.zeros([3])
    wrong.entries[1].name = "fc9.bias"
    let text = reason {
      try trainer.resume(
        model: wrong, optimizer: trainer.state()[1].state, generators: trainer.state()[2].state, position: .init(),
        score: .init())
    }
    #expect(text.contains("missing: fc1.bias") && text.contains("unexpected: fc9.bias"), "\(text)")
    #expect(text.contains("misshapen: fc1.weight"), "\(text)")
    let moments = reason {
      try trainer.resume(
        model: model, optimizer: State([("m.0", Tensor.zeros([3])), ("what", Tensor.zeros([1]))]),
        generators: trainer.state()[2].state, position: .init(), score: .init())
    }
    #expect(moments.contains("here, float32[3]") && moments.contains("unexpected: what"), "\(moments)")
    #expect(moments.contains("missing: rate"), "\(moments)")
    #expect(bytes(trainer) == before)
  }

  @Test func lossThatIsNotFiniteStops() throws {
    let trainer = makeTrainer(compiled: false)
    let parameter = trainer.optimizer.parameters[0]
    parameter.value = parameter.value * Double.infinity
    let text = reason { try run(trainer, steps: 1) }
    #expect(text.hasPrefix("the loss is NaN at step 1 (epoch 1, batch 1)"), "\(text)")
    // What that step has left is not worth saving.
    #expect(reason { _ = try trainer.state() }.contains("nothing to save"))
  }
}

@Suite struct AnomalyTests {
  final class Broken: Module {
    let fc = Linear(2, 2)
    func forward(_ x: Tensor) -> Tensor { log(fc(x) * 0 - 1) }
  }

  @Test func firstOperationIsNamed() {
    let model = Sequential {
      Linear(2, 2)
      Broken()
      ReLU()
    }
    let error = #expect(throws: AnomalyError.self) {
      try withAnomalyDetection { model(Tensor.ones([1, 2])).sum().item() }
    }
    #expect(error?.op == "log")
    #expect(error?.what == "NaN")
    #expect(error?.layers == ["Sequential", "1 (Broken)"])
    #expect(throws: Never.self) { try withAnomalyDetection { exp(Tensor.ones([3])).sum().item() } }
  }

  @Test func inTheBackwardPassToo() {
    let x = Tensor([0, 1] as [Float]).requiringGradient()
    let error = #expect(throws: AnomalyError.self) { try withAnomalyDetection { sqrt(x).sum().backward() } }
    #expect(error?.what == "infinity")
  }
}
