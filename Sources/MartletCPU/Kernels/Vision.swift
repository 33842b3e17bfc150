import CKernels
import MartletCore
import MartletOps

func registerVision() {
  Kernels.register(GridSample.self, .cpu) { op, arguments in
    guard let x = Wide(arguments, 0), let grid = Wide(arguments, 1), let y = WideResult(arguments, 0) else {
      return .library(Int64(CK_NO_MEMORY))
    }
    defer { withExtendedLifetime((x, grid, y)) {} }
    var form = ck_grid(op.reading, arguments.shape(0), arguments.shape(1))
    let status = ck_grid_sample(x.code, &form, y.pointer, x.pointer, grid.pointer)
    if status == CK_OK { y.finish(arguments) }
    return KernelStatus(status)
  }
  Kernels.register(GridSampleGradient.self, .cpu) { op, arguments in
    guard let g = Wide(arguments, 0), let x = Wide(arguments, 1), let grid = Wide(arguments, 2) else {
      return .library(Int64(CK_NO_MEMORY))
    }
    var results: [WideResult] = []
    for position in 0..<op.outputCount {
      guard let result = WideResult(arguments, position) else { return .library(Int64(CK_NO_MEMORY)) }
      results.append(result)
    }
    defer { withExtendedLifetime((g, x, grid, results)) {} }
    var form = ck_grid(op.reading, arguments.shape(1), arguments.shape(2))
    let status = ck_grid_sample_grad(
      x.code, &form, op.ofX ? results[0].pointer : nil, op.ofGrid ? results[results.count - 1].pointer : nil, g.pointer,
      x.pointer, grid.pointer)
    if status == CK_OK { for result in results { result.finish(arguments) } }
    return KernelStatus(status)
  }
  Kernels.register(RoiAlign.self, .cpu) { op, arguments in
    aligned(op.parts, arguments, maps: arguments.shape(0), ck_roi_align)
  }
  Kernels.register(RoiAlignGradient.self, .cpu) { op, arguments in
    aligned(op.parts, arguments, maps: arguments.outputSpec().shape, ck_roi_align_grad)
  }
}

private func aligned(
  _ parts: RoiParts, _ arguments: borrowing KernelArguments, maps: Shape,
  _ body: (Int32, UnsafePointer<ck_roi>, UnsafeMutableRawPointer, UnsafeRawPointer, UnsafeRawPointer) -> ck_status
) -> KernelStatus {
  guard let x = Wide(arguments, 0), let boxes = Wide(arguments, 1), let y = WideResult(arguments, 0) else {
    return .library(Int64(CK_NO_MEMORY))
  }
  defer { withExtendedLifetime((x, boxes, y)) {} }
  var form = ck_roi(
    images: Int64(maps[0]), channels: Int64(maps[1]), size: (Int64(maps[2]), Int64(maps[3])),
    boxes: Int64(arguments.shape(1)[0]), out: (Int64(parts.size[0]), Int64(parts.size[1])),
    ratio: Int64(parts.samplingRatio ?? 0), scale: parts.scale, aligned: parts.isAligned)
  let status = body(x.code, &form, y.pointer, x.pointer, boxes.pointer)
  if status.code == CK_OK { y.finish(arguments) }
  return KernelStatus(status)
}

extension ck_grid {
  fileprivate init(_ reading: GridReading, _ x: Shape, _ grid: Shape) {
    self.init()
    images = Int64(x[0])
    channels = Int64(x[1])
    axes = Int32(x.rank - 2)
    places = Int64(grid[1..<(grid.rank - 1)].reduce(1, *))
    size = (Int64(x[2]), Int64(x[3]), x.rank == 5 ? Int64(x[4]) : 1)
    switch reading.mode {
    case .bilinear: mode = Int32(CK_GRID_LINEAR)
    case .nearest: mode = Int32(CK_GRID_NEAREST)
    case .bicubic: mode = Int32(CK_GRID_CUBIC)
    }
    switch reading.padding {
    case .zeros: padding = Int32(CK_GRID_ZEROS)
    case .border: padding = Int32(CK_GRID_BORDER)
    case .reflection: padding = Int32(CK_GRID_REFLECTION)
    }
    align_corners = reading.alignCorners
  }
}
