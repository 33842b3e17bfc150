public import MartletCore
import MartletOps

/// `max(x, 0)`.
public final class ReLU: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { relu(x) }
}

/// The hyperbolic tangent.
public final class Tanh: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { tanh(x) }
}

/// `1 / (1 + exp(-x))`.
public final class Sigmoid: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { sigmoid(x) }
}

/// `exp(x) / sum(exp(x))` along an axis.
public final class Softmax: Module {
  public let axis: Int
  public init(axis: Int = -1) { self.axis = axis }
  public func forward(_ x: Tensor) -> Tensor { softmax(x, axis: axis) }
}

/// `x` in 0 … 6.
public final class ReLU6: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { relu6(x) }
}

/// `elu` with the scales of Klambauer et al. 2017.
public final class SELU: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { selu(x) }
}

/// `x · sigmoid(x)`.
public final class SiLU: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { silu(x) }
}

/// `x · tanh(softplus(x))`.
public final class Mish: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { mish(x) }
}

/// `x / (1 + |x|)`.
public final class Softsign: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { softsign(x) }
}

/// `x · hardSigmoid(x)`.
public final class Hardswish: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { hardSwish(x) }
}

/// `min(max(x + 3, 0), 6) / 6`.
public final class Hardsigmoid: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { hardSigmoid(x) }
}

/// `log(sigmoid(x))`, without overflow.
public final class LogSigmoid: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { logSigmoid(x) }
}

/// `x - tanh(x)`.
public final class Tanhshrink: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { tanhShrink(x) }
}

/// `x` where it is positive, else `α (exp(x) - 1)`.
public final class ELU: Module {
  public let alpha: Double
  public init(alpha: Double = 1) { self.alpha = alpha }
  public func forward(_ x: Tensor) -> Tensor { elu(x, alpha: alpha) }
}

/// `x` where it is positive, else `α (exp(x / α) - 1)`.
public final class CELU: Module {
  public let alpha: Double
  public init(alpha: Double = 1) { self.alpha = alpha }
  public func forward(_ x: Tensor) -> Tensor { celu(x, alpha: alpha) }
}

/// `x · Φ(x)`, with the normal distribution Φ, or its approximation by a hyperbolic tangent.
public final class GELU: Module {
  public let approximate: Bool
  public init(approximate: Bool = false) { self.approximate = approximate }
  public func forward(_ x: Tensor) -> Tensor { gelu(x, approximate: approximate) }
}

/// `log(1 + exp(β x)) / β`, and `x` where `β x` is above the threshold.
public final class Softplus: Module {
  public let beta: Double
  public let threshold: Double
  public init(beta: Double = 1, threshold: Double = 20) {
    self.beta = beta
    self.threshold = threshold
  }
  public func forward(_ x: Tensor) -> Tensor { softplus(x, beta: beta, threshold: threshold) }
}

/// `x` between two bounds.
public final class Hardtanh: Module {
  public let min: Double
  public let max: Double
  public init(min: Double = -1, max: Double = 1) {
    self.min = min
    self.max = max
  }
  public func forward(_ x: Tensor) -> Tensor { hardTanh(x, min: min, max: max) }
}

/// `x` moved toward 0 by `lambda`, 0 where that would cross 0.
public final class Softshrink: Module {
  public let lambda: Double
  public init(lambda: Double = 0.5) { self.lambda = lambda }
  public func forward(_ x: Tensor) -> Tensor { softShrink(x, lambda: lambda) }
}

/// 0 where `x` is in `-lambda … lambda`, else `x`.
public final class Hardshrink: Module {
  public let lambda: Double
  public init(lambda: Double = 0.5) { self.lambda = lambda }
  public func forward(_ x: Tensor) -> Tensor { hardShrink(x, lambda: lambda) }
}

/// `x` where it is positive, else `slope · x`.
public final class LeakyReLU: Module {
  public let slope: Double
  public init(slope: Double = 0.01) { self.slope = slope }
  public func forward(_ x: Tensor) -> Tensor { leakyRelu(x, slope: slope) }
}

/// `x` where it is above the threshold, else `value`.
public final class Threshold: Module {
  public let threshold: Double
  public let value: Double
  public init(_ threshold: Double, value: Double) {
    self.threshold = threshold
    self.value = value
  }
  public func forward(_ x: Tensor) -> Tensor { MartletOps.threshold(x, above: threshold, else: value) }
}

/// `x` where it is positive, else `weight · x`, with learned weights: one, or one for each channel (axis 1).
public final class PReLU: Module {
  public let weight: Parameter
  /// - Parameters:
  ///   - count: 1, or the number of channels.
  ///   - initial: the weights at the start.
  public init(_ count: Int = 1, initial: Double = 0.25, dtype: DType = .float32) {
    if count < 1 { fail(OpError(.misuse("the number of weights is \(count)", rule: "1 or more"), op: "PReLU")) }
    weight = Parameter(Tensor(repeating: initial, [Swift.max(count, 1)], dtype: dtype))
  }
  public func forward(_ x: Tensor) -> Tensor { prelu(x, weight.value) }
}

/// `x` where it is positive, else `x` times a slope in `lower … upper`: random for each element in training, the middle in
/// evaluation.
public final class RReLU: Module {
  public let lower: Double
  public let upper: Double
  public let mode = Mode()
  public let generator: Generator
  public init(lower: Double = 1.0 / 8, upper: Double = 1.0 / 3, generator: Generator = Random.generator) {
    self.lower = lower
    self.upper = upper
    self.generator = generator
  }
  public func forward(_ x: Tensor) -> Tensor {
    rrelu(x, lower: lower, upper: upper, key: mode.isTraining ? generator.next() : nil)
  }
}

/// The first half along an axis times the sigmoid of the second.
public final class GLU: Module {
  public let axis: Int
  public init(axis: Int = -1) { self.axis = axis }
  public func forward(_ x: Tensor) -> Tensor { glu(x, axis: axis) }
}

/// `softmax(-x)` along an axis.
public final class Softmin: Module {
  public let axis: Int
  public init(axis: Int = -1) { self.axis = axis }
  public func forward(_ x: Tensor) -> Tensor { softmin(x, axis: axis) }
}

/// `log(softmax(x))` along an axis, without overflow.
public final class LogSoftmax: Module {
  public let axis: Int
  public init(axis: Int = -1) { self.axis = axis }
  public func forward(_ x: Tensor) -> Tensor { logSoftmax(x, axis: axis) }
}

/// The axes from `start` to `end` merged into one; by default all but the first.
public final class Flatten: Module {
  public let start: Int
  public let end: Int
  public init(from start: Int = 1, to end: Int = -1) {
    self.start = start
    self.end = end
  }
  public func forward(_ x: Tensor) -> Tensor { x.flattened(from: start, to: end) }
}

/// One axis parted into several: the reverse of `Flatten`.
///
/// **Shapes** `[…, n, …]` → `[…, sizes…, …]`, where the product of the sizes is n; one of them may be -1.
public final class Unflatten: Module {
  public let axis: Int
  public let sizes: Shape
  public init(axis: Int = 1, sizes: Shape) {
    self.axis = axis
    self.sizes = sizes
  }
  public func forward(_ x: Tensor) -> Tensor { x.unflattened(axis: axis, sizes: sizes) }
}

/// Its input, unchanged.
public final class Identity: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { x }
}
