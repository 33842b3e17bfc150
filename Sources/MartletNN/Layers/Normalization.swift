public import MartletCore
import MartletOps

/// Ones and zeros for each of some channels.
private func affine(_ shape: Shape, _ dtype: DType, _ op: String) -> (weight: Parameter, bias: Parameter) {
  if shape.contains(where: { $0 < 0 }) {
    fail(OpError(.misuse("the sizes are \(shape)", rule: "sizes are 0 or more"), op: op))
  }
  let spec = TensorSpec(shape, dtype, device: .current)
  return (Parameter(Tensor(repeating: 1, spec)), Parameter(Tensor(repeating: 0, spec)))
}

/// Less the mean and divided by the deviation over the last axes, as in `layerNorm`; `weight` and `bias` have the shape
/// `normalizedShape` and start as ones and zeros. Source: PyTorch `LayerNorm`.
public final class LayerNorm: Module {
  public let weight: Parameter?
  public let bias: Parameter?
  public let normalizedShape: Shape
  public let epsilon: Double

  public init(
    _ normalizedShape: Shape, epsilon: Double = 1e-5, affine isAffine: Bool = true, bias hasBias: Bool = true,
    dtype: DType = .float32
  ) {
    let (weight, bias) = affine(normalizedShape, dtype, "LayerNorm")
    self.weight = isAffine ? weight : nil
    self.bias = isAffine && hasBias ? bias : nil
    self.normalizedShape = normalizedShape
    self.epsilon = epsilon
  }
  public convenience init(_ size: Int, epsilon: Double = 1e-5, dtype: DType = .float32) {
    self.init([size], epsilon: epsilon, dtype: dtype)
  }
  public func forward(_ x: Tensor) -> Tensor {
    layerNorm(x, normalizedShape: normalizedShape, weight: weight?.value, bias: bias?.value, epsilon: epsilon)
  }
}

/// Divided by the root of the mean square over the last axes, as in `rmsNorm`; `weight` has the shape `normalizedShape`
/// and starts as ones. Source: PyTorch `RMSNorm`.
public final class RMSNorm: Module {
  public let weight: Parameter?
  public let normalizedShape: Shape
  public let epsilon: Double?

  public init(
    _ normalizedShape: Shape, epsilon: Double? = nil, affine isAffine: Bool = true, dtype: DType = .float32
  ) {
    weight = isAffine ? affine(normalizedShape, dtype, "RMSNorm").weight : nil
    self.normalizedShape = normalizedShape
    self.epsilon = epsilon
  }
  public convenience init(_ size: Int, epsilon: Double? = nil, dtype: DType = .float32) {
    self.init([size], epsilon: epsilon, dtype: dtype)
  }
  public func forward(_ x: Tensor) -> Tensor {
    rmsNorm(x, normalizedShape: normalizedShape, weight: weight?.value, epsilon: epsilon)
  }
}

/// Normalisation of groups of channels of each example, as in `groupNorm`; `weight` and `bias` are `[channels]` and start
/// as ones and zeros. Source: PyTorch `GroupNorm`.
public final class GroupNorm: Module {
  public let weight: Parameter?
  public let bias: Parameter?
  public let groups: Int
  public let channels: Int
  public let epsilon: Double

  public init(
    _ groups: Int, _ channels: Int, epsilon: Double = 1e-5, affine isAffine: Bool = true, dtype: DType = .float32
  ) {
    if groups < 1 || channels < 0 || channels % groups != 0 {
      fail(
        OpError(
          .misuse("\(channels) channels, \(groups) groups", rule: "channels are a multiple of groups"), op: "GroupNorm")
      )
    }
    let (weight, bias) = affine([channels], dtype, "GroupNorm")
    self.weight = isAffine ? weight : nil
    self.bias = isAffine ? bias : nil
    self.groups = groups
    self.channels = channels
    self.epsilon = epsilon
  }
  public func forward(_ x: Tensor) -> Tensor {
    guard hasChannels(x, channels, ranks: 2...Shape.maxRank) else {
      return misfit(
        x, call: "GroupNorm(\(groups), \(channels))", channels: channels,
        shapes: ["[N, \(channels), …]"], ranks: 2...5
      ) { "GroupNorm(\(groups), \($0))" }
    }
    return groupNorm(x, groups: groups, weight: weight?.value, bias: bias?.value, epsilon: epsilon)
  }
}

/// What the layers of instance normalisation share: each channel of each example is normalised by itself, as in
/// `instanceNorm`; `weight` and `bias` are `[channels]` and there only if `affine`. One example may stand without `N`.
/// Source: Ulyanov, Vedaldi and Lempitsky 2016; PyTorch `InstanceNorm2d`, without running statistics.
public class InstanceNorm: Module {
  public final let weight: Parameter?
  public final let bias: Parameter?
  public final let channels: Int
  public final let epsilon: Double

