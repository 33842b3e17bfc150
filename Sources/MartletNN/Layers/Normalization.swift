public import MartletCore
import MartletOps

/// Ones and zeros for each of some channels.
func affine(_ shape: Shape, _ dtype: DType, _ op: String) -> (weight: Parameter, bias: Parameter) {
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
