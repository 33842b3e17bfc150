import CKernels
import MartletCore
import MartletOps

/// Registers the CPU's kernels. Called once, at first use.
@c(martlet_install_cpu) public func installCPU() {
  registerElementwise()
  registerControl()
  registerComplex()
  registerFourier()
  registerReductions()
  registerShape()
  registerIndexing()
  registerMatmul()
  registerConvolution()
  registerFusedConvolution()
  registerPooling()
  registerResample()
  registerVision()
  registerRows()
  registerAttention()
  registerRecurrence()
  registerNormalize()
  registerRandom()
  registerUpdates()
  registerCTC()
  registerLinearAlgebra()
  registerSparse()
  registerEffects()
}

extension KernelStatus {
  /// From what a C kernel returned.
  init(_ code: Int32, value: Int64 = 0) {
    switch Int(code) {
    case Int(CK_OK): self = .ok
    case Int(CK_BAD_INDEX): self = .badIndex(value)
    case Int(CK_UNSUPPORTED): self = .unsupported
    default: self = .library(Int64(code))
    }
  }
  init(_ status: ck_status) { self.init(status.code, value: status.value) }
}

extension DType {
  var code: Int32 { Int32(rawValue) }
}
