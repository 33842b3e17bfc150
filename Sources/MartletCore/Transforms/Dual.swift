/// Carries a tangent: forward mode.
package final class Dual: Trace {
  let scope: TransformScope
  let tangent: Tensor

  package override var isOver: Bool { scope.isOver }
  package override var hasValue: Bool { true }

  init(scope: TransformScope, tangent: Tensor) {
    self.scope = scope
    self.tangent = tangent
    super.init(level: scope.level)
  }

  package override func apply<O: Op>(_ op: O, _ inputs: [Tensor]) -> [Tensor] {
    let primals = inputs.map { $0.lowered(below: level) }
    if O.rules.contains(.constant) { return applyDown(op, primals) }
    guard O.rules.contains(.jvp) else { return checkedDecomposition(op, inputs) ?? applyDown(op, primals) }
    let outputs = applyDown(op, primals)
    if outputs.contains(where: { $0.node.trace is Failed }) { return outputs }
    let tangents = inputs.map { input -> Tensor? in
      guard let dual = input.node.trace as? Dual, dual.level == level else { return nil }
      return dual.tangent
    }
    return zip(outputs, op.jvp(tangents, primals, outputs)).map { output, tangent in
      guard let tangent, output.dtype.isInexact else { return output }
      return Tensor(
        node: TensorNode(spec: output.spec, trace: Dual(scope: scope, tangent: tangent), inner: output))
    }
  }
}

/// The value of `f` at `x`, and its derivative in the direction `tangent`, computed forward alongside the value.
///
/// `tangent` has the structure, shapes and dtypes of `x`.
public func jvp<T: TensorTree, R: TensorTree>(_ f: (T) -> R, _ x: T, _ tangent: T) -> (value: R, tangent: R) {
  let primals = x.flattened
  let tangents = tangent.flattened
  guard primals.count == tangents.count else {
    let error = failure(
      .structure(ErrorText.counts(tangents.count, "tangent", tensors: primals.count)), op: "jvp", primals)
    let result = withoutWrites { f(x) }
    return (result.mapTensors { _ in error }, result.mapTensors { _ in error })
  }
  for (primal, tangent) in zip(primals, tangents)
  where primal.shape != tangent.shape || primal.dtype != tangent.dtype {
    let error = failure(.cotangentSpec(expected: primal.spec), op: "jvp", [tangent])
    let result = withoutWrites { f(x) }
    return (result.mapTensors { _ in error }, result.mapTensors { _ in error })
  }
  return withTransform { scope in
    let result = f(
      x.replacing(
        zip(primals, tangents).map { primal, tangent in
          guard primal.dtype.isInexact else { return primal }
          return Tensor(
            node: TensorNode(spec: primal.spec, trace: Dual(scope: scope, tangent: tangent), inner: primal))
        }))
    let outputs = result.flattened.map { $0.resolved(above: scope.level) }
    let values = outputs.map { $0.lowered(below: scope.level) }
    let derivatives = outputs.map { output -> Tensor in
      if output.node.trace is Failed { return output }
      if let dual = output.node.trace as? Dual, dual.level == scope.level { return dual.tangent }
      return TransformOps.current.fill(0, output.spec)
    }
    return (result.replacing(values), result.replacing(derivatives))
  }
}
