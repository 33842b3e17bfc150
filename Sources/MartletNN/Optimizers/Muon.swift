public import MartletCore
import MartletOps

private struct MuonRule: UpdateRule {
  var weightDecay: Double
  var momentum: Double
  var nesterov: Bool
  var coefficients: (Double, Double, Double)
  var epsilon: Double
  var iterations: Int
  var scaling: Muon.Scaling

  let slots = [Slot("momentum")]
  func update(taking inputs: inout [Tensor]) -> [Tensor] {
    let (p, g) = (inputs[0], inputs[1])
    let rate = inputs[2].cast(to: p.dtype)
    let b = blended(inputs[3], g, momentum)
    let direction = orthogonalized(nesterov ? blended(b, g, momentum) : b)
    return [shrunk(p, rate, weightDecay) - direction * (rate * scaling.factor(p.shape[0], p.shape[1])), b]
  }

  /// Near the orthogonal matrix that is nearest to `x`: an odd polynomial of the singular values, applied several times,
  /// brings all of them near 1.
  private func orthogonalized(_ x: Tensor) -> Tensor {
    let isTall = x.shape[0] > x.shape[1]
    var y = isTall ? x.transposed() : x
    y = y / maximum(sqrt(square(y).sum()), epsilon)
    for _ in 0..<iterations {
      let gram = matmul(y, y.transposed())
      y = y * coefficients.0 + matmul(gram * coefficients.1 + matmul(gram, gram) * coefficients.2, y)
    }
    return isTall ? y.transposed() : y
  }
}

/// Momentum whose matrix is made nearly orthogonal, for the weights of hidden layers: matrices alone.
///
/// `b ← momentum · b + (1 - momentum) · g`, `u = momentum · b + (1 - momentum) · g` (Nesterov), `p ← p (1 - rate · weightDecay) - rate ·
/// scale · orthogonal(u)`, by five iterations of Newton and Schulz. Source: Jordan and others 2024; PyTorch `Muon`, which
/// iterates in bfloat16; here it is the parameter's dtype.
///
/// Biases, embeddings and the last layer go to another optimizer:
///
///     let matrices = model.parameters.filter { $0.shape.rank == 2 }
///     let others = model.parameters.filter { $0.shape.rank != 2 }
///     let optimizer = OptimizerGroup([Muon(matrices, learningRate: 0.02), AdamW(others, learningRate: 1e-3)])
public final class Muon: ParameterOptimizer {
  /// How the step depends on the shape `[A, B]` of the matrix.
  public enum Scaling: String, Sendable, CustomStringConvertible {
    /// `√max(1, A / B)`.
    case original
    /// `0.2 √max(A, B)`: steps as large as AdamW's, whose rates and weight decays then fit.
    case likeAdamW

    public var description: String { rawValue }
    func factor(_ rows: Int, _ columns: Int) -> Double {
      switch self {
      case .original: Swift.max(1, Double(rows) / Double(Swift.max(1, columns))).squareRoot()
      case .likeAdamW: 0.2 * Double(Swift.max(rows, columns)).squareRoot()
      }
    }
  }

  /// - Parameters:
  ///   - parameters: of rank 2; any other is an error.
  ///   - learningRate: 0 or more, like `weightDecay`; what is out of its range, or no number, is an error.
  ///   - momentum: 0 … 1.
  ///   - coefficients: of `x`, `x³` and `x⁵` in the polynomial.
  ///   - iterations: 0 or more.
  public init(
    _ parameters: [Parameter], learningRate: Double = 1e-3, weightDecay: Double = 0.1, momentum: Double = 0.95,
    nesterov: Bool = true, coefficients: (Double, Double, Double) = (3.4445, -4.775, 2.0315), epsilon: Double = 1e-7,
    iterations: Int = 5, scaling: Scaling = .original
  ) {
    super.init(
      "Muon", parameters, learningRate: learningRate,
      MuonRule(
        weightDecay: weightDecay, momentum: momentum, nesterov: nesterov, coefficients: coefficients, epsilon: epsilon,
        iterations: Swift.max(0, iterations), scaling: scaling),
      [
        ("weightDecay", weightDecay, .rate), ("momentum", momentum, .share),
        ("coefficients.0", coefficients.0, .finite),
        ("coefficients.1", coefficients.1, .finite), ("coefficients.2", coefficients.2, .finite),
        ("epsilon", epsilon, .divisor),
      ])
    if iterations < 0 {
      fail(OpError(.count(name: "iterations", iterations, allowed: "0 or more"), op: "Muon"))
    }
    if let wrong = parameters.first(where: { $0.shape.rank != 2 }) {
      fail(
        OpError(
          .misuse(
            "the parameter \(wrong.name) has shape \(wrong.shape)", rule: "the parameters of Muon are matrices",
            remedy: "give the others to AdamW, and both to OptimizerGroup([Muon(matrices), AdamW(others)])"),
          op: "Muon"))
    }
  }
}
