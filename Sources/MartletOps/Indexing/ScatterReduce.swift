public import MartletCore

/// What `scatterReduced` makes of the values that meet at one place.
public enum ScatterReduction: String, Sendable, Hashable { case sum, product, mean, maximum, minimum }

/// `y = x; y[i, indices[i, j, k], k] ∘= values[i, j, k]` for axis 1, where ∘ is a product, a maximum or a minimum. NaN wins
/// in the latter.
public struct ScatterReduce: IndexingOp {
  public static var id: OpID { OpTable.scatterReduce.id }
  public static var name: String { "scatterReduce" }
  public static var argumentNames: [String] { ["x", "indices", "values"] }
  public enum Kind: String, Sendable, Hashable, Codable { case product, maximum, minimum }
  public let axis: Int
  public let kind: Kind
  public init(axis: Int, _ kind: Kind) {
    self.axis = axis
    self.kind = kind
  }
  public var attributes: String { "axis=\(axis), \(kind)" }
  public func takeover(output: Int) -> Int? { output == 0 ? 0 : nil }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    for (position, input) in inputs.enumerated() where input.dtype.isComplex {
      throw OpError(.dtype(argument: position, expected: Domain.real.rawValue))
    }
    return try ScatterAdd(axis: axis).outputs(for: inputs)
  }
  public func saves(needs: Positions) -> Saves {
    Saves(inputs: [0, 1, 2], outputs: kind == .product ? [] : [0])
  }

  /// The derivative of the result by `x`, and by each of the values.
  private func slopes(_ x: Tensor, _ indices: Tensor, _ values: Tensor, _ result: Tensor?) -> (Tensor, Tensor) {
    let dtype = x.dtype
    func at(_ table: Tensor) -> Tensor { table.gather(axis: axis, indices) }
    guard kind == .product else {
      // Elements that are equal to the result share it.
      let (own, others) = ((x .== result!).cast(to: dtype), (values .== at(result!)).cast(to: dtype))
      let share = 1 / maximum(own.scatterAdding(axis: axis, indices, others), 1)
      return (own * share, others * at(share))
    }
    // The product of all others: without the zeros, of which there may be one.
    let (ownZero, otherZero) = (x .== 0, values .== 0)
    let zeros = ownZero.cast(to: dtype).scatterAdding(axis: axis, indices, otherZero.cast(to: dtype))
    let (own, others) = (select(ownZero, 1, x), select(otherZero, 1, values))
    let product = apply(self, [own, indices, others])[0]
    let (alone, none) = (select(zeros .== 1, product, 0), select(zeros .== 0, product, 0))
    return (select(ownZero, alone, none / own), select(otherZero, at(alone), at(none) / others))
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let indices = saved.input(1)
    let (own, others) = slopes(
      saved.input(0), indices, saved.input(2), kind == .product ? nil : saved.output(0))
    return [
      needs[0] ? .dense(ct[0]! * own) : nil, nil,
      needs[2] ? .dense(ct[0]!.gather(axis: axis, indices) * others) : nil,
    ]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    guard t[0] != nil || t[2] != nil else { return [nil] }
    let (own, others) = slopes(inputs[0], inputs[1], inputs[2], outputs[0])
    let base = t[0].map { $0 * own } ?? Tensor(repeating: 0, inputs[0].spec)
    return [t[2].map { base.scatterAdding(axis: axis, inputs[1], $0 * others) } ?? base]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    apply(ScatterReduce(axis: axis + 1, kind), allMapped(inputs, mapped))
  }
}

extension DType {
  /// What changes no maximum, or no minimum, of elements of the dtype.
  fileprivate func neutral(_ kind: ScatterReduce.Kind, _ device: Device) -> Tensor {
    if isFloating { return Tensor(scalar: kind == .maximum ? -.infinity : .infinity, self, device: device) }
    let range: (Int, Int) =
      switch self {
      case .bool: (0, 1)
      case .uint8: (0, 255)
      case .int8: (-128, 127)
      case .int16: (-32768, 32767)
      case .int32: (Int(Int32.min), Int(Int32.max))
      case .uint32: (0, Int(UInt32.max))
      default: (Int.min, Int.max)
      }
    return Tensor(kind == .maximum ? range.0 : range.1, device: device).cast(to: self)
  }
}

extension Tensor {
  /// This tensor with `values` combined at `indices` along an axis: summed up, multiplied, averaged, or the largest or the
  /// smallest of them.
  ///
  /// `x.scatterReduced(axis: 0, indices, values, .maximum)`: `indices` is integer, of this tensor's rank and of its sizes but
  /// along `axis`, and `values` has its shape. Means of integers are rounded down. Where elements are equally large they share
  /// the gradient; that of a product holds where elements are 0. Source: PyTorch `scatter_reduce`.
  ///
  /// - Parameter includeSelf: whether this tensor's elements are among what is combined; if not, they stay where no index
  ///   points to.
  public func scatterReduced(
    axis: Int, _ indices: Tensor, _ values: Tensor, _ reduction: ScatterReduction, includeSelf: Bool = true
  ) -> Tensor {
    guard let position = position(of: axis, op: "scatterReduced") else { return afterFailure }
    if reduction == .sum, includeSelf { return scatterAdding(axis: position, indices, values) }
    let indexSpec = indices.spec
    do throws(OpError) { _ = try ScatterAdd(axis: position).outputs(for: [spec, indexSpec, values.spec]) } catch {
      return failed(ScatterAdd(axis: position), error, [self, indices, values])[0]
    }
    // How often an index points to a place.
    func hits() -> Tensor {
      Tensor(repeating: 0, spec.with(.int64)).scatterAdding(
        axis: position, indices, Tensor(repeating: 1, indexSpec.with(.int64)))
    }
    func base(_ neutral: Tensor) -> Tensor { includeSelf ? self : select(hits() .> 0, neutral, self) }
    func combined(_ kind: ScatterReduce.Kind, _ neutral: Tensor) -> Tensor {
      apply(ScatterReduce(axis: position, kind), [base(neutral), indices, values])[0]
    }
    let zero = Tensor(scalar: 0, dtype, device: device)
    switch reduction {
    case .sum: return base(zero).scatterAdding(axis: position, indices, values)
    case .product: return combined(.product, Tensor(scalar: 1, dtype, device: device))
    case .maximum: return combined(.maximum, dtype.neutral(.maximum, device))
    case .minimum: return combined(.minimum, dtype.neutral(.minimum, device))
    case .mean:
      let counts = includeSelf ? hits() + 1 : maximum(hits(), 1)
      let sums = base(zero).scatterAdding(axis: position, indices, values)
      return dtype.isFloating ? sums / counts.cast(to: dtype) : floorDivide(sums, counts.cast(to: dtype))
    }
  }
}
