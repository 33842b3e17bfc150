package import CKernels

/// The scopes of the calling thread: what is recorded, made lazy, read from another state, and where.
///
/// The words live in C (0.6 ns to read; a `@TaskLocal` costs 22). Scope functions set them, run a synchronous closure and
/// put them back, so the objects that the pointers name outlive every use.
package enum Context {
  @inline(__always)
  package static var here: UnsafeMutablePointer<ck_context> { ck_here() }

  /// Runs `body` with a changed context and restores the whole context afterwards.
  package static func with<R, E: Error>(
    _ change: (UnsafeMutablePointer<ck_context>) -> Void, _ body: () throws(E) -> R
  ) throws(E) -> R {
    let here = here
    let flags = here.pointee.flags
    let depth = here.pointee.depth
    let recordLevel = here.pointee.record_level
    let muteLevel = here.pointee.mute_level
    let lazyLevel = here.pointee.lazy_level
    let threads = here.pointee.threads
    let device = here.pointee.device
    let layers = here.pointee.layers
    let frame = here.pointee.frame
    let lazy = here.pointee.lazy
    let maps = here.pointee.maps
    change(here)
    defer {
      here.pointee.flags = flags
      here.pointee.depth = depth
      here.pointee.record_level = recordLevel
      here.pointee.mute_level = muteLevel
      here.pointee.lazy_level = lazyLevel
      here.pointee.threads = threads
      here.pointee.device = device
      here.pointee.layers = layers
      here.pointee.frame = frame
      here.pointee.lazy = lazy
      here.pointee.maps = maps
    }
    return try body()
  }

  /// The layers being called, outermost first: `decoder.0 (Linear)`. Names are looked up in the outermost one.
  package static var layerPath: [String] {
    let layers = (0..<min(Int(here.pointee.layers), 64)).compactMap { index in
      withUnsafePointer(to: &here.pointee.layer) { tuple in
        tuple.withMemoryRebound(to: UnsafeRawPointer?.self, capacity: 64) { layers in
          layers[index].map { Unmanaged<AnyObject>.fromOpaque($0).takeUnretainedValue() }
        }
      }
    }
    guard let model = layers.first as? any Module else { return [] }
    var names: [ObjectIdentifier: String] = [:]
    for (name, module) in ModuleTree(model).modules { names[ObjectIdentifier(module)] = name }
    return layers.map { layer in
      let type = String(describing: Swift.type(of: layer))
      guard let name = names[ObjectIdentifier(layer)], !name.isEmpty else { return type }
      return "\(name) (\(type))"
    }
  }

  /// Enters a layer, for error texts. Every call is paired with `popLayer`.
  @inline(__always)
  package static func pushLayer(_ layer: AnyObject) {
    let here = here
    let count = Int(here.pointee.layers)
    if count < 64 {
      withUnsafeMutablePointer(to: &here.pointee.layer) { tuple in
        tuple.withMemoryRebound(to: UnsafeRawPointer?.self, capacity: 64) { layers in
          layers[count] = UnsafeRawPointer(Unmanaged.passUnretained(layer).toOpaque())
        }
      }
    }
    here.pointee.layers += 1
  }

  @inline(__always)
  package static func popLayer() { here.pointee.layers -= 1 }

  /// Enters a function that is made of several operations: errors in these name it, the outermost, first. Its result goes to
  /// `leave`:
  ///
  ///     let call = Context.enter("oneHot")
  ///     defer { Context.leave(call) }
  @inline(__always)
  package static func enter(_ function: StaticString) -> UnsafePointer<CChar>? {
    let outer = here.pointee.call
    if outer == nil { here.pointee.call = UnsafeRawPointer(function.utf8Start).assumingMemoryBound(to: CChar.self) }
    return outer
  }

  @inline(__always)
  package static func leave(_ outer: UnsafePointer<CChar>?) { here.pointee.call = outer }
}

/// The device on which tensors are made when none is named.
public func withDevice<R>(_ device: Device, _ body: () throws -> R) rethrows -> R {
  try Context.with({ $0.pointee.device = Int32(device.raw) + 1 }, body)
}

/// Lets operations called in `body` use `count` threads; 0 means all.
public func withThreads<R>(_ count: Int, _ body: () throws -> R) rethrows -> R {
  try Context.with({ $0.pointee.threads = Int32(clamping: max(0, count)) }, body)
}

/// Runs `body` without recording operations for gradients; a `grad` inside `body` works as ever.
public func withoutGradient<R>(_ body: () throws -> R) rethrows -> R {
  try Context.with(
    {
      $0.pointee.flags |= UInt32(CK_NO_RECORD)
      $0.pointee.mute_level = $0.pointee.depth
    }, body)
}

extension Device {
  /// The device of the innermost `withDevice`, else that named by `MARTLET_DEVICE` (cpu, reference, delayed), else the CPU.
  public static var current: Device {
    let raw = Context.here.pointee.device
    return raw > 0 ? Device(raw: UInt8(raw - 1)) : processDefault
  }

  private static let processDefault: Device = {
    switch Environment["MARTLET_DEVICE"] {
    case "reference": .reference
    case "delayed": .delayed
    default: .cpu
    }
  }()
}
