import Martlet
import Testing

private func values(_ x: Tensor) -> [Double] { x.array(as: Double.self) }

@Suite struct LossTests {
  let x = Tensor.normal([4, 3], dtype: .float64, generator: Generator(seed: 7))
  let y = Tensor.normal([4, 3], dtype: .float64, generator: Generator(seed: 8))

  @Test func derivatives() throws {
    let labels = Tensor([2, -100, 0, 1])
    let weights = Tensor([0.5, 2, 1] as [Double])
    let losses: [(Tensor) -> Tensor] = [
      { l1Loss($0, y) }, { huberLoss($0, y, delta: 0.4, reduction: .sum) }, { smoothL1Loss($0, y, beta: 0.4) },
      { negativeLogLikelihood($0, labels, weights: weights) }, { binaryCrossEntropy(sigmoid($0), sigmoid(y)) },
      { binaryCrossEntropyWithLogits($0, sigmoid(y), weights: weights, positiveWeight: weights) },
      { klDivergence($0, softmax(y)) }, { klDivergence($0, logSoftmax(y), logTargets: true, reduction: .sum) },
      { cosineSimilarity($0, y).sum() }, { tripletMarginLoss($0, y, x * 0.5, margin: 3, swap: true) },
      { tripletMarginLoss(y, $0, x * 0.5, margin: 3, order: 3) },
    ]
    for loss in losses { try checkGradients(loss, x) }
  }

  /// Two ways to the same number.
  @Test func agree() {
    let labels = Tensor([2, -100, 0, 1])
    let weights = Tensor([0.5, 2, 1] as [Double])
    func close(_ a: Tensor, _ b: Tensor) -> Bool { abs(a - b).max().item() < 1e-12 }
    for reduction in [LossReduction.mean, .sum, .none] {
      #expect(
        close(
          negativeLogLikelihood(logSoftmax(x, axis: 1), labels, weights: weights, reduction: reduction),
          crossEntropy(x, labels, weights: weights, reduction: reduction)))
      #expect(
        close(
          binaryCrossEntropyWithLogits(x, sigmoid(y), reduction: reduction),
          binaryCrossEntropy(sigmoid(x), sigmoid(y), reduction: reduction)))
    }
    let target = softmax(y)
    #expect(
      close(
        klDivergence(x, target, reduction: .batchMean),
        klDivergence(x, log(target), logTargets: true, reduction: .sum) / 4))
    #expect(close(smoothL1Loss(x, y, beta: 0), l1Loss(x, y)))
  }

  @Test func extremes() {
    let p = Tensor([0, 0, 1, 1] as [Double])
    let t = Tensor([0, 1, 0, 1] as [Double])
    #expect(values(binaryCrossEntropy(p, t, reduction: .none)) == [0, 100, 100, 0])
    #expect(grad { (p: Tensor) in binaryCrossEntropy(p, t) }(p).isFinite.all().item() == 1)
    let outside = binaryCrossEntropy(Tensor([-1, -1, 2, .nan] as [Double]), t, reduction: .none)
    expectValues(outside, [4], [-0.6931471805599453, 100, 100, .nan], within: 1e-15)
    expectValues(
      grad { (p: Tensor) in binaryCrossEntropy(p, t, reduction: .sum) }(Tensor([-1, -1, 2, 2] as [Double])), [4],
      [0.5, 0, 0, -0.5])
    let logits = Tensor([-1000.0, -1000, 1000, 1000] as [Float])
    #expect(values(binaryCrossEntropyWithLogits(logits, t.cast(to: .float32), reduction: .none)) == [0, 1000, 1000, 0])
    #expect(grad { (x: Tensor) in binaryCrossEntropyWithLogits(x, t) }(logits).isFinite.all().item() == 1)
    #expect(grad { (x: Tensor) in klDivergence(x, t) }(p).isFinite.all().item() == 1)
    #expect(grad { (t: Tensor) in klDivergence(p, t) }(t).isFinite.all().item() == 1)
    let zeros = Tensor.zeros([2, 3])
    #expect(grad { (x: Tensor) in cosineSimilarity(x, zeros + 1).sum() }(zeros).isFinite.all().item() == 1)
  }
}
