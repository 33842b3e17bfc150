internal import CKernels

/// A block of memory that tensors share; freed with its last user.
public final class Storage: @unchecked Sendable {
  /// The first byte; 64-byte aligned when the block came from the pool.
  @exclusivity(unchecked) @usableFromInline package private(set) final var pointer: UnsafeMutableRawPointer
  package let bytes: Int
  /// Keeps foreign memory alive; nil for a block of the pool.
  @usableFromInline let owner: AnyObject?

  /// Takes a block from the pool; nil when memory is out.
  @inline(__always)
  package init?(bytes: Int) {
    guard let pointer = ck_alloc(bytes) else { return nil }
    self.pointer = pointer
    self.bytes = bytes
    owner = nil
  }

  /// Takes a block for a tensor; nil when it is too large or memory is out.
  @inline(__always)
  package convenience init?(for spec: TensorSpec) {
    guard let bytes = spec.checkedByteCount else { return nil }
    self.init(bytes: bytes)
  }

  /// Shares memory that `owner` keeps alive.
  package init(borrowing pointer: UnsafeMutableRawPointer, bytes: Int, owner: AnyObject) {
    self.pointer = pointer
    self.bytes = bytes
    self.owner = owner
  }

  /// Stands for other memory from now on, which the caller keeps alive; for one that was made by `borrowing`.
  @inline(__always)
  func stand(for pointer: UnsafeMutableRawPointer) { self.pointer = pointer }

  /// True when the memory is the pool's, so that it may be written once nobody else holds it.
  package var isPooled: Bool { owner == nil }

  deinit { if owner == nil { ck_free(pointer, bytes) } }
}

/// What the pool of tensor memory holds.
public struct MemoryStatistics: Sendable {
  /// Bytes in use by tensors.
  public let live: Int
  /// Bytes kept for reuse.
  public let cached: Int
  /// The largest `live` since the start or the last `resetPeak()`; blocks below 64 KiB are counted approximately.
  public let peak: Int
  /// Blocks handed out since the start.
  public let allocations: Int

  /// The figures now.
  public static var current: MemoryStatistics {
    let s = ck_pool_statistics()
    return MemoryStatistics(
      live: Int(s.live_bytes), cached: Int(s.cached_bytes), peak: Int(s.peak_bytes), allocations: Int(s.allocations))
  }

  /// Bytes that the calling thread has been given so far in blocks above 64 KiB: copies show in it.
  package static var largeBytesOfThread: Int { Int(ck_large_bytes()) }

  /// Starts a new peak from what is live now.
  public static func resetPeak() { ck_pool_reset_peak() }
  /// Gives the cached memory back to the system.
  public static func emptyCache() { ck_pool_empty() }
}
