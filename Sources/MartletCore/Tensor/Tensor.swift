internal import CKernels

/// An n-dimensional array of numbers, a value: copies share memory until one of them is changed.
///
/// dtype, shape and device are known at run time. A tensor is plain, or carries one trace: it is recorded for gradients,
/// carries a tangent, is mapped, symbolic (inside `compile`) or lazy.
public struct Tensor: @unchecked Sendable {
  // Sendable: a node's fields do not change, but for storage taken over by a sole owner and traces, which belong to one
  // task (recording) or lock (lazy).
  @usableFromInline package var node: TensorNode

  @inline(__always)
  package init(node: TensorNode) { self.node = node }
}

/// The object behind a tensor.
@usableFromInline package final class TensorNode {
  @usableFromInline package let spec: TensorSpec
  /// Strides in elements; nil while the elements lie in row-major order without gaps.
  @usableFromInline package let strides: Shape?
  /// The first element's position in the storage, in elements.
  @usableFromInline package let offset: Int
  /// Which output of the trace's operation this is.
  package let output: Int32
  /// The memory; nil for tensors without a value of their own (mapped, symbolic, lazy, error).
  @usableFromInline @exclusivity(unchecked) package final var storage: Storage?
  @usableFromInline package let trace: Trace?
  /// Where the tensor was made, when `MARTLET_ORIGINS=1`.
  @exclusivity(unchecked) package final var origin: Origin?
  /// The same tensor one level down, where it is another object.
  private let wrapped: Tensor?

  @inline(__always)
  package init(spec: TensorSpec, storage: Storage) {
    self.spec = spec
    strides = nil
    offset = 0
    output = 0
    self.storage = storage
    trace = nil
    wrapped = nil
  }

  /// A recorded result over its own memory: one level down it is the same without the trace.
  @inline(__always)
  init(spec: TensorSpec, strides: Shape? = nil, offset: Int = 0, storage: Storage, record: Recorded) {
    self.spec = spec
    self.strides = strides
    self.offset = offset
    output = 0
    self.storage = storage
    trace = record
    wrapped = nil
  }

  package init(spec: TensorSpec, strides: Shape?, offset: Int, storage: Storage) {
    self.spec = spec
    self.strides = strides
    self.offset = offset
    output = 0
    self.storage = storage
    trace = nil
    wrapped = nil
  }

  package init(spec: TensorSpec, trace: Trace, output: Int = 0, inner: Tensor? = nil) {
    self.spec = spec
    strides = nil
    offset = 0
    self.output = Int32(truncatingIfNeeded: output)
    storage = nil
    self.trace = trace
    wrapped = inner
  }

  /// The same tensor one level down: what the trace was put on. Nil for plain tensors and those without a value.
  package var inner: Tensor? {
    if let wrapped { return wrapped }
    guard trace != nil, let storage else { return nil }
    return Tensor(node: TensorNode(spec: spec, strides: strides, offset: offset, storage: storage))
  }

  /// The node whose memory holds the elements of this plain or singly recorded tensor; nil for others.
  @inline(__always)
  var value: TensorNode? {
    if storage != nil { return self }
    guard let wrapped, wrapped.node.trace == nil else { return nil }
    return wrapped.node
  }

  /// The first element. Only for plain tensors, whose node the caller holds.
  @inlinable
  package var pointer: UnsafeMutableRawPointer {
    storage.unsafelyUnwrapped.pointer + offset &* spec.dtype.size
  }

  /// Strides in elements, whether stored or not.
  @inlinable
  package var elementStrides: Shape { strides ?? spec.shape.contiguousStrides }
}

extension Tensor {
  /// Shape, dtype and device.
  @inlinable
  public var spec: TensorSpec { node.spec }
  /// The sizes of the axes.
  @inlinable
  public var shape: Shape { node.spec.shape }
  /// The type of the elements.
  @inlinable
  public var dtype: DType { node.spec.dtype }
  /// Where the elements are.
  @inlinable
  public var device: Device { node.spec.device }
  /// The number of axes.
  @inlinable
  public var rank: Int { node.spec.shape.rank }
  /// The number of elements.
  @inlinable
  public var count: Int { node.spec.shape.elementCount }

  /// True when the elements lie in row-major order without gaps.
  @inlinable
  package var isContiguous: Bool { node.strides == nil }

  /// True when the tensor has no trace.
  @inline(__always)
  package var isPlain: Bool { node.trace == nil }

  /// Fresh memory for `spec`, not yet written.
  package static func uninitialized(_ spec: TensorSpec, strides: Shape? = nil) throws(OpError) -> Tensor {
    guard let bytes = spec.checkedByteCount else { throw OpError(.tooLarge(spec.shape)) }
    guard let storage = Storage(bytes: bytes) else { throw OpError(.outOfMemory(bytes: bytes)) }
    return Tensor(node: TensorNode(spec: spec, strides: strides, offset: 0, storage: storage))
  }
}
