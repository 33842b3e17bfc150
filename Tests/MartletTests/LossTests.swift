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

  /// PyTorch's numbers: the loss, its gradient by the logits and that by the probabilities.
  @Test func crossEntropyOfProbabilities() {
    let x = Tensor([[1, -2, 0.5], [0.3, 0.1, -0.4]] as [[Double]])
    let t = Tensor([[0.2, 0.3, 0.5], [0.9, 0, 0.4]] as [[Double]])
    let weights = Tensor([0.5, 2, 1.5] as [Double])
    let cases: [(Double, Tensor?, LossReduction, [Double], [Double], [Double])] = [
      (
        0, nil, .mean, [1.5130034836833561],
        [
          0.2018744480743129, -0.13497055621521298, -0.0669038918590999, -0.16926079030485172, 0.2298498245722262,
          -0.06058903426737456,
        ],
        [
          0.25229845117114175, 1.7522984511711417, 0.5022984511711417, 0.4197731019324726, 0.5197731019324726,
          0.7697731019324725,
        ]
      ),
      (
        0.2, weights, .sum, [4.27165604628553],
        [
          0.7480150918387061, -0.570449320400741, -0.17756577143796504, 0.08464316727584226, 0.25800072696399545,
          -0.3426438942398377,
        ],
        [
          0.20183876093691341, 5.607355043747654, 1.2055162828107402, 0.3358184815459781, 1.6632739261839125,
          1.847455444637934,
        ]
      ),
      (
        0, weights, .none, [2.9066655083963107, 1.3015235140581924],
        [
          0.7754358994155074, -0.5564146130241177, -0.2190212863913897, 0.003501800276777983, 0.3712958704628269,
          -0.3747976707396051,
        ],
        [
          0.25229845117114175, 7.009193804684567, 1.506895353513425, 0.4197731019324726, 2.0790924077298905,
          2.3093193057974175,
        ]
      ),
    ]
    for (smoothing, weights, reduction, loss, byLogits, byTargets) in cases {
      func f(_ x: Tensor, _ t: Tensor) -> Tensor {
        crossEntropy(x, t, weights: weights, labelSmoothing: smoothing, reduction: reduction)
      }
      expectValues(f(x, t), reduction == .none ? [2] : [], loss, within: 1e-12)
      expectValues(grad { (x: Tensor) in f(x, t).sum() }(x), [2, 3], byLogits, within: 1e-12)
      expectValues(grad { (t: Tensor) in f(x, t).sum() }(t), [2, 3], byTargets, within: 1e-12)
    }
    let image = Tensor([1, -2, 0.5, 0.25, 0, 1] as [Double], shape: [1, 3, 2])
    let parts = Tensor([0.2, 0.3, 0.5, 0.6, 0.3, 0.1] as [Double], shape: [1, 3, 2])
    expectValues(crossEntropy(image, parts), [], [1.5001979293496241], within: 1e-12)
    expectValues(
      crossEntropy(image, parts, weights: weights, labelSmoothing: 0.1), [], [1.9580996627913816], within: 1e-12)
  }
}
