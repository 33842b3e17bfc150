public import MartletCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The shapes of windows for spectra.
public enum WindowFunction: Sendable, Hashable {
  case hann
  case hamming
  case blackman
  /// A triangle.
  case bartlett
  /// The wider the larger `beta`, 0 or more, is; PyTorch's default is 12.
  case kaiser(beta: Double)

  /// The value at a place in -1 … 1, where 0 is the middle.
  fileprivate func value(_ x: Double) -> Double {
    switch self {
    case .hann: 0.5 + 0.5 * cos(.pi * x)
    case .hamming: 0.54 + 0.46 * cos(.pi * x)
    case .blackman: 0.42 + 0.5 * cos(.pi * x) + 0.08 * cos(2 * .pi * x)
    case .bartlett: 1 - x.magnitude
    case .kaiser(let beta): bessel(beta * Swift.max(0, 1 - x * x).squareRoot()) / bessel(beta)
    }
  }
}

/// The modified Bessel function of the first kind and order 0, by its series.
private func bessel(_ x: Double) -> Double {
  var (term, sum, k) = (1.0, 1.0, 1.0)
  while term > sum * 1e-17 {
    term *= (x / (2 * k)) * (x / (2 * k))
    sum += term
    k += 1
  }
  return sum
}

extension Tensor {
  /// A window of `size` elements: `[size]`.
  ///
  /// - Parameters:
  ///   - size: 0 or more.
  ///   - periodic: whether it is one period of a periodic function, as spectra want it; else it is symmetric, as filters do.
  ///
  /// Source: PyTorch `hann_window`, `hamming_window`, `blackman_window`, `bartlett_window`, `kaiser_window`.
  public static func window(
    _ function: WindowFunction, _ size: Int, periodic: Bool = true, dtype: DType = .float32, device: Device = .current
  ) -> Tensor {
    guard size >= 0 else { return failure(.count(name: "size", size, allowed: "0 or more"), op: "window") }
    guard dtype.isFloating else {
      return failure(.misuse("the dtype is \(dtype)", rule: "a window is of a floating dtype"), op: "window")
    }
    if case .kaiser(let beta) = function, !(beta >= 0 && beta < 700) {
      return failure(.misuse("beta is \(beta)", rule: "0 ≤ beta < 700"), op: "window")
    }
    let last = Double(periodic ? size : size - 1)
    return Tensor.make(TensorSpec([size], dtype, device: device)) { target in
      for place in 0..<size {
        target.store(size == 1 ? 1 : function.value(2 * Double(place) / last - 1), place, dtype)
      }
    }
  }
}