  public init(_ channels: Int, epsilon: Double = 1e-5, affine isAffine: Bool = false, dtype: DType = .float32) {
    let (weight, bias) = affine([channels], dtype, "InstanceNorm")
    self.weight = isAffine ? weight : nil
    self.bias = isAffine ? bias : nil
    self.channels = channels
    self.epsilon = epsilon
  }
  /// The number of spatial axes.
  var axes: Int { 2 }
  public final var settings: String {
    "channels: \(channels), epsilon: \(epsilon)" + (weight == nil ? "" : ", affine: true")
  }
  public final func forward(_ x: Tensor) -> Tensor {
    guard hasChannels(x, channels, ranks: (axes + 2)...(axes + 2), single: axes + 1) else {
      let spatial = ["L", "H, W", "D, H, W"][axes - 1]
      let layer = "\(type(of: self))"
      return misfit(
        x, call: "\(layer)(\(channels))", channels: channels,
        shapes: ["[N, \(channels), \(spatial)]", "[\(channels), \(spatial)]"], ranks: (axes + 2)...(axes + 2)
      ) { "\(layer)(\($0))" }
    }
    let isSingle = x.rank == axes + 1
    let y = instanceNorm(
      isSingle ? x.expandedDims(axis: 0) : x, weight: weight?.value, bias: bias?.value, epsilon: epsilon)
    return isSingle ? y.squeezed(axis: 0) : y
  }
}

/// Instance normalisation of sequences `[N, C, L]`.
public final class InstanceNorm1d: InstanceNorm { override var axes: Int { 1 } }
/// Instance normalisation of images `[N, C, H, W]`.
public final class InstanceNorm2d: InstanceNorm { override var axes: Int { 2 } }
/// Instance normalisation of volumes `[N, C, D, H, W]`.
public final class InstanceNorm3d: InstanceNorm { override var axes: Int { 3 } }

/// `localResponseNorm` as a layer. Source: PyTorch `LocalResponseNorm`.
public final class LocalResponseNorm: Module {
  public let size: Int
  public let alpha: Double
  public let beta: Double
  public let k: Double
  public init(_ size: Int, alpha: Double = 1e-4, beta: Double = 0.75, k: Double = 1) {
    self.size = size
    self.alpha = alpha
    self.beta = beta
    self.k = k
  }
  public func forward(_ x: Tensor) -> Tensor { localResponseNorm(x, size: size, alpha: alpha, beta: beta, k: k) }
}

/// What the layers of batch normalisation share: in training each channel is normalised by the statistics of the batch,
/// toward which the running ones move; in evaluation by these.
///
/// `weight` and `bias` are `[channels]` and start as ones and zeros. `numBatchesTracked` counts the batches seen.
/// Source: Ioffe and Szegedy 2015; PyTorch `BatchNorm2d`.
public class BatchNorm: Module {
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

  public init(
    _ channels: Int, epsilon: Double = 1e-5, momentum: Double? = 0.1, affine isAffine: Bool = true,
    tracksRunningStatistics: Bool = true, dtype: DType = .float32
  ) {
    let (weight, bias) = affine([channels], dtype, "BatchNorm")
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

  /// The ranks that inputs may have.
  var ranks: ClosedRange<Int> { 2...5 }
  public final var stateNames: [String: String] {
    ["runningMean": "running_mean", "runningVar": "running_var", "numBatchesTracked": "num_batches_tracked"]
  }
  public final var settings: String {
    "\(channels), epsilon: \(epsilon)" + (momentum.map { ", momentum: \($0)" } ?? "")
      + (weight == nil ? ", affine: false" : "")
      + (runningMean == nil ? ", tracksRunningStatistics: false" : "")
  }

  public final func forward(_ x: Tensor) -> Tensor {
    guard hasChannels(x, channels, ranks: ranks) else {
      let shapes = ["[N, \(channels)]", "[N, \(channels), L]", "[N, \(channels), H, W]", "[N, \(channels), D, H, W]"]
      let layer = "\(type(of: self))"
      return misfit(
        x, call: "\(layer)(\(channels))", channels: channels, shapes: ranks.map { shapes[$0 - 2] },
        ranks: ranks
      ) { "\(layer)(\($0))" }
    }
    guard let runningMean, let runningVar, let numBatchesTracked else {
      return batchNorm(x, weight: weight?.value, bias: bias?.value, epsilon: epsilon).result
    }
    guard mode.isTraining else {
      return batchNorm(
        x, mean: runningMean.value, variance: runningVar.value, weight: weight?.value, bias: bias?.value,
        epsilon: epsilon)
    }
    let (y, mean, variance) = batchNorm(x, weight: weight?.value, bias: bias?.value, epsilon: epsilon)
    if y.isError { return y }
    let batches = numBatchesTracked.value + 1
    let count = Double(x.count / max(1, channels))
    let dtype = runningMean.value.dtype
    let share = momentum.map { Tensor(scalar: $0, dtype, device: x.device) } ?? 1 / batches.cast(to: dtype)
    func moved(_ running: Tensor, _ batch: Tensor) -> Tensor {
      running + (batch.detached().cast(to: dtype) - running) * share
    }
    runningMean.value = moved(runningMean.value, mean)
    runningVar.value = moved(runningVar.value, variance * (count / (count - 1)))
    numBatchesTracked.value = batches
    return y
  }
}

/// Batch normalisation of `[N, C]` or `[N, C, L]`.
public final class BatchNorm1d: BatchNorm { override var ranks: ClosedRange<Int> { 2...3 } }
/// Batch normalisation of images `[N, C, H, W]`.
public final class BatchNorm2d: BatchNorm { override var ranks: ClosedRange<Int> { 4...4 } }
/// Batch normalisation of volumes `[N, C, D, H, W]`.
public final class BatchNorm3d: BatchNorm { override var ranks: ClosedRange<Int> { 5...5 } }
