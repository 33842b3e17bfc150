import MartletCore
import MartletOps

func installEffects() {
  Kernels.register(Assert.self, .reference) { _, arguments in
    let condition = arguments.bits(1).map { UInt8(truncatingIfNeeded: $0) }
    let status = condition.withUnsafeBytes { Assert.status(of: $0) }
    if status.code == 0 { arguments.write(bits: arguments.bits(0)) }
    return status
  }
}
