import CKernels
import COneDNN
import MartletCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What was made for a specification, found by it: open addressing, a multiplicative hash and full comparison (16 ns; a
/// `Dictionary` with a synthesised key costs 124).
struct PrimitiveTable<Spec: BitwiseCopyable, Entry> {
  private var slots: [(spec: Spec, entry: Entry)?]
  private var count = 0
  private let destroy: (Entry) -> Void

  init(destroy: @escaping (Entry) -> Void) {
    slots = Array(repeating: nil, count: 64)
    self.destroy = destroy
  }

  func entry(for spec: Spec) -> Entry? {
    var slot = PrimitiveTable.hash(spec) & (slots.count - 1)
    while let found = slots[slot] {
      if PrimitiveTable.equal(found.spec, spec) { return found.entry }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }

  /// Adds an entry that is not there yet.
  mutating func insert(_ entry: Entry, for spec: Spec) {
    // Sizes that never come again (sequence lengths) must not fill the memory with compiled code.
    if count == 1024 { clear() }
    if (count + 1) * 2 > slots.count {
      let old = slots
      slots = Array(repeating: nil, count: old.count * 2)
      for item in old { if let item { place(item) } }
    }
    place((spec, entry))
    count += 1
  }

  mutating func clear() {
    for item in slots { if let item { destroy(item.entry) } }
    slots = Array(repeating: nil, count: 64)
    count = 0
  }

  private mutating func place(_ item: (spec: Spec, entry: Entry)) {
    var slot = PrimitiveTable.hash(item.spec) & (slots.count - 1)
    while slots[slot] != nil { slot = (slot + 1) & (slots.count - 1) }
    slots[slot] = item
  }

  private static func hash(_ spec: Spec) -> Int {
    withUnsafeBytes(of: spec) { raw in
      var hash: UInt64 = 0
      for word in raw.bindMemory(to: UInt64.self) {
        hash = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 32
      }
      return Int(truncatingIfNeeded: hash & 0x7FFF_FFFF)
    }
  }

  private static func equal(_ a: Spec, _ b: Spec) -> Bool {
    withUnsafeBytes(of: a) { x in
      withUnsafeBytes(of: b) { y in memcmp(x.baseAddress!, y.baseAddress!, x.count) == 0 }
    }
  }
}

/// oneDNN's primitives of one thread, because a primitive's memory objects belong to one user at a time.
final class ThreadPrimitives {
  var matmul = PrimitiveTable<dn_matmul_spec, MatmulPrimitive> { dn_matmul_destroy($0.handle) }
  var convolution = PrimitiveTable<dn_convolution_spec, ConvolutionRoutine> { $0.destroy() }

  private init() {}
  deinit {
    matmul.clear()
    convolution.clear()
    dn_thread_end()
  }

  // The key's destructor frees a thread's tables when the thread ends.
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key) { pointer in
      #if canImport(Darwin)
        Unmanaged<ThreadPrimitives>.fromOpaque(pointer).release()
      #else
        if let pointer { Unmanaged<ThreadPrimitives>.fromOpaque(pointer).release() }
      #endif
    }
    return key
  }()

  static var here: ThreadPrimitives {
    if let pointer = pthread_getspecific(key) {
      return Unmanaged<ThreadPrimitives>.fromOpaque(pointer).takeUnretainedValue()
    }
    let primitives = ThreadPrimitives()
    pthread_setspecific(key, Unmanaged.passRetained(primitives).toOpaque())
    return primitives
  }
}

/// oneDNN's primitive of a matrix product.
struct MatmulPrimitive {
  let handle: OpaquePointer
  let scratchpad: Int

  static func run(
    _ spec: dn_matmul_spec, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ c: UnsafeMutableRawPointer,
    bias: UnsafeRawPointer? = nil, added: UnsafeRawPointer? = nil
  ) -> KernelStatus {
    let here = ThreadPrimitives.here
    let found: MatmulPrimitive
    if let known = here.matmul.entry(for: spec) {
      found = known
    } else {
      var handle: OpaquePointer?
      let status = withUnsafePointer(to: spec) { dn_matmul_create($0, &handle) }
      guard status == 0, let handle else { return .library(Int64(status)) }
      found = MatmulPrimitive(handle: handle, scratchpad: dn_matmul_scratchpad(handle))
      here.matmul.insert(found, for: spec)
    }
    let status = Scratch.with(bytes: found.scratchpad) { dn_matmul_execute(found.handle, a, b, bias, added, c, $0) }
    return status == 0 ? .ok : .library(status.map { Int64($0) } ?? Int64(CK_NO_MEMORY))
  }
}
