import Martlet
import Testing

@Suite struct NormalizationTests {
  /// The mean is far larger than the deviation: what is left of the digits decides.
  @Test(
    .enabled(if: Device.current != .reference, "the reference computes the decomposition, in float32"),
    arguments: ["layer", "batch", "batch of rows", "group"])
  func largeMeansAreHarmless(_ kind: String) {
    let shape: Shape = kind == "batch of rows" ? [500, 3] : [4, 6, 700]
    let x = Tensor.normal(shape, mean: 1e4, deviation: 1e-2, generator: Generator(seed: 3))
    let wide = x.cast(to: .float64)
    let (y, axes): (Tensor, [Int]) =
      switch kind {
      case "layer": (layerNorm(x, normalizedShape: [6, 700], epsilon: 1e-12), [1, 2])
      case "group": (groupNorm(x, groups: 6, epsilon: 1e-12), [2])
      case "batch": (batchNorm(x, epsilon: 1e-12).result, [0, 2])
      default: (batchNorm(x, epsilon: 1e-12).result, [0])
      }
    // In double, by the definition, from the same rounded numbers.
    let centred = wide - wide.mean(axes: axes, keepDims: true)
    let expected = centred / sqrt((centred * centred).mean(axes: axes, keepDims: true) + 1e-12)
    #expect((y.cast(to: .float64) - expected).array(as: Double.self).allSatisfy { Swift.abs($0) < 1e-4 })
  }

  @Test func batchNormMovesRunningStatistics() {
    let layer = BatchNorm1d(1)
    // Mean 2, variance 1 of the batch, unbiased 4 / 3.
    let x = Tensor([1, 1, 3, 3] as [Float], shape: [4, 1])
    let y = layer(x)
    #expect(zip(y.array(as: Double.self), [-1, -1, 1, 1]).allSatisfy { Swift.abs($0 - $1) < 1e-5 })
    #expect(Swift.abs(layer.runningMean!.value.item() - 0.2) < 1e-6)
    #expect(Swift.abs(layer.runningVar!.value.item() - (0.9 + 0.1 * 4 / 3)) < 1e-6)
    #expect(layer.numBatchesTracked!.value.item() == 1)
    layer.eval()
    let expected = (1 - 0.2) / (0.9 + 0.4 / 3 + 1e-5).squareRoot()
    #expect(Swift.abs(layer(x).array(as: Double.self)[0] - expected) < 1e-6)
    #expect(layer.numBatchesTracked!.value.item() == 1)
  }

  @Test func momentumNilAveragesAllBatches() {
    let layer = BatchNorm2d(1, momentum: nil)
    for value in [1, 5] as [Float] {
      _ = layer(Tensor([value - 1, value + 1], shape: [2, 1, 1, 1]))
    }
    #expect(Swift.abs(layer.runningMean!.value.item() - 3) < 1e-6)
    #expect(Swift.abs(layer.runningVar!.value.item() - 2) < 1e-6)
  }

  @Test func compiledTrainingMovesRunningStatistics() {
    let layer = BatchNorm2d(2)
    let twin = BatchNorm2d(2)
    let step = compile { (x: Tensor) in layer(x) }
    for seed in 0..<3 {
      let x = Tensor.normal([3, 2, 4, 4], generator: Generator(seed: seed))
      #expect(allClose(step(x), twin(x)))
    }
    #expect(layer.numBatchesTracked!.value.item() == 3)
    #expect(allClose(layer.runningVar!.value, twin.runningVar!.value))
  }

  @Test func layersHaveNamesAndSettings() {
    let model = Sequential {
      BatchNorm2d(3)
      GroupNorm(3, 3)
      LayerNorm(4)
      RMSNorm(4)
      InstanceNorm2d(3)
      LocalResponseNorm(2)
    }
    #expect(
      ModuleTree(model).cells.map { $0.name } == [
        "0.weight", "0.bias", "0.running_mean", "0.running_var", "0.num_batches_tracked", "1.weight", "1.bias",
        "2.weight", "2.bias", "3.weight",
      ])
    #expect(model(Tensor.ones([2, 3, 4, 4])).shape == [2, 3, 4, 4])
    #expect("\(model)".contains("BatchNorm2d(3, epsilon: 1e-05, momentum: 0.1)"))
    #expect("\(model)".contains("GroupNorm(groups: 3, channels: 3, epsilon: 1e-05)"))
  }

  @Test func misuseIsNamed() {
    func text(_ body: () -> Tensor) -> String {
      do { return "\(try withErrors(body))" } catch { return plainText(error) }
    }
    let x = Tensor.ones([2, 3, 4])
    #expect(text { layerNorm(x, normalizedShape: [3]) }.contains("one or more of the last sizes of x"))
    #expect(text { layerNorm(x, normalizedShape: [4], weight: Tensor.ones([3])) }.contains("weight has shape [3]"))
    #expect(text { groupNorm(x, groups: 2) }.contains("channels are a multiple of groups"))
    #expect(text { batchNorm(Tensor.ones([1, 3])).result }.contains("more than one element for each channel"))
    #expect(text { BatchNorm2d(3)(x) }.contains("[N, 3, H, W]"))
    #expect(text { BatchNorm1d(2)(x) }.contains("[N, 2] or [N, 2, L]"))
    #expect(text { instanceNorm(Tensor.ones([3])) }.contains("2 or more: [N, C, …]"))
    #expect(text { batchNorm(x, mean: Tensor.ones([2]), variance: Tensor.ones([3])) }.contains("mean has shape [2]"))
    #expect(text { localResponseNorm(x, size: 0) }.contains("1 or more"))
  }

  @Test func stateHasPyTorchsNames() {
    let model = Sequential { BatchNorm2d(3) }
    #expect(
      model.state.names == ["0.weight", "0.bias", "0.running_mean", "0.running_var", "0.num_batches_tracked"])
  }
}
