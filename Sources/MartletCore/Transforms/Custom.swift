/// Runs `f` without keeping what is inside for the backward pass, which computes `f` again to get at it.
///
/// Saves memory at the cost of computing twice. `f` is captured like a function given to `compile`, once for each set of
/// input specs, so it must not read values of tensors. Random numbers and state that `f` reads are the same the second
/// time; what it writes into cells is written once. Tensors of a transform that `f` uses without being given them are
/// differentiated as if they were given; `f` is then captured at every call. Inside `vmap` a function that draws random
/// numbers or writes cells runs as it is, and saves no memory.
public func checkpointed<T: TensorTree, R: TensorTree>(
  _ f: @escaping (T) -> R, file: String = #fileID, line: Int = #line
) -> (T) -> R {
  var known: [(capture: Capture, function: CapturedFunction, template: R)] = []
  return { x in
    let inputs = x.flattened
    let structure = [x.structure]
    var entry = known.first { $0.capture.fits(inputs, structure: structure) }
    if entry == nil {
      do throws(OpError) {
        var template: R?
        let capture = try Capture(inputs.map { $0.spec }, structure: structure, name: "checkpointed at \(file):\(line)")
        { symbolic in
          let output = f(x.replacing(symbolic))
          template = output
          return output.flattened
        }
        entry = (capture, CapturedFunction(capture), template!)
        if !entry!.function.isTraced { known.append(entry!) }
      } catch {
        let failed = fail(error, inputs)[0]
        return withoutWrites { f(x.mapTensors { _ in failed }) }.mapTensors { _ in failed }
      }
    }
    let (capture, function, template) = entry!
    // The program would draw and write once for all examples.
    if capture.writes, MapScope.innermost != nil { return f(x) }
    let outputs = function.called(inputs + capture.state, recomputes: true)
    let count = capture.program.outputs.count
    for (cell, value) in zip(capture.stateOutputs, outputs.dropFirst(count)) { cell.write(value) }
    for cell in capture.cleared { cell.write(nil) }
    return template.replacing(Array(outputs.prefix(count)))
  }
}

/// The levels at which derivatives are taken of any of the tensors.
private func differentiatedLevels(_ tensors: [Tensor]) -> Set<Int32> {
  tensors.reduce(into: []) { $0.formUnion($1.differentiatedLevels) }
}

extension Tensor {
  /// The levels at which derivatives are taken of the tensor.
  fileprivate var differentiatedLevels: Set<Int32> {
    Set(traces.lazy.filter { $0 is Recorded || $0 is Dual }.map { $0.level })
  }
}

/// A function with a derivative of your own.
///
/// - Parameters:
///   - f: computes the result; its inside is not differentiated in reverse mode (forward mode goes through it). What is
///     differentiated by must be part of its argument: a tensor that it uses otherwise gets no gradient, which is an error
///     when the argument is differentiated at the same time.
///   - gradient: from the input, the result and a cotangent of the result, the cotangent of the input. It is made of tensor
///     operations, so that it can be differentiated again.
public func customGradient<T: TensorTree, R: TensorTree>(
  _ f: @escaping (T) -> R, gradient: @escaping (_ input: T, _ output: R, _ cotangent: R) -> T
) -> (T) -> R {
  customGradient(f) { input, output, cotangent, _ in gradient(input, output, cotangent).flattened }
}

/// A function with a derivative of your own, which is told of which inputs a gradient is wanted and leaves out the others.
///
///     let linear = customGradient({ (x: [Tensor]) in matmul(x[0], x[1]) }) { x, _, cotangent, needs in
///       [
///         needs[0] ? matmul(cotangent, x[1].transposed()) : nil,
///         needs[1] ? matmul(x[0].transposed(), cotangent) : nil,
///       ]
///     }
///
/// - Parameters:
///   - f: as for the form above.
///   - gradient: from the input, the result, a cotangent of the result, and for each tensor of the input, in their order,
///     whether its cotangent is wanted: the cotangents of these tensors. One that is not wanted is not read; nil for one
///     that is means zeros. Another number of cotangents, or another shape than the tensor's, is an error.
///
/// Source: PyTorch `autograd.Function` with `needs_input_grad`.
public func customGradient<T: TensorTree, R: TensorTree>(
  _ f: @escaping (T) -> R, gradient: @escaping (_ input: T, _ output: R, _ cotangent: R, _ needs: [Bool]) -> [Tensor?]
) -> (T) -> R {
  { x in
    var template: R?
    let inputs = x.flattened
    let call = CustomCall(
      f: { inputs in
        let output = f(x.replacing(inputs))
        template = output
        return output.flattened
      },
      gradient: { inputs, outputs, cotangents, needs in
        let shape = template!
        let result = gradient(
          x.replacing(inputs), shape.replacing(outputs), shape.replacing(cotangents), needs)
        guard result.count == inputs.count else {
          let error = failure(.customGradientCount(result.count, expected: inputs.count), op: "customGradient", inputs)
          return inputs.map { _ in error }
        }
        for case (let gradient?, let input) in zip(result, inputs) where gradient.shape != input.shape {
          let error = failure(.cotangentSpec(expected: input.spec), op: "customGradient", [gradient])
          return inputs.map { _ in error }
        }
        return result
      }, levels: differentiatedLevels(inputs))
    // What is pending hides its traces until it has run.
    let isPending = inputs.contains { $0.node.trace is Pending }
    let outputs = isPending ? apply(PendingCall(call: call), inputs) : apply(call, inputs)
    guard let template else { return f(x.replacing(outputs)) }
    return template.replacing(outputs)
  }
}

