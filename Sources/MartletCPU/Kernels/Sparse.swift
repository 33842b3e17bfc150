import CKernels
import MartletCore
import MartletOps

func registerSparse() {
  Kernels.register(CountingSort.self, .cpu) { op, arguments in
    guard let keys = Dense(arguments, 0) else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime(keys) {} }
    return KernelStatus(
      ck_counting_sort(
        Int64(arguments.elementCount(0)), Int64(op.count),
        arguments.outputPointer(0).assumingMemoryBound(to: Int64.self),
        arguments.outputPointer(1).assumingMemoryBound(to: Int64.self),
        keys.pointer.assumingMemoryBound(to: Int64.self)))
  }
  Kernels.register(SparseMatmul.self, .cpu) { op, arguments in
    withPattern(arguments) { pointers, columns, a, b, out in
      ck_sparse_matmul(
        arguments.dtype(2).code, Int64(arguments.elementCount(0) - 1), Int64(arguments.shape(3)[0]),
        Int64(arguments.elementCount(1)), Int64(arguments.shape(3)[1]), out, pointers, columns, a, b)
    }
  }
  Kernels.register(SampledMatmul.self, .cpu) { op, arguments in
    withPattern(arguments) { pointers, columns, a, b, out in
      ck_sampled_matmul(
        arguments.dtype(2).code, Int64(arguments.elementCount(0) - 1), Int64(arguments.shape(3)[0]),
        Int64(arguments.elementCount(1)), Int64(arguments.shape(3)[1]), out, pointers, columns, a, b)
    }
  }
}

/// Calls a product with the pattern of compressed rows, once the pointers have been checked.
private func withPattern(
  _ arguments: borrowing KernelArguments,
  _ body: (
    UnsafePointer<Int64>, UnsafePointer<Int64>, UnsafeRawPointer, UnsafeRawPointer, UnsafeMutableRawPointer
  ) -> ck_status
) -> KernelStatus {
  guard let pointers = Dense(arguments, 0), let columns = Dense(arguments, 1), let a = Dense(arguments, 2),
    let b = Dense(arguments, 3)
  else { return .library(Int64(CK_NO_MEMORY)) }
  defer { withExtendedLifetime((pointers, columns, a, b)) {} }
  let begins = pointers.pointer.assumingMemoryBound(to: Int64.self)
  let last = arguments.elementCount(0) - 1
  var bad: Int? = begins[0] == 0 ? nil : 0
  for row in 0..<last where begins[row + 1] < begins[row] { bad = bad ?? row + 1 }
  if bad == nil, begins[last] != Int64(arguments.elementCount(1)) { bad = last }
  if let bad { return KernelStatus(code: SparsePattern.badPointers, value: Int64(bad)) }
  return KernelStatus(
    body(
      begins, columns.pointer.assumingMemoryBound(to: Int64.self), a.pointer, b.pointer, arguments.outputPointer()))
}
