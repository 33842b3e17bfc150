public import MartletCore

// Activations that are made of other operations. What a branch of `select` does not use must not become infinite either:
// its derivative would be multiplied by 0 and give NaN. So such branches see a harmless argument.

/// `x` where it is not positive, else 0; the derivative at 0 is 1.
private func nonpositive(_ x: Tensor) -> Tensor { select(x .> 0, 0, x) }

/// `x` between two bounds; the derivative at the bounds is 0, unlike `clamp`'s.
public func hardTanh(_ x: Tensor, min: Double = -1, max: Double = 1) -> Tensor {
  guard min <= max else {
    return failure(.misuse("min is \(min) and max \(max)", rule: "min ≤ max"), op: "hardTanh", [x])
  }
  return (x.dtype.isFloating ? x : x.cast(to: .float32)).clamped(min, max, isOpen: true)
}
/// `x` in 0 … 6. Source: PyTorch `relu6`.
public func relu6(_ x: Tensor) -> Tensor { hardTanh(x, min: 0, max: 6) }
/// `x` where it is positive, else `slope · x`. Source: PyTorch `leaky_relu`.
public func leakyRelu(_ x: Tensor, slope: Double = 0.01) -> Tensor { select(x .> 0, x, x * slope) }
/// `x` where it is positive, else `α (exp(x) - 1)`. Source: PyTorch `elu`.
public func elu(_ x: Tensor, alpha: Double = 1) -> Tensor { select(x .> 0, x, expm1(nonpositive(x)) * alpha) }
/// `elu` with the scales that keep mean 0 and variance 1 (Klambauer et al. 2017). Source: PyTorch `selu`.
public func selu(_ x: Tensor) -> Tensor { elu(x, alpha: 1.6732632423543772848) * 1.0507009873554804934 }
/// `x` where it is positive, else `α (exp(x / α) - 1)`. Source: PyTorch `celu`.
public func celu(_ x: Tensor, alpha: Double = 1) -> Tensor {
  guard alpha != 0 else {
    return failure(.misuse("alpha is 0", rule: "alpha is not 0", remedy: "relu is the limit"), op: "celu", [x])
  }
  return select(x .> 0, x, expm1(nonpositive(x) / alpha) * alpha)
}
/// `x · sigmoid(x)`; integers give `float32`. Source: PyTorch `silu`.
public func silu(_ x: Tensor) -> Tensor { apply(Silu(), x.dtype.isFloating ? x : x.cast(to: .float32)) }
/// `x · Φ(x)`, with the normal distribution Φ, or its approximation by a hyperbolic tangent; integers give `float32`.
/// Source: PyTorch `gelu`.
public func gelu(_ x: Tensor, approximate: Bool = false) -> Tensor {
  apply(Gelu(approximate: approximate), x.dtype.isFloating ? x : x.cast(to: .float32))
}
/// `log(1 + exp(x))` without overflow, and with the right slope at 0.
func smoothRelu(_ x: Tensor) -> Tensor {
  let isPositive = x .> 0
  return select(isPositive, x, 0) + log1p(exp(select(isPositive, -x, x)))
}
/// `log(1 + exp(β x)) / β`, and `x` where `β x` is above the threshold. Source: PyTorch `softplus`.
public func softplus(_ x: Tensor, beta: Double = 1, threshold: Double = 20) -> Tensor {
  guard beta != 0 else { return failure(.misuse("beta is 0", rule: "beta is not 0"), op: "softplus", [x]) }
  let scaled = beta == 1 ? x : x * beta
  let smooth = smoothRelu(scaled)
  return select(scaled .> threshold, x, beta == 1 ? smooth : smooth / beta)
}
/// `x · tanh(softplus(x))`. Source: PyTorch `mish`.
public func mish(_ x: Tensor) -> Tensor { x * tanh(smoothRelu(x)) }
/// `x / (1 + |x|)`. Source: PyTorch `softsign`.
public func softsign(_ x: Tensor) -> Tensor { x / (abs(x) + 1) }
/// `min(max(x + 3, 0), 6) / 6`. Source: PyTorch `hardsigmoid`.
public func hardSigmoid(_ x: Tensor) -> Tensor { relu6(x + 3) / 6 }
/// `x · hardSigmoid(x)`. Source: PyTorch `hardswish`.
public func hardSwish(_ x: Tensor) -> Tensor { x * hardSigmoid(x) }
/// `log(sigmoid(x))`, without overflow. Source: PyTorch `logsigmoid`.
public func logSigmoid(_ x: Tensor) -> Tensor { -smoothRelu(-x) }
/// `x - tanh(x)`. Source: PyTorch `tanhshrink`.
public func tanhShrink(_ x: Tensor) -> Tensor { x - tanh(x) }
/// `x` moved toward 0 by `lambda`, 0 where that would cross 0. Source: PyTorch `softshrink`.
public func softShrink(_ x: Tensor, lambda: Double = 0.5) -> Tensor {
  guard lambda >= 0 else {
    return failure(.misuse("lambda is \(lambda)", rule: "lambda ≥ 0"), op: "softShrink", [x])
  }
  return x - clamp(x, min: -lambda, max: lambda)
}
/// 0 where `x` is in `-lambda … lambda`, else `x`. Source: PyTorch `hardshrink`.
public func hardShrink(_ x: Tensor, lambda: Double = 0.5) -> Tensor {
  select((x .>= -lambda) .& (x .<= lambda), 0, x)
}
/// `x` where it is above the threshold, else `value`. Source: PyTorch `threshold`.
public func threshold(_ x: Tensor, above threshold: Double, else value: Double) -> Tensor {
  select(x .<= threshold, value, x)
}
/// `x` where it is positive, else `weight · x`.
///
/// `weight` has one element, or `[C]` for `x: [N, C, …]`. Source: PyTorch `prelu`.
public func prelu(_ x: Tensor, _ weight: Tensor) -> Tensor {
  let channels = x.rank > 1 ? x.shape[1] : 1
  guard weight.count == 1 || weight.rank == 1 && weight.count == channels else {
    return failure(
      .argumentShape(argument: 1, expected: "[1] or [\(channels)], one for each channel (axis 1 of x)"), op: "prelu",
      [x, weight], names: ["x", "weight"])
  }
  var shape = Shape(repeating: 1, count: x.rank)
  if weight.count > 1 { shape[1] = channels }
  return select(x .> 0, x, x * weight.reshaped(shape))
}
/// `x` where it is positive, else `x` times a slope drawn for each element from `lower … upper`; a pure function of the key.
///
/// Without a key, as at the evaluation of a model, the slope is `(lower + upper) / 2`. Source: PyTorch `rrelu`.
public func rrelu(_ x: Tensor, lower: Double = 1.0 / 8, upper: Double = 1.0 / 3, key: Tensor? = nil) -> Tensor {
  guard lower <= upper else {
    return failure(.misuse("lower is \(lower) and upper \(upper)", rule: "lower ≤ upper"), op: "rrelu", [x])
  }
  guard let key else { return leakyRelu(x, slope: (lower + upper) / 2) }
  return select(x .> 0, x, x * .uniform(x.shape, low: lower, high: upper, dtype: x.dtype, key: key))
}
/// The first half along an axis times the sigmoid of the second. Source: PyTorch `glu`.
public func glu(_ x: Tensor, axis: Int = -1) -> Tensor {
  guard let position = x.position(of: axis, op: "glu") else { return x.afterFailure }
  guard x.shape[position] % 2 == 0 else {
    return failure(
      .misuse("axis \(axis) has the odd size \(x.shape[position])", rule: "the axis parts into two halves"), op: "glu",
      [x])
  }
  let halves = x.split([x.shape[position] / 2, x.shape[position] / 2], axis: position)
  return halves[0] * sigmoid(halves[1])
}
/// `softmax(-x)` along an axis. Source: PyTorch `softmin`.
public func softmin(_ x: Tensor, axis: Int = -1) -> Tensor { softmax(-x, axis: axis) }
