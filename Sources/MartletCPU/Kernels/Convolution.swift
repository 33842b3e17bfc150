import CKernels
import COneDNN
import MartletCore
import MartletOps

func registerConvolution() {
  Kernels.register(Convolution.self, .cpu) { op, arguments in
    convolve(DN_FORWARD, op.window, arguments)
  }
  Kernels.register(ConvolutionInputGradient.self, .cpu) { op, arguments in
    convolve(DN_INPUT_GRADIENT, op.window, arguments)
  }
  Kernels.register(ConvolutionWeightGradient.self, .cpu) { op, arguments in
    convolve(DN_WEIGHT_GRADIENT, op.window, arguments)
  }
}

extension ConvolutionSizes {
  /// By the shapes of the two inputs and the result, which play other parts in each direction.
  fileprivate init(
    _ direction: Int, _ dtype: DType, _ window: ConvolutionWindow, _ first: Shape, _ second: Shape, _ result: Shape,
    hasBias: Bool
  ) {
    let (x, w, y) = ConvolutionOperands.parts(direction, first, second, result)
    self.init(direction, dtype, window, x: x, w: w, y: y, hasBias: hasBias)
  }
}

extension ConvolutionOperands {
  fileprivate init(
    _ direction: Int, _ first: UnsafeMutableRawPointer, _ second: UnsafeMutableRawPointer,
    _ result: UnsafeMutableRawPointer, bias: UnsafeMutableRawPointer?
  ) {
    let (x, w, y) = ConvolutionOperands.parts(direction, first, second, result)
    self.init(x: x, w: w, y: y, bias: bias)
  }

  /// Images, kernels and result images, of which one is computed from the others.
  fileprivate static func parts<T>(_ direction: Int, _ first: T, _ second: T, _ result: T) -> (x: T, w: T, y: T) {
    switch direction {
    case DN_FORWARD: (first, second, result)
    case DN_INPUT_GRADIENT: (result, second, first)
    default: (first, result, second)
    }
  }
}

private func convolve(
  _ direction: Int, _ window: ConvolutionWindow, _ arguments: borrowing KernelArguments
) -> KernelStatus {
  let output = arguments.outputSpec()
  let (a, b, c) = (arguments.shape(0), arguments.shape(1), output.shape)
  if c.elementCount == 0 { return .ok }
  // oneDNN takes images with their channels next to each other as they are, if both are so.
  let givesKernels = direction == DN_WEIGHT_GRADIENT
  let isRowMajor = arguments.outputStrides() == c.contiguousStrides
  let areLast: Bool
  if arguments.isContiguous(0), givesKernels ? arguments.isContiguous(1) : isRowMajor {
    areLast = false
  } else {
    let other = givesKernels ? (b, arguments.strides(1)) : (c, arguments.outputStrides())
    areLast = Order.isChannelsLast(a, arguments.strides(0)) && Order.isChannelsLast(other.0, other.1)
  }
  guard let first = areLast ? Dense(arguments, 0, as: ()) : Dense(arguments, 0),
    let second = areLast && givesKernels ? Dense(arguments, 1, as: ()) : Dense(arguments, 1)
  else { return .library(Int64(CK_NO_MEMORY)) }
  var bias: Dense?
  if arguments.inputCount == 3 {
    guard let dense = Dense(arguments, 2) else { return .library(Int64(CK_NO_MEMORY)) }
    bias = dense
  }
  defer { withExtendedLifetime((first, second, bias)) {} }
  let out = arguments.outputPointer()
  var sizes = ConvolutionSizes(direction, output.dtype, window, a, b, c, hasBias: bias != nil)
  var operands = ConvolutionOperands(direction, first.pointer, second.pointer, out, bias: bias?.pointer)
  sizes.areChannelsLast = areLast
  let isEmpty = a.elementCount == 0 || b.elementCount == 0
  if !isEmpty, let spec = sizes.spec {
    let here = ThreadPrimitives.here
    if let routine = here.convolution.entry(for: spec) { return routine.run(operands) }
    if let (routine, status) = ConvolutionChoices.choose(sizes, operands) {
      here.convolution.insert(routine, for: spec)
      return status
    }
  }
  // Without oneDNN: columns of row-major operands.
  sizes.areChannelsLast = false
  var copies: [Dense] = []
  if areLast {
    guard let rowMajorA = Dense(arguments, 0), let rowMajorB = Dense(arguments, 1) else {
      return .library(Int64(CK_NO_MEMORY))
    }
    copies = [rowMajorA, rowMajorB]
  }
  let storage = isRowMajor ? nil : Storage(bytes: output.byteCount)
  guard isRowMajor || storage != nil else { return .library(Int64(CK_NO_MEMORY)) }
  defer { withExtendedLifetime((copies, storage)) {} }
  let left = copies.first?.pointer ?? first.pointer
  let right = copies.last?.pointer ?? second.pointer
  let target = storage?.pointer ?? out
  operands = ConvolutionOperands(direction, left, right, target, bias: bias?.pointer)
  var status = KernelStatus.ok
  if isEmpty {
    ConvolutionColumns(sizes).runEmpty(operands, bytes: output.byteCount, target)
  } else {
    status = ConvolutionColumns(sizes).run(operands)
  }
  if !isRowMajor {
    var nd = ck_nd(c)
    nd.set(0, c, arguments.outputStrides(), to: c)
    nd.set(1, c, c.contiguousStrides, to: c)
    _ = ck_copy(output.dtype.code, &nd, out, target)
  }
  return status
}

/// Runs a convolution by a named algorithm, for tests; nil where it does not apply. With `channelsLast`, it runs on images
/// that lie so.
package func runConvolution(
  _ algorithm: ConvolutionAlgorithm, _ op: any Op, _ given: [Tensor], channelsLast: Bool = false
) -> Tensor? {
  let isKernel = op is ConvolutionWeightGradient
  let last = [0] + Array(2..<given[0].rank) + [1]
  let first = [0, given[0].rank - 1] + Array(1..<given[0].rank - 1)
  var inputs = given
  if channelsLast {
    for i in 0...(isKernel ? 1 : 0) { inputs[i] = given[i].permuted(last).contiguous() }
  }
  guard let output = try? op.outputs(for: given.map { $0.spec })[0], var result = try? Tensor.uninitialized(output)
  else { return nil }
  precondition((inputs + [result]).allSatisfy { $0.isContiguous && $0.isPlain })
  let (direction, window): (Int, ConvolutionWindow)
  switch op {
  case let op as Convolution: (direction, window) = (DN_FORWARD, op.window)
  case let op as ConvolutionInputGradient: (direction, window) = (DN_INPUT_GRADIENT, op.window)
  case let op as ConvolutionWeightGradient: (direction, window) = (DN_WEIGHT_GRADIENT, op.window)
  default: return nil
  }
  let bias = inputs.count == 3 ? inputs[2].node.pointer : nil
  var sizes = ConvolutionSizes(
    direction, output.dtype, window, given[0].shape, given[1].shape, output.shape, hasBias: bias != nil)
  sizes.areChannelsLast = channelsLast
  let operands = ConvolutionOperands(
    direction, inputs[0].node.pointer, inputs[1].node.pointer, result.node.pointer, bias: bias)
  guard let routine = ConvolutionRoutine(algorithm, sizes) else { return nil }
  defer { routine.destroy() }
  guard withExtendedLifetime((inputs, result), { routine.run(operands).code == 0 }) else { return nil }
  if channelsLast && !isKernel { result = result.reshaped(Shape(last.map { output.shape[$0] })).permuted(first) }
  return result
}
