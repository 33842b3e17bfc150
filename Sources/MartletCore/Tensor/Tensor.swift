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
  /// The same tensor one level down: what the trace was put on.
  @usableFromInline package let inner: Tensor?

  @inline(__always)
  package init(spec: TensorSpec, storage: Storage) {
    self.spec = spec
    strides = nil
    offset = 0
    output = 0
    self.storage = storage
    trace = nil
    inner = nil
  }

  package init(spec: TensorSpec, strides: Shape?, offset: Int, storage: Storage) {
    self.spec = spec
    self.strides = strides
    self.offset = offset
    output = 0
    self.storage = storage
    trace = nil
    inner = nil
  }

  package init(spec: TensorSpec, trace: Trace, output: Int = 0, inner: Tensor? = nil) {
    self.spec = spec
    strides = nil
    offset = 0
    self.output = Int32(truncatingIfNeeded: output)
    storage = nil
    self.trace = trace
    self.inner = inner
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
  package static func uninitialized(_ spec: TensorSpec) throws(OpError) -> Tensor {
    guard spec.shape.checkedElementCount != nil else { throw OpError(.tooLarge(spec.shape)) }
    let (bytes, overflow) = spec.count.multipliedReportingOverflow(by: spec.dtype.size)
    guard !overflow, let storage = Storage(bytes: bytes) else { throw OpError(.outOfMemory(bytes: bytes)) }
    return Tensor(node: TensorNode(spec: spec, storage: storage))
  }
}
