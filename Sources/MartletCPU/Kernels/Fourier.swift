import CKernels
import MartletCore
import MartletOps

func registerFourier() {
  Kernels.register(Fourier.self, .cpu) { op, arguments in
    let (outer, n, inner) = arguments.shape(0).around(op.axis)
    return run(arguments, Int(n), real: false) {
      ck_fft($0, op.inverse, op.scale, outer, inner, arguments.outputPointer(), $1)
    }
  }
  Kernels.register(RealFourier.self, .cpu) { op, arguments in
    let (outer, n, inner) = arguments.shape(0).around(op.axis)
    return run(arguments, Int(n), real: true) {
      ck_fft_of_real($0, op.scale, outer, inner, arguments.outputPointer(), $1)
    }
  }
  Kernels.register(InverseRealFourier.self, .cpu) { op, arguments in
    let (outer, _, inner) = arguments.shape(0).around(op.axis)
    return run(arguments, op.n, real: true) {
      ck_fft_to_real($0, op.scale, outer, inner, arguments.outputPointer(), $1)
    }
  }
}

/// Calls `body` with the plan for rows of n elements and the input in row-major order.
private func run(
  _ arguments: borrowing KernelArguments, _ n: Int, real: Bool, _ body: (OpaquePointer, UnsafeRawPointer) -> Int32
) -> KernelStatus {
  if arguments.elementCount(0) == 0 { return .ok }
  let key = FourierPlan.Key(n: n, isDouble: arguments.dtype(0).realPart == .float64, real: real)
  guard let x = Dense(arguments, 0), let plan = FourierPlan.of(key) else { return .library(Int64(CK_NO_MEMORY)) }
  defer { withExtendedLifetime((x, plan)) {} }
  return KernelStatus(body(plan.tables, UnsafeRawPointer(x.pointer)))
}

/// The tables of transforms of one length. Those of the last lengths are kept, up to 64 MiB.
private final class FourierPlan: @unchecked Sendable {
  // Sendable: the tables do not change.
  struct Key: Hashable {
    let n: Int
    let isDouble, real: Bool
  }
  let tables: OpaquePointer
  private let bytes: Int
  private var lastUse = 0

  private init?(_ key: Key) {
    guard let tables = ck_fft_make(Int32(key.isDouble ? CK_F64 : CK_F32), Int64(key.n), key.real) else { return nil }
    self.tables = tables
    bytes = Int(ck_fft_bytes(tables))
  }
  deinit { ck_fft_free(tables) }

  private static let lock = Lock()
  nonisolated(unsafe) private static var known: [Key: FourierPlan] = [:]
  nonisolated(unsafe) private static var uses = 0
  private static let most = 64 << 20

  /// The plan of a length; nil when memory is out.
  static func of(_ key: Key) -> FourierPlan? {
    let found = lock.holding { () -> FourierPlan? in
      uses += 1
      known[key]?.lastUse = uses
      return known[key]
    }
    if let found { return found }
    guard let plan = FourierPlan(key) else { return nil }
    lock.holding {
      plan.lastUse = uses
      known[key] = plan
      var held = known.values.reduce(0) { $0 + $1.bytes }
      while held > most, let oldest = known.min(by: { $0.value.lastUse < $1.value.lastUse }) {
        held -= oldest.value.bytes
        known[oldest.key] = nil
      }
    }
    return plan
  }
}
