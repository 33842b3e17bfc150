@_exported public import MartletCore
@_exported public import MartletData
@_exported public import MartletFormats
@_exported public import MartletNN
@_exported public import MartletOps
@_exported public import MartletTrain
@_exported public import enum MartletCPU.ConvolutionChoices
@_exported public import struct MartletCPU.ConvolutionChoice

// Links the CPU; the core finds it at first use.
import MartletCPU
