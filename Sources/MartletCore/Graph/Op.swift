/// The number of an operation: its row in `OpTable` and the index of its kernels.
public struct OpID: Sendable, Hashable {
  @usableFromInline package let raw: Int
  @inlinable
  package init(_ raw: Int) { self.raw = raw }
  /// An operation outside of `OpTable`: it has no kernels and runs as its decomposition.
  public static let custom = OpID(0)
}

/// Whether an operation does something beside computing its outputs.
public enum Effect: Sendable { case none, ordered }

/// The rules that an operation states itself; the others follow from its decomposition.
public struct Rules: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  public static let vjp = Rules(rawValue: 1)
  public static let jvp = Rules(rawValue: 2)
  public static let batched = Rules(rawValue: 4)
  /// The outputs do not depend on the inputs in a differentiable way (comparisons, argmax, random bits).
  public static let constant = Rules(rawValue: 8)
  public static let decomposed = Rules(rawValue: 16)
  /// Another operation is recorded in its place: `recording`.
  public static let recordsAnother = Rules(rawValue: 32)
}

/// Which inputs and outputs a vjp will read.
public struct Saves: Sendable {
  public var inputs: Positions
  public var outputs: Positions
  public init(inputs: Positions = [], outputs: Positions = []) {
    self.inputs = inputs
    self.outputs = outputs
  }
  public static let nothing = Saves()
}

/// What was kept for a vjp.
public struct Saved {
  /// The inputs named by `saves(needs:)`; nil at other positions.
  package let inputs: [Tensor?]
  package let outputs: [Tensor?]
  /// The specs of the inputs that need a cotangent; nil at other positions.
  package let specs: [TensorSpec?]

  package init(inputs: [Tensor?], outputs: [Tensor?], specs: [TensorSpec?]) {
    self.inputs = inputs
    self.outputs = outputs
    self.specs = specs
  }
  /// A saved input.
  public func input(_ position: Int) -> Tensor { inputs[position]! }
  /// A saved output.
  public func output(_ position: Int) -> Tensor { outputs[position]! }
  /// The spec of an input that needs a cotangent.
  public func spec(_ position: Int) -> TensorSpec { specs[position]! }
}

/// A part of a tensor: along each axis `sizes` elements from `starts` in steps of `steps` (which may be negative).
public struct Region: Sendable, Hashable, Codable {
  public var starts: Shape
  public var sizes: Shape
  public var steps: Shape
  public init(starts: Shape, sizes: Shape, steps: Shape) {
    self.starts = starts
    self.sizes = sizes
    self.steps = steps
  }
}

/// The gradient of one input, as a rule yields it.
public enum Cotangent {
  /// A tensor of the input's shape, or of a shape to which the input was broadcast; the excess axes are summed.
  case dense(Tensor)
  /// Zero but for a region.
  case region(Tensor, Region)
  /// The cotangent of output 0, but for a region, where it is zero: without a copy when nobody else holds it. What the
  /// rule yields for other inputs must not share its memory.
  case outside(Region)
  /// Zero but for rows: `values[i]` is added at index `indices[i]` of `axis`.
  case rows(Tensor, indices: Tensor, axis: Int)
}

/// An operation: its attributes, its meaning and all its rules.
///
/// The attributes are what a saved program says of it: `Codable`, without loss. What is read from a file may have any values,
/// so `outputs(for:)` checks them all.
public protocol Op: Hashable, Sendable, Codable {
  /// Its row in `OpTable`; the index of its kernels.
  static var id: OpID { get }
  static var name: String { get }
  /// The rules that this operation states itself.
  static var rules: Rules { get }
  var effect: Effect { get }
  /// The names of the arguments, for error texts.
  static var argumentNames: [String] { get }

  /// The specs of the results, or what is wrong with the inputs.
  func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec]
  /// Its meaning in smaller operations.
  func decomposed(_ inputs: [Tensor]) -> [Tensor]?
  /// Which inputs and outputs the vjp will read.
  func saves(needs: Positions) -> Saves
  /// The operation that is recorded in place of this one, which yields more results behind its own for the vjp to read, and
  /// inputs of it behind those of this one. `needs`: for each input whether a cotangent is wanted.
  func recording(_ inputs: [TensorSpec], needs: [Bool]) throws(OpError) -> (op: Self, more: [Tensor])?
  /// Cotangents of the inputs from those of the outputs; nil: zero, or not needed.
  func vjp(_ cotangents: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?]
  /// Tangents of the outputs from those of the inputs; nil: zero.
  func jvp(_ tangents: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?]
  /// The operation over one more axis 0, which mapped inputs and all results have.
  func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor]
  /// The same, where inputs that nobody else holds may be written over; after an error input 0 is as before.
  func batched(taking inputs: inout [Tensor], mapped: [Bool]) -> [Tensor]
  /// Whether a result may lie in the order of its inputs (transposed, channels-last) in place of row-major order: then the
  /// kernels read the strides of the output.
  static var keepsOrder: Bool { get }
  /// The strides of a result, which are known from those of the inputs; nil for row-major order.
  func strides(of result: TensorSpec, for inputs: [Tensor]) -> Shape?
  /// The input whose storage an output may take over, when nobody else holds it.
  func takeover(output: Int) -> Int?
  /// How many results it has: what a failed call yields as many error tensors of.
  var outputCount: Int { get }
  /// Whether its kernel may report a fault, because of values (an index out of range).
  var canFault: Bool { get }
  /// Turns a fault that a kernel reported into a fact.
  func fault(_ status: KernelStatus, _ inputs: [TensorSpec]) -> Fact
  /// The same, where the elements of the inputs can be read.
  func fault(_ status: KernelStatus, of inputs: [Tensor]) -> Fact

  /// Runs on plain tensors of one device, at once. `reusable`: inputs whose storage may be overwritten.
  func evaluate(_ inputs: [Tensor], reusable: Positions) throws(OpError) -> [Tensor]
  /// Attributes in text dumps: `axis=1`.
  var attributes: String { get }
}

