import Martlet
import Testing

@Suite struct MarginLossTests {
  let x = Tensor([[0.5, -1.2, 0.3], [2.0, 0.1, -0.7]] as [[Double]])
  let y = Tensor([[-0.4, 0.9, 1.5], [0.2, -1.1, 0.6]] as [[Double]])
  let s = Tensor([[1, -1, 1], [-1, 1, -1]] as [[Double]])
  var t: Tensor { (s + 1) / 2 }
  let labels = Tensor([2, 0])
  let weights = Tensor([0.5, 2, 1] as [Double])
  let several = Tensor([[2, 0, -1], [1, -1, 0]])
  let counts = Tensor([[0, 1, 3], [2, 5, 0]] as [[Double]])
  let variance = Tensor([[0.5, 2, 1e-9], [1, 0.3, 0.7]] as [[Double]])

  /// PyTorch's numbers in float64.
  @Test func values() {
    func check(_ name: String, _ loss: Tensor, _ expected: [Double]) {
      let found = loss.array(as: Double.self)
      #expect(
        found.count == expected.count && zip(found, expected).allSatisfy { abs($0 - $1) <= 1e-9 * max(1, abs($1)) },
        "\(name): \(found)")
    }
    check("ranking", marginRankingLoss(x, y, s, margin: 0.3, reduction: .none), [0, 0, 1.5, 2.1, 0, 0])
    check("hinge", hingeEmbeddingLoss(x, s, margin: 0.8, reduction: .none), [0.5, 2, 0.3, 0, 0.1, 1.5])
    check("soft", softMarginLoss(x, s), [0.7443709027])
    check(
      "cosine", cosineEmbeddingLoss(x, y, Tensor([1, -1]), margin: -0.9, reduction: .none),
      [1.3466890743, 0.8517025549])
    check("multi", multiMarginLoss(x, labels, weights: weights, reduction: .none), [0.4, 0])
    check("multi 2", multiMarginLoss(x, labels, order: 2, margin: 0.7), [0.135])
    check("multi label", multiLabelMarginLoss(x, several, reduction: .none), [0, 1.0333333333])
    check(
      "multi label soft", multiLabelSoftMarginLoss(x, t, weights: weights, reduction: .none),
      [0.4393195571, 0.9184811249])
    check(
      "triplet",
      tripletMarginLoss(x, y, s, distance: { abs($0 - $1).sum(axis: -1) }, margin: 2, swap: true, reduction: .none),
      [4.8, 2.1])
    check(
      "poisson", poissonNLLLoss(x, counts, full: true, reduction: .none),
      [1.6487212707, 1.5011942119, 2.2139403511, 4.0408625835, 5.3760179697, 0.4965853038])
    check("poisson rate", poissonNLLLoss(abs(x), counts, logInput: false, reduction: .sum), [18.3562273417])
    check(
      "gauss", gaussianNLLLoss(x, y, variance: variance, full: true, reduction: .none),
      [1.3823649429, 2.3680121235, 719994.0111832542, 2.5389385332, 2.716952131, 1.9477439184])
    check("gauss rows", gaussianNLLLoss(x, y, variance: Tensor([0.5, 2] as [Double])), [1.3754166667])
    check(
      "focal", sigmoidFocalLoss(x, t),
      [0.0168933726, 0.0105801592, 0.0250983189, 1.2375586346, 0.0363511844, 0.0332928928])
    check(
      "focal -1", sigmoidFocalLoss(x, t, alpha: -1, gamma: 1.5),
      [0.1099751296, 0.0293209939, 0.1538953537, 1.75819317, 0.2109707458, 0.0770626742])
    check(
      "dice", diceLoss(sigmoid(x)[.newAxis], t[.newAxis], reduction: .none), [0.3017667927, 0.6164637081])
    check("InfoNCE", infoNCELoss(x, y), [6.4670503433])
    check(
      "NT-Xent", ntXentLoss(x, y, reduction: .none), [2.8597633512, 1.1647880571, 1.2574502848, 2.2236901829])
  }

  @Test func derivatives() throws {
    let losses: [(Tensor) -> Tensor] = [
      { marginRankingLoss($0, y, s, margin: 0.3) }, { hingeEmbeddingLoss($0, s, margin: 0.85) },
      { softMarginLoss($0, s) },
      { cosineEmbeddingLoss($0, y, labels - 1) }, { multiMarginLoss($0, labels, order: 2) },
      { multiLabelMarginLoss($0, several) }, { multiLabelSoftMarginLoss($0, t) },
      { poissonNLLLoss($0, counts, full: true) }, { gaussianNLLLoss(x, y, variance: exp($0)) },
      { sigmoidFocalLoss($0, t, reduction: .mean) }, { diceLoss(sigmoid($0)[.newAxis], t[.newAxis]) },
      { infoNCELoss($0, y) }, { ntXentLoss($0, y) },
    ]
    for loss in losses { try checkGradients(loss, x) }
  }

  /// The layers compute what the functions do.
  @Test func layers() {
    func same(_ a: Tensor, _ b: Tensor, at location: SourceLocation = #_sourceLocation) {
      expectSame(a, b, at: location)
    }
    let p = sigmoid(x)
    same(MSELoss(reduction: .sum)(x, y), meanSquaredError(x, y, reduction: .sum))
    same(L1Loss()(x, y), l1Loss(x, y))
    same(HuberLoss(delta: 0.5)(x, y), huberLoss(x, y, delta: 0.5))
    same(SmoothL1Loss(beta: 0.5)(x, y), smoothL1Loss(x, y, beta: 0.5))
    same(
      CrossEntropyLoss(weights: weights, labelSmoothing: 0.1)(x, labels),
      crossEntropy(x, labels, weights: weights, labelSmoothing: 0.1))
    same(NLLLoss(ignoreIndex: 2)(x, labels), negativeLogLikelihood(x, labels, ignoreIndex: 2))
    same(BCELoss()(p, t), binaryCrossEntropy(p, t))
    same(
      BCEWithLogitsLoss(positiveWeight: weights)(x, t), binaryCrossEntropyWithLogits(x, t, positiveWeight: weights))
    same(KLDivLoss(reduction: .batchMean)(x, p), klDivergence(x, p, reduction: .batchMean))
    same(PoissonNLLLoss(full: true)(x, counts), poissonNLLLoss(x, counts, full: true))
    same(GaussianNLLLoss()(x, y, variance), gaussianNLLLoss(x, y, variance: variance))
    same(SigmoidFocalLoss(gamma: 1)(x, t), sigmoidFocalLoss(x, t, gamma: 1))
    same(DiceLoss()(p[.newAxis], t[.newAxis]), diceLoss(p[.newAxis], t[.newAxis]))
    same(HingeEmbeddingLoss(margin: 2)(x, s), hingeEmbeddingLoss(x, s, margin: 2))
    same(SoftMarginLoss()(x, s), softMarginLoss(x, s))
    same(MultiMarginLoss(order: 2)(x, labels), multiMarginLoss(x, labels, order: 2))
    same(MultiLabelMarginLoss()(x, several), multiLabelMarginLoss(x, several))
    same(MultiLabelSoftMarginLoss()(x, t), multiLabelSoftMarginLoss(x, t))
    same(MarginRankingLoss(margin: 1)(x, y, s), marginRankingLoss(x, y, s, margin: 1))
    same(CosineEmbeddingLoss()(x, y, labels), cosineEmbeddingLoss(x, y, labels))
    same(TripletMarginLoss(margin: 3)(x, y, s), tripletMarginLoss(x, y, s, margin: 3))
    same(
      TripletMarginLoss(distance: { ($0 - $1).norm(axis: -1) })(x, y, s),
      tripletMarginLoss(x, y, s, distance: { ($0 - $1).norm(axis: -1) }))
    same(InfoNCELoss()(x, y), infoNCELoss(x, y))
    same(NTXentLoss()(x, y), ntXentLoss(x, y))
    let lengths = Tensor([1])
    same(
      CTCLoss()(x[0..., .newAxis], Tensor([[1]]), lengths + 1, lengths),
      ctcLoss(x[0..., .newAxis], Tensor([[1]]), inputLengths: lengths + 1, labelLengths: lengths))
  }

  @Test func wrongUse() {
    let cases: [(String, () -> Tensor)] = [
      ("marginRankingLoss: y", { marginRankingLoss(x, y, labels) }),
      ("hingeEmbeddingLoss: y", { hingeEmbeddingLoss(x, labels) }),
      ("softMarginLoss: y", { softMarginLoss(x, labels) }), ("one for each row of a", { cosineEmbeddingLoss(x, y, s) }),
      ("one label for each row", { multiMarginLoss(x, Tensor([1])) }),
      ("int64 or int32", { multiMarginLoss(x, weights) }),
      ("order", { multiMarginLoss(x, labels, order: 3) }),
      ("one for each class", { multiMarginLoss(x, labels, weights: labels) }),
      ("multiLabelMarginLoss: labels", { multiLabelMarginLoss(x, labels) }),
      ("multiLabelSoftMarginLoss: targets", { multiLabelSoftMarginLoss(x, labels) }),
      ("tripletMarginLoss: negative", { tripletMarginLoss(x, y, labels, distance: { a, _ in a }) }),
      ("poissonNLLLoss: targets", { poissonNLLLoss(x, labels) }),
      ("gaussianNLLLoss: variance", { gaussianNLLLoss(x, y, variance: weights) }),
      ("epsilon > 0", { gaussianNLLLoss(x, y, variance: variance, epsilon: 0) }),
      ("gamma ≥ 0", { sigmoidFocalLoss(x, t, gamma: -1) }), ("3 or more: [B, K, d1, …]", { diceLoss(x, t) }),
      ("temperature > 0", { infoNCELoss(x, y, temperature: 0) }), ("2: [B, D]", { ntXentLoss(weights, weights) }),
    ]
    for (expected, body) in cases {
      let text = errorText { _ = body() }
      #expect(text.contains(expected), "\(text)")
    }
  }
}

