public import MartletCore
import MartletOps

/// Scales the gradients of parameters so that their norm, taken together, is at most `maxNorm`, and returns the norm before.
///
/// Source: PyTorch `clip_grad_norm_`, with its 1e-6 against a division by zero.
@discardableResult
public func clipGradients(_ parameters: [Parameter], toNorm maxNorm: Double) -> Tensor {
  withoutGradient {
    // In float32 or wider: squares of 16-bit floats overflow soon.
    let gradients = parameters.compactMap { $0.gradientValues }.map { $0.dtype.size < 4 ? $0.cast(to: .float32) : $0 }
    let dtype: DType = gradients.contains { $0.dtype == .float64 } ? .float64 : .float32
    let norm = sqrt(
      gradients.reduce(Tensor(scalar: 0, dtype, device: .current)) { sum, g in sum + (g * g).sum().cast(to: dtype) })
    let scale = minimum(maxNorm / (norm + 1e-6), 1)
    for parameter in parameters {
      guard let g = parameter.gradientValues else { continue }
      parameter.gradientValues = g * scale.cast(to: g.dtype)
    }
    return norm
  }
}

/// Cuts each element of the gradients of parameters to -`limit` … `limit`. Source: PyTorch `clip_grad_value_`.
public func clipGradients(_ parameters: [Parameter], toValue limit: Double) {
  withoutGradient {
    for parameter in parameters {
      guard let g = parameter.gradientValues else { continue }
      parameter.gradientValues = maximum(minimum(g, limit), -limit)
    }
  }
}
