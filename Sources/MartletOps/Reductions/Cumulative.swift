public import MartletCore

// Made over doubling distances, as `cumprod`.

extension Tensor {
  /// Each element combined with all before it along an axis, for an associative operation on states of several tensors.
  private static func scanned(_ state: [Tensor], axis: Int, _ combine: ([Tensor], [Tensor]) -> [Tensor]) -> [Tensor] {
    var state = state
    let size = state[0].shape[axis]
    var distance = 1
    while distance < size {
      let parts = state.map { $0.split([distance, size - distance], axis: axis) }
      let earlier = state.map { $0.split([size - distance, distance], axis: axis)[0] }
      let later = combine(earlier, parts.map { $0[1] })
      state = zip(parts, later).map { concat([$0[0], $1], axis: axis) }
      distance *= 2
    }
    return state
  }

  private func cumulativeExtreme(_ axis: Int, op: String, _ wins: (Tensor, Tensor) -> Tensor)
    -> (values: Tensor, indices: Tensor)
  {
    guard let position = position(of: axis, op: op) else { return (afterFailure, afterFailure) }
    let x = dtype == .bool ? detached().cast(to: .uint8) : detached()
    var own = Shape(repeating: 1, count: rank)
    own[position] = shape[position]
    let places = Tensor(Array(0..<shape[position]), shape: own, device: device).expanded(to: shape)
    let indices = Tensor.scanned([x, places], axis: position) { earlier, later in
      // NaN wins, and of equal elements the later one.
      var isLater = wins(later[0], earlier[0])
      if x.dtype.isFloating { isLater = later[0].isNaN .| (isLater .& .!earlier[0].isNaN) }
      return [select(isLater, later[0], earlier[0]), select(isLater, later[1], earlier[1])]
    }[1]
    return (gather(axis: position, indices), indices)
  }

  /// The largest of the first 1, 2, … elements along an axis, and where it is (`int64`): of equal ones the last. From a NaN on
  /// all are NaN. Source: PyTorch `cummax`.
  public func cumulativeMaximum(axis: Int) -> (values: Tensor, indices: Tensor) {
    cumulativeExtreme(axis, op: "cumulativeMaximum") { $0 .>= $1 }
  }
  /// The smallest of the first 1, 2, … elements along an axis, and where it is (`int64`): of equal ones the last. From a NaN
  /// on all are NaN. Source: PyTorch `cummin`.
  public func cumulativeMinimum(axis: Int) -> (values: Tensor, indices: Tensor) {
    cumulativeExtreme(axis, op: "cumulativeMinimum") { $0 .<= $1 }
  }

  /// `log(Σ exp(x))` of the first 1, 2, … elements along an axis, without overflow; integers give `float32`. Where all of them
  /// are -∞ the gradient is 0. Source: PyTorch `logcumsumexp`.
  public func logCumulativeSumExp(axis: Int) -> Tensor {
    guard let position = position(of: axis, op: "logCumulativeSumExp") else { return afterFailure }
    let x = dtype.isFloating ? self : cast(to: .float32)
    return Tensor.scanned([x], axis: position) { earlier, later in
      let (a, b) = (earlier[0], later[0])
      let top = maximum(a, b).detached()
      let shift = select(top.isFinite, top, 0)
      let isEmpty = top .== -Double.infinity
      let sum = log(exp(select(isEmpty, 0, a) - shift) + exp(select(isEmpty, 0, b) - shift)) + shift
      return [select(isEmpty, -Double.infinity, sum)]
    }[0]
  }
}