@Suite struct CTCTests {
  let logits = remainder(count([4, 2, 3], dtype: .float64) * 7, 11) / 5 - 1
  let labels = Tensor([[1, 1], [2, 1]])

  /// PyTorch's losses and gradients of the logits.
  @Test(
    arguments: [
      (
        [4, 3], [2, 1], LossReduction.none, false, [3.0984508256, 1.1917523638],
        [
          0.1085872313, -0.3735333334, 0.2649461021, -0.277389363, 0.2721184774, 0.0052708855, -0.2082654611,
          0.0859947475, 0.1222707136, -0.1415817115, 0.2721184774, -0.1305367659, -0.2127340737, -0.3442422045,
          0.5569762783, 0.1415615071, 0.1373486592, -0.2789101663, -0.0266103438, -0.5303659345, 0.5569762783, 0, 0, 0,
        ]
      ),
      (
        [4, 3], [2, 1], .mean, false, [1.3704888883],
        [
          0.0271468078, -0.0933833333, 0.0662365255, -0.1386946815, 0.1360592387, 0.0026354428, -0.0520663653,
          0.0214986869, 0.0305676784, -0.0707908558, 0.1360592387, -0.065268383, -0.0531835184, -0.0860605511,
          0.1392440696, 0.0707807535, 0.0686743296, -0.1394550831, -0.0066525859, -0.1325914836, 0.1392440696, 0, 0, 0,
        ]
      ),
      (
        [4, 1], [2, 2], .none, true, [3.0984508256, 0],
        [
          0.1085872313, -0.3735333334, 0.2649461021, 0, 0, 0, -0.2082654611, 0.0859947475, 0.1222707136, 0, 0, 0,
          -0.2127340737, -0.3442422045, 0.5569762783, 0, 0, 0, -0.0266103438, -0.5303659345, 0.5569762783, 0, 0, 0,
        ]
      ),
    ] as [([Int], [Int], LossReduction, Bool, [Double], [Double])])
  func values(
    _ times: [Int], _ lengths: [Int], _ reduction: LossReduction, _ zeroInfinity: Bool, _ losses: [Double],
    _ gradient: [Double]
  ) {
    func loss(_ x: Tensor) -> Tensor {
      ctcLoss(
        x, labels, inputLengths: Tensor(times), labelLengths: Tensor(lengths), reduction: reduction,
        zeroInfinity: zeroInfinity)
    }
    expectValues(loss(logits), reduction == .none ? [2] : [], losses, within: 1e-9)
    expectValues(grad { (x: Tensor) in loss(x).sum() }(logits), [4, 2, 3], gradient, within: 1e-9)
  }

