@_exported public import MartletCore
@_exported public import MartletData
@_exported public import MartletFormats
@_exported public import MartletNN
@_exported public import MartletOps

// Links the CPU; the core finds it at first use.
import MartletCPU
