public import MartletCore

/// An elementwise operation of one tensor.
public protocol ElementwiseUnary: UnaryOp, Elementwise {
  /// The dtypes that it takes.
  static var domain: Domain { get }
}

/// A class of dtypes.
public enum Domain: String, Sendable {
  case floating = "a floating dtype"
  case inexact = "a floating or complex dtype"
  case complex = "a complex dtype"
  case signed = "a floating or signed integer dtype"
  case signedOrComplex = "a floating, complex or signed integer dtype"
  case numeric = "a numeric dtype"
  case numericOrComplex = "a numeric or complex dtype"
  case bool = "bool"
  case integer = "an integer dtype"
  case real = "any dtype of real numbers"
  case any = "any dtype"

  package func contains(_ dtype: DType) -> Bool {
    switch self {
    case .floating: dtype.isFloating
    case .inexact: dtype.isInexact
    case .complex: dtype.isComplex
    case .signed: dtype.isFloating || dtype.isInteger && dtype != .uint8 && dtype != .uint32
    case .signedOrComplex: dtype.isComplex || Domain.signed.contains(dtype)
    case .numeric: dtype != .bool && !dtype.isComplex
    case .numericOrComplex: dtype != .bool
    case .real: !dtype.isComplex
    case .bool: dtype == .bool
    case .integer: dtype.isInteger
    case .any: true
    }
  }
}

extension ElementwiseUnary {
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public static var keepsOrder: Bool { true }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    guard Self.domain.contains(x.dtype) else { throw OpError(.dtype(argument: 0, expected: Self.domain.rawValue)) }
    return x
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { [apply(self, inputs[0])] }
  public func takeover(output: Int) -> Int? { 0 }
}

/// An elementwise operation of two tensors of one dtype, with broadcasting.
public protocol ElementwiseBinary: BinaryOp, Elementwise {
  static var domain: Domain { get }
}

extension ElementwiseBinary {
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public static var keepsOrder: Bool { true }
  public static var argumentNames: [String] { ["a", "b"] }

  public func output(for a: TensorSpec, _ b: TensorSpec) throws(OpError) -> TensorSpec {
    if a == b, Self.domain.contains(a.dtype) { return a }
    guard a.dtype == b.dtype else { throw OpError(.dtypesDiffer) }
    guard Self.domain.contains(a.dtype) else { throw OpError(.dtype(argument: 0, expected: Self.domain.rawValue)) }
    guard let shape = a.shape.broadcast(with: b.shape) else { throw OpError(.broadcast) }
    return a.with(shape: shape)
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let inputs = aligned(inputs, mapped)
    return [apply(self, inputs[0], inputs[1])]
  }
  public func takeover(output: Int) -> Int? { 0 }
}

/// An operation whose second input is a tensor of indices into an axis of the first.
public protocol IndexingOp: Op {
  var axis: Int { get }
  /// What a bad index says in place of itself.
  func fact(of code: Int) -> Fact?
}

extension IndexingOp {
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public var canFault: Bool { true }
  public func fault(_ status: KernelStatus, _ inputs: [TensorSpec]) -> Fact {
    fact(of: Int(status.value)) ?? .index(Int(status.value), size: inputs[0].shape[axis], axis: axis)
  }
  public func fact(of code: Int) -> Fact? { nil }
}

extension TensorSpec {
  package func with(_ dtype: DType) -> TensorSpec { with(dtype: dtype) }
}

/// Inputs of a broadcasting operation under `vmap`: each mapped one gets axes of size 1 behind the axis of the examples,
/// so that the examples meet at axis 0.
package func aligned(_ inputs: [Tensor], _ mapped: [Bool]) -> [Tensor] {
  let rank = zip(inputs, mapped).map { $0.rank - ($1 ? 1 : 0) }.max() ?? 0
  return zip(inputs, mapped).map { input, mapped in
    guard mapped, input.rank - 1 < rank else { return input }
    var shape = input.shape
    for _ in 0..<(rank - input.rank + 1) { shape.insert(1, at: 1) }
    return input.reshaped(shape)
  }
}

/// Inputs that all have the axis of the examples, of one size.
package func allMapped(_ inputs: [Tensor], _ mapped: [Bool]) -> [Tensor] {
  let size = zip(inputs, mapped).first { $0.1 }!.0.shape[0]
  return zip(inputs, mapped).map { allMapped($0, $1, size) }
}

/// An input with the axis of the examples.
package func allMapped(_ input: Tensor, _ mapped: Bool, _ size: Int) -> Tensor {
  mapped ? input : input.expanded(to: input.shape.inserting(size, at: 0))
}

/// An operation of one result example by example, where no other way is less.
package func looped<O: Op>(_ op: O, _ inputs: [Tensor], _ mapped: [Bool]) -> [Tensor] {
  let examples = zip(inputs, mapped).first { $1 }!.0.shape[0]
  func example(_ number: Int) -> [Tensor] { zip(inputs, mapped).map { $1 ? $0[number] : $0 } }
  guard examples == 0 else { return [stack((0..<examples).map { apply(op, example($0))[0] })] }
  let specs = zip(inputs, mapped).map { $1 ? $0.spec.with(shape: Shape(Array($0.shape[1...]))) : $0.spec }
  do throws(OpError) {
    let spec = try op.outputs(for: specs)[0]
    return [Tensor(repeating: 0, spec.with(shape: spec.shape.inserting(0, at: 0)))]
  } catch { return failed(op, error, inputs) }
}

/// The sum of two tangents, of which either may be zero.
package func plus(_ a: Tensor?, _ b: Tensor?) -> Tensor? {
  guard let a else { return b }
  guard let b else { return a }
  return a + b
}

extension Tensor {
  /// Broadcast to a shape, if it has not that shape yet: for tangents of broadcasting operations.
  package func like(_ output: Tensor) -> Tensor { shape == output.shape ? self : expanded(to: output.shape) }
}