  @Test func impossibleAlignments() {
    let (times, lengths) = (Tensor([4, 1]), Tensor([2, 2]))
    let losses = ctcLoss(logits, labels, inputLengths: times, labelLengths: lengths, reduction: .none)
    #expect(losses.array(as: Double.self)[1] == Double.infinity)
    let slope = grad { (x: Tensor) in
      ctcLoss(x, labels, inputLengths: times, labelLengths: lengths, reduction: .none).sum()
    }(logits)
    #expect(slope.isFinite.all().item() == 1)
    // Nothing to say in no time: certain.
    let none = Tensor([0, 0])
    let silent = ctcLoss(logits, labels, inputLengths: none, labelLengths: none, reduction: .none)
    #expect(silent.array(as: Double.self) == [0, 0])
  }

  @Test func wrongUse() {
    func text(
      _ x: Tensor? = nil, _ labels: Tensor? = nil, _ times: Tensor = Tensor([4, 4]),
      _ lengths: Tensor = Tensor([1, 1]),
      blank: Int = 0
    ) -> String {
      errorText {
        _ = ctcLoss(
          x ?? logits, labels ?? self.labels, inputLengths: times, labelLengths: lengths, blank: blank)
      }
    }
    #expect(text(logits[0]).contains("3: [T, B, K]"))
    #expect(text(nil, labels.cast(to: .float32)).contains("int64 or int32"))
    #expect(text(nil, Tensor([[1]])).contains("a row of labels for each example"))
    #expect(text(nil, nil, Tensor([1])).contains("a number for each example"))
    #expect(text(blank: 3).contains("blank"))
    if Device.current != .reference {
      #expect(text(nil, Tensor([[3, 1], [1, 1]])).contains("label 3 is out of range for 3 classes"))
      #expect(text(nil, nil, Tensor([4, 5])).contains("an input length is 5"))
      #expect(text(nil, nil, Tensor([4, 4]), Tensor([3, 1])).contains("a label length is 3"))
    }
  }
}
