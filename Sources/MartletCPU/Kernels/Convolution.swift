import CKernels
import COneDNN
import MartletCore
import MartletOps

func registerConvolution() {
  Kernels.register(Convolution.self, .cpu) { op, arguments in
    convolve(DN_FORWARD, op.window, arguments, result: .y)
  }
  Kernels.register(ConvolutionInputGradient.self, .cpu) { op, arguments in
    convolve(DN_INPUT_GRADIENT, op.window, arguments, result: .x)
  }
  Kernels.register(ConvolutionWeightGradient.self, .cpu) { op, arguments in
    convolve(DN_WEIGHT_GRADIENT, op.window, arguments, result: .w)
  }
}

private enum Operand { case x, w, y }

private func convolve(
  _ direction: Int, _ window: ConvolutionWindow, _ arguments: borrowing KernelArguments, result: Operand
) -> KernelStatus {
  let output = arguments.outputSpec()
  let (a, b, c) = (arguments.shape(0), arguments.shape(1), output.shape)
  if c.elementCount == 0 { return .ok }
  // oneDNN takes images with their channels next to each other as they are, if both are so.
  let isRowMajor = arguments.outputStrides() == c.contiguousStrides
  let areLast: Bool
  if arguments.isContiguous(0), result == .w ? arguments.isContiguous(1) : isRowMajor {
    areLast = false
  } else {
    let other = result == .w ? (b, arguments.strides(1)) : (c, arguments.outputStrides())
    areLast = Order.isChannelsLast(a, arguments.strides(0)) && Order.isChannelsLast(other.0, other.1)
  }
  guard let first = areLast ? Dense(arguments, 0, as: ()) : Dense(arguments, 0),
    let second = areLast && result == .w ? Dense(arguments, 1, as: ()) : Dense(arguments, 1)
  else { return .library(Int64(CK_NO_MEMORY)) }
  var bias: Dense?
  if arguments.inputCount == 3 {
    guard let dense = Dense(arguments, 2) else { return .library(Int64(CK_NO_MEMORY)) }
    bias = dense
  }
  defer { withExtendedLifetime((first, second, bias)) {} }
  let out = arguments.outputPointer()
  var sizes: ConvolutionSizes
  var operands: ConvolutionOperands
  switch result {
  case .y:
    sizes = ConvolutionSizes(direction, output.dtype, window, x: a, w: b, y: c, hasBias: bias != nil)
    operands = ConvolutionOperands(x: first.pointer, w: second.pointer, y: out, bias: bias?.pointer)
  case .x:
    sizes = ConvolutionSizes(direction, output.dtype, window, x: c, w: b, y: a, hasBias: false)
    operands = ConvolutionOperands(x: out, w: second.pointer, y: first.pointer)
  case .w:
    sizes = ConvolutionSizes(direction, output.dtype, window, x: a, w: c, y: b, hasBias: false)
    operands = ConvolutionOperands(x: first.pointer, w: out, y: second.pointer)
  }
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
  switch result {
  case .y: operands = ConvolutionOperands(x: left, w: right, y: target, bias: bias?.pointer)
  case .x: operands = ConvolutionOperands(x: target, w: right, y: left)
  case .w: operands = ConvolutionOperands(x: left, w: target, y: right)
  }
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

/// Runs a convolution by a named algorithm, for tests; nil where it does not apply.
package func runConvolution(_ algorithm: ConvolutionAlgorithm, _ op: any Op, _ inputs: [Tensor]) -> Tensor? {
  guard let output = try? op.outputs(for: inputs.map { $0.spec })[0],
    let result = try? Tensor.uninitialized(output)
  else { return nil }
  let (first, second) = (inputs[0], inputs[1])
  precondition((inputs + [result]).allSatisfy { $0.isContiguous && $0.isPlain })
  let sizes: ConvolutionSizes
  var operands = ConvolutionOperands(x: first.node.pointer, w: second.node.pointer, y: result.node.pointer)
  switch op {
  case let op as Convolution:
    sizes = ConvolutionSizes(
      DN_FORWARD, output.dtype, op.window, x: first.shape, w: second.shape, y: output.shape, hasBias: inputs.count == 3)
    if inputs.count == 3 { operands.bias = inputs[2].node.pointer }
  case let op as ConvolutionInputGradient:
    sizes = ConvolutionSizes(
      DN_INPUT_GRADIENT, output.dtype, op.window, x: output.shape, w: second.shape, y: first.shape, hasBias: false)
    operands = ConvolutionOperands(x: result.node.pointer, w: second.node.pointer, y: first.node.pointer)
  case let op as ConvolutionWeightGradient:
    sizes = ConvolutionSizes(
      DN_WEIGHT_GRADIENT, output.dtype, op.window, x: first.shape, w: output.shape, y: second.shape, hasBias: false)
    operands = ConvolutionOperands(x: first.node.pointer, w: result.node.pointer, y: second.node.pointer)
  default: return nil
  }
  guard let routine = ConvolutionRoutine(algorithm, sizes) else { return nil }
  defer { routine.destroy() }
  return withExtendedLifetime((inputs, result)) { routine.run(operands).code == 0 ? result : nil }
}
