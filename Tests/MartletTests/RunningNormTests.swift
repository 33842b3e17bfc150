import Martlet
import Testing

/// Instance normalisation with running statistics, against PyTorch 2.15: two steps of training on the numbers
/// `sin(0 …)` of shape [2, 3, 4], then evaluation.
@Suite struct RunningNormTests {
  @Test func instanceStatistics() {
    let row = Tensor([0.8165095, 0.7461784, -0.0332907, -0.8052575])
    let layer = InstanceNorm1d(3, affine: true, tracksRunningStatistics: true)
    let x = sin(Tensor.range(to: 24)).reshaped(2, 3, 4)
    _ = layer(x)
    let trained = layer(x * 2)
    #expect(
      allClose(layer.runningMean!.value, Tensor([0.1238437, -0.1155855, 0.0272598]), relative: 1e-4, absolute: 1e-5))
    #expect(
      allClose(layer.runningVar!.value, Tensor([0.9690548, 0.9971749, 1.1766109]), relative: 1e-4, absolute: 1e-5))
    #expect(layer.numBatchesTracked!.value.item() == 2)
    // In training the batch's own statistics count, whatever ran before.
    #expect(allClose(trained, instanceNorm(x * 2), relative: 1e-4, absolute: 1e-5))
    layer.eval()
    #expect(allClose(layer(x)[1, 2], row, relative: 1e-4, absolute: 1e-5))
    #expect(allClose(layer(x[1])[2], row, relative: 1e-4, absolute: 1e-5))
    #expect("\(layer)".contains("tracksRunningStatistics: true"))
  }
}
