public import MartletCore

/// An operation that works element by element over the broadcast of its inputs: chains of them can run block by block.
public protocol Elementwise: Op {}

/// A chain of elementwise operations over one shape, which reads and writes memory once. Made by the pass `fusion`; results
/// that are reduced as they are made come from the pass `reductions`.
///
/// 16-bit floats stay float32 between its steps.
public struct Fused: PassMade {
  public static var id: OpID { OpTable.fused.id }
  public static var name: String { "fused" }
  public static var rules: Rules { [.decomposed] }
  public static var keepsOrder: Bool { true }

  /// One operation of the chain.
  package struct Step: Sendable {
    package let op: any Op
    /// Inputs of the chain, then results of earlier steps.
    package let operands: [Int]
    package init(op: any Op, operands: [Int]) {
      self.op = op
      self.operands = operands
    }
  }
  /// What is given back: the result of a step, or what is left of it by a reduction over its leading or its last axes.
  package struct Result: Sendable {
    package let step: Int
    package let reduction: (any Reduction)?
    package init(step: Int, reduction: (any Reduction)? = nil) {
      self.step = step
      self.reduction = reduction
    }
  }
  /// The chain; shared by the copies of the operation.
  package final class Body: Sendable {
    package let inputs: [TensorSpec]
    package let steps: [Step]
    /// The specs of the steps' results.
    package let specs: [TensorSpec]
    package let results: [Result]
    /// What a device made of it; nil where the device runs the steps one by one.
    package let prepared: (AnyObject & Sendable)?
    let takeovers: [Int?]

    init(inputs: [TensorSpec], steps: [Step], specs: [TensorSpec], results: [Result]) {
      self.inputs = inputs
      self.steps = steps
      self.specs = specs
      self.results = results
      takeovers = Body.takeovers(inputs, steps, specs, results)
      prepared = Fused.prepare?(inputs, steps, specs, results)
    }

    /// For each result an input of its spec that no later step reads.
    private static func takeovers(
      _ inputs: [TensorSpec], _ steps: [Step], _ specs: [TensorSpec], _ results: [Result]
    ) -> [Int?] {
      var taken = Set<Int>()
      return results.map { result in
        if result.reduction != nil { return nil }
        let later = Set(steps[(result.step + 1)...].flatMap { $0.operands })
        let free = inputs.indices.first {
          inputs[$0] == specs[result.step] && !later.contains($0) && !taken.contains($0)
        }
        if let free { taken.insert(free) }
        return free
      }
    }
  }
  package let body: Body

  /// How the CPU prepares chains. Written once, when its kernels are registered.
  nonisolated(unsafe) package static var prepare:
    (@Sendable ([TensorSpec], [Step], [TensorSpec], [Result]) -> (AnyObject & Sendable)?)?

  /// Nil where no device prepares the chain, so that nothing would be won.
  package init?(inputs: [TensorSpec], steps: [Step], specs: [TensorSpec], results: [Result]) {
    Rooms.require(specs[0].device)  // which says how chains are prepared
    body = Body(inputs: inputs, steps: steps, specs: specs, results: results)
    if body.prepared == nil { return nil }
  }

  public static func == (a: Fused, b: Fused) -> Bool {
    a.body === b.body || a.body.inputs == b.body.inputs && a.attributes == b.attributes
  }
  public func hash(into hasher: inout Hasher) {
    hasher.combine(body.inputs)
    hasher.combine(body.results.count)
    hasher.combine(body.steps.count)
  }

  public var outputCount: Int { body.results.count }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == body.inputs.count else {
      throw OpError(.numberOfInputs(inputs.count, expected: "\(body.inputs.count)"))
    }
    var specs = inputs
    for step in body.steps { specs += try step.op.outputs(for: step.operands.map { specs[$0] }) }
    return try body.results.map { result throws(OpError) in
      let spec = specs[inputs.count + result.step]
      return try result.reduction?.output(for: spec) ?? spec
    }
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    var values = inputs
    for step in body.steps { values += apply(any: step.op, step.operands.map { values[$0] }) }
    return body.results.map { result in
      let value = values[inputs.count + result.step]
      return result.reduction.map { apply(any: $0, [value])[0] } ?? value
    }
  }
  /// The results lie as the last one would if the operations ran one by one, so that sums over it add up in the same order;
  /// where some are reduced, in row-major order.
  public func strides(of result: TensorSpec, for inputs: [Tensor]) -> Shape? {
    guard !body.results.contains(where: { $0.reduction != nil }), inputs.contains(where: { !$0.isContiguous }) else {
      return nil
    }
    var values = inputs
    for (step, spec) in zip(body.steps, body.specs) {
      let strides = step.op.strides(of: spec, for: step.operands.map { values[$0] })
      values.append(Tensor(node: TensorNode(spec: spec, strides: strides, offset: 0, storage: inputs[0].node.storage!)))
    }
    return values[inputs.count + body.results.last!.step].node.strides
  }
  public func takeover(output: Int) -> Int? { body.takeovers[output] }
  /// The steps: `add(0, 1); relu(2)` by operand numbers, then what is reduced.
  public var attributes: String {
    func text(_ op: any Op, _ operands: [Int]) -> String {
      "\(type(of: op).name)(\(operands.map { "\($0)" }.joined(separator: ", ")))"
        + (op.attributes.isEmpty ? "" : "[\(op.attributes)]")
    }
    let steps = body.steps.enumerated().map { position, step in
      let isResult = body.results.contains { $0.step == position && $0.reduction == nil }
      return (isResult ? "\(body.inputs.count + position) = " : "") + text(step.op, step.operands)
    }
    let reduced = body.results.compactMap { result in
      result.reduction.map { text($0, [body.inputs.count + result.step]) }
    }
    return (steps + reduced).joined(separator: "; ")
  }
}
