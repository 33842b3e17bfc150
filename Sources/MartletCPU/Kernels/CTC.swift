import CKernels
import MartletCore
import MartletOps

func registerCTC() {
  Kernels.register(CTC.self, .cpu) { op, arguments in run(op.blank, arguments, gradient: false) }
  Kernels.register(CTCGradient.self, .cpu) { op, arguments in run(op.blank, arguments, gradient: true) }
}

private func run(_ blank: Int, _ arguments: borrowing KernelArguments, gradient: Bool) -> KernelStatus {
  let dtype = arguments.dtype(0)
  guard dtype == .float32 || dtype == .float64 else { return .unsupported }
  guard let x = Dense(arguments, 0), let labels = Dense(arguments, 1), let times = Dense(arguments, 2),
    let lengths = Dense(arguments, 3)
  else { return .library(Int64(CK_NO_MEMORY)) }
  defer { withExtendedLifetime((x, labels, times, lengths)) {} }
  let (shape, width) = (arguments.shape(0), arguments.shape(1)[1])
  let codes = UnsafePointer(labels.pointer.assumingMemoryBound(to: Int64.self))
  let timesOf = UnsafePointer(times.pointer.assumingMemoryBound(to: Int64.self))
  let lengthsOf = UnsafePointer(lengths.pointer.assumingMemoryBound(to: Int64.self))
  for example in 0..<shape[1] {
    guard (0...shape[0]).contains(Int(timesOf[example])) else {
      return KernelStatus(code: CTC.badTime, value: timesOf[example])
    }
    guard (0...width).contains(Int(lengthsOf[example])) else {
      return KernelStatus(code: CTC.badLength, value: lengthsOf[example])
    }
    for place in 0..<Int(lengthsOf[example]) {
      let label = codes[example * width + place]
      guard (0..<shape[2]).contains(Int(label)) else { return .badIndex(label) }
    }
  }
  return KernelStatus(
    ck_ctc(
      dtype.code, Int64(shape[0]), Int64(shape[1]), Int64(shape[2]), Int64(width), Int64(blank), x.pointer, codes,
      timesOf, lengthsOf, gradient ? nil : arguments.outputPointer(), gradient ? arguments.outputPointer() : nil))
}
