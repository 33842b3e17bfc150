/// What a transform put on a tensor: how operations on it are handled.
///
/// A tensor carries at most one trace. `apply` gives an operation to the trace of the highest level among its inputs, which
/// follows its rule and calls `apply` one level down.
@usableFromInline package class Trace {
  /// Nesting of the transform that made it.
  package let level: Int32
  /// True for `Recorded`: quicker to read than a cast.
  let isRecord: Bool
  package init(level: Int32, isRecord: Bool = false) {
    self.level = level
    self.isRecord = isRecord
  }

  /// Handles an operation of which this trace has the highest level.
  package func apply<O: Op>(_ op: O, _ inputs: [Tensor]) -> [Tensor] { fatalError("abstract") }

  /// The same, where the operation may write over inputs that nobody else holds. After an error input 0 is as before.
  package func apply<O: Op>(_ op: O, taking inputs: inout [Tensor]) -> [Tensor] { apply(op, inputs) }

  /// The transform has returned; the tensor has escaped from it.
  package var isOver: Bool { false }
  /// The traced tensor has a value of its own, which stays valid when the transform has returned.
  package var hasValue: Bool { false }
  /// Said of a tensor of a transform that is over, when it has no value.
  package var escape: Fact { .escapedTransform("a transform") }
}

/// One call of a transform, to tell whether its tensors outlived it.
package final class TransformScope: @unchecked Sendable {
  package let level: Int32
  @exclusivity(unchecked) package final var isOver = false
  package init(level: Int32) { self.level = level }
}

extension Tensor {
  /// The tensor as seen `level` transforms deep: a trace of that level is taken off.
  @inline(__always)
  package func lowered(below level: Int32) -> Tensor {
    guard let trace = node.trace, trace.level >= level, let inner = node.inner else { return self }
    return inner.lowered(below: level)
  }

  /// Why there is no value to read: the tensor is mapped or symbolic.
  package var missingValue: Fact? {
    var tensor = self
    while let trace = tensor.node.trace {
      if let symbolic = trace as? Symbolic { return symbolic.valueFact }
      if trace is Mapped { return .valueOfMapped }
      guard let inner = tensor.node.inner else { return nil }
      tensor = inner
    }
    return nil
  }

  /// The plain tensor inside; an error for those that have none.
  package func concrete() throws(OpError) -> Tensor {
    var tensor = self
    while let trace = tensor.node.trace {
      switch trace {
      case let pending as Pending: tensor = pending.forced(output: Int(tensor.node.output))
      case let symbolic as Symbolic: throw OpError(symbolic.valueFact, arguments: [spec])
      case is Mapped: throw OpError(.valueOfMapped, arguments: [spec])
      case let failed as Failed: throw failed.error
      default: tensor = tensor.node.inner!
      }
    }
    return tensor
  }
}
