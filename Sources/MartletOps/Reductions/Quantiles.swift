public import MartletCore

/// What `quantile` takes where a share falls between two elements.
public enum QuantileInterpolation: String, Sendable, Hashable { case linear, lower, higher, midpoint, nearest }

extension Tensor {
  /// The `k`-th smallest element along an axis, counted from 1, and where it is (`int64`). NaN counts as the largest.
  /// Source: PyTorch `kthvalue`.
  public func kthValue(_ k: Int, axis: Int = -1, keepDims: Bool = false) -> (values: Tensor, indices: Tensor) {
    guard let position = position(of: axis, op: "kthValue") else { return (afterFailure, afterFailure) }
    guard k >= 1, k <= shape[position] else {
      let wrong = failure(
        .count(name: "k", k, allowed: "1 … \(shape[position]), the size of the axis"), op: "kthValue", [self])
      return (wrong, wrong)
    }
    let x = dtype == .bool ? cast(to: .uint8) : self
    let (values, indices) = x.topK(k, axis: position, largest: false)
    func last(_ tensor: Tensor) -> Tensor {
      let part = tensor.split([k - 1, 1], axis: position)[1]
      return keepDims ? part : part.squeezed(axis: position)
    }
    return (last(values).cast(to: dtype), last(indices))
  }

  /// The median along an axis, of an even number the lower of the two in the middle, and where it is (`int64`). Where there
  /// is a NaN it is that. Source: PyTorch `median`.
  public func median(axis: Int, keepDims: Bool = false) -> (values: Tensor, indices: Tensor) {
    guard let position = position(of: axis, op: "median") else { return (afterFailure, afterFailure) }
    guard shape[position] > 0 else {
      let wrong = failure(.emptyReduction(axis: axis), op: "median", [self])
      return (wrong, wrong)
    }
    var found = kthValue((shape[position] + 1) / 2, axis: position, keepDims: true).indices
    if dtype.isFloating {
      let isNaN = detached().isNaN
      // The first of them.
      let first = isNaN.cast(to: .uint8).argMax(axis: position, keepDims: true)
      found = select(isNaN.any(axis: position, keepDims: true), first, found)
    }
    let values = gather(axis: position, found)
    return keepDims ? (values, found) : (values.squeezed(axis: position), found.squeezed(axis: position))
  }
  /// The median of all elements, of an even number the lower of the two in the middle; NaN where there is one, and of none.
  public func median() -> Tensor {
    guard count > 0 || !dtype.isFloating else { return Tensor(scalar: .nan, dtype, device: device) }
    return flattened().median(axis: 0).values
  }

  /// The element below which a share `q` of the elements along an axis lies, of all by default; between two elements by
  /// `interpolation`. NaN where there is one. Floating tensors.
  ///
  /// - Parameter q: 0 … 1.
  ///
  /// Source: PyTorch `quantile`.
  public func quantile(
    _ q: Double, axis: Int? = nil, keepDims: Bool = false, interpolation: QuantileInterpolation = .linear
  ) -> Tensor {
    let all = quantile([q], axis: axis, keepDims: keepDims, interpolation: interpolation)
    return all.isError ? all : all.squeezed(axis: 0)
  }
  /// Several quantiles, along a new axis 0.
  public func quantile(
    _ q: [Double], axis: Int? = nil, keepDims: Bool = false, interpolation: QuantileInterpolation = .linear
  ) -> Tensor {
    guard dtype.isFloating else {
      return failure(.dtype(argument: 0, expected: Domain.floating.rawValue), op: "quantile", [self])
    }
    if let wrong = q.first(where: { !(0...1).contains($0) }) {
      return failure(.misuse("q is \(wrong)", rule: "0 ≤ q ≤ 1"), op: "quantile", [self])
    }
    guard let axis else {
      let result = flattened().quantile(q, axis: 0, interpolation: interpolation)
      return keepDims && !result.isError
        ? result.reshaped(Shape([q.count] + [Int](repeating: 1, count: rank))) : result
    }
    guard let position = position(of: axis, op: "quantile") else { return afterFailure }
    let size = shape[position]
    guard size > 0 else { return failure(.emptyReduction(axis: axis), op: "quantile", [self]) }
    let sorted = sorted(axis: position).values
    let hasNaN = detached().isNaN.any(axis: position, keepDims: keepDims)
    let found = q.map { q -> Tensor in
      func element(_ place: Double) -> Tensor {
        let part = sorted.split([Int(place), 1, size - 1 - Int(place)], axis: position)[1]
        return keepDims ? part : part.squeezed(axis: position)
      }
      let place = q * Double(size - 1)
      let (below, above) = (place.rounded(.down), place.rounded(.up))
      let value =
        switch interpolation {
        case .lower: element(below)
        case .higher: element(above)
        case .nearest: element(place.rounded(.toNearestOrEven))
        case .midpoint where below < above: element(below) + (element(above) - element(below)) * 0.5
        case .linear where below < above:
          element(below) + (element(above) - element(below)) * (place - below)
        default: element(below)
        }
      return select(hasNaN, Double.nan, value)
    }
    return stack(found)
  }

