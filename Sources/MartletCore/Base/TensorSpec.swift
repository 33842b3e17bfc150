/// Where a tensor lives and which executor computes with it.
public struct Device: Sendable, Hashable, CustomStringConvertible {
  @usableFromInline package let raw: UInt8
  @inlinable
  package init(raw: UInt8) { self.raw = raw }

  /// The processor, with vectorised kernels and oneDNN.
  public static let cpu = Device(raw: 0)
  /// Plain loops in Swift: the oracle that other executors are tested against. Slow.
  public static let reference = Device(raw: 1)
  /// The processor behind a queue: results and errors come later, as on a GPU. For tests.
  public static let delayed = Device(raw: 2)

  public var description: String {
    switch raw {
    case 0: "cpu"
    case 1: "reference"
    case 2: "delayed"
    default: "device \(raw)"
    }
  }
}

/// What is known of a tensor without its values: shape, dtype and device.
public struct TensorSpec: Sendable, Hashable, CustomStringConvertible {
  public var shape: Shape
  public var dtype: DType
  public var device: Device

  @inlinable
  public init(_ shape: Shape, _ dtype: DType = .float32, device: Device = .cpu) {
    self.shape = shape
    self.dtype = dtype
    self.device = device
  }

  /// The number of axes.
  @inlinable
  public var rank: Int { shape.rank }
  /// The number of elements.
  @inlinable
  public var count: Int { shape.elementCount }
  /// The size of the elements in memory, in bytes.
  @inlinable
  public var byteCount: Int { shape.elementCount &* dtype.size }

  /// The size in memory, or nil when it is beyond 63 bits or a size is negative.
  @inlinable
  package var checkedByteCount: Int? {
    guard let count = shape.checkedElementCount else { return nil }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: dtype.size)
    return overflow ? nil : bytes
  }

  @inlinable
  package func with(shape: Shape) -> TensorSpec { TensorSpec(shape, dtype, device: device) }
  @inlinable
  package func with(dtype: DType) -> TensorSpec { TensorSpec(shape, dtype, device: device) }

  /// `float32[3, 4]`, with the device where it is not the CPU.
  public var description: String { "\(dtype)\(shape)" + (device == .cpu ? "" : "@\(device)") }
}
