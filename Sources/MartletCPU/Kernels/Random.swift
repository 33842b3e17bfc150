import CKernels
import MartletCore
import MartletOps

func registerRandom() {
  Kernels.register(RandomBits.self, .cpu) { op, arguments in
    forEachKey(op, arguments) { key, count, out in
      ck_random_bits(key, count, out.assumingMemoryBound(to: UInt32.self))
    }
  }
  Kernels.register(RandomUniform.self, .cpu) { op, arguments in
    switch op.dtype {
    case .float32:
      forEachKey(op, arguments) { key, count, out in
        ck_random_uniform_f32(key, count, out.assumingMemoryBound(to: Float.self))
      }
    case .float64:
      forEachKey(op, arguments) { key, count, out in
        ck_random_uniform_f64(key, count, out.assumingMemoryBound(to: Double.self))
      }
    default: .unsupported
    }
  }
  Kernels.register(RandomNormal.self, .cpu) { op, arguments in
    switch op.dtype {
    case .float32:
      forEachKey(op, arguments) { key, count, out in
        ck_random_normal_f32(key, count, out.assumingMemoryBound(to: Float.self))
      }
    case .float64:
      forEachKey(op, arguments) { key, count, out in
        ck_random_normal_f64(key, count, out.assumingMemoryBound(to: Double.self))
      }
    default: .unsupported
    }
  }
}

private func forEachKey<O: RandomOp>(
  _ op: O, _ arguments: borrowing KernelArguments,
  _ body: (UnsafePointer<Int64>, Int64, UnsafeMutableRawPointer) -> Void
) -> KernelStatus {
  guard let keys = Dense(arguments, 0) else { return .library(Int64(CK_NO_MEMORY)) }
  defer { withExtendedLifetime(keys) {} }
  let count = op.shape.elementCount
  let words = UnsafePointer(keys.pointer.assumingMemoryBound(to: Int64.self))
  for key in 0..<(arguments.elementCount(0) / 3) {
    body(words + key * 3, Int64(count), arguments.outputPointer() + key * count * op.dtype.size)
  }
  return .ok
}
