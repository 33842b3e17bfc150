import CKernels
import MartletCore
import MartletOps

func registerPooling() {
  Kernels.register(MaxPool.self, .cpu) { op, arguments in
    let isLast = arguments.outputStrides() != arguments.outputSpec().shape.contiguousStrides
    return pooling(
      arguments, arguments.shape(0), arguments.outputSpec().shape, op.window, isChannelsLast: isLast
    ) { dtype, window, planes, y, x in
      let index = arguments.outputPointer(1).assumingMemoryBound(to: Int32.self)
      if !isLast { return KernelStatus(ck_max_pool(dtype, &window, planes, op.window.isAdaptive, y, index, x)) }
      return KernelStatus(
        ck_max_pool_last(dtype, &window, planes / window.channels, op.window.isAdaptive, y, index, x))
    }
  }
  Kernels.register(AveragePool.self, .cpu) { op, arguments in
    pooling(arguments, arguments.shape(0), arguments.outputSpec().shape, op.window) { dtype, window, planes, y, x in
      KernelStatus(ck_average_pool(dtype, &window, planes, op.window.isAdaptive, op.countsPadding, y, x))
    }
  }
  Kernels.register(AveragePoolGradient.self, .cpu) { op, arguments in
    pooling(arguments, arguments.outputSpec().shape, arguments.shape(0), op.window) { dtype, window, planes, dx, dy in
      KernelStatus(ck_average_pool_grad(dtype, &window, planes, op.window.isAdaptive, op.countsPadding, dx, dy))
    }
  }
  Kernels.register(Unpool.self, .cpu) { op, arguments in
    let isLast = arguments.outputStrides() != arguments.outputSpec().shape.contiguousStrides
    let given = arguments.spec(1)
    guard
      let indices = Dense(
        arguments, 1, like: isLast ? Order.channelsLast(given) : given.shape.contiguousStrides)
    else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime(indices) {} }
    let shape = arguments.shape(0)
    let (plane, outs) = (Int64(op.size.elementCount), Int64(shape[2...].reduce(1, *)))
    return widened(arguments, isChannelsLast: isLast) { dtype, x, values in
      let index = indices.pointer.assumingMemoryBound(to: Int32.self)
      if !isLast {
        return KernelStatus(ck_unpool(dtype, Int64(shape[0] * shape[1]), plane, outs, x, values, index))
      }
      var (size, out) = (spatial(op.size, missing: 1), spatial(Shape(shape[2...]), missing: 1))
      return withUnsafeBytes(of: &size) { size in
        withUnsafeBytes(of: &out) { out in
          KernelStatus(
            ck_unpool_last(
              dtype, Int64(shape[0]), Int64(shape[1]), size.baseAddress!.assumingMemoryBound(to: Int64.self),
              out.baseAddress!.assumingMemoryBound(to: Int64.self), x, values, index))
        }
      }
    }
  }
}

/// Calls a pooling kernel with the window over three axes; `input` and `out` are the shapes of the unpooled and the pooled
/// tensor, of which either may be the result.
private func pooling(
  _ arguments: borrowing KernelArguments, _ input: Shape, _ out: Shape, _ window: PoolingWindow,
  isChannelsLast: Bool = false,
  _ body: (Int32, inout ck_window, Int64, UnsafeMutableRawPointer, UnsafeMutableRawPointer) -> KernelStatus
) -> KernelStatus {
  if out.elementCount == 0 { return .ok }
  var geometry = ck_window()
  geometry.channels = Int64(input[1])
  geometry.size = spatial(Shape(input[2...]), missing: 1)
  geometry.out = spatial(Shape(out[2...]), missing: 1)
  geometry.kernel = spatial(window.kernel, missing: 1)
  geometry.stride = spatial(window.stride, missing: 1)
  geometry.dilation = spatial(window.dilation, missing: 1)
  geometry.low = spatial(window.low, missing: 0)
  geometry.high = spatial(window.high, missing: 0)
  return widened(arguments, isChannelsLast: isChannelsLast) { dtype, result, x in
    body(dtype, &geometry, Int64(input[0] * input[1]), result, x)
  }
}

/// Calls a kernel from the first input to the first output, which both lie row-major or with their channels next to each
/// other; 16-bit floats that it does not take pass through float32.
func widened(
  _ arguments: borrowing KernelArguments, isChannelsLast: Bool = false,
  _ body: (Int32, UnsafeMutableRawPointer, UnsafeMutableRawPointer) -> KernelStatus
) -> KernelStatus {
  let given = arguments.spec(0)
  guard
    let x = Dense(arguments, 0, like: isChannelsLast ? Order.channelsLast(given) : given.shape.contiguousStrides)
  else { return .library(Int64(CK_NO_MEMORY)) }
  defer { withExtendedLifetime(x) {} }
  let dtype = arguments.dtype(0)
  let direct = body(dtype.code, arguments.outputPointer(), x.pointer)
  if dtype.size != 2 || direct.code != KernelStatus.unsupported.code { return direct }
  let (inputs, outputs) = (arguments.elementCount(0), arguments.outputElementCount())
  guard let wideX = Storage(bytes: inputs * 4), let wideY = Storage(bytes: outputs * 4) else {
    return .library(Int64(CK_NO_MEMORY))
  }
  defer { withExtendedLifetime((wideX, wideY)) {} }
  let code = DType.float32.code
  _ = ck_cast_flat(dtype.code, code, Int64(inputs), wideX.pointer, x.pointer)
  let status = body(code, wideY.pointer, wideX.pointer)
  if status.code == 0 {
    _ = ck_cast_flat(code, dtype.code, Int64(outputs), arguments.outputPointer(), wideY.pointer)
  }
  return status
}
