import CKernels
import MartletCore
import MartletOps

func registerReductions() {
  reduction(Sum.self, CK_RED_SUM)
  reduction(Mean.self, CK_RED_MEAN)
  reduction(Max.self, CK_RED_MAX)
  reduction(Min.self, CK_RED_MIN)
  Kernels.register(ArgMax.self, .cpu) { op, arguments in
    var nd = reduced(arguments, [op.axis])
    return KernelStatus(
      ck_argmax(
        arguments.dtype(0).code, &nd, arguments.outputPointer().assumingMemoryBound(to: Int64.self),
        arguments.pointer(0), !op.largest))
  }
  Kernels.register(Cumsum.self, .cpu) { op, arguments in
    guard let x = Dense(arguments, 0) else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime(x) {} }
    let (outer, size, inner) = arguments.shape(0).around(op.axis)
    let dtype = arguments.dtype(0)
    return KernelStatus(
      ck_cumsum(
        dtype.realPart.code, outer, size, dtype.isComplex ? 2 * inner : inner, op.reversed, arguments.outputPointer(),
        x.pointer))
  }
}

private func reduction<O: Reduction>(_: O.Type, _ kind: Int) {
  Kernels.register(O.self, .cpu) { op, arguments in
    if arguments.dtype(0).isComplex, op.axes.isEmpty {
      copy(arguments.spec(0), arguments.strides(0), arguments.pointer(0), to: arguments.outputPointer())
      return .ok
    }
    var nd = reduced(arguments, op.axes)
    return KernelStatus(
      ck_reduce(Int32(kind), arguments.dtype(0).realPart.code, &nd, arguments.outputPointer(), arguments.pointer(0)))
  }
}

/// The axes that stay and those that go. Complex numbers are reduced as pairs of real ones: their parts are one more axis that
/// stays.
private func reduced(_ arguments: borrowing KernelArguments, _ axes: Positions) -> ck_reduce_nd {
  let shape = arguments.shape(0)
  let strides = arguments.strides(0)
  let isComplex = arguments.dtype(0).isComplex
  let unit = isComplex ? 2 : 1
  var nd = ck_reduce_nd()
  var kept = 0
  var reduced = 0
  withUnsafeMutableBytes(of: &nd) { raw in
    func words(_ path: PartialKeyPath<ck_reduce_nd>) -> UnsafeMutablePointer<Int64> {
      (raw.baseAddress! + MemoryLayout<ck_reduce_nd>.offset(of: path)!).assumingMemoryBound(to: Int64.self)
    }
    let sizes = (words(\.kept_shape), words(\.reduced_shape))
    let steps = (words(\.kept_strides), words(\.reduced_strides))
    for axis in 0..<shape.rank {
      if axes[axis] {
        sizes.1[reduced] = Int64(shape[axis])
        steps.1[reduced] = Int64(strides[axis] * unit)
        reduced += 1
      } else {
        sizes.0[kept] = Int64(shape[axis])
        steps.0[kept] = Int64(strides[axis] * unit)
        kept += 1
      }
    }
    if isComplex {
      sizes.0[kept] = 2
      steps.0[kept] = 1
      kept += 1
    }
  }
  nd.kept = Int32(kept)
  nd.reduced = Int32(reduced)
  return nd
}