/// An operation with one input and one output.
public protocol UnaryOp: Op {
  func output(for x: TensorSpec) throws(OpError) -> TensorSpec
}

/// An operation with two inputs and one output.
public protocol BinaryOp: Op {
  func output(for a: TensorSpec, _ b: TensorSpec) throws(OpError) -> TensorSpec
}

/// An operation with an effect, whose result is its first input.
package protocol PassThrough: Op {}

/// An operation whose result may share its input's memory.
public protocol ViewOp: UnaryOp {
  /// Strides and offset of the result within the input's storage, or nil when the elements must be copied.
  func view(of node: borrowing ViewSource, as spec: TensorSpec) -> (strides: Shape?, offset: Int)?
}

/// What a view is made of: shape, strides and offset of the input.
public struct ViewSource {
  public let shape: Shape
  public let strides: Shape
  public let isContiguous: Bool
  public let offset: Int
}

extension Op {
  public var effect: Effect { .none }
  public static var rules: Rules { [] }
  public static var argumentNames: [String] { ["x", "y", "z"] }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? { nil }
  public func saves(needs: Positions) -> Saves { .nothing }
  public func recording(_ inputs: [TensorSpec], needs: [Bool]) throws(OpError) -> (op: Self, more: [Tensor])? { nil }
  public func vjp(_ cotangents: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [Cotangent?](repeating: nil, count: saved.inputs.count)
  }
  public func jvp(_ tangents: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [Tensor?](repeating: nil, count: outputs.count)
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    fatalError("Martlet: \(Self.name) has neither a batching rule nor a decomposition")
  }
  public func batched(taking inputs: inout [Tensor], mapped: [Bool]) -> [Tensor] { batched(inputs, mapped: mapped) }
  public static var keepsOrder: Bool { false }
  public func strides(of result: TensorSpec, for inputs: [Tensor]) -> Shape? {
    Order.strides(Self.self, result, inputs)
  }
  public func takeover(output: Int) -> Int? { nil }
  public var outputCount: Int { 1 }
  public var canFault: Bool { false }
  public func fault(_ status: KernelStatus, _ inputs: [TensorSpec]) -> Fact {
    .message("its kernel reported fault \(status.code) (value \(status.value))")
  }
  public func fault(_ status: KernelStatus, of inputs: [Tensor]) -> Fact { fault(status, inputs.map { $0.spec }) }
  public var attributes: String {
    Mirror(reflecting: self).children.compactMap { child in
      var given = child.value
      let mirror = Mirror(reflecting: given)
      if mirror.displayStyle == .optional {
        guard let wrapped = mirror.children.first else { return nil }
        given = wrapped.value
      }
      let value = (given as? any CustomStringConvertible)?.description ?? "\(given)"
      return child.label.map { "\($0)=\(value)" } ?? value
    }.joined(separator: ", ")
  }

  /// The rule as arithmetic, run through the kernel of the inputs' device, else through the decomposition.
  public func evaluate(_ inputs: [Tensor], reusable: Positions) throws(OpError) -> [Tensor] {
    let specs = try outputs(for: inputs.map { $0.spec })
    return try Kernels.run(self, inputs, specs, reusable: reusable)
  }
}

extension UnaryOp {
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 1 else { throw OpError(.numberOfInputs(inputs.count, expected: "1")) }
    return [try output(for: inputs[0])]
  }
}

extension BinaryOp {
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 2 else { throw OpError(.numberOfInputs(inputs.count, expected: "2")) }
    return [try output(for: inputs[0], inputs[1])]
  }
}

extension ViewOp {
  public func evaluate(_ inputs: [Tensor], reusable: Positions) throws(OpError) -> [Tensor] {
    let spec = try outputs(for: inputs.map { $0.spec })[0]
    return [try evaluateView(inputs[0], spec)]
  }

  package func evaluateView(_ input: Tensor, _ spec: TensorSpec) throws(OpError) -> Tensor {
    let node = input.node
    let source = ViewSource(
      shape: node.spec.shape, strides: node.elementStrides, isContiguous: node.strides == nil, offset: node.offset)
    if let layout = view(of: source, as: spec) {
      return Tensor(
        node: TensorNode(
          spec: spec, strides: layout.strides, offset: layout.offset, storage: node.storage.unsafelyUnwrapped))
    }
    return try Kernels.run(self, [input], [spec], reusable: [])[0]
  }
}
