public import MartletCore
internal import CKernels

/// `x` as it is; when it is computed, a line with a message and tensors is printed.
///
/// Inputs: x, then what is printed.
public struct Print: PassThrough {
  public static var id: OpID { OpTable.print.id }
  public static var name: String { "printed" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public var effect: Effect { .ordered }
  public let message: String
  public init(message: String) { self.message = message }

  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard let x = inputs.first else { throw OpError(.numberOfInputs(0, expected: "1 or more")) }
    return [x]
  }
  public func takeover(output: Int) -> Int? { 0 }
  /// On every device: the values are waited for, and the result is the input itself.
  public func evaluate(_ inputs: [Tensor], reusable: Positions) throws(OpError) -> [Tensor] {
    _ = try outputs(for: inputs.map { $0.spec })
    show(inputs.dropFirst())
    return [inputs[0]]
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [ct[0].map { .dense($0) }] + saved.inputs.dropFirst().map { _ in nil }
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] { [t[0]] }
  /// One line, with the tensors of all examples.
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    var inputs = inputs
    if !mapped[0], let position = mapped.firstIndex(of: true) {
      inputs[0] = TransformOps.current.expand(inputs[0], inputs[position].shape[0])
    }
    return apply(self, inputs)
  }

  /// Prints the line.
  package func show(_ tensors: some Sequence<Tensor>) {
    let parts = (message.isEmpty ? [] : [message]) + tensors.map { "\($0)" }
    if !parts.isEmpty { PrintedLines.write(parts.joined(separator: " ")) }
  }
}

/// Where the lines of `printed` go: standard output.
package enum PrintedLines {
  private static let lock = Lock()
  nonisolated(unsafe) private static var kept: [String]?

  package static func write(_ line: String) {
    let isKept = lock.holding { () -> Bool in
      kept?.append(line)
      return kept != nil
    }
    if !isKept { Swift.print(line) }
  }

  /// The lines that `body` prints, in place of printing them. For one test at a time.
  package static func during(_ body: () throws -> Void) rethrows -> [String] {
    lock.holding { kept = [] }
    defer { lock.holding { kept = nil } }
    try body()
    return lock.holding { kept! }
  }
}

/// `x` as it is; each time it is computed, a line with `message` and `data` (`x` when nil) is printed on standard output.
///
/// Inside `compile` the line is a part of the program, in its order among the other lines, also where nothing reads the
/// result; in a `Graph` it is printed in the runs that need the result. Gradients pass through. Inside `vmap` one line shows all
/// examples; in `lazy` the line is printed where it is called. Source: TensorFlow `tf.Print`, JAX `jax.debug.print`.
///
/// **Shapes**: [...] → [...]
@discardableResult
public func printed(_ x: Tensor, _ message: String = "", data: [Tensor]? = nil) -> Tensor {
  applyNow(Print(message: message), [x] + (data ?? [x]))
}

/// An operation with an effect, also inside of `lazy`: it waits for its inputs.
func applyNow<O: Op>(_ op: O, _ inputs: [Tensor]) -> Tensor {
  Context.with({ $0.pointee.flags &= ~UInt32(CK_LAZY) }) { apply(op, inputs.map { $0.resolved() })[0] }
}
