public import MartletCore
import MartletOps

/// A softmax over many classes whose rare ones stand in clusters, so that most examples cost a small product.
///
/// Classes are numbered from the most frequent one. Those below `cutoffs[0]` have an output of the head each, as have the
/// clusters `cutoffs[i] ..< cutoffs[i + 1]`; within cluster `i` a tail of `inFeatures / divisor^(i + 1)` hidden features
/// decides, which only runs for the examples whose label lies in it.
///
/// Which examples these are depends on the labels, so a call reads them: it is an error inside `compile` and `vmap`.
/// Source: Grave, Joulin, Cissé, Grangier and Jégou 2017; PyTorch `AdaptiveLogSoftmaxWithLoss`.
public final class AdaptiveLogSoftmaxWithLoss: Module {
  public let head: Linear
  public let tail: [Sequential]
  public let classes: Int
  public let cutoffs: [Int]

  /// - Parameters:
  ///   - cutoffs: increasing, each in `1 ..< classes`.
  ///   - divisor: how many times fewer hidden features each further cluster has.
  public init(
    _ inFeatures: Int, _ classes: Int, cutoffs: [Int], divisor: Double = 4, headBias: Bool = false,
    dtype: DType = .float32, generator: Generator = Random.generator
  ) {
    let limits = [0] + cutoffs + [classes]
    if cutoffs.isEmpty || zip(limits, limits.dropFirst()).contains(where: { $0 >= $1 }) {
      fail(
        OpError(
          .misuse("cutoffs are \(cutoffs) of \(classes) classes", rule: "cutoffs increase, between 0 and classes"),
          op: "AdaptiveLogSoftmaxWithLoss"))
    }
    head = Linear(inFeatures, cutoffs[0] + cutoffs.count, bias: headBias, dtype: dtype, generator: generator)
    var hidden = Double(inFeatures)
    tail = cutoffs.indices.map { cluster in
      hidden /= divisor
      let size = limits[cluster + 2] - limits[cluster + 1]
      return Sequential {
        Linear(inFeatures, Int(hidden), bias: false, dtype: dtype, generator: generator)
        Linear(Int(hidden), size, bias: false, dtype: dtype, generator: generator)
      }
    }
    self.classes = classes
    self.cutoffs = cutoffs
  }

  public var settings: String { "classes: \(classes), cutoffs: \(cutoffs)" }

  /// The logarithm of the probability of each label, `[N]`, and the mean of their negatives: `layer(x, labels)`.
  ///
  /// **Shapes** `x`: `[N, inFeatures]`; `labels`: `[N]`, `int64` or `int32`, each in `0 ..< classes`.
  public func forward(_ input: (Tensor, Tensor)) -> (output: Tensor, loss: Tensor) {
    let (x, labels) = input
    let ofHead = logSoftmax(head(x), axis: 1)
    let wrong = (labels .< 0) .| (labels .>= classes)
    guard !ofHead.isError, !wrong.isError, x.rank == 2, labels.shape == [x.shape[0]] else {
      let error = failure(
        .argumentShape(argument: 1, expected: "one label for each row of x, [N, features]"),
        op: "AdaptiveLogSoftmaxWithLoss", [x, labels], names: ["x", "labels"])
      return (error, error)
    }
    guard wrong.any().item() == 0 else {
      let first = Int(labels.take(axis: 0, wrong.nonzero()[0])[0].item())
      let error = failure(
        .misuse("a label is \(first)", rule: "labels are in 0 ..< \(classes)"), op: "AdaptiveLogSoftmaxWithLoss",
        [x, labels], names: ["x", "labels"])
      return (error, error)
    }
    var places = minimum(labels, cutoffs[0] - 1)
    var output = Tensor(repeating: 0, ofHead.spec.with(shape: labels.shape))
    for (cluster, layers) in tail.enumerated() {
      let (low, high) = (cutoffs[cluster], cluster + 1 < cutoffs.count ? cutoffs[cluster + 1] : classes)
      let rows = ((labels .>= low) .& (labels .< high)).nonzero()[0]
      if rows.count == 0 { continue }
      let inside = logSoftmax(layers(x.take(axis: 0, rows)), axis: 1)
      let label = (labels.take(axis: 0, rows) - low).expandedDims(axis: 1)
      output = output.indexAdding(axis: 0, rows, inside.gather(axis: 1, label).squeezed(axis: 1))
      places = select((labels .>= low) .& (labels .< high), cutoffs[0] + cluster, places)
    }
    output = output + ofHead.gather(axis: 1, places.expandedDims(axis: 1)).squeezed(axis: 1)
    return (output, -output.mean())
  }

  /// The logarithms of the probabilities of all classes: `[N, inFeatures]` → `[N, classes]`.
  public func logProbabilities(_ x: Tensor) -> Tensor {
    let ofHead = logSoftmax(head(x), axis: 1)
    var parts = [ofHead[.all, .range(to: cutoffs[0])]]
    for (cluster, layers) in tail.enumerated() {
      let place = cutoffs[0] + cluster
      parts.append(logSoftmax(layers(x), axis: 1) + ofHead[.all, .range(from: place, to: place + 1)])
    }
    return concat(parts, axis: 1)
  }

  /// The most probable class of each example: `[N, inFeatures]` → `[N]`, `int64`.
  public func predict(_ x: Tensor) -> Tensor { logProbabilities(x).argMax(axis: 1) }
}
