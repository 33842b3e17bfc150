import MartletCore
import MartletOps

/// Operations that run subprograms, inside of plans.
func registerControl() {
  func register<O: ControlOp>(_: O.Type) {
    Kernels.register(O.self, .cpu) { op, arguments in op.runKernel(arguments) }
  }
  register(Call.self)
  register(Branch.self)
  register(Loop.self)
  register(LoopGradient.self)
  register(Scan.self)
}
