public import MartletCore
import MartletOps

/// What batch and instance normalisation share: a factor and a summand for each channel, and statistics of the batches seen
/// in training.
///
/// `weight` and `bias` are `[channels]` and start as ones and zeros. `numBatchesTracked` counts the batches seen.
public class RunningNorm: Module {
  public final let weight: Parameter?
  public final let bias: Parameter?
  /// What evaluation normalises by; nil where the statistics of the batch are always used.
  public final let runningMean: Buffer?
  public final let runningVar: Buffer?
  public final let numBatchesTracked: Buffer?
  public final let channels: Int
  public final let epsilon: Double
  /// The weight of a batch in the running statistics; nil: they are the means over all batches.
  public package(set) final var momentum: Double?
  public final let mode = Mode()

  /// The sets of elements that are normalised together: a channel of all examples, or of each by itself.
  enum Sets { case ofBatch, ofExamples }
  private let sets: Sets

  init(
    _ sets: Sets, _ channels: Int, _ epsilon: Double, _ momentum: Double?, isAffine: Bool,
    tracksRunningStatistics: Bool, _ dtype: DType
  ) {
    self.sets = sets
    let (weight, bias) = affine([channels], dtype, "\(Self.self)")
    self.weight = isAffine ? weight : nil
    self.bias = isAffine ? bias : nil
    let spec = weight.read()!.spec
    runningMean = tracksRunningStatistics ? Buffer(Tensor(repeating: 0, spec)) : nil
    runningVar = tracksRunningStatistics ? Buffer(Tensor(repeating: 1, spec)) : nil
    numBatchesTracked =
      tracksRunningStatistics ? Buffer(Tensor(repeating: 0, TensorSpec([], .int64, device: .current))) : nil
    self.channels = channels
    self.epsilon = epsilon
    self.momentum = momentum
  }

  /// Forgets the running statistics.
  package final func restartStatistics() {
    for (buffer, value) in [(runningMean, 0), (runningVar, 1), (numBatchesTracked, 0)] as [(Buffer?, Double)] {
      guard let buffer else { continue }
      buffer.value = Tensor(repeating: value, buffer.value.spec)
    }
  }

  /// The ranks that inputs with examples have.
  var ranks: ClosedRange<Int> { 2...5 }
  /// Whether one example may stand without its axis.
  private var takesSingles: Bool { sets == .ofExamples }

  public var settings: String { "\(channels)" }
  public final var stateNames: [String: String] {
    ["runningMean": "running_mean", "runningVar": "running_var", "numBatchesTracked": "num_batches_tracked"]
  }

  public final func forward(_ x: Tensor) -> Tensor {
    let single = takesSingles ? ranks.lowerBound - 1 : nil
    guard hasChannels(x, channels, ranks: ranks, single: single) else {
      let spatial = ["", ", L", ", H, W", ", D, H, W"]
      let shapes = ranks.map { "[N, \(channels)\(spatial[$0 - 2])]" }
      let alone = takesSingles ? ["[\(channels)\(spatial[ranks.lowerBound - 2])]"] : []
      let layer = "\(type(of: self))"
      return misfit(x, call: "\(layer)(\(channels))", channels: channels, shapes: shapes + alone, ranks: ranks) {
        "\(layer)(\($0))"
      }
    }
    guard x.rank != single else { return normalizedExamples(x.expandedDims(axis: 0)).squeezed(axis: 0) }
    return normalizedExamples(x)
  }

  /// `x`, `[N, channels, …]`, normalised by its own statistics.
  private func normalized(_ x: Tensor) -> Tensor {
    switch sets {
    case .ofBatch: batchNorm(x, weight: weight?.value, bias: bias?.value, epsilon: epsilon).result
    case .ofExamples: instanceNorm(x, weight: weight?.value, bias: bias?.value, epsilon: epsilon)
    }
  }

  /// The same, and the mean and the unbiased variance of each channel.
  private func normalizedWithStatistics(_ x: Tensor) -> (result: Tensor, mean: Tensor, variance: Tensor) {
    switch sets {
    case .ofBatch:
      let (y, mean, variance) = batchNorm(x, weight: weight?.value, bias: bias?.value, epsilon: epsilon)
      let count = Double(x.count / max(1, channels))
      return (y, mean, variance * (count / (count - 1)))
    case .ofExamples:
      let spatial = Array(2..<x.rank)
      return (normalized(x), x.mean(axes: [0] + spatial), x.variance(axes: spatial).mean(axis: 0))
    }
  }

