import CKernels
import MartletCore
import MartletOps

/// Float32 operands in row-major order; nil where there is none.
private struct Operands {
  private let held: [Dense]
  init?(_ arguments: borrowing KernelArguments) {
    var held: [Dense] = []
    for position in 0..<arguments.inputCount {
      guard let operand = Dense(arguments, position) else { return nil }
      held.append(operand)
    }
    self.held = held
  }
  subscript(position: Int) -> UnsafePointer<Float> {
    UnsafePointer(held[position].pointer.assumingMemoryBound(to: Float.self))
  }
  subscript(position: Int?) -> UnsafePointer<Float>? { position.map { self[$0] } }
}

private func output(_ arguments: borrowing KernelArguments, _ position: Int) -> UnsafeMutablePointer<Float> {
  arguments.outputPointer(position).assumingMemoryBound(to: Float.self)
}

func registerRecurrence() {
  Kernels.register(Recurrence.self, .cpu) { op, arguments in
    guard arguments.dtype(0) == .float32 else { return .unsupported }
    guard let inputs = Operands(arguments) else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime(inputs) {} }
    let states = arguments.outputSpec(0).shape
    var recurrent = ck_recurrent(
      steps: Int64(states[0]), batch: Int64(states[1]), hidden: Int64(states[2]), kind: op.cell.rawValue,
      product: (op.product ?? .float32).code, reversed: op.isReversed)
    let isLSTM = op.cell == .lstm
    return KernelStatus(
      ck_recur(
        &recurrent, output(arguments, 0), isLSTM ? output(arguments, 1) : nil,
        op.cell == .gru ? output(arguments, 1) : isLSTM ? output(arguments, 2) : nil, inputs[0], inputs[1],
        isLSTM ? inputs[3] : nil, inputs[2], op.cell == .gru ? inputs[3] : nil))
  }
  Kernels.register(RecurrenceGradient.self, .cpu) { op, arguments in
    guard arguments.dtype(0) == .float32 else { return .unsupported }
    guard let inputs = Operands(arguments) else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime(inputs) {} }
    let (states, at) = (arguments.shape(0), op.places)
    var recurrent = ck_recurrent(
      steps: Int64(states[0]), batch: Int64(states[1]), hidden: Int64(states[2]), kind: op.cell.rawValue,
      product: (op.product ?? .float32).code, reversed: op.isReversed)
    return KernelStatus(
      ck_recur_grad(
        &recurrent, output(arguments, 0), op.cell == .gru ? output(arguments, 2) : nil, output(arguments, 1),
        op.cell == .lstm ? output(arguments, 2) : nil, inputs[0], inputs[at.dc], inputs[at.dgates], inputs[at.y],
        inputs[at.c], inputs[at.gates], inputs[at.h0], inputs[at.c0], inputs[at.weight]))
  }
}
