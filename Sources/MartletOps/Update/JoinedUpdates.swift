public import MartletCore

/// An update of one parameter, of which those of several parameters can be one operation.
package protocol UpdateOp: Op {}
extension AdamUpdate: UpdateOp {}
extension SGDUpdate: UpdateOp {}

extension UpdateOp {
  /// Of float32 parameters the gradient may have 16 bits: what autocast has computed need not be widened in memory.
  func checkGradient(_ g: TensorSpec, of p: TensorSpec) throws(OpError) {
    guard g == p || p.dtype == .float32 && g.dtype.isHalf && g == p.with(dtype: g.dtype) else {
      let others = p.dtype == .float32 ? ", or 16-bit floats of that shape" : ""
      throw OpError(.argumentShape(argument: 1, expected: "\(p), as that of p\(others)"))
    }
  }
}

/// The same update of several parameters: the inputs of one after those of the other, and the results likewise. Made by the
/// pass `updates`.
public struct JoinedUpdates: PassMade {
  public static var id: OpID { OpTable.joinedUpdates.id }
  public static var name: String { "joinedUpdates" }
  public static var rules: Rules { [.decomposed] }
  public static var argumentNames: [String] { ["p", "g", "rate, … of each"] }
  package let update: any UpdateOp
  /// How many parameters there are.
  package let count: Int
  /// The inputs of each.
  package let inputCount: Int
  /// More parameters than this have descriptions that do not lie on the stack, and operands beyond those that may be reused.
  package static let mostParameters = 8

  package init(_ update: any UpdateOp, count: Int, inputCount: Int) {
    self.update = update
    self.count = count
    self.inputCount = inputCount
  }

  public static func == (a: JoinedUpdates, b: JoinedUpdates) -> Bool {
    a.count == b.count && a.inputCount == b.inputCount && AnyHashable(a.update) == AnyHashable(b.update)
  }
  public func hash(into hasher: inout Hasher) {
    hasher.combine(count)
    hasher.combine(AnyHashable(update))
  }

  public var outputCount: Int { count * update.outputCount }
  public func takeover(output: Int) -> Int? {
    let (part, its) = output.quotientAndRemainder(dividingBy: update.outputCount)
    // The first step has no momentum to take over: the next input is that of another parameter.
    return update.takeover(output: its).flatMap { $0 < inputCount ? part * inputCount + $0 : nil }
  }

  /// The inputs of each parameter.
  private func parts<T>(_ inputs: [T]) -> [[T]] {
    (0..<count).map { Array(inputs[($0 * inputCount)..<(($0 + 1) * inputCount)]) }
  }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == count * inputCount else {
      throw OpError(.numberOfInputs(inputs.count, expected: "\(count * inputCount)"))
    }
    var specs: [TensorSpec] = []
    for part in parts(inputs) { specs += try update.outputs(for: part) }
    return specs
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? { parts(inputs).flatMap { apply(any: update, $0) } }
  public var attributes: String { "\(count) × \(type(of: update).name), \(update.attributes)" }
}
