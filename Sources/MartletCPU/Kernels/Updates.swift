import CKernels
import MartletCore
import MartletOps

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

func registerUpdates() {
  Kernels.register(AdamUpdate.self, .cpu) { op, arguments in adam(op, parameters: 1, arguments) }
  Kernels.register(SGDUpdate.self, .cpu) { op, arguments in sgd(op, parameters: 1, arguments) }
  Kernels.register(JoinedUpdates.self, .cpu) { op, arguments in
    switch op.update {
    case let update as AdamUpdate: adam(update, parameters: op.count, arguments)
    case let update as SGDUpdate: sgd(update, parameters: op.count, arguments)
    default: .unsupported
    }
  }
}

private func adam(_ op: AdamUpdate, parameters: Int, _ arguments: borrowing KernelArguments) -> KernelStatus {
  let (inputs, outputs) = (arguments.inputCount / parameters, arguments.outputCount / parameters)
  var operands = DenseOperands()
  // The steps of the parameters are mostly the same.
  var step = Double.nan
  var bias = (0.0, 0.0)
  return withUnsafeTemporaryAllocation(of: ck_update.self, capacity: parameters) { updates in
    for part in 0..<parameters {
      let (from, to) = (part * inputs, part * outputs)
      let its = scalar(arguments, from + 5)
      if its != step {
        step = its
        bias = (1 - pow(op.beta1, step), 1 - pow(op.beta2, step))
      }
      guard let p = operands.pointer(arguments, from), let g = operands.pointer(arguments, from + 1),
        let m = operands.pointer(arguments, from + 3), let v = operands.pointer(arguments, from + 4),
        let top = operands.pointer(arguments, from + (op.amsgrad ? 6 : 4))
      else { return .library(Int64(CK_NO_MEMORY)) }
      updates[part] = ck_update(
        count: Int64(arguments.elementCount(from)), p_out: arguments.outputPointer(to),
        m_out: arguments.outputPointer(to + 1), v_out: arguments.outputPointer(to + 2),
        top_out: op.amsgrad ? arguments.outputPointer(to + 3) : nil, p: p, g: g, m: m, v: v,
        top: op.amsgrad ? top : nil, rate: scalar(arguments, from + 2), bias1: bias.0, bias2: bias.1,
        gradient: arguments.dtype(from + 1).code)
    }
    let code = arguments.dtype(0).code
    return withExtendedLifetime(operands) {
      KernelStatus(
        ck_adam(
          code, Int32(parameters), updates.baseAddress!, op.beta1, op.beta2, op.epsilon, op.weightDecay, op.decoupled))
    }
  }
}

private func sgd(_ op: SGDUpdate, parameters: Int, _ arguments: borrowing KernelArguments) -> KernelStatus {
  let (inputs, outputs) = (arguments.inputCount / parameters, arguments.outputCount / parameters)
  let hasMomentum = op.momentum != 0
  // There is none to read before the first step.
  let isFirst = inputs < 4
  var operands = DenseOperands()
  return withUnsafeTemporaryAllocation(of: ck_update.self, capacity: parameters) { updates in
    for part in 0..<parameters {
      let (from, to) = (part * inputs, part * outputs)
      guard let p = operands.pointer(arguments, from), let g = operands.pointer(arguments, from + 1),
        let m = operands.pointer(arguments, from + (isFirst ? 1 : 3))
      else { return .library(Int64(CK_NO_MEMORY)) }
      updates[part] = ck_update(
        count: Int64(arguments.elementCount(from)), p_out: arguments.outputPointer(to),
        m_out: hasMomentum ? arguments.outputPointer(to + 1) : nil, v_out: nil, top_out: nil, p: p, g: g,
        m: hasMomentum && !isFirst ? m : nil, v: nil, top: nil, rate: scalar(arguments, from + 2), bias1: 1, bias2: 1,
        gradient: arguments.dtype(from + 1).code)
    }
    let code = arguments.dtype(0).code
    return withExtendedLifetime(operands) {
      KernelStatus(
        ck_sgd(
          code, Int32(parameters), updates.baseAddress!, op.momentum, op.dampening, op.weightDecay, op.nesterov,
          isFirst))
    }
  }
}

/// Operands row by row: those that lie otherwise as copies, which live as long as this.
private struct DenseOperands {
  private var copies: [Dense] = []

  mutating func pointer(_ arguments: borrowing KernelArguments, _ position: Int) -> UnsafeMutableRawPointer? {
    if arguments.isContiguous(position) { return arguments.pointer(position) }
    guard let copy = Dense(arguments, position) else { return nil }
    copies.append(copy)
    return copy.pointer
  }
}

/// The value of a scalar argument.
private func scalar(_ arguments: borrowing KernelArguments, _ position: Int) -> Double {
  let bytes = UnsafeRawBufferPointer(start: arguments.pointer(position), count: 8)
  return Scalars.load(bytes, 0, arguments.dtype(position))
}