  private func normalizedExamples(_ x: Tensor) -> Tensor {
    guard let runningMean, let runningVar, let numBatchesTracked else { return normalized(x) }
    guard mode.isTraining else {
      return batchNorm(
        x, mean: runningMean.value, variance: runningVar.value, weight: weight?.value, bias: bias?.value,
        epsilon: epsilon)
    }
    let (y, mean, variance) = normalizedWithStatistics(x)
    if y.isError { return y }
    let batches = numBatchesTracked.value + 1
    let dtype = runningMean.value.dtype
    let share = momentum.map { Tensor(scalar: $0, dtype, device: x.device) } ?? 1 / batches.cast(to: dtype)
    func moved(_ running: Tensor, _ batch: Tensor) -> Tensor {
      running + (batch.detached().cast(to: dtype) - running) * share
    }
    runningMean.value = moved(runningMean.value, mean)
    runningVar.value = moved(runningVar.value, variance)
    numBatchesTracked.value = batches
    return y
  }
}

/// What the layers of batch normalisation share: in training each channel is normalised by the statistics of the batch,
/// toward which the running ones move; in evaluation by these.
///
/// Source: Ioffe and Szegedy 2015; PyTorch `BatchNorm2d`.
public class BatchNorm: RunningNorm {
  public init(
    _ channels: Int, epsilon: Double = 1e-5, momentum: Double? = 0.1, affine isAffine: Bool = true,
    tracksRunningStatistics: Bool = true, dtype: DType = .float32
  ) {
    super.init(
      .ofBatch, channels, epsilon, momentum, isAffine: isAffine, tracksRunningStatistics: tracksRunningStatistics, dtype
    )
  }
  public final override var settings: String {
    "\(channels), epsilon: \(epsilon)" + (momentum.map { ", momentum: \($0)" } ?? "")
      + (weight == nil ? ", affine: false" : "")
      + (runningMean == nil ? ", tracksRunningStatistics: false" : "")
  }
}

/// Batch normalisation of `[N, C]` or `[N, C, L]`.
public final class BatchNorm1d: BatchNorm { override var ranks: ClosedRange<Int> { 2...3 } }
/// Batch normalisation of images `[N, C, H, W]`.
public final class BatchNorm2d: BatchNorm { override var ranks: ClosedRange<Int> { 4...4 } }
/// Batch normalisation of volumes `[N, C, D, H, W]`.
public final class BatchNorm3d: BatchNorm { override var ranks: ClosedRange<Int> { 5...5 } }

/// What the layers of instance normalisation share: each channel of each example is normalised by itself, as in
/// `instanceNorm`; `weight` and `bias` are there only if `affine`. One example may stand without `N`.
///
/// With `tracksRunningStatistics`, evaluation normalises by the means over the examples seen in training.
/// Source: Ulyanov, Vedaldi and Lempitsky 2016; PyTorch `InstanceNorm2d`.
public class InstanceNorm: RunningNorm {
  public init(
    _ channels: Int, epsilon: Double = 1e-5, momentum: Double? = 0.1, affine isAffine: Bool = false,
    tracksRunningStatistics: Bool = false, dtype: DType = .float32
  ) {
    super.init(
      .ofExamples, channels, epsilon, momentum, isAffine: isAffine, tracksRunningStatistics: tracksRunningStatistics,
      dtype)
  }
  public final override var settings: String {
    "\(channels), epsilon: \(epsilon)" + (weight == nil ? "" : ", affine: true")
      + (runningMean == nil ? "" : ", tracksRunningStatistics: true")
  }
}

/// Instance normalisation of sequences `[N, C, L]`.
public final class InstanceNorm1d: InstanceNorm { override var ranks: ClosedRange<Int> { 3...3 } }
/// Instance normalisation of images `[N, C, H, W]`.
public final class InstanceNorm2d: InstanceNorm { override var ranks: ClosedRange<Int> { 4...4 } }
/// Instance normalisation of volumes `[N, C, D, H, W]`.
public final class InstanceNorm3d: InstanceNorm { override var ranks: ClosedRange<Int> { 5...5 } }
