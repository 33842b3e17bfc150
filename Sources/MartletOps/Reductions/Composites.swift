public import MartletCore

// Reductions that are made of other operations.

extension Tensor {
  /// True where an element over `axes`, all by default, is not zero; false when there is none.
  public func any(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
    (self .!= 0).sum(axes: axes, keepDims: keepDims) .> 0
  }
  /// True where no element over `axes`, all by default, is zero; also when there is none.
  public func all(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
    (self .== 0).sum(axes: axes, keepDims: keepDims) .== 0
  }
  /// True where an element along one axis is not zero.
  public func any(axis: Int, keepDims: Bool = false) -> Tensor { any(axes: [axis], keepDims: keepDims) }
  /// True where no element along one axis is zero.
  public func all(axis: Int, keepDims: Bool = false) -> Tensor { all(axes: [axis], keepDims: keepDims) }

  /// The product over `axes`, all by default; 1 when there is nothing to multiply. Bool and integers give `int64`.
  ///
  /// It is a tree of products, so that all derivatives hold where elements are 0.
  public func prod(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
    guard let positions = positions(of: axes, op: "prod") else { return afterFailure }
    let kept = (0..<rank).filter { !positions[$0] }
    let reduced = (0..<rank).filter { positions[$0] }
    let result = reducedShape(shape, positions, keepDims: keepDims)
    let keptShape = kept.map { shape[$0] }
    var x = (dtype.isInexact ? self : cast(to: .int64)).permuted(kept + reduced)
    x = x.reshaped(Shape([keptShape.reduce(1, *), reduced.reduce(1) { $0 * shape[$1] }]))
    if x.shape[1] == 0 { return Tensor(repeating: 1, x.spec.with(shape: result)) }
    while x.shape[1] > 1 {
      let half = x.shape[1] / 2
      let parts = x.split([half, half, x.shape[1] - 2 * half], axis: 1)
      let products = parts[0] * parts[1]
      x = parts[2].shape[1] == 0 ? products : concat([products, parts[2]], axis: 1)
    }
    return x.reshaped(result)
  }
  /// The product along one axis.
  public func prod(axis: Int, keepDims: Bool = false) -> Tensor { prod(axes: [axis], keepDims: keepDims) }

  /// The variance over `axes`, all by default: `Σ (x - mean)² / (n - correction)`; integers give `float32`.
  ///
  /// - Parameter correction: 1 for the estimate from a sample, 0 for the variance of exactly these numbers. Where n is not
  ///   above it, the result is infinite or NaN.
  ///
  /// Source: PyTorch `var`.
  public func variance(axes: [Int]? = nil, correction: Double = 1, keepDims: Bool = false) -> Tensor {
    guard let positions = positions(of: axes, op: "variance") else { return afterFailure }
    let count = (0..<rank).reduce(1) { positions[$1] ? $0 * shape[$1] : $0 }
    let centred = self - mean(axes: axes, keepDims: true)
    let distance = dtype.isComplex ? MartletOps.abs(centred) : centred
    return (distance * distance).sum(axes: axes, keepDims: keepDims) / Swift.max(0, Double(count) - correction)
  }
  /// The variance along one axis.
  public func variance(axis: Int, correction: Double = 1, keepDims: Bool = false) -> Tensor {
    variance(axes: [axis], correction: correction, keepDims: keepDims)
  }

  /// The square root of the variance; where that is 0 the gradient is 0. Source: PyTorch `std`.
  public func standardDeviation(axes: [Int]? = nil, correction: Double = 1, keepDims: Bool = false) -> Tensor {
    variance(axes: axes, correction: correction, keepDims: keepDims).flatRoot(0.5)
  }
  /// The standard deviation along one axis.
  public func standardDeviation(axis: Int, correction: Double = 1, keepDims: Bool = false) -> Tensor {
    standardDeviation(axes: [axis], correction: correction, keepDims: keepDims)
  }

  /// A power of numbers that are not negative whose derivative at 0 is 0.
  package func flatRoot(_ exponent: Double) -> Tensor {
    let isZero = self .== 0
    let safe = select(isZero, 1, self)
    return select(isZero, 0, exponent == 0.5 ? sqrt(safe) : pow(safe, exponent))
  }

  /// `log(Σ exp(x))` over `axes`, all by default, without overflow; integers give `float32`.
  public func logSumExp(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
    guard let positions = positions(of: axes, op: "logSumExp") else { return afterFailure }
    let x = dtype.isInexact ? self : cast(to: .float32)
    if count == 0 { return log(exp(x).sum(axes: axes, keepDims: keepDims)) }
    // The maximum is only a shift: no derivative passes through it.
    let top = x.detached().max(axes: axes, keepDims: true)
    let shift = select(top.isFinite, top, 0)
    let sum = log(exp(x - shift).sum(axes: axes, keepDims: true)) + shift
    return sum.reshaped(reducedShape(shape, positions, keepDims: keepDims))
  }
  /// `log(Σ exp(x))` along one axis, without overflow.
  public func logSumExp(axis: Int, keepDims: Bool = false) -> Tensor { logSumExp(axes: [axis], keepDims: keepDims) }

  /// The norm `(Σ |x|ᵖ)^(1/p)` over `axes`, all by default; integers give `float32`.
  ///
  /// - Parameter order: p. `.infinity` is the largest magnitude, `-.infinity` the smallest, 0 counts what is not 0.
  ///
  /// Where a norm is 0 its gradient is 0. Source: PyTorch `linalg.vector_norm`.
  public func norm(_ order: Double = 2, axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
    let x = dtype.isFloating ? self : dtype.isComplex ? MartletOps.abs(self) : cast(to: .float32)
    switch order {
    case .infinity: return MartletOps.abs(x).max(axes: axes, keepDims: keepDims)
    case -.infinity: return MartletOps.abs(x).min(axes: axes, keepDims: keepDims)
    case 0: return (x .!= 0).sum(axes: axes, keepDims: keepDims).cast(to: x.dtype)
    case 1: return MartletOps.abs(x).sum(axes: axes, keepDims: keepDims)
    case 2: return (x * x).sum(axes: axes, keepDims: keepDims).flatRoot(0.5)
    default:
      guard order > 0 else {
        return failure(
          .misuse("the order is \(order)", rule: "the order is 0 or more, or -infinity"), op: "norm", [self])
      }
      return MartletOps.abs(x).flatRoot(order).sum(axes: axes, keepDims: keepDims).flatRoot(1 / order)
    }
  }
  /// The norm along one axis.
  public func norm(_ order: Double = 2, axis: Int, keepDims: Bool = false) -> Tensor {
    norm(order, axes: [axis], keepDims: keepDims)
  }
}
