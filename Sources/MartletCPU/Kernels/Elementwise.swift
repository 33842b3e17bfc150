import CKernels
import MartletCore
import MartletOps

func registerElementwise() {
  unary(Negate.self, CK_NEG)
  Kernels.register(Abs.self, .cpu) { _, arguments in
    arguments.dtype(0).isComplex ? magnitude(arguments) : unary(CK_ABS, arguments)
  }
  unary(Sign.self, CK_SIGN)
  unary(Exp.self, CK_EXP)
  unary(Log.self, CK_LOG)
  unary(Sqrt.self, CK_SQRT)
  unary(Tanh.self, CK_TANH)
  unary(Sigmoid.self, CK_SIGMOID)
  unary(Relu.self, CK_RELU)
  unary(Sin.self, CK_SIN)
  unary(Cos.self, CK_COS)
  unary(LogicalNot.self, CK_LOGICAL_NOT)
  unary(Expm1.self, CK_EXPM1)
  unary(Exp2.self, CK_EXP2)
  unary(Log1p.self, CK_LOG1P)
  unary(Log2.self, CK_LOG2)
  unary(Log10.self, CK_LOG10)
  unary(Tan.self, CK_TAN)
  unary(Asin.self, CK_ASIN)
  unary(Acos.self, CK_ACOS)
  unary(Atan.self, CK_ATAN)
  unary(Sinh.self, CK_SINH)
  unary(Cosh.self, CK_COSH)
  unary(Asinh.self, CK_ASINH)
  unary(Acosh.self, CK_ACOSH)
  unary(Atanh.self, CK_ATANH)
  unary(Erf.self, CK_ERF)
  unary(Silu.self, CK_SILU)
  unary(Gelu.self) { $0.approximate ? CK_GELU_TANH : CK_GELU }
  unary(GeluSlope.self) { $0.approximate ? CK_GELU_TANH_SLOPE : CK_GELU_SLOPE }
  unary(Round.self) { CK_FLOOR + $0.kind.rawValue }  // the same order as CK_FLOOR …
  binary(Add.self, CK_ADD)
  binary(Subtract.self, CK_SUB)
  binary(Multiply.self, CK_MUL)
  binary(Divide.self, CK_DIV)
  binary(Maximum.self, CK_MAXIMUM)
  binary(Minimum.self, CK_MINIMUM)
  binary(Power.self, CK_POW)
  binary(Atan2.self, CK_ATAN2)
  binary(Remainder.self, CK_REMAINDER)
  binary(FloorDivide.self, CK_FLOOR_DIV)

  FusedLoop.register(Abs.self) { _ in FusedLoop(CK_FUSED_UNARY, CK_ABS) }
  FusedLoop.register(Clamp.self) { FusedLoop(CK_FUSED_CLAMP, 0, low: $0.low, high: $0.high) }
  FusedLoop.register(ClampGradient.self) {
    FusedLoop(CK_FUSED_CLAMP_GRAD, $0.isOpen ? 1 : 0, low: $0.low, high: $0.high)
  }
  FusedLoop.register(Compare.self) { FusedLoop(CK_FUSED_COMPARE, Int($0.kind.rawValue)) }
  FusedLoop.register(Logic.self) { FusedLoop(CK_FUSED_LOGIC, Int($0.kind.rawValue)) }
  FusedLoop.register(Select.self) { _ in FusedLoop(CK_FUSED_WHERE, 0) }
  FusedLoop.register(Cast.self) { _ in FusedLoop(CK_FUSED_CAST, 0) }
  registerFused()

  Kernels.register(Clamp.self, .cpu) { op, arguments in
    var nd = ck_nd(arguments)
    return KernelStatus(
      ck_clamp(arguments.dtype(0).code, &nd, arguments.outputPointer(), arguments.pointer(0), op.low, op.high))
  }
  Kernels.register(ClampGradient.self, .cpu) { op, arguments in
    var nd = ck_nd(arguments)
    return KernelStatus(
      ck_clamp_grad(
        arguments.dtype(0).code, &nd, op.isOpen, arguments.outputPointer(), arguments.pointer(0), arguments.pointer(1),
        op.low, op.high))
  }
  Kernels.register(Compare.self, .cpu) { op, arguments in
    let kind = Int32(op.kind.rawValue)  // the same order as CK_EQ …
    let dtype = arguments.dtype(0).code
    let out = arguments.outputPointer().assumingMemoryBound(to: Bool.self)
    if let (count, stepA, stepB) = flat(arguments) {
      return KernelStatus(
        ck_compare_flat(kind, dtype, count, out, arguments.pointer(0), stepA, arguments.pointer(1), stepB))
    }
    var nd = ck_nd(arguments)
    return KernelStatus(ck_compare(kind, dtype, &nd, out, arguments.pointer(0), arguments.pointer(1)))
  }
  Kernels.register(Logic.self, .cpu) { op, arguments in
    var nd = ck_nd(arguments)
    func bools(_ pointer: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Bool> {
      pointer.assumingMemoryBound(to: Bool.self)
    }
    return KernelStatus(
      ck_logic(
        Int32(op.kind.rawValue), &nd, bools(arguments.outputPointer()), bools(arguments.pointer(0)),
        bools(arguments.pointer(1))))
  }
  Kernels.register(Select.self, .cpu) { _, arguments in
    var nd = ck_nd(arguments)
    return KernelStatus(
      ck_where(
        arguments.dtype(1).code, &nd, arguments.outputPointer(),
        arguments.pointer(0).assumingMemoryBound(to: Bool.self), arguments.pointer(1), arguments.pointer(2)))
  }
  Kernels.register(Cast.self, .cpu) { op, arguments in
    let from = arguments.dtype(0).code
    if arguments.isLikeOutput(0) {
      return KernelStatus(
        ck_cast_flat(
          from, op.dtype.code, Int64(arguments.elementCount(0)), arguments.outputPointer(), arguments.pointer(0)))
    }
    var nd = ck_nd(arguments)
    return KernelStatus(ck_cast(from, op.dtype.code, &nd, arguments.outputPointer(), arguments.pointer(0)))
  }
}

private func unary<O: Op>(_ type: O.Type, _ code: Int) { unary(type) { _ in code } }

private func unary<O: Op>(_: O.Type, _ code: @escaping @Sendable (O) -> Int) {
  FusedLoop.register(O.self) { FusedLoop(CK_FUSED_UNARY, code($0)) }
  Kernels.register(O.self, .cpu) { op, arguments in unary(code(op), arguments) }
}

@inline(__always)
func unary(_ code: Int, _ arguments: borrowing KernelArguments) -> KernelStatus {
  let dtype = arguments.dtype(0).code
  if arguments.isLikeOutput(0) {
    return KernelStatus(
      ck_unary_flat(
        Int32(code), dtype, Int64(arguments.elementCount(0)), arguments.outputPointer(), arguments.pointer(0)))
  }
  var nd = ck_nd(arguments)
  return KernelStatus(ck_unary(Int32(code), dtype, &nd, arguments.outputPointer(), arguments.pointer(0)))
}

private func binary<O: Op>(_: O.Type, _ code: Int) {
  FusedLoop.register(O.self) { _ in FusedLoop(CK_FUSED_BINARY, code) }
  Kernels.register(O.self, .cpu) { _, arguments in
    let dtype = arguments.dtype(0).code
    if let (count, stepA, stepB) = flat(arguments) {
      return KernelStatus(
        ck_binary_flat(
          Int32(code), dtype, count, arguments.outputPointer(), arguments.pointer(0), stepA, arguments.pointer(1),
          stepB))
    }
    var nd = ck_nd(arguments)
    return KernelStatus(
      ck_binary(Int32(code), dtype, &nd, arguments.outputPointer(), arguments.pointer(0), arguments.pointer(1)))
  }
}

/// The steps through two operands that lie like the output, or are one element.
@inline(__always)
private func flat(_ arguments: borrowing KernelArguments) -> (count: Int64, stepA: Int32, stepB: Int32)? {
  let count = arguments.outputElementCount()
  let (a, b) = (arguments.elementCount(0), arguments.elementCount(1))
  // A row-major operand of the output's count has its shape, but for axes of size 1.
  if a == count, b == count {
    return arguments.isLikeOutput(0) && arguments.isLikeOutput(1) ? (Int64(count), 1, 1) : nil
  }
  if a == count, b == 1 { return arguments.isLikeOutput(0) ? (Int64(count), 1, 0) : nil }
  if a == 1, b == count { return arguments.isLikeOutput(1) ? (Int64(count), 0, 1) : nil }
  return nil
}
