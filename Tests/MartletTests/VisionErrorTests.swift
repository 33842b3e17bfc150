import Martlet
import Testing

@Suite struct VisionErrorTests {
  /// A long axis beside one of no elements costs nothing.
  @Test func resamplingNothing() {
    let filter = ResamplingFilter(.linear, from: 5, to: Int(Int32.max))
    for input in [Tensor.zeros([5, 0]), Tensor.zeros([5, 0], dtype: .bfloat16)] {
      #expect(apply(Resample(axis: 0, filter), [input])[0].shape == [Int(Int32.max), 0])
    }
  }

  @Test func texts() {
    let image = Tensor.zeros([2, 4, 6, 6])
    let sequence = Tensor.zeros([2, 4, 6])
    let w2 = Tensor.zeros([4, 3, 2, 2])
    let whole = Tensor([0, 1], shape: [1, 2, 1, 1])
    let boxes = Tensor.zeros([3, 4])
    let indices = Tensor([0, 1, 1], shape: [1, 3])
    let table = Tensor.zeros([5, 2])
    let wrong: [(String, () -> Tensor)] = [
      ("convTranspose2d: weight has 3 axes", { convTranspose2d(image, sequence) }),
      ("convTranspose2d: x has 2 axes", { convTranspose2d(table, w2) }),
      ("outputPadding is 2 with stride [2, 2]", { convTranspose2d(image, w2, stride: 2, outputPadding: 2) }),
      ("x has 4 channels, the weight is for 3", { convTranspose2d(image, w2.transposed(0, 1)) }),
      ("bias has shape [4]", { convTranspose2d(image, w2, bias: Tensor.zeros([4])) }),
      ("stride is 0", { convTranspose2d(image, w2, stride: 0) }),
      ("padding leaves one element or more", { convTranspose2d(image, w2, padding: 4) }),
      ("the dtypes differ", { convTranspose2d(image, w2.cast(to: .float64)) }),
      ("do not divide into 3 groups", { convTranspose2d(image, w2, groups: 3) }),
      ("unfold: x has 2 axes", { unfold(table, kernelSize: 2) }),
      ("kernelSize is 0", { unfold(image, kernelSize: 0) }),
      ("windows of [7, 7]", { unfold(image, kernelSize: 7) }),
      ("fold: x has 4 axes", { fold(image, outputSize: 3, kernelSize: 2) }),
      ("its shape is [N, a multiple of 4, 25]", { fold(sequence, outputSize: 6, kernelSize: 2) }),
      ("outputSize is 0", { fold(sequence, outputSize: 0, kernelSize: 2) }),
      ("its number of axes is 3", { maxPool1d(image, kernelSize: 2) }),
      ("its number of axes is 5", { averagePool3d(Tensor.zeros([2, 2]), kernelSize: 2) }),
      ("a window of 7 does not fit", { maxPool2d(image, kernelSize: 7) }),
      (
        "index 2147483647",
        {
          maxUnpool1d(
            Tensor.ones([1, 2, 2]), indices: Tensor([0, 4_294_967_296, 0, 1], shape: [1, 2, 2]), kernelSize: 2)
        }
      ),
      (
        "index -2147483648",
        { maxUnpool1d(Tensor.ones([1, 1, 1]), indices: Tensor([-4_294_967_296], shape: [1, 1, 1]), kernelSize: 2) }
      ),
      ("offsets begin with 1", { embeddingBag(Tensor([0, 1, 2]), table, offsets: Tensor([1, 2])) }),
      ("offset 2 is 2 after 3", { embeddingBag(Tensor([0, 1, 2]), table, offsets: Tensor([0, 3, 2])) }),
      ("the last offset is 9", { embeddingBag(Tensor([0, 1, 2]), table, offsets: Tensor([0, 9])) }),
      ("the offset is -9223372036854775808", { Tensor([1, 2]).diagonalMatrix(.min) }),
      ("the offset is 9223372036854775807", { Tensor([1, 2]).diagonalMatrix(.max) }),
      ("hop is 9223372036854775807", { stft(Tensor.ones([8]), nFFT: 4, hop: .max) }),
      ("nFFT is 9223372036854775807", { stft(Tensor.ones([8]), nFFT: .max) }),
      (
        "length is 9223372036854775807",
        { istft(Tensor.ones([3, 4], dtype: .complex64), nFFT: 4, length: .max) }
      ),
      ("the order is 0.0", { lpPool2d(image, order: 0, kernelSize: 2) }),
      ("indices is float32", { maxUnpool2d(image, indices: image, kernelSize: 2) }),
      ("indices has shape [1, 2, 1, 1]", { maxUnpool2d(image, indices: whole, kernelSize: 2) }),
      ("maxUnpool2d: x has 2 axes", { maxUnpool2d(table, indices: indices, kernelSize: 2) }),
      (
        "samples has shape [2, 4, 6]",
        { fractionalMaxPool2d(image, kernelSize: 2, outputSize: 3, samples: sequence) }
      ),
      (
        "kernelSize + outputSize - 1 ≤",
        { fractionalMaxPool2d(image, kernelSize: 4, outputSize: 4, samples: Tensor.zeros([2, 4, 2])) }
      ),
      ("mode linear takes [N, C, W]", { interpolate(image, size: 3, mode: .linear) }),
      ("mode: .bilinear", { interpolate(image, size: 3, mode: .linear) }),
      ("mode nearest takes [N, C, W] or", { interpolate(table, size: 3) }),
      ("2 sizes of 1 or more", { interpolate(image, size: 0) }),
      ("2 sizes of 1 or more", { interpolate(image, size: [1, 2, 3]) }),
      ("no corners to align", { interpolate(image, size: 3, alignCorners: true) }),
      ("antialias is true", { interpolate(image, size: 3, antialias: true) }),
      ("x is int64", { interpolate(whole, size: 3, mode: .bilinear) }),
      ("one factor above 0 for each of 2", { interpolate(image, scaleFactors: [2]) }),
      ("one factor above 0 for each of 2", { interpolate(image, scaleFactor: -1) }),
      ("gridSample: x has 3 axes", { gridSample(sequence, sequence) }),
      ("grid has shape [2, 4, 6, 6]", { gridSample(image, image) }),
      ("the dtypes differ", { gridSample(image, Tensor.zeros([2, 1, 1, 2], dtype: .float64)) }),
      (
        "for images [N, C, H, W]",
        { gridSample(Tensor.zeros([1, 1, 2, 2, 2]), Tensor.zeros([1, 1, 1, 1, 3]), mode: .bicubic) }
      ),
      ("theta has shape [5, 2]", { affineGrid(table, size: [1, 1, 2, 2]) }),
      ("size is [1, 2]", { affineGrid(table, size: [1, 2]) }),
      ("a multiple of upscaleFactor² = 9", { pixelShuffle(image, upscaleFactor: 3) }),
      ("pixelShuffle: x has 2 axes", { pixelShuffle(table, upscaleFactor: 1) }),
      ("upscaleFactor is 0", { pixelShuffle(image, upscaleFactor: 0) }),
      ("multiples of downscaleFactor = 4", { pixelUnshuffle(image, downscaleFactor: 4) }),
      ("pixelUnshuffle: x has 2 axes", { pixelUnshuffle(table, downscaleFactor: 1) }),
      ("channels are a multiple of groups", { channelShuffle(image, groups: 3) }),
      ("channelShuffle: x has 2 axes", { channelShuffle(table, groups: 1) }),
      ("boxes has shape [5, 2]", { boxIoU(boxes, table) }),
      ("boxes is int64", { boxArea(indices.tiled([1, 4])[.all, ..<4]) }),
      ("scores has shape [5, 2]", { nonMaximumSuppression(boxes, scores: table, threshold: 0.5) }),
      ("boxes has shape [3, 4]", { roiAlign(image, boxes: boxes, outputSize: 2) }),
      ("roiAlign: x has 3 axes", { roiAlign(sequence, boxes: boxes, outputSize: 2) }),
      ("roiPool: x has 3 axes", { roiPool(sequence, boxes: boxes, outputSize: 2) }),
      ("boxes has shape [3, 4]", { roiPool(image, boxes: boxes, outputSize: 2) }),
      ("outputSize is 0", { roiPool(image, boxes: Tensor.zeros([1, 5]), outputSize: 0) }),
      ("index 7 is out of range for axis 0", { roiPool(image, boxes: Tensor.ones([1, 5]) * 7, outputSize: 1) }),
      ("samplingRatio 0", { roiAlign(image, boxes: Tensor.zeros([1, 5]), outputSize: 2, samplingRatio: 0) }),
      ("indices is float32", { embeddingBag(table, table) }),
      ("weight has 4 axes", { embeddingBag(indices, image) }),
      ("2: [bags, indices], or 1 with offsets", { embeddingBag(indices, table, offsets: Tensor([0])) }),
      ("these are for mode .sum", { embeddingBag(indices, table, perSampleWeights: Tensor.zeros([1, 3])) }),
      (
        "a factor for each index",
        { embeddingBag(indices, table, mode: .sum, perSampleWeights: Tensor.zeros([3])) }
      ),
      ("index 5 is out of range", { embeddingBag(Tensor([5], shape: [1, 1]), table) }),
      ("do not broadcast", { pairwiseDistance(table, boxes) }),
      ("the probability is 2.0", { dropout(table, probability: 2, key: Random.generator.next()) }),
      ("spatialAxes is 3", { alphaDropout(table, probability: 0.5, key: Random.generator.next(), spatialAxes: 3) }),
      ("ZeroPad2d: the widths are [1, 2]", { ZeroPad2d([1, 2])(image) }),
      ("ReflectionPad1d: x has 4 axes", { ReflectionPad1d(1)(image) }),
      ("Dropout1d: x has 4 axes", { Dropout1d()(image) }),
      ("FeatureAlphaDropout: x has 1 axis", { FeatureAlphaDropout()(table[0]) }),
      ("Softmax2d: x has 2 axes", { Softmax2d()(table) }),
      ("Conv1d(3, 8, …): it takes 3 channels", { Conv1d(3, 8, kernelSize: 3)(sequence) }),
      ("Conv3d(3, 8, …): it takes 3 channels", { Conv3d(3, 8, kernelSize: 3)(image) }),
      ("ConvTranspose2d(3, 8, …): it takes 3 channels", { ConvTranspose2d(3, 8, kernelSize: 3)(image) }),
      ("InstanceNorm1d(3): it takes 3 channels", { InstanceNorm1d(3)(sequence) }),
      ("kernels have two sizes of 1 or more", { ConvTranspose2d(2, 2, kernelSize: 0).weight.value }),
      ("the sizes are 0, 1 and 1", { Bilinear(0, 1, 1).weight.value }),
      ("Linear has no parameter kernel", { WeightNorm(Linear(2, 2), name: "kernel").weight }),
      ("iterations is 0", { SpectralNorm(Linear(2, 2), iterations: 0).weight }),
    ]
    for (text, body) in wrong {
      do {
        _ = try withErrors { body() }
        Issue.record("no error: \(text)")
      } catch { #expect(withoutDevice(plainText(error)).contains(text), "\(error)") }
    }
  }
}
