import CKernels
import COneDNN
import MartletCore
import MartletOps

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

func registerFusedConvolution() {
  Kernels.register(FusedConvolution.self, .cpu) { op, arguments in
    guard let packing = op.packing else { return .unsupported }
    return convolve(op, packing, arguments)
  }
  Kernels.register(PackKernels.self, .cpu) { op, arguments in
    guard let packing = op.convolution.packing else { return .unsupported }
    guard let w = Dense(arguments, 0) else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime(w) {} }
    guard let routine = routine(op.convolution, packing, op.x) else { return .library(Int64(CK_NO_MEMORY)) }
    return routine.pack(w.pointer, to: arguments.outputPointer())
  }
  FusedConvolution.prepare = { op, x, isChannelsLast in
    guard let sizes = ConvolutionSizes(op, x, isChannelsLast: isChannelsLast, threads: ck_threads()) else {
      return nil
    }
    // Something to time the algorithms with.
    var memory: [Storage] = []
    func filled(_ count: Int) -> UnsafeMutableRawPointer? {
      guard let storage = Storage(bytes: count * sizes.dtype.size) else { return nil }
      memset(storage.pointer, ConvolutionChoices.small, storage.bytes)
      memory.append(storage)
      return storage.pointer
    }
    let chosen = ConvolutionChoices.chosen(sizes) {
      guard let x = filled(sizes.x.elementCount), let y = filled(sizes.y.elementCount),
        let bias = filled(2 * sizes.w[0])
      else { return nil }
      return ConvolutionOperands(x: x, w: x, y: y, bias: op.hasBias ? bias : nil)
    }
    guard let (algorithm, routine) = chosen else { return nil }
    defer { routine.destroy() }
    return withExtendedLifetime(memory) {
      ConvolutionPacking(
        algorithm: algorithm.rawValue, threads: sizes.threads, isChannelsLast: isChannelsLast,
        byteCount: routine.packedBytes)
    }
  }
}

extension ConvolutionSizes {
  /// Nil for what oneDNN does not take.
  fileprivate init?(_ op: FusedConvolution, _ x: TensorSpec, isChannelsLast: Bool, threads: Int32) {
    let w = TensorSpec(op.kernels, x.dtype, device: x.device)
    guard let y = try? Convolution(op.window).outputs(for: [x, w])[0], x.count > 0, w.count > 0, y.count > 0 else {
      return nil
    }
    self.init(DN_FORWARD, x.dtype, op.window, x: x.shape, w: w.shape, y: y.shape, hasBias: op.hasBias)
    areChannelsLast = isChannelsLast
    self.threads = threads
    isPacked = true
    adds = op.adds
    bounds = op.bounds
    isBiasWide = true
    if spec == nil { return nil }
  }
}

/// The routine of this thread for a convolution whose algorithm is known.
private func routine(
  _ op: FusedConvolution, _ packing: ConvolutionPacking, _ x: TensorSpec
) -> ConvolutionRoutine? {
  guard let algorithm = ConvolutionAlgorithm(rawValue: packing.algorithm),
    let sizes = ConvolutionSizes(op, x, isChannelsLast: packing.isChannelsLast, threads: packing.threads),
    var spec = sizes.spec
  else { return nil }
  spec.algorithm = packing.algorithm
  let here = ThreadPrimitives.here
  if let known = here.convolution.entry(for: spec) { return known }
  guard let routine = ConvolutionRoutine(algorithm, sizes) else { return nil }
  here.convolution.insert(routine, for: spec)
  return routine
}

private func convolve(
  _ op: FusedConvolution, _ packing: ConvolutionPacking, _ arguments: borrowing KernelArguments
) -> KernelStatus {
  func operand(_ position: Int) -> Dense? {
    packing.isChannelsLast
      ? Dense(arguments, position, like: Order.channelsLast(arguments.spec(position))) : Dense(arguments, position)
  }
  let output = arguments.outputSpec()
  guard let x = operand(0), let bias = op.hasBias ? Dense(arguments, 2) : x else {
    return .library(Int64(CK_NO_MEMORY))
  }
  defer { withExtendedLifetime((x, bias)) {} }
  let out = arguments.outputPointer()
  if op.adds {
    // The sums are added to what the result's memory holds, which mostly is that of what is added.
    let added = op.hasBias ? 3 : 2
    if arguments.pointer(added) != out {
      copy(
        output, arguments.strides(added), arguments.pointer(added), to: out, like: arguments.outputStrides())
    }
  }
  guard let routine = routine(op, packing, arguments.spec(0)) else { return .library(Int64(CK_NO_MEMORY)) }
  return routine.run(
    ConvolutionOperands(x: x.pointer, w: arguments.pointer(1), y: out, bias: op.hasBias ? bias.pointer : nil))
}
