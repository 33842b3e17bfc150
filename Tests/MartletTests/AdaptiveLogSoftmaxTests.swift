import Martlet
import Testing

/// Against PyTorch 2.15: parameters are sines and inputs cosines of 0, 1, 2, …
@Suite struct AdaptiveLogSoftmaxTests {
  private func layer() -> AdaptiveLogSoftmaxWithLoss {
    let layer = AdaptiveLogSoftmaxWithLoss(8, 12, cutoffs: [3, 7], divisor: 2, headBias: true)
    var first = 0
    for parameter in layer.parameters {
      let count = parameter.value.count
      parameter.value = sin(Tensor.range(from: Double(first), to: Double(first + count))).reshaped(parameter.shape)
      first += count
    }
    return layer
  }
  private let x = cos(Tensor.range(to: 40)).reshaped(5, 8)

  @Test func valuesAndGradients() {
    let layer = layer()
    let x = x.requiringGradient()
    let (output, loss) = layer(x, Tensor([0, 5, 2, 11, 7]))
    loss.backward()
    expectSame(output, Tensor([-3.310189, -11.623543, -3.732268, -7.316155, -9.839533]), within: 1e-4)
    expectSame(loss, Tensor(7.164337 as Float), within: 1e-4)
    expectSame(
      x.grad![1], Tensor([0.190729, -0.441309, -0.66761, -0.280113, 0.364918, 0.674445, 0.36389, -0.281224]),
      within: 1e-4)
    expectSame(
      layer.logProbabilities(x)[3],
      Tensor([
        -0.70592, -3.276242, -9.637133, -9.511755, -13.979641, -6.298867, -11.871959, -5.111299, -6.763005, -0.815547,
        -4.113873, -7.316155,
      ]), within: 1e-4)
    #expect(layer.predict(x).array(as: Int.self) == [1, 2, 4, 0, 1])
    #expect(
      layer.state.names.sorted() == [
        "head.bias", "head.weight", "tail.0.0.weight", "tail.0.1.weight", "tail.1.0.weight", "tail.1.1.weight",
      ])
  }

  @Test func badLabels() throws {
    for (labels, text) in [
      ([0, 1, 2, 3, 12], "a label is 12"), ([-1, 1, 2, 3, 4], "a label is -1"), ([0], "one label for each row"),
    ] {
      do {
        _ = try withErrors { layer()(x, Tensor(labels)).loss }
        Issue.record("nothing was thrown")
      } catch {
        #expect(plainText(error).contains(text), "\(error)")
      }
    }
  }
}
