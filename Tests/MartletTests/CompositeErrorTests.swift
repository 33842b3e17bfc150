import Martlet
import Testing

@Suite struct CompositeErrorTests {
  @Test func texts() {
    let (v, m) = (Tensor.zeros([4]), Tensor.zeros([3, 2]))
    let labels = Tensor([0, 1, 2])
    let wrong: [(String, () -> Tensor)] = [
      ("the sizes are [1, 2]", { v.split([1, 2])[0] }), ("size is 0", { v.split(size: 0)[0] }),
      ("the number of parts is 0", { v.chunked(0)[0] }), ("axis 1 is out of range", { v.chunked(2, axis: 1)[0] }),
      ("the counts are [-1]", { v.tiled([-1]) }), ("count is -1", { v.repeated(-1, axis: 0) }),
      ("axis 2 is out of range", { v.flipped(axes: [2]) }), ("axis 2 is out of range", { v.rolled(by: 1, axis: 2) }),
      ("a width is 4", { v.padded([(4, 0)], mode: .reflect) }),
      ("a width is 5", { v.padded([(5, 0)], mode: .circular) }),
      ("a width is -1", { v.padded([(-1, 0)], mode: .replicate) }),
      ("the number of pairs of widths is 1", { m.padded([(1, 1)], mode: .reflect) }),
      ("cannot be parted into [3, 2]", { v.unflattened(axis: 0, sizes: [3, 2]) }),
      ("axis 3 is out of range", { v.sorted(axis: 3).values }), ("tril: x has 1 axis", { v.tril() }),
      ("diagonal: x has 1 axis", { v.diagonal() }), ("trace: x has 1 axis", { v.trace() }),
      ("diagonalMatrix: x has 0 axes", { v.sum().diagonalMatrix() }), ("the sizes are -1 and 2", { .eye(-1, 2) }),
      ("the count is -1", { .linspace(from: 0, to: 1, count: -1) }), ("the count is -1", { .permutation(-1) }),
      ("oneHot: labels is float32", { oneHot(v, classes: 3) }), ("classes is -1", { oneHot(labels, classes: -1) }),
      ("index 2 is out of range", { oneHot(labels, classes: 2) }), ("meshgrid:", { meshgrid([v, m])[0] }),
      ("outer: b has 2 axes", { outer(v, m) }), ("dot: a has 2 axes", { dot(m, v) }),
      ("dot: b has shape [3]", { dot(v, Tensor.zeros([3])) }), ("the order is -1", { v.norm(-1) }),
      ("axis 1 is out of range", { v.variance(axis: 1) }), ("axis 1 is out of range", { v.logSumExp(axis: 1) }),
      ("axis 1 is out of range", { v.prod(axis: 1) }), ("axis 1 is out of range", { v.cumprod(axis: 1) }),
      ("axis 1 is out of range", { v.cumsum(axis: 1) }), ("argMin: axis 1 is out of range", { v.argMin(axis: 1) }),
      ("min is 2.0 and max 1.0", { hardTanh(v, min: 2, max: 1) }), ("alpha is 0", { celu(v, alpha: 0) }),
      ("beta is 0", { softplus(v, beta: 0) }), ("lambda is -1.0", { softShrink(v, lambda: -1) }),
      ("weight has shape [3]", { prelu(m, Tensor.zeros([3])) }), ("lower is 2.0", { rrelu(v, lower: 2, upper: 1) }),
      ("has the odd size 3", { glu(m, axis: 0) }), ("axis 2 is out of range", { logSoftmax(m, axis: 2) }),
      ("l1Loss: b has shape [3, 2]", { l1Loss(v, m) }), ("delta is 0.0", { huberLoss(v, v, delta: 0) }),
      ("beta is -1.0", { smoothL1Loss(v, v, beta: -1) }),
      ("negativeLogLikelihood: logProbabilities has 1 axis", { negativeLogLikelihood(v, labels) }),
      ("labels is float32", { negativeLogLikelihood(m, v) }),
      ("labels has shape [2]", { negativeLogLikelihood(m, labels[..<2]) }),
      ("weights has shape [4]", { negativeLogLikelihood(m, labels, weights: v) }),
      ("targets has shape [3, 2]", { binaryCrossEntropy(v, m) }),
      ("targets has shape [3, 2]", { binaryCrossEntropyWithLogits(v, m) }),
      ("targets has shape [3, 2]", { klDivergence(v, m) }), ("do not broadcast", { cosineSimilarity(v, m) }),
      ("negative has shape [4]", { tripletMarginLoss(m, m, v) }),
      ("anchor has 0 axes", { tripletMarginLoss(v.sum(), v.sum(), v.sum()) }),
      ("low < high", { .truncatedNormal([2], low: 1, high: 1) }), ("the shape is [3]", { .xavierUniform([3]) }),
      ("the shape is [3]", { .orthogonal([3]) }),
      ("padding index 5", { Embedding(5, 2, paddingIndex: 5).weight.value }),
      ("the number of weights is 0", { PReLU(0).weight.value }),
    ]
    for (text, body) in wrong {
      do {
        _ = try withErrors { body() }
        Issue.record("no error: \(text)")
      } catch { #expect(plainText(error).contains(text), "\(error)") }
    }
  }
}
