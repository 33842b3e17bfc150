import CKernels
import MartletCore
import MartletOps

func registerShape() {
  Kernels.register(Contiguous.self, .cpu) { _, arguments in
    copy(arguments.spec(0), arguments.strides(0), arguments.pointer(0), to: arguments.outputPointer())
    return .ok
  }
  Kernels.register(Reshape.self, .cpu) { _, arguments in
    copy(arguments.spec(0), arguments.strides(0), arguments.pointer(0), to: arguments.outputPointer())
    return .ok
  }
  Kernels.register(Embed.self, .cpu) { op, arguments in
    fill(arguments.outputSpec(), 0, arguments.outputPointer())
    return write(arguments, 0, op.region)
  }
  Kernels.register(Pad.self, .cpu) { op, arguments in
    fill(arguments.outputSpec(), op.value, arguments.outputPointer())
    return write(arguments, 0, op.region(arguments.shape(0)))
  }
  Kernels.register(SliceUpdate.self, .cpu) { op, arguments in
    base(arguments)
    return write(arguments, 1, op.region)
  }
  Kernels.register(SliceAdd.self, .cpu) { op, arguments in
    base(arguments)
    let spec = arguments.outputSpec()
    let (strides, offset) = op.region.layout(spec.shape.contiguousStrides)
    var nd = ck_nd(op.region.sizes)
    nd.set(0, op.region.sizes, strides, to: op.region.sizes)
    nd.set(1, op.region.sizes, strides, to: op.region.sizes)
    nd.set(2, op.region.sizes, arguments.strides(1), to: op.region.sizes)
    let part = arguments.outputPointer() + offset * spec.dtype.size
    return KernelStatus(ck_binary(Int32(CK_ADD), spec.dtype.code, &nd, part, part, arguments.pointer(1)))
  }
  Kernels.register(Concat.self, .cpu) { op, arguments in
    var region = Region(whole: arguments.outputSpec().shape)
    for position in 0..<arguments.inputCount {
      region.sizes[op.axis] = arguments.shape(position)[op.axis]
      let status = write(arguments, position, region)
      if status.code != 0 { return status }
      region.starts[op.axis] += region.sizes[op.axis]
    }
    return .ok
  }
}

private func fill(_ spec: TensorSpec, _ value: Double, _ target: UnsafeMutableRawPointer) {
  withUnsafeTemporaryAllocation(byteCount: 16, alignment: 16) { element in
    element.store(value, 0, spec.dtype)
    _ = ck_fill(spec.dtype.code, Int64(spec.count), target, element.baseAddress!)
  }
}

/// An input into a region of the output.
private func write(_ arguments: borrowing KernelArguments, _ position: Int, _ region: Region) -> KernelStatus {
  let spec = arguments.outputSpec()
  let (strides, offset) = region.layout(arguments.outputStrides())
  var nd = ck_nd(region.sizes)
  nd.set(0, region.sizes, strides, to: region.sizes)
  nd.set(1, region.sizes, arguments.strides(position), to: region.sizes)
  return KernelStatus(
    ck_copy(spec.dtype.code, &nd, arguments.outputPointer() + offset * spec.dtype.size, arguments.pointer(position)))
}
