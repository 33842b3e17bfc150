import CKernels
import MartletCore
import MartletOps

func registerComplex() {
  Kernels.register(Conjugate.self, .cpu) { _, arguments in unary(CK_CONJ, arguments) }
  // Only where the pairs do not lie together, or in other places than even ones.
  Kernels.register(ViewAsComplex.self, .cpu) { _, arguments in
    copy(arguments.spec(0), arguments.strides(0), arguments.pointer(0), to: arguments.outputPointer())
    return .ok
  }
}

/// The absolute values of complex numbers.
func magnitude(_ arguments: borrowing KernelArguments) -> KernelStatus {
  var nd = ck_nd(arguments)
  return KernelStatus(ck_magnitude(arguments.dtype(0).code, &nd, arguments.outputPointer(), arguments.pointer(0)))
}
