public import MartletCore
import MartletOps

private struct SparseAdamRule: UpdateRule {
  var betas: (Double, Double)
  var epsilon: Double

  let slots = [Slot("m"), Slot("v"), Slot("step", .scalar(0))]
  var rows: RowGradients { .needed("Adam; or Embedding(…, sparse: true), stepped outside of compile") }
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    let (p, g, step) = (inputs[0], inputs[1], inputs[5] + 1)
    let m = blended(inputs[3], g, betas.0)
    let v = blended(inputs[4], g * g, betas.1)
    let size = inputs[2] * sqrt(correction(betas.1, step)) / correction(betas.0, step)
    return [p - size.cast(to: p.dtype) * m / (sqrt(v) + epsilon), m, v, step]
  }
}

/// Adam for gradients that are kept as rows: only these rows of the parameter and of the moments change.
///
/// `m ← β₁m + (1 - β₁)g`, `v ← β₂v + (1 - β₂)g²`, `p ← p - rate · √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε)` for the rows of
/// the gradient, where `t` counts the steps of the whole table. A row that was not looked up keeps its moments as they are,
/// where Adam's would fade. A dense gradient is an error, also that inside `compile`. Source: PyTorch `SparseAdam`.
public final class SparseAdam: ParameterOptimizer {
  /// - Parameters:
  ///   - learningRate: 0 or more, like `epsilon`; what is out of its range, or no number, is an error.
  ///   - betas: each at least 0 and below 1.
  public init(
    _ parameters: [Parameter], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999),
    epsilon: Double = 1e-8
  ) {
    super.init(
      "SparseAdam", parameters, learningRate: learningRate, SparseAdamRule(betas: betas, epsilon: epsilon),
      checks(betas, epsilon, 0).filter { $0.name != "weightDecay" })
  }
}
