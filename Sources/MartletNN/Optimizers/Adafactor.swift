public import MartletCore
import MartletOps

private struct AdafactorRule: UpdateRule {
  var decayPower: Double
  var epsilons: (Double?, Double)
  var clipThreshold: Double
  var weightDecay: Double

  // A vector has its variance in the place of that of rows.
  let slots = [
    Slot("row", .shaped { $0.rank > 1 ? $0.replacing(1, at: $0.rank - 1) : $0 }),
    Slot("column", .shaped { $0.rank > 1 ? $0.replacing(1, at: $0.rank - 2) : [] }), Slot("step", .scalar(0)),
  ]
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    let (p, g, step) = (inputs[0], inputs[1], inputs[5] + 1)
    var (row, column) = (inputs[3], inputs[4])
    let epsilon = epsilons.0 ?? p.dtype.epsilon
    let share = pow(step, decayPower).cast(to: p.dtype)
    // The rate follows the size of the parameter.
    let rate = minimum(inputs[2], 1 / sqrt(step)).cast(to: p.dtype)
    let size = maximum(rootMeanSquare(p), epsilons.1) * rate
    let square = g * g
    var variance: Tensor
    if p.rank > 1 {
      row = row + (square.mean(axis: -1, keepDims: true) - row) * share
      column = column + (square.mean(axis: -2, keepDims: true) - column) * share
      variance = matmul(row, column) / clamp(row.mean(axis: -2, keepDims: true), min: epsilon)
    } else {
      row = row + (square - row) * share
      variance = row
    }
    variance = clamp(variance, min: epsilon * epsilon)
    let change = g / sqrt(variance)
    let excess = maximum(rootMeanSquare(change) / clipThreshold, 1)
    return [shrunk(p, inputs[2].cast(to: p.dtype), weightDecay) - change * (size / excess), row, column, step]
  }

  private func rootMeanSquare(_ x: Tensor) -> Tensor { sqrt((x * x).mean()) }
}

/// Gradients divided by the root of a running variance, of which for a matrix only the means of rows and of columns are kept:
/// memory for `m + n` numbers in place of `m · n`. The step is relative to the size of the parameter.
///
/// Matrices are the last two axes; a vector keeps its whole variance. Source: Shazeer and Stern 2018; PyTorch `Adafactor`.
public final class Adafactor: ParameterOptimizer {
  /// - Parameters:
  ///   - learningRate: 0 or more; the relative step is at most this, and at most `1 / √t` in step `t`.
  ///   - decayPower: 0 or less: the weight of the newest squares is `t` to this power. PyTorch's `beta2_decay`.
  ///   - epsilons: what variances are at least, as a root, nil for the smallest difference to 1 of the dtype; and what the
  ///     size of a parameter counts at least. Both 0 or more.
  ///   - clipThreshold: 1 or more; changes with a larger root mean square are made smaller. PyTorch's `d`.
  public init(
    _ parameters: [Parameter], learningRate: Double = 0.01, decayPower: Double = -0.8,
    epsilons: (Double?, Double) = (nil, 1e-3), clipThreshold: Double = 1, weightDecay: Double = 0
  ) {
    super.init(
      "Adafactor", parameters, learningRate: learningRate,
      AdafactorRule(
        decayPower: decayPower, epsilons: epsilons, clipThreshold: clipThreshold, weightDecay: weightDecay),
      [
        ("decayPower", decayPower, .exponent), ("epsilons.0", epsilons.0 ?? 0, .rate),
        ("epsilons.1", epsilons.1, .rate), ("clipThreshold", clipThreshold, .factor),
        ("weightDecay", weightDecay, .rate),
      ])
  }
}

extension Shape {
  /// The shape with another size of one axis.
  fileprivate func replacing(_ size: Int, at axis: Int) -> Shape {
    var shape = self
    shape[axis] = size
    return shape
  }
}

extension DType {
  /// The distance of 1 from the next larger number.
  fileprivate var epsilon: Double {
    switch self {
    case .float64: 0x1p-52
    case .float16: 0x1p-10
    case .bfloat16: 0x1p-7
    default: 0x1p-23
    }
  }
}
