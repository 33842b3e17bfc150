import Martlet
import MartletNN
import Testing

@Suite struct VisionLayerTests {
  @Test func shapesOfLayers() {
    let (one, two, three) = (Tensor.ones([2, 4, 8]), Tensor.ones([2, 4, 8, 6]), Tensor.ones([2, 4, 8, 6, 4]))
    let cases: [(any Module<Tensor, Tensor>, Tensor, Shape)] = [
      (Conv1d(4, 3, kernelSize: 3, padding: .same), one, [2, 3, 8]),
      (Conv2d(4, 3, kernelSize: 3, stride: 2, padding: 1, paddingMode: .reflect), two, [2, 3, 4, 3]),
      (Conv3d(4, 2, kernelSize: 2), three, [2, 2, 7, 5, 3]), (Conv1d(4, 3, kernelSize: 3), one[0], [3, 6]),
      (ConvTranspose1d(4, 3, kernelSize: 3, stride: 2), one, [2, 3, 17]),
      (ConvTranspose2d(4, 6, kernelSize: 2, stride: 2, groups: 2), two, [2, 6, 16, 12]),
      (ConvTranspose2d(4, 6, kernelSize: 2, stride: 2), two[0], [6, 16, 12]),
      (ConvTranspose3d(4, 1, kernelSize: 1), three, [2, 1, 8, 6, 4]), (MaxPool1d(kernelSize: 2), one, [2, 4, 4]),
      (MaxPool3d(kernelSize: 2), three, [2, 4, 4, 3, 2]), (AveragePool1d(kernelSize: 4), one[0], [4, 2]),
      (AveragePool3d(kernelSize: 2, stride: 1), three, [2, 4, 7, 5, 3]),
      (AdaptiveAveragePool1d(3), one, [2, 4, 3]), (AdaptiveAveragePool3d(1), three, [2, 4, 1, 1, 1]),
      (AdaptiveMaxPool1d(5), one, [2, 4, 5]), (AdaptiveMaxPool3d([1, 2, 3]), three, [2, 4, 1, 2, 3]),
      (LPPool1d(order: 2, kernelSize: 2), one, [2, 4, 4]), (LPPool2d(order: 1, kernelSize: 2), two, [2, 4, 4, 3]),
      (LPPool3d(order: 3, kernelSize: 2), three, [2, 4, 4, 3, 2]),
      (FractionalMaxPool2d(kernelSize: 2, outputSize: [5, 3]), two, [2, 4, 5, 3]),
      (FractionalMaxPool3d(kernelSize: 2, outputSize: 2), three[0], [4, 2, 2, 2]),
      (Unfold(kernelSize: 2), two, [2, 16, 35]),
      (Fold(outputSize: 3, kernelSize: 2), Tensor.ones([1, 8, 4]), [1, 2, 3, 3]),
      (Upsample(scaleFactor: 2), two, [2, 4, 16, 12]), (Upsample(size: 3, mode: .linear), one, [2, 4, 3]),
      (Upsample(scaleFactors: [1.5, 1]), two, [2, 4, 12, 6]), (PixelShuffle(2), two, [2, 1, 16, 12]),
      (PixelUnshuffle(2), two, [2, 16, 4, 3]), (ChannelShuffle(2), two, [2, 4, 8, 6]),
      (Softmax2d(), two, [2, 4, 8, 6]),
      (ZeroPad1d(2), one, [2, 4, 12]), (ZeroPad2d([1, 2, 3, 4]), two, [2, 4, 15, 9]),
      (ZeroPad3d(1), three[0], [4, 10, 8, 6]), (ConstantPad2d(1, value: 3), two, [2, 4, 10, 8]),
      (InstanceNorm1d(4), one, [2, 4, 8]), (InstanceNorm2d(4, affine: true), two[0], [4, 8, 6]),
      (InstanceNorm3d(4), three, [2, 4, 8, 6, 4]), (Dropout1d(), one, [2, 4, 8]), (Dropout2d(), two[0], [4, 8, 6]),
      (Dropout3d(), three, [2, 4, 8, 6, 4]), (AlphaDropout(), one, [2, 4, 8]),
      (FeatureAlphaDropout(), two, [2, 4, 8, 6]),
      (WeightNorm(Conv1d(4, 3, kernelSize: 3)), one, [2, 3, 6]),
      (SpectralNorm(ConvTranspose1d(4, 3, kernelSize: 3)), one, [2, 3, 10]),
    ]
    for (layer, x, shape) in cases { #expect(layer(x).shape == shape, "\(layer)") }
  }

  @Test func paddingHasPyTorchsOrder() {
    let x = Tensor([[[1, 2], [3, 4]]])
    expectValues(ZeroPad2d([1, 0, 0, 1])(x), [1, 3, 3], [0, 1, 2, 0, 3, 4, 0, 0, 0])
    expectValues(ConstantPad1d([0, 2], value: 9)(x), [1, 2, 4], [1, 2, 9, 9, 3, 4, 9, 9])
  }

  @Test func unpoolingPutsMaximaBack() {
    let x = Tensor([1, 5, 2, 4, 3, 0] as [Float], shape: [1, 1, 6])
    let (values, indices) = maxPool1dWithIndices(x, kernelSize: 2)
    expectValues(MaxUnpool1d(kernelSize: 2)(values, indices), [1, 1, 6], [0, 5, 0, 4, 3, 0])
    // The windows 0 ..< 3 and 1 ..< 4 name one place.
    let overlapping = maxPool1dWithIndices(x, kernelSize: 3, stride: 1)
    expectValues(
      maxUnpool1d(overlapping.values, indices: overlapping.indices, kernelSize: 3, stride: 1), [1, 1, 6],
      [0, 5, 0, 4, 0, 0])
  }

  @Test func channelsDropTogether() {
    let layer = Dropout2d(0.5, generator: Generator(seed: 1))
    let y = layer(Tensor.ones([8, 8, 3, 3]))
    let sums = y.sum(axes: [2, 3]).array(as: Double.self)
    #expect(sums.allSatisfy { $0 == 0 || $0 == 18 })
    // 64 channels: five deviations.
    #expect(abs(sums.count { $0 == 0 } - 32) <= 20)
    layer.eval()
    #expect(allClose(layer(y), y))
  }

  @Test func alphaDropoutKeepsMeanAndVariance() {
    let layer = AlphaDropout(0.3, generator: Generator(seed: 2))
    let x = Tensor.normal([100_000], generator: Generator(seed: 3))
    let y = layer(x)
    #expect(abs(y.mean().item()) < 0.02)
    #expect(abs(y.variance().item() - 1) < 0.02)
    // a (α') + b with PyTorch's a and b for 0.3.
    let a = 1 / ((1.7580993408473766 * 1.7580993408473766 * 0.3 + 1) * 0.7).squareRoot()
    let low = -1.7580993408473766 * a + 1.7580993408473766 * a * 0.3
    let dropped = y.array(as: Double.self).count { abs($0 - low) < 1e-6 }
    #expect(abs(Double(dropped) / 100_000 - 0.3) < 0.01)
    expectValues(AlphaDropout(1)(Tensor.ones([2])), [2], [0, 0])
    let z = FeatureAlphaDropout(0.5, generator: Generator(seed: 4))(Tensor.ones([16, 4, 5]))
    #expect(z.variance(axis: 2).array(as: Double.self).allSatisfy { $0 == 0 })
  }

  @Test func layersOfPairs() {
    let (a, b) = (Tensor([[3, 4]] as [[Float]]), Tensor([[4, 3]] as [[Float]]))
    expectValues(CosineSimilarity()(a, b), [1], [0.96], within: 1e-6)
    expectValues(PairwiseDistance()(a, b), [1], [(2.0 as Double).squareRoot()], within: 1e-5)
    #expect(Bilinear(2, 2, 3)(a, b).shape == [1, 3])
    #expect(Bilinear(2, 2, 3).state.names == ["weight", "bias"])
  }

  @Test func embeddingBags() throws {
    let bag = EmbeddingBag(4, 2, mode: .sum)
    try bag.load(State([("weight", count([4, 2]))]))
    expectValues(bag(Tensor([0, 3, 1, 1], shape: [2, 2])), [2, 2], [6, 8, 4, 6])
    expectValues(bag(Tensor([0, 3, 1]), offsets: Tensor([0, 0, 2])), [3, 2], [0, 0, 6, 8, 2, 3])
    expectValues(
      bag(Tensor([0, 3, 1]), offsets: Tensor([0]), perSampleWeights: Tensor([1, 2, 3] as [Float])), [1, 2], [18, 24])
    #expect("\(bag)".contains("EmbeddingBag(4, 2, mode: sum"))
  }

  @Test func weightNormTrainsItsParts() {
    let linear = Linear(3, 2)
    let before = linear.weight.value.detached()
    let layer = WeightNorm(linear)
    #expect(
      layer.state.names == ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"])
    #expect(layer.state["parametrizations.weight.original0"]!.shape == [2, 1])
    #expect(allClose(layer.weight, before))
    #expect(layer.parameters.count == 3)
    let x = Tensor.normal([4, 3], generator: Generator(seed: 1))
    expectSame(layer(x), matmul(x, before.transposed()) + linear.bias!.value, within: 1e-6)
    let optimizer = SGD(layer.parameters, learningRate: 0.1)
    let step = compile { (x: Tensor) -> Tensor in
      let loss = (layer(x) * layer(x)).sum()
      loss.backward()
      optimizer.step()
      return loss
    }
    let losses = (0..<4).map { _ in
      optimizer.zeroGrad()
      return step(x).item() as Double
    }
    #expect(losses[3] < losses[0])
    // The direction moved at right angles to itself: its length grew.
    #expect(!allClose(layer.weight, before))
    #expect("\(Sequential { layer })".contains("WeightNorm<Linear>(Linear(inFeatures: 3, outFeatures: 2))"))
  }

  @Test func spectralNormFollowsTheLargestSingularValue() {
    let linear = Linear(2, 2, bias: false)
    linear.weight.value = Tensor([[3, 0], [0, 1]] as [[Float]])
    let layer = SpectralNorm(linear, iterations: 30, generator: Generator(seed: 3))
    #expect(
      layer.state.names == [
        "parametrizations.weight.original", "parametrizations.weight.0._u", "parametrizations.weight.0._v",
      ])
    let x = Tensor.identity(2)
    expectValues(layer(x), [2, 2], [1, 0, 0, 1.0 / 3], within: 1e-6)
    let u = layer.state["parametrizations.weight.0._u"]!
    layer.eval()
    _ = layer(x)
    #expect(allClose(layer.state["parametrizations.weight.0._u"]!, u, relative: 0, absolute: 0))
    // d (w / σ) / d w₀₀ is 0 for the largest: the weight is divided by it.
    layer(x)[0, 0].backward()
    #expect(abs(layer.parameters[0].grad![0, 0].item()) < 1e-5)
  }

  /// What is infinite or no number stays where it is.
  @Test func interpolationIsLocal() {
    var x = Tensor.ones([1, 1, 8])
    x[0, 0, 2] = Tensor(Float.infinity)
    x[0, 0, 6] = Tensor(Float.nan)
    let y = interpolate(x, size: 8, mode: .linear).array(as: Double.self)
    #expect(y[0] == 1 && y[4] == 1)
    let z = interpolate(x, scaleFactor: 2, mode: .linear).array(as: Double.self)
    #expect(z[0] == 1 && z[8] == 1 && z[9] == 1)
  }

  @Test func notANumberInAGridIsTheFirstCorner() {
    let x = Tensor([1, 2, 3, 4] as [Float], shape: [1, 1, 2, 2])
    let grid = Tensor([Float.nan, .nan, 1, 1, 1e30, 0], shape: [1, 1, 3, 2])
    expectValues(
      gridSample(x, grid, padding: .border, alignCorners: true), [1, 1, 1, 3], [1, 4, 3])
  }
}
