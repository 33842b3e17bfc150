import CKernels

/// Work memory of one call of a kernel.
enum Scratch {
  /// Lends at least so many bytes to `body`; nil when memory is out.
  static func with<R>(bytes: Int, _ body: (UnsafeMutableRawPointer) -> R) -> R? {
    var given = bytes
    guard let pointer = ck_take_scratch(&given) else { return nil }
    defer { ck_return_scratch(pointer, given) }
    return body(pointer)
  }
}
