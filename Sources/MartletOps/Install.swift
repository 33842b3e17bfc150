package import MartletCore

/// Gives the transforms of the core the operations they need. Called once, at first use.
@c(martlet_install_ops) public func installOps() {
  TransformOps.install(
    TransformOps(
      accumulate: { target, value in
        target = taking(Add(), &target, [value])
      },
      accumulateRegion: { target, value, region in
        target = taking(SliceAdd(region: region), &target, [value])
      },
      embed: { value, shape, region in apply(Embed(shape: shape, region: region), value) },
      clearRegion: { target, region in
        let zeros = Tensor(repeating: 0, target.spec.with(shape: region.sizes))
        target = taking(SliceUpdate(region: region), &target, [zeros])
      },
      accumulateRows: { target, values, indices, axis in
        target = taking(TakeAdd(axis: axis), &target, [indices, values])
      },
      sum: { value, shape in value.summed(to: shape) },
      fill: { value, spec in Tensor(repeating: value, spec) },
      expand: { x, size in x.expanded(to: x.shape.inserting(size, at: 0)) },
      moveAxis: { x, from, to in x.movingAxis(from, to: to) },
      basis: { spec in
        Tensor.identity(spec.count, dtype: spec.dtype, device: spec.device).reshaped(Shape([spec.count] + spec.shape))
      },
      copy: { x, device in x.to(device) },
      reshape: { x, shape in x.reshaped(shape) },
      firstRows: { x, count in x[..<count] },
      permute: { Permute(order: Shape($0)) },
      passes: [
        .algebra, .deadCode, .commonSubexpressions, .attention, .pooling, .channelsLast, .normalizeRelu, .epilogues,
        .matmulEpilogues, .updates, .deadCode, .recomputation, .fusion, .reductions,
      ],
      operations: OpTable.allCases.map { $0.type }
    ))
}

/// Runs an operation that may write its result over `target`, if nobody else holds that. After an error the result is the
/// target as it was.
package func taking<O: Op>(_ op: O, _ target: inout Tensor, _ others: [Tensor]) -> Tensor {
  var inputs = [target] + others
  target = others[0]  // lets go of the elements
  let result = apply(op, taking: &inputs)[0]
  return result.isError ? inputs[0] : result
}
