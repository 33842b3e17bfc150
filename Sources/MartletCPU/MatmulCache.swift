import COneDNN
import CKernels
import MartletCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// oneDNN's matrix products of one thread, by sizes, strides, dtype and thread count.
///
/// One table for each thread, because a primitive's memory objects belong to one user at a time: open addressing, a
/// multiplicative hash and full comparison (16 ns; a `Dictionary` with a synthesised key costs 124).
final class MatmulCache {
  private struct Entry {
    var spec: dn_matmul_spec
    var handle: OpaquePointer
    var scratchpad: Int
  }
  private var slots: [Entry?]
  private var count = 0

  private init() { slots = [Entry?](repeating: nil, count: 64) }
  deinit { clear() }

  // The key's destructor frees a thread's table when the thread ends.
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key) { pointer in
      #if canImport(Darwin)
        Unmanaged<MatmulCache>.fromOpaque(pointer).release()
      #else
        if let pointer { Unmanaged<MatmulCache>.fromOpaque(pointer).release() }
      #endif
    }
    return key
  }()

  private static var here: MatmulCache {
    if let pointer = pthread_getspecific(key) {
      return Unmanaged<MatmulCache>.fromOpaque(pointer).takeUnretainedValue()
    }
    let cache = MatmulCache()
    pthread_setspecific(key, Unmanaged.passRetained(cache).toOpaque())
    return cache
  }

  static func run(
    _ spec: dn_matmul_spec, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ c: UnsafeMutableRawPointer
  ) -> KernelStatus {
    let found: Entry
    switch here.entry(spec) {
    case .success(let entry): found = entry
    case .failure(let status): return .library(Int64(status.code))
    }
    guard let scratchpad = Storage(bytes: found.scratchpad) else { return .library(Int64(CK_NO_MEMORY)) }
    let status = withExtendedLifetime(scratchpad) {
      dn_matmul_execute(found.handle, a, b, c, scratchpad.pointer)
    }
    return status == 0 ? .ok : .library(Int64(status))
  }

  private struct Refusal: Error { let code: Int32 }

  private func entry(_ spec: dn_matmul_spec) -> Result<Entry, Refusal> {
    var slot = MatmulCache.hash(spec) & (slots.count - 1)
    while let entry = slots[slot] {
      if MatmulCache.equal(entry.spec, spec) { return .success(entry) }
      slot = (slot + 1) & (slots.count - 1)
    }
    // Sizes that never come again (sequence lengths) must not fill the memory with compiled code.
    if count == 1024 { clear() }
    slot = MatmulCache.hash(spec) & (slots.count - 1)
    while slots[slot] != nil { slot = (slot + 1) & (slots.count - 1) }
    var handle: OpaquePointer?
    let status = withUnsafePointer(to: spec) { dn_matmul_create($0, &handle) }
    guard status == 0, let handle else { return .failure(Refusal(code: status)) }
    let entry = Entry(spec: spec, handle: handle, scratchpad: dn_matmul_scratchpad(handle))
    slots[slot] = entry
    count += 1
    if count * 2 > slots.count { grow() }
    return .success(entry)
  }

  private func clear() {
    for entry in slots { if let entry { dn_matmul_destroy(entry.handle) } }
    slots = [Entry?](repeating: nil, count: 64)
    count = 0
  }

  private func grow() {
    let old = slots
    slots = [Entry?](repeating: nil, count: old.count * 2)
    for entry in old {
      guard let entry else { continue }
      var slot = MatmulCache.hash(entry.spec) & (slots.count - 1)
      while slots[slot] != nil { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = entry
    }
  }

  private static func hash(_ spec: dn_matmul_spec) -> Int {
    var spec = spec
    return withUnsafeBytes(of: &spec) { raw in
      var hash: UInt64 = 0
      for word in raw.bindMemory(to: UInt64.self) {
        hash = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 32
      }
      return Int(truncatingIfNeeded: hash & 0x7FFF_FFFF)
    }
  }

  private static func equal(_ a: dn_matmul_spec, _ b: dn_matmul_spec) -> Bool {
    withUnsafeBytes(of: a) { x in withUnsafeBytes(of: b) { y in x.elementsEqual(y) } }
  }
}
