import CKernels
import MartletCore
import MartletOps

func registerFourier() {
  Kernels.register(Fourier.self, .cpu) { op, arguments in
    let (outer, n, inner) = arguments.shape(0).around(op.axis)
    return run(arguments, Int(n), .complex(outer: outer, inner: inner)) {
      ck_fft($0, op.inverse, op.scale, outer, inner, arguments.outputPointer(), $1)
    }
  }
  Kernels.register(RealFourier.self, .cpu) { op, arguments in
    let (outer, n, inner) = arguments.shape(0).around(op.axis)
    return run(arguments, Int(n), .real) {
      ck_fft_of_real($0, op.scale, outer, inner, arguments.outputPointer(), $1)
    }
  }
  Kernels.register(InverseRealFourier.self, .cpu) { op, arguments in
    let (outer, _, inner) = arguments.shape(0).around(op.axis)
    return run(arguments, op.n, .real) {
      ck_fft_to_real($0, op.scale, outer, inner, arguments.outputPointer(), $1)
    }
  }
}

private enum FourierRows {
  case complex(outer: Int64, inner: Int64)
  case real
}

/// Calls `body` with the plan for rows of n elements and the input in row-major order.
private func run(
  _ arguments: borrowing KernelArguments, _ n: Int, _ rows: FourierRows,
  _ body: (OpaquePointer, UnsafeRawPointer) -> Int32
) -> KernelStatus {
  if arguments.elementCount(0) == 0 { return .ok }
  let isDouble = arguments.dtype(0).realPart == .float64
  let kind: FourierPlan.Kind =
    switch rows {
    case .real: .real
    case .complex(let outer, let inner):
      ck_fft_splits(Int32(isDouble ? CK_F64 : CK_F32), Int64(n), outer, inner) ? .matrices : .complex
    }
  let key = FourierPlan.Key(n: n, isDouble: isDouble, kind: kind)
  guard let x = Dense(arguments, 0), let plan = FourierPlans.shared.plan(key) else {
    return .library(Int64(CK_NO_MEMORY))
  }
  defer { withExtendedLifetime((x, plan)) {} }
  return KernelStatus(body(plan.tables, UnsafeRawPointer(x.pointer)))
}

/// The tables of transforms of one length.
package final class FourierPlan: @unchecked Sendable {
  // Sendable: the tables do not change.
  package enum Kind { case complex, matrices, real }
  package struct Key: Hashable {
    let n: Int
    let isDouble: Bool
    let kind: Kind
    package init(n: Int, isDouble: Bool, kind: Kind) { (self.n, self.isDouble, self.kind) = (n, isDouble, kind) }
  }
  fileprivate let tables: OpaquePointer
  package let bytes: Int

  fileprivate init?(_ key: Key) {
    let tables = ck_fft_make(
      Int32(key.isDouble ? CK_F64 : CK_F32), Int64(key.n), key.kind == .real, key.kind == .matrices)
    guard let tables else { return nil }
    self.tables = tables
    bytes = Int(ck_fft_bytes(tables))
  }
  deinit { ck_fft_free(tables) }
}

/// The plans that were used last, up to a number of bytes. The newest is kept however large it is.
package final class FourierPlans: @unchecked Sendable {
  // Sendable: by the lock.
  package static let shared = FourierPlans(most: 64 << 20)
  private let lock = Lock()
  private let most: Int
  private var known: [FourierPlan.Key: (plan: FourierPlan, lastUse: Int)] = [:]
  private var uses = 0
  package init(most: Int) { self.most = most }

  /// The plan of a length; nil when memory is out.
  package func plan(_ key: FourierPlan.Key) -> FourierPlan? {
    let found = lock.holding { () -> FourierPlan? in
      uses += 1
      known[key]?.lastUse = uses
      return known[key]?.plan
    }
    if let found { return found }
    guard let plan = FourierPlan(key) else { return nil }
    lock.holding {
      uses += 1
      known[key] = (plan, uses)
      var held = known.values.reduce(0) { $0 + $1.plan.bytes }
      while held > most, known.count > 1, let oldest = known.min(by: { $0.value.lastUse < $1.value.lastUse }) {
        held -= oldest.value.plan.bytes
        known[oldest.key] = nil
      }
    }
    return plan
  }
}
