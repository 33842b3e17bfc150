import Martlet
import Testing

/// What somebody meets who writes a first program.
@Suite struct FirstStepsTests {
  @Test func dtypesOfNumbersThatAreWrittenOut() {
    let (double, array, whole) = (0.5, [0.5, 1], 3)
    let cases: [(Tensor, DType)] = [
      (Tensor(0.5), .float32), (Tensor(-0.5), .float32), (Tensor(1.0 / 3), .float32), (Tensor(3), .int64),
      (Tensor([0.5, 1]), .float32), (Tensor([1, 2]), .int64), (Tensor([0.5 * 2, 1]), .float32),
      (Tensor([0.5, 1], shape: [2, 1]), .float32), (Tensor([[0.5, 1], [2, 3]]), .float32),
      (Tensor([[1, 2]]), .int64), (Tensor([[[0.5]]]), .float32), (Tensor([[[1]]]), .int64),
      (Tensor([[[[0.5]]]]), .float32), (Tensor([[[[1]]]]), .int64),
      // What is a Double somewhere else stays one.
      (Tensor(double), .float64), (Tensor(double + 1), .float64), (Tensor(array), .float64),
      (Tensor([1, double]), .float64), (Tensor([0.5, 1] as [Double]), .float64), (Tensor(Double(whole)), .float64),
      (Tensor([[0.5]] as [[Double]]), .float64), (Tensor((0..<3).map { Double($0) / 2 }), .float64),
      (Tensor(whole), .int64), (Tensor([true]), .bool), (Tensor([1, 2] as [UInt8]), .uint8),
    ]
    for (index, (tensor, dtype)) in cases.enumerated() { #expect(tensor.dtype == dtype, "case \(index)") }
    expectValues(Tensor([[0.5, 1], [2, 3]]) * Tensor(0.5), [2, 2], [0.25, 0.5, 1, 1.5])
  }

  private static let images = Tensor.zeros([32, 28, 28])
  private static let misfits: [Wrong] = [
    Wrong(
      "images into Linear",
      """
      Linear(784, 128): it takes 784 features in the last axis, and x has 28
        with x: float32[32, 28, 28]
        rule: […, 784] → […, 128]
        try: x.flattened(from: 1) or a Flatten layer first: 28 × 28 = 784
        in layer Linear
      """
    ) { _ = Linear(784, 128)(images) },
    Wrong(
      "one image into Linear",
      """
      Linear(784, 128): it takes 784 features in the last axis, and x has 28
        with x: float32[28, 28]
        rule: […, 784] → […, 128]
        try: x.flattened(from: 0) first: 28 × 28 = 784
        in layer Linear
      """
    ) { _ = Linear(784, 128)(images[0]) },
    Wrong(
      "features in another axis of Linear",
      """
      Linear(3, 2): it takes 3 features in the last axis, and x has 5
        with x: float32[4, 3, 5]
        rule: […, 3] → […, 2]
        try: x.movingAxis(1, to: -1): the features are the last axis
        in layer Linear
      """
    ) { _ = Linear(3, 2)(.zeros([4, 3, 5])) },
    Wrong(
      "other features of Linear",
      """
      Linear(100, 10): it takes 100 features in the last axis, and x has 3136
        with x: float32[32, 3136]
        rule: […, 100] → […, 10]
        try: Linear(3136, 10) for this input, or another input
        in layer Linear
      """
    ) { _ = Linear(100, 10)(.zeros([32, 3136])) },
    Wrong(
      "a scalar into Linear",
      """
      Linear(2, 3): it takes 2 features in the last axis, and x is a scalar
        with x: float32[]
        rule: […, 2] → […, 3]
        try: x with an axis of features
        in layer Linear
      """
    ) { _ = Linear(2, 3)(Tensor(0.5)) },
    Wrong(
      "bytes into Conv2d",
      """
      convolution: the dtypes differ: uint8 and float32
        with x: uint8[2, 1, 3, 3], weight: float32[4, 1, 3, 3]
        rule: the arguments have one dtype
        try: x.cast(to: .float32)
        in layer Conv2d
      """
    ) { _ = Conv2d(1, 4, kernelSize: 3, bias: false)(.zeros([2, 1, 3, 3], dtype: .uint8)) },
    Wrong(
      "an array of Double into Conv2d",
      """
      convolution: the dtypes differ: float64 and float32
        with x: float64[1, 2, 2, 1], weight: float32[4, 2, 1, 1]
        rule: the arguments have one dtype
        try: x.cast(to: .float32): arrays and variables of Double become float64
        in layer Conv2d
      """
    ) {
      let numbers = [0.5, 1, 2, 3]
      _ = Conv2d(2, 4, kernelSize: 1, bias: false)(Tensor(numbers, shape: [2, 2, 1]))
    },
    Wrong(
      "channels last into Conv2d",
      """
      Conv2d(3, 8, …): it takes 3 channels in axis 1, and x has 28 channels
        with x: float32[32, 28, 30, 3]
        rule: x is [N, 3, H, W] or [3, H, W]
        try: x.permuted(0, 3, 1, 2): the channels come before the spatial axes
        in layer Conv2d
      """
    ) { _ = Conv2d(3, 8, kernelSize: 3)(.zeros([32, 28, 30, 3])) },
    Wrong(
      "one image, channels last, into Conv2d",
      """
      Conv2d(3, 8, …): it takes 3 channels in axis 1, and x has 3 axes
        with x: float32[28, 30, 3]
        rule: x is [N, 3, H, W] or [3, H, W]
        try: x.permuted(2, 0, 1).expandedDims(axis: 0): the channels come first, in a batch of one example
        in layer Conv2d
      """
    ) { _ = Conv2d(3, 8, kernelSize: 3)(.zeros([28, 30, 3])) },
    Wrong(
      "gray images without their axis into Conv2d",
      """
      Conv2d(1, 8, …): it takes 1 channel in axis 1, and x has 3 axes
        with x: float32[32, 28, 28]
        rule: x is [N, 1, H, W] or [1, H, W]
        try: x.expandedDims(axis: 1), which adds the axis of the one channel
        in layer Conv2d
      """
    ) { _ = Conv2d(1, 8, kernelSize: 3)(images) },
    Wrong(
      "one gray image without its axis into Conv2d",
      """
      Conv2d(1, 8, …): it takes 1 channel in axis 1, and x has 2 axes
        with x: float32[28, 28]
        rule: x is [N, 1, H, W] or [1, H, W]
        try: x.expandedDims(axis: 0).expandedDims(axis: 0): one example with one channel
        in layer Conv2d
      """
    ) { _ = Conv2d(1, 8, kernelSize: 3)(images[0]) },
    Wrong(
      "rows into Conv2d",
      """
      Conv2d(3, 8, …): it takes 3 channels in axis 1, and x has 2 axes
        with x: float32[2, 784]
        rule: x is [N, 3, H, W] or [3, H, W]
        try: x.unflattened(axis: 1, sizes: […]), which gives the features their axes
        in layer Conv2d
      """
    ) { _ = Conv2d(3, 8, kernelSize: 3)(.zeros([2, 784])) },
    Wrong(
      "other channels of Conv2d",
      """
      Conv2d(4, 8, …): it takes 4 channels in axis 1, and x has 3 channels
        with x: float32[2, 3, 9, 9]
        rule: x is [N, 4, H, W] or [4, H, W]
        try: Conv2d(3, 8, …) for this input, or another input
        in layer Conv2d
      """
    ) { _ = Conv2d(4, 8, kernelSize: 3)(.zeros([2, 3, 9, 9])) },
    Wrong(
      "other channels of BatchNorm2d",
      """
      BatchNorm2d(4): it takes 4 channels in axis 1, and x has 3 channels
        with x: float32[2, 3, 9, 9]
        rule: x is [N, 4, H, W]
        try: BatchNorm2d(3) for this input, or another input
        in layer BatchNorm2d
      """
    ) { _ = BatchNorm2d(4)(.zeros([2, 3, 9, 9])) },
    Wrong(
      "one example into BatchNorm2d",
      """
      BatchNorm2d(4): it takes 4 channels in axis 1, and x has 3 axes
        with x: float32[4, 9, 9]
        rule: x is [N, 4, H, W]
        try: x.expandedDims(axis: 0), which makes a batch of one example
        in layer BatchNorm2d
      """
    ) { _ = BatchNorm2d(4)(.zeros([4, 9, 9])) },
    Wrong(
      "sequences with features last into BatchNorm1d",
      """
      BatchNorm1d(4): it takes 4 channels in axis 1, and x has 9 channels
        with x: float32[2, 9, 4]
        rule: x is [N, 4] or [N, 4, L]
        try: x.permuted(0, 2, 1): the channels come before the spatial axes
        in layer BatchNorm1d
      """
    ) { _ = BatchNorm1d(4)(.zeros([2, 9, 4])) },
    Wrong(
      "other channels of GroupNorm",
      """
      GroupNorm(2, 4): it takes 4 channels in axis 1, and x has 6 channels
        with x: float32[2, 6, 9]
        rule: x is [N, 4, …]
        try: GroupNorm(2, 6) for this input, or another input
        in layer GroupNorm
      """
    ) { _ = GroupNorm(2, 4)(.zeros([2, 6, 9])) },
    Wrong(
      "floats into Embedding",
      """
      Embedding: indices is float32
        with indices: float32[2]
        rule: it takes int64 or int32, the numbers of rows of the table
        try: cast(to: .int64)
        in layer Embedding
      """
    ) { _ = Embedding(10, 4)(Tensor([0.5, 1])) },
  ]
  @Test(arguments: misfits) func misfit(_ wrong: Wrong) { wrong.check() }

  /// What is said has to work.
  @Test func remediesOfMisfits() {
    #expect(Linear(784, 2)(Self.images.flattened(from: 1)).shape == [32, 2])
    #expect(Linear(784, 2)(Self.images[0].flattened(from: 0)).shape == [2])
    #expect(Linear(3, 2)(Tensor.zeros([4, 3, 5]).movingAxis(1, to: -1)).shape == [4, 5, 2])
    let (color, gray) = (Conv2d(3, 8, kernelSize: 3), Conv2d(1, 8, kernelSize: 3))
    #expect(color(Tensor.zeros([2, 28, 30, 3]).permuted(0, 3, 1, 2)).shape == [2, 8, 26, 28])
    #expect(color(Tensor.zeros([28, 30, 3]).permuted(2, 0, 1).expandedDims(axis: 0)).shape == [1, 8, 26, 28])
    #expect(gray(Self.images.expandedDims(axis: 1)).shape == [32, 8, 26, 26])
    #expect(gray(Self.images[0].expandedDims(axis: 0).expandedDims(axis: 0)).shape == [1, 8, 26, 26])
    #expect(gray(Tensor.zeros([2, 784]).unflattened(axis: 1, sizes: [1, 28, 28])).shape == [2, 8, 26, 26])
    #expect(color(Tensor.zeros([3, 9, 9])).shape == [8, 7, 7])  // one example
    #expect(BatchNorm1d(4)(Tensor.zeros([2, 9, 4]).permuted(0, 2, 1)).shape == [2, 4, 9])
  }

  @Test func settingsOfOptimizersAndSchedules() {
    let p = [Parameter([1, 2])]
    let wrong: [(String, () -> Void)] = [
      ("SGD: learningRate is -0.1", { _ = SGD(p, learningRate: -0.1) }),
      ("SGD: learningRate is nan", { _ = SGD(p, learningRate: .nan) }),
      ("SGD: learningRate is inf", { _ = SGD(p, learningRate: .infinity) }),
      ("SGD: momentum is -0.1", { _ = SGD(p, learningRate: 0.1, momentum: -0.1) }),
      ("SGD: momentum is 9.0", { _ = SGD(p, learningRate: 0.1, momentum: 9) }),
      ("SGD: dampening is nan", { _ = SGD(p, learningRate: 0.1, momentum: 0.9, dampening: .nan) }),
      ("SGD: weightDecay is -1.0", { _ = SGD(p, learningRate: 0.1, weightDecay: -1) }),
      ("SGD: nesterov with momentum 0.0 and dampening 0.0", { _ = SGD(p, learningRate: 0.1, nesterov: true) }),
      ("Adam: learningRate is -1.0", { _ = Adam(p, learningRate: -1) }),
      ("Adam: betas.0 is 1.0", { _ = Adam(p, betas: (1, 0.9)) }),
      ("Adam: betas.1 is -0.1", { _ = Adam(p, betas: (0.9, -0.1)) }),
      ("Adam: betas.0 is nan", { _ = Adam(p, betas: (.nan, 0.9)) }),
      ("Adam: epsilon is -1.0", { _ = Adam(p, epsilon: -1) }),
      ("AdamW: weightDecay is -0.01", { _ = AdamW(p, weightDecay: -0.01) }),
      ("Adam: learningRate is -2.0", { Adam(p).learningRate = -2 }),
      ("SGD: learningRate is nan", { SGD(p, learningRate: 1).learningRate = .nan }),
      ("Schedule.constant: rate is -1.0", { _ = Schedule.constant(-1) }),
      ("Schedule.step: size is 0", { _ = Schedule.step(1, size: 0) }),
      ("Schedule.step: factor is nan", { _ = Schedule.step(1, size: 2, factor: .nan) }),
      ("Schedule.multiStep: rate is nan", { _ = Schedule.multiStep(.nan, milestones: [1]) }),
      ("Schedule.exponential: factor is -1.0", { _ = Schedule.exponential(1, factor: -1) }),
      ("Schedule.cosine: steps is -1", { _ = Schedule.cosine(1, steps: -1) }),
      ("Schedule.cosine: end is -1.0", { _ = Schedule.cosine(1, to: -1, steps: 1) }),
      ("Schedule.linear: start is -1.0", { _ = Schedule.linear(1, from: -1, steps: 1) }),
      ("Schedule.polynomial: power is -1.0", { _ = Schedule.polynomial(1, steps: 1, power: -1) }),
      ("Schedule.oneCycle: rising is 2.0", { _ = Schedule.oneCycle(highest: 1, steps: 1, rising: 2) }),
      ("Schedule.oneCycle: startDivisor is 0.0", { _ = Schedule.oneCycle(highest: 1, steps: 1, startDivisor: 0) }),
      ("Schedule.warmRestarts: first is 0", { _ = Schedule.warmRestarts(1, first: 0) }),
      ("Schedule.warmedUp: steps is -1", { _ = Schedule.constant(1).warmedUp(over: -1) }),
    ]
    for (text, body) in wrong {
      let found = errorText(body)
      #expect(found.hasPrefix(text + "\n  rule: "), "\(found)")
    }
    // A rate that is refused leaves the one before.
    let optimizer = SGD(p, learningRate: 0.5)
    _ = errorText { optimizer.learningRate = -1 }
    #expect(optimizer.learningRate == 0.5)
    // At the borders.
    _ = SGD(p, learningRate: 0, momentum: 1, dampening: 1)
    _ = Adam(p, learningRate: 0, betas: (0, 0), epsilon: 0)
  }
}
