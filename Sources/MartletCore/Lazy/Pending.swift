internal import CKernels
import Synchronization

/// The cells that were written in a `lazy` scope; they are forced when it ends.
package final class LazyScope {
  private var cells: [ObjectIdentifier: Cell] = [:]
  private var order: [Cell] = []

  func wrote(_ cell: Cell) {
    if cells.updateValue(cell, forKey: ObjectIdentifier(cell)) == nil { order.append(cell) }
  }

  func force() {
    for cell in order {
      guard let value = cell.read(), value.node.trace is Pending else { continue }
      cell.write(value.resolved())
    }
  }
}

/// Runs `body` on demand: operations on tensors are noted, and run when a value is read.
///
/// The results of `body` may still be pending; they run when they are read. Cells written in `body` (parameters, moments)
/// have run when `lazy` returns.
public func lazy<R>(_ body: () throws -> R) rethrows -> R {
  let scope = LazyScope()
  return try Context.with({ here in
    here.pointee.depth += 1
    here.pointee.lazy_level = here.pointee.depth
    here.pointee.flags |= UInt32(CK_LAZY)
    here.pointee.lazy = Unmanaged.passUnretained(scope).toOpaque()
  }) {
    // Also when `body` throws: what it had written has run.
    defer {
      Context.with({
        $0.pointee.flags &= ~UInt32(CK_LAZY)
        $0.pointee.lazy = nil
      }) { scope.force() }
    }
    return try body()
  }
}

/// An operation that has not run yet.
package final class Pending: Trace {
  private struct Work {
    var op: (any Op)?
    var inputs: [Tensor]
    var results: [Tensor]
  }
  private let work: Mutex<Work>
  /// Whether gradients were recorded where the operation was called.
  private let records: Bool

  private init(op: any Op, inputs: [Tensor], level: Int32, records: Bool) {
    work = Mutex(Work(op: op, inputs: inputs, results: []))
    self.records = records
    super.init(level: level)
  }

  /// Notes an operation. Its rule has been asked, so errors come at the call.
  static func apply<O: Op>(_ op: O, _ inputs: [Tensor], level: Int32) -> [Tensor] {
    let specs: [TensorSpec]
    do throws(OpError) {
      if let device = inputs.first?.device {
        for input in inputs where input.device != device { throw OpError(.devicesDiffer) }
      }
      specs = try op.outputs(for: inputs.map { $0.spec })
    } catch { return failed(op, error, inputs) }
    let records = ck_here().pointee.flags & UInt32(CK_NO_RECORD) == 0
    let pending = Pending(op: op, inputs: inputs, level: level, records: records)
    return specs.enumerated().map { Tensor(node: TensorNode(spec: $0.element, trace: pending, output: $0.offset)) }
  }

  /// Outside of the scope, or below another trace: the inputs are run, and the operation at once.
  package override func apply<O: Op>(_ op: O, _ inputs: [Tensor]) -> [Tensor] {
    applyDown(op, inputs.map { $0.resolved() })
  }

  /// The result, after running what it needs. Runs without recursion, however long the chain.
  package func forced(output: Int) -> Tensor {
    var stack: [Pending] = [self]
    Context.with({
      $0.pointee.flags &= ~UInt32(CK_LAZY)
      $0.pointee.flags |= UInt32(CK_FORCED)
      $0.pointee.lazy = nil
    }) {
      while let top = stack.last {
        let needed = top.missing()
        if needed.isEmpty {
          top.run()
          stack.removeLast()
        } else {
          stack.append(contentsOf: needed)
        }
      }
    }
    return work.withLock { $0.results[output] }
  }

  /// Inputs that have not run.
  private func missing() -> [Pending] {
    work.withLock { work in
      guard work.results.isEmpty else { return [] }
      return work.inputs.compactMap { input in
        guard let pending = input.node.trace as? Pending, !pending.hasRun else { return nil }
        return pending
      }
    }
  }

  package var hasRun: Bool { work.withLock { !$0.results.isEmpty } }

  private func run() {
    // Operations are pure, so two tasks that force the same tensor at once agree; the first result stays.
    let (op, inputs, done) = work.withLock { ($0.op, $0.inputs, !$0.results.isEmpty) }
    guard !done, let op else { return }
    let resolved = inputs.map { $0.resolved() }
    let results = Context.with({
      if records {
        $0.pointee.flags &= ~UInt32(CK_NO_RECORD)
      } else {
        $0.pointee.flags |= UInt32(CK_NO_RECORD)
      }
    }) { runAny(op, resolved) }
    work.withLock { work in
      guard work.results.isEmpty else { return }
      work.results = results
      work.op = nil
      work.inputs = []
    }
  }

  /// Frees a chain of pending operations without recursion, like that of records.
  deinit {
    var inputs = work.withLock { work in
      defer { work.inputs = [] }
      return work.inputs
    }
    for input in inputs where releaseLater(input.node) {}  // held by the list from here on
    releasing { inputs = [] }
  }
}

private func runAny(_ op: any Op, _ inputs: [Tensor]) -> [Tensor] { apply(any: op, inputs) }

extension Tensor {
  /// The tensor with pending operations run; other traces stay.
  package func resolved() -> Tensor {
    var tensor = self
    while let pending = tensor.node.trace as? Pending { tensor = pending.forced(output: Int(tensor.node.output)) }
    return tensor
  }

  /// What a transform of `level` gives back: operations pending in a `lazy` inside of it are run, for they hide its trace.
  package func resolved(above level: Int32) -> Tensor {
    var tensor = self
    while let pending = tensor.node.trace as? Pending, pending.level > level {
      tensor = pending.forced(output: Int(tensor.node.output))
    }
    return tensor
  }
}
