@_exported public import MartletCore
@_exported public import MartletOps
import MartletCPU