  /// The most frequent element along an axis, of several the smallest, and where it is last (`int64`). No NaN equals another.
  /// Source: PyTorch `mode`.
  public func mode(axis: Int = -1, keepDims: Bool = false) -> (values: Tensor, indices: Tensor) {
    guard let position = position(of: axis, op: "mode") else { return (afterFailure, afterFailure) }
    let size = shape[position]
    guard size > 0 else {
      let wrong = failure(.emptyReduction(axis: axis), op: "mode", [self])
      return (wrong, wrong)
    }
    let (sorted, order) = detached().sorted(axis: position)
    let parts = sorted.split([1, size - 1], axis: position)
    let isNew = parts[1] .!= sorted.split([size - 1, 1], axis: position)[0]
    let runs = concat(
      [Tensor(repeating: 0, parts[0].spec.with(.int64)), isNew.cast(to: .int64).cumsum(axis: position)],
      axis: position)
    let ones = Tensor(repeating: 1, runs.spec)
    let lengths = Tensor(repeating: 0, runs.spec).scatterAdding(axis: position, runs, ones)
    // The first of the longest runs, and its last element.
    let longest = lengths.argMax(axis: position, keepDims: true)
    let end = lengths.cumsum(axis: position).gather(axis: position, longest) - 1
    let found = order.gather(axis: position, end)
    let values = gather(axis: position, found)
    return keepDims ? (values, found) : (values.squeezed(axis: position), found.squeezed(axis: position))
  }

  /// The sum over `axes`, all by default, of the elements that are not NaN. Source: PyTorch `nansum`.
  public func nanSum(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
    (dtype.isFloating ? select(detached().isNaN, 0, self) : self).sum(axes: axes, keepDims: keepDims)
  }
  /// The sum along one axis of the elements that are not NaN.
  public func nanSum(axis: Int, keepDims: Bool = false) -> Tensor { nanSum(axes: [axis], keepDims: keepDims) }
  /// The mean over `axes`, all by default, of the elements that are not NaN; NaN where there is none. Floating tensors.
  /// Source: PyTorch `nanmean`.
  public func nanMean(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
    guard dtype.isFloating else {
      return failure(.dtype(argument: 0, expected: Domain.floating.rawValue), op: "nanMean", [self])
    }
    let counts = (.!detached().isNaN).sum(axes: axes, keepDims: keepDims)
    return nanSum(axes: axes, keepDims: keepDims) / counts.cast(to: dtype)
  }
  /// The mean along one axis of the elements that are not NaN.
  public func nanMean(axis: Int, keepDims: Bool = false) -> Tensor { nanMean(axes: [axis], keepDims: keepDims) }
}
