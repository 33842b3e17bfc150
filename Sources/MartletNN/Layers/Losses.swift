public import MartletCore
public import MartletOps

/// A loss as a layer: a function with its settings, under the name that PyTorch's `nn` gives it. The functions themselves say
/// what they compute.
public class LossLayer<Input>: Module {
  private let loss: (Input) -> Tensor
  init(_ loss: @escaping (Input) -> Tensor) { self.loss = loss }
  public final func forward(_ input: Input) -> Tensor { loss(input) }
}

public typealias Pair = (Tensor, Tensor)
public typealias Triple = (Tensor, Tensor, Tensor)

/// `meanSquaredError(x, targets)`.
public final class MSELoss: LossLayer<Pair> {
  public init(reduction: LossReduction = .mean) { super.init { meanSquaredError($0.0, $0.1, reduction: reduction) } }
}
/// `l1Loss(x, targets)`.
public final class L1Loss: LossLayer<Pair> {
  public init(reduction: LossReduction = .mean) { super.init { l1Loss($0.0, $0.1, reduction: reduction) } }
}
/// `huberLoss(x, targets)`.
public final class HuberLoss: LossLayer<Pair> {
  public init(delta: Double = 1, reduction: LossReduction = .mean) {
    super.init { huberLoss($0.0, $0.1, delta: delta, reduction: reduction) }
  }
}
/// `smoothL1Loss(x, targets)`.
public final class SmoothL1Loss: LossLayer<Pair> {
  public init(beta: Double = 1, reduction: LossReduction = .mean) {
    super.init { smoothL1Loss($0.0, $0.1, beta: beta, reduction: reduction) }
  }
}
/// `crossEntropy(logits, labels)`.
public final class CrossEntropyLoss: LossLayer<Pair> {
  public init(
    weights: Tensor? = nil, ignoreIndex: Int = -100, labelSmoothing: Double = 0, reduction: LossReduction = .mean
  ) {
    super.init {
      crossEntropy(
        $0.0, $0.1, weights: weights, ignoreIndex: ignoreIndex, labelSmoothing: labelSmoothing, reduction: reduction)
    }
  }
}
/// `negativeLogLikelihood(logProbabilities, labels)`.
public final class NLLLoss: LossLayer<Pair> {
  public init(weights: Tensor? = nil, ignoreIndex: Int = -100, reduction: LossReduction = .mean) {
    super.init {
      negativeLogLikelihood($0.0, $0.1, weights: weights, ignoreIndex: ignoreIndex, reduction: reduction)
    }
  }
}
/// `binaryCrossEntropy(probabilities, targets)`.
public final class BCELoss: LossLayer<Pair> {
  public init(weights: Tensor? = nil, reduction: LossReduction = .mean) {
    super.init { binaryCrossEntropy($0.0, $0.1, weights: weights, reduction: reduction) }
  }
}
/// `binaryCrossEntropyWithLogits(logits, targets)`.
public final class BCEWithLogitsLoss: LossLayer<Pair> {
  public init(weights: Tensor? = nil, positiveWeight: Tensor? = nil, reduction: LossReduction = .mean) {
    super.init {
      binaryCrossEntropyWithLogits(
        $0.0, $0.1, weights: weights, positiveWeight: positiveWeight, reduction: reduction)
    }
  }
}
/// `klDivergence(logProbabilities, targets)`.
public final class KLDivLoss: LossLayer<Pair> {
  public init(logTargets: Bool = false, reduction: DivergenceReduction = .mean) {
    super.init { klDivergence($0.0, $0.1, logTargets: logTargets, reduction: reduction) }
  }
}
/// `poissonNLLLoss(x, targets)`.
public final class PoissonNLLLoss: LossLayer<Pair> {
  public init(logInput: Bool = true, full: Bool = false, epsilon: Double = 1e-8, reduction: LossReduction = .mean) {
    super.init {
      poissonNLLLoss($0.0, $0.1, logInput: logInput, full: full, epsilon: epsilon, reduction: reduction)
    }
  }
}
/// `gaussianNLLLoss(x, targets, variance: variance)`.
public final class GaussianNLLLoss: LossLayer<Triple> {
  public init(full: Bool = false, epsilon: Double = 1e-6, reduction: LossReduction = .mean) {
    super.init {
      gaussianNLLLoss($0.0, $0.1, variance: $0.2, full: full, epsilon: epsilon, reduction: reduction)
    }
  }
}
/// `sigmoidFocalLoss(logits, targets)`.
public final class SigmoidFocalLoss: LossLayer<Pair> {
  public init(alpha: Double = 0.25, gamma: Double = 2, reduction: LossReduction = .none) {
    super.init { sigmoidFocalLoss($0.0, $0.1, alpha: alpha, gamma: gamma, reduction: reduction) }
  }
}
/// `diceLoss(probabilities, targets)`.
public final class DiceLoss: LossLayer<Pair> {
  public init(smooth: Double = 1e-5, reduction: LossReduction = .mean) {
    super.init { diceLoss($0.0, $0.1, smooth: smooth, reduction: reduction) }
  }
}
/// `hingeEmbeddingLoss(x, y)`.
public final class HingeEmbeddingLoss: LossLayer<Pair> {
  public init(margin: Double = 1, reduction: LossReduction = .mean) {
    super.init { hingeEmbeddingLoss($0.0, $0.1, margin: margin, reduction: reduction) }
  }
}
/// `softMarginLoss(x, y)`.
public final class SoftMarginLoss: LossLayer<Pair> {
  public init(reduction: LossReduction = .mean) { super.init { softMarginLoss($0.0, $0.1, reduction: reduction) } }
}
/// `multiMarginLoss(x, labels)`.
public final class MultiMarginLoss: LossLayer<Pair> {
  public init(order: Int = 1, margin: Double = 1, weights: Tensor? = nil, reduction: LossReduction = .mean) {
    super.init { multiMarginLoss($0.0, $0.1, order: order, margin: margin, weights: weights, reduction: reduction) }
  }
}
/// `multiLabelMarginLoss(x, labels)`.
public final class MultiLabelMarginLoss: LossLayer<Pair> {
  public init(reduction: LossReduction = .mean) {
    super.init { multiLabelMarginLoss($0.0, $0.1, reduction: reduction) }
  }
}
/// `multiLabelSoftMarginLoss(x, targets)`.
public final class MultiLabelSoftMarginLoss: LossLayer<Pair> {
  public init(weights: Tensor? = nil, reduction: LossReduction = .mean) {
    super.init { multiLabelSoftMarginLoss($0.0, $0.1, weights: weights, reduction: reduction) }
  }
}
/// `marginRankingLoss(a, b, y)`.
public final class MarginRankingLoss: LossLayer<Triple> {
  public init(margin: Double = 0, reduction: LossReduction = .mean) {
    super.init { marginRankingLoss($0.0, $0.1, $0.2, margin: margin, reduction: reduction) }
  }
}
/// `cosineEmbeddingLoss(a, b, y)`.
public final class CosineEmbeddingLoss: LossLayer<Triple> {
  public init(margin: Double = 0, reduction: LossReduction = .mean) {
    super.init { cosineEmbeddingLoss($0.0, $0.1, $0.2, margin: margin, reduction: reduction) }
  }
}
/// `tripletMarginLoss(anchor, positive, negative)`.
public final class TripletMarginLoss: LossLayer<Triple> {
  public init(
    margin: Double = 1, order: Double = 2, epsilon: Double = 1e-6, swap: Bool = false, reduction: LossReduction = .mean
  ) {
    super.init {
      tripletMarginLoss(
        $0.0, $0.1, $0.2, margin: margin, order: order, epsilon: epsilon, swap: swap, reduction: reduction)
    }
  }
  /// With a distance of the caller's (PyTorch's `TripletMarginWithDistanceLoss`).
  public init(
    distance: @escaping (Tensor, Tensor) -> Tensor, margin: Double = 1, swap: Bool = false,
    reduction: LossReduction = .mean
  ) {
    super.init {
      tripletMarginLoss($0.0, $0.1, $0.2, distance: distance, margin: margin, swap: swap, reduction: reduction)
    }
  }
}
/// `infoNCELoss(queries, keys)`.
public final class InfoNCELoss: LossLayer<Pair> {
  public init(temperature: Double = 0.1, reduction: LossReduction = .mean) {
    super.init { infoNCELoss($0.0, $0.1, temperature: temperature, reduction: reduction) }
  }
}
/// `ntXentLoss(a, b)`.
public final class NTXentLoss: LossLayer<Pair> {
  public init(temperature: Double = 0.5, reduction: LossReduction = .mean) {
    super.init { ntXentLoss($0.0, $0.1, temperature: temperature, reduction: reduction) }
  }
}
/// `ctcLoss(logits, labels, inputLengths: inputLengths, labelLengths: labelLengths)`, called with these four.
public final class CTCLoss: LossLayer<(Tensor, Tensor, Tensor, Tensor)> {
  public init(blank: Int = 0, reduction: LossReduction = .mean, zeroInfinity: Bool = false) {
    super.init {
      ctcLoss(
        $0.0, $0.1, inputLengths: $0.2, labelLengths: $0.3, blank: blank, reduction: reduction,
        zeroInfinity: zeroInfinity)
    }
  }
}
