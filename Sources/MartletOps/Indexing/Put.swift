public import MartletCore

// Writes at indices that give a changed tensor; `x[i, j] = values` writes into a variable.

extension Tensor {
  /// This tensor with `values` at `indices` of the first axes: `y[i, j] = values` for two tensors of indices, which broadcast
  /// with one another, and values that broadcast to them and the axes that are left.
  ///
  /// Negative indices count from the end. Of repeated indices the last counts, or with `accumulate` all are added up.
  /// Source: PyTorch `index_put`.
  public func putting(_ indices: [Tensor], _ values: Tensor, accumulate: Bool = false) -> Tensor {
    let op = "putting"
    func wrong(_ fact: Fact) -> Tensor { failure(fact, op: op, [self, values], names: ["x", "values"]) }
    guard !indices.isEmpty, indices.count <= rank else {
      return wrong(
        .misuse(
          ErrorText.counted(indices.count, "tensor") + " of indices for \(ErrorText.counted(rank, "axis", "axes"))",
          rule: "one for each of the first axes, at least one"))
    }
    guard values.dtype == dtype else { return wrong(.dtypesDiffer) }
    var joined: Tensor?
    let code = IndexCode(axes: Array(0..<indices.count), sizes: Array(shape[..<indices.count]))
    var outside: [(position: Int, isOut: Tensor, index: Tensor)] = []
    for (axis, tensor) in indices.enumerated() {
      guard tensor.dtype == .int64 || tensor.dtype == .int32 else {
        return wrong(
          .misuse(
            "a tensor of indices is \(tensor.dtype)", rule: "int64 or int32", remedy: "x[mask] = values for a mask"))
      }
      let size = shape[axis]
      let wide = tensor.cast(to: .int64)
      let index = select((wide .< 0) .& (wide .>= -size), wide + size, wide)
      outside.append((axis, (index .< 0) .| (index .>= size), wide))
      guard let before = joined else {
        joined = index
        continue
      }
      guard before.shape.broadcast(with: index.shape) != nil else {
        return wrong(
          .misuse("the indices have shapes \(before.shape) and \(index.shape)", rule: "they broadcast with one another")
        )
      }
      joined = before * size + index
    }
    var index = joined!
    for (position, isOut, wide) in outside.reversed() { index = select(isOut, code.code(position, wide), index) }
    let rest = Array(shape[indices.count...])
    let table = reshaped(Shape([shape[..<indices.count].reduce(1, *)] + rest))
    let taken = Shape(Array(index.shape) + rest)
    guard values.shape.broadcast(with: taken) == taken else { return wrong(.sliceValue(values.shape, region: taken)) }
    let inputs = [table, index, values.expanded(to: taken)]
    let written =
      accumulate ? apply(TakeAdd(axis: 0, code: code), inputs) : apply(TakeUpdate(axis: 0, code: code), inputs)
    return written[0].reshaped(shape)
  }

  /// This tensor with slices of `values`, times `scale`, added at `indices` along an axis; repeated indices add up.
  ///
  /// `values` has this tensor's shape, but for the axis, which is replaced by those of `indices`. Source: PyTorch `index_add`.
  public func indexAdding(axis: Int, _ indices: Tensor, _ values: Tensor, scale: Double = 1) -> Tensor {
    guard let position = position(of: axis, op: "indexAdding") else { return afterFailure }
    let scaled = scale == 1 ? values : (values * scale).cast(to: values.dtype)
    return apply(TakeAdd(axis: position), [self, indices, scaled])[0]
  }
  /// This tensor with slices replaced by those of `values` at `indices` along an axis; of repeated indices the last counts.
  /// Source: PyTorch `index_copy`.
  public func indexUpdating(axis: Int, _ indices: Tensor, _ values: Tensor) -> Tensor {
    guard let position = position(of: axis, op: "indexUpdating") else { return afterFailure }
    return apply(TakeUpdate(axis: position), [self, indices, values])[0]
  }
  /// This tensor with a number in the slices at `indices` along an axis. Source: PyTorch `index_fill`.
  public func indexFilling(axis: Int, _ indices: Tensor, _ value: Double) -> Tensor {
    guard let position = position(of: axis, op: "indexFilling") else { return afterFailure }
    let values = Tensor(scalar: value, dtype, device: device).expanded(to: takenShape(shape, indices.shape, position))
    return apply(TakeUpdate(axis: position), [self, indices, values])[0]
  }

  /// One element for each index along an axis, as `gather`, where the other axes of this tensor and of `indices` broadcast.
  /// `x.takeAlongAxis(x.argSort(axis: 1), axis: 1)` sorts. Source: PyTorch `take_along_dim`.
  public func takeAlongAxis(_ indices: Tensor, axis: Int) -> Tensor {
    guard let position = position(of: axis, op: "takeAlongAxis") else { return afterFailure }
    var (own, other) = (shape, indices.shape)
    guard own.rank == other.rank else {
      return failure(
        .rank(argument: 1, expected: "\(rank), as that of x"), op: "takeAlongAxis", [self, indices],
        names: ["x", "indices"])
    }
    (own[position], other[position]) = (1, 1)
    guard var common = own.broadcast(with: other) else {
      return failure(.broadcast, op: "takeAlongAxis", [self, indices], names: ["x", "indices"])
    }
    common[position] = shape[position]
    let x = expanded(to: common)
    common[position] = indices.shape[position]
    return x.gather(axis: position, indices.expanded(to: common))
  }

  /// The elements where a bool mask is true, as a vector; mask and tensor broadcast. The size depends on values: an error
  /// inside `compile` and for a mapped mask. Source: PyTorch `masked_select`.
  public func maskedSelect(_ mask: Tensor) -> Tensor {
    guard mask.dtype == .bool else {
      return failure(.dtype(argument: 1, expected: "bool"), op: "maskedSelect", [self, mask], names: ["x", "mask"])
    }
    guard let common = shape.broadcast(with: mask.shape) else {
      return failure(.broadcast, op: "maskedSelect", [self, mask], names: ["x", "mask"])
    }
    return expanded(to: common).reshaped([-1])[mask.expanded(to: common).reshaped([-1])]
  }

  /// This tensor with the elements of `source`, one after the other, where a bool mask is true; the mask broadcasts to this
  /// tensor. An error when `source` has fewer elements than the mask has places. Source: PyTorch `masked_scatter`.
  public func maskedScattering(_ mask: Tensor, _ source: Tensor) -> Tensor {
    func wrong(_ fact: Fact) -> Tensor {
      failure(fact, op: "maskedScattering", [self, mask, source], names: ["x", "mask", "source"])
    }
    guard mask.dtype == .bool else { return wrong(.dtype(argument: 1, expected: "bool")) }
    guard source.dtype == dtype else { return wrong(.dtype(argument: 2, expected: "\(dtype), as x")) }
    guard mask.shape.broadcast(with: shape) == shape else { return wrong(.broadcast) }
    if count == 0 { return self }
    let flat = mask.expanded(to: shape).reshaped([-1])
    let place = select(flat, flat.cast(to: .int64).cumsum(axis: 0) - 1, 0)
    if flat.missingValue == nil, !flat.isError {
      let needed = flat.cast(to: .int64).sum().item(as: Int.self)
      guard needed <= source.count else {
        return wrong(
          .misuse(
            "the mask has \(ErrorText.counted(needed, "place")), the source \(ErrorText.counted(source.count, "element"))",
            rule: "at least as many elements as places"))
      }
      if needed == 0 { return self }
    }
    return select(flat.reshaped(shape), source.flattened().take(axis: 0, place).reshaped(shape), self)
  }
}
