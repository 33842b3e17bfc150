import CKernels
import MartletCore
import MartletOps

func registerEffects() {
  Kernels.register(Print.self, .cpu) { op, arguments in
    op.show((1..<arguments.inputCount).map { arguments.tensor($0) })
    base(arguments)
    return .ok
  }
  Kernels.register(Assert.self, .cpu) { _, arguments in
    var status = KernelStatus.ok
    withUnsafeTemporaryAllocation(byteCount: max(1, arguments.elementCount(1)), alignment: 1) { bytes in
      copy(arguments.spec(1), arguments.strides(1), arguments.pointer(1), to: bytes.baseAddress!)
      status = Assert.status(of: UnsafeRawBufferPointer(rebasing: bytes[..<arguments.elementCount(1)]))
    }
    if status.code == 0 { base(arguments) }
    return status
  }
}