/// An operation that holds what only this process has: programs are saved with its decomposition in its place.
private protocol LocalOp: Op {}

extension LocalOp {
  init(from decoder: any Decoder) throws { throw ProgramFault("\(Self.name) is not saved") }
  func encode(to encoder: any Encoder) throws { throw ProgramFault("\(Self.name) is not saved") }
}

/// Tangents of the outputs of `f`, by running it forward.
func forward(_ inputs: [Tensor], _ tangents: [Tensor?], _ f: ([Tensor]) -> [Tensor]) -> [Tensor?] {
  let given = zip(inputs, tangents).map { $1 ?? TransformOps.current.fill(0, $0.spec) }
  return MartletCore.jvp(f, inputs, given).tangent
}

/// A call of a Swift function with a gradient of its own as one operation.
private struct CustomCall: LocalOp, @unchecked Sendable {
  // Sendable: the functions stay with the task that made the call.
  static var id: OpID { .custom }
  static var name: String { "customGradient" }
  static var rules: Rules { [.vjp, .jvp, .batched] }
  /// From inputs, outputs, cotangents and what is wanted: cotangents of the inputs.
  typealias Gradient = ([Tensor], [Tensor], [Tensor], [Bool]) -> [Tensor?]
  fileprivate let functions: Functions
  fileprivate final class Functions {
    let f: ([Tensor]) -> [Tensor]
    let gradient: Gradient
    /// At which the call is differentiated.
    let levels: Set<Int32>
    init(
      _ f: @escaping ([Tensor]) -> [Tensor], _ gradient: @escaping Gradient, _ levels: Set<Int32>
    ) {
      self.f = f
      self.gradient = gradient
      self.levels = levels
    }
  }

  init(
    f: @escaping ([Tensor]) -> [Tensor], gradient: @escaping Gradient, levels: Set<Int32>
  ) { functions = Functions(f, gradient, levels) }
  static func == (a: CustomCall, b: CustomCall) -> Bool { a.functions === b.functions }
  func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(functions)) }

  /// By running the shape rules of the function.
  func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    let program = try Capture(inputs, structure: [], name: "customGradient", functions.f).program
    return program.outputs.map { program.values[$0] }
  }
  func decomposed(_ inputs: [Tensor]) -> [Tensor]? { functions.f(inputs) }
  func evaluate(_ inputs: [Tensor], reusable: Positions) throws(OpError) -> [Tensor] {
    let outputs = functions.f(inputs)
    // The inputs carry no trace here, so those of the outputs are of other tensors that f used.
    for output in outputs where !functions.levels.isDisjoint(with: output.differentiatedLevels) {
      throw OpError(
        .misuse(
          "f uses a tensor that is differentiated and is not part of its argument",
          rule: "a custom gradient is that of the argument alone", remedy: "make it part of the argument"))
    }
    return outputs
  }
  var canFault: Bool { true }
  func saves(needs: Positions) -> Saves { Saves(inputs: Positions(bits: .max), outputs: Positions(bits: .max)) }
  func vjp(_ cotangents: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let outputs = saved.outputs.map { $0! }
    let given = zip(cotangents, outputs).map { $0 ?? TransformOps.current.fill(0, $1.spec) }
    let inputs = saved.inputs.map { $0! }
    return functions.gradient(inputs, outputs, given, inputs.indices.map { needs[$0] }).enumerated().map {
      needs[$0.offset] ? $0.element.map { .dense($0) } : nil
    }
  }
  func jvp(_ tangents: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    forward(inputs, tangents, functions.f)
  }
  func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let axes: [Int?] = mapped.map { $0 ? 0 : nil }
    let call = CustomCall(
      f: { MartletCore.mapped($0, axes: axes, functions.f) },
      gradient: { inputs, outputs, cotangents, needs in
        let count = inputs.count
        let all = axes + [Int?](repeating: 0, count: outputs.count * 2)
        var isGiven: [Bool] = []
        var gradients = MartletCore.mapped(inputs + outputs + cotangents, axes: all) { tensors in
          let gradients = functions.gradient(
            Array(tensors[..<count]), Array(tensors[count..<(count + outputs.count)]),
            Array(tensors[(count + outputs.count)...]), needs)
          isGiven = gradients.map { $0 != nil }
          return gradients.compactMap { $0 }
        }[...]
        // An input that all examples share gets the sum of their gradients.
        return inputs.indices.map { position in
          guard isGiven[position], let gradient = gradients.popFirst() else { return nil }
          return mapped[position] ? gradient : TransformOps.current.sum(gradient, inputs[position].shape)
        }
      }, levels: functions.levels)
    return apply(call, inputs)
  }
  var attributes: String { "" }
}

/// A call of a function with a gradient of its own on tensors that have not run: without rules, it becomes the call itself
/// when they have.
private struct PendingCall: LocalOp {
  static var id: OpID { .custom }
  static var name: String { CustomCall.name }
  let call: CustomCall

  func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] { try call.outputs(for: inputs) }
  func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    apply(
      CustomCall(f: call.functions.f, gradient: call.functions.gradient, levels: differentiatedLevels(inputs)), inputs)
  }
  func evaluate(_ inputs: [Tensor], reusable: Positions) throws(OpError) -> [Tensor] { call.functions.f(inputs) }
  var canFault: Bool { true }
  var attributes: String { "" }
}
