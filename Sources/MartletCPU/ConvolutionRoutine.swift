import CKernels
import COneDNN
import MartletCore
import MartletOps

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The ways to compute a convolution or one of its gradients, of which the fastest is taken shape by shape.
package enum ConvolutionAlgorithm: Int32, CaseIterable, Sendable {
  /// oneDNN's direct sum over operands as they lie.
  case plain
  /// oneDNN's direct sum in blocked layouts, with copies to and fro.
  case blocked
  /// oneDNN's Winograd transform.
  case winograd
  /// The patches as columns of a matrix, and a matrix product.
  case columns
  /// Our own Winograd transform, of images whose channels lie next to each other.
  case tiles
  /// Gradients of kernels in bfloat16, of images whose channels lie next to each other, by the processor's products of pairs.
  case pairs

  package var name: String { "\(self)" }

  /// Whether its roundings are not those of a direct sum, which precise convolutions ask for.
  var isWinograd: Bool { self == .winograd || self == .tiles }
}

/// A convolution as one algorithm does it, ready to run on this thread.
enum ConvolutionRoutine {
  case primitive(OpaquePointer, workspace: Int)
  case columns(ConvolutionColumns)
  case tiles(ck_winograd, ConvolutionSizes)
  case pairs(ck_window, ConvolutionSizes)

  /// Nil where the algorithm does not apply.
  init?(_ algorithm: ConvolutionAlgorithm, _ sizes: ConvolutionSizes) {
    if algorithm == .columns {
      if sizes.areChannelsLast || sizes.isPacked || sizes.adds || sizes.bounds != nil { return nil }
      self = .columns(ConvolutionColumns(sizes))
      return
    }
    if algorithm == .tiles {
      guard let tiles = sizes.tiles else { return nil }
      self = .tiles(tiles, sizes)
      return
    }
    if algorithm == .pairs {
      guard let window = sizes.pairs else { return nil }
      self = .pairs(window, sizes)
      return
    }
    guard var spec = sizes.spec else { return nil }
    spec.algorithm = algorithm.rawValue
    var handle: OpaquePointer?
    guard dn_convolution_create(&spec, &handle) == 0, let handle else { return nil }
    self = .primitive(handle, workspace: dn_convolution_workspace(handle))
  }

  func destroy() { if case .primitive(let handle, _) = self { dn_convolution_destroy(handle) } }

  /// Bytes of kernels as it reads them when they are packed.
  var packedBytes: Int {
    switch self {
    case .primitive(let handle, _): return dn_convolution_packed_bytes(handle)
    case .tiles(var tiles, _): return ck_winograd_packed_bytes(&tiles)
    case .columns, .pairs: return 0
    }
  }

  /// Packs kernels `[O, C / groups, kernel…]`.
  func pack(_ w: UnsafeMutableRawPointer, to packed: UnsafeMutableRawPointer) -> KernelStatus {
    switch self {
    case .primitive(let handle, _):
      let status = dn_convolution_pack(handle, w, packed)
      return status == 0 ? .ok : .library(Int64(status))
    case .tiles(var tiles, _):
      ck_winograd_pack(&tiles, w, packed)
      return .ok
    case .columns, .pairs: return .unsupported
    }
  }

  /// The algorithm, and what it copies into another layout at each run.
  private var note: UnsafePointer<CChar> {
    func text(_ name: StaticString) -> UnsafePointer<CChar> {
      UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
    }
    switch self {
    case .primitive(let handle, _): return dn_convolution_note(handle)
    case .columns: return text("columns")
    case .tiles: return text("tiles")
    case .pairs: return text("pairs")
    }
  }

  func run(_ operands: ConvolutionOperands) -> KernelStatus {
    ck_here().pointee.note = note
    switch self {
    case .columns(let columns): return columns.run(operands)
    case .tiles(var tiles, let sizes):
      let narrow = tiles.half && !sizes.isBiasWide ? operands.bias : nil
      let biasBytes = narrow == nil ? 0 : (Int(tiles.outputs) * 4 + 63) / 64 * 64
      let bytes = ck_winograd_bytes(&tiles)
      let status = Scratch.with(bytes: bytes + biasBytes) { work -> KernelStatus in
        var end = ck_epilogue()
        end.bias = operands.bias.map { UnsafePointer($0.assumingMemoryBound(to: Float.self)) }
        if let narrow {
          let bias = work + bytes
          _ = ck_cast_flat(DType.bfloat16.code, DType.float32.code, tiles.outputs, bias, narrow)
          end.bias = UnsafePointer(bias.assumingMemoryBound(to: Float.self))
        }
        if sizes.adds { end.added = UnsafeRawPointer(operands.y) }
        if let bounds = sizes.bounds {
          (end.bounded, end.low, end.high) = (true, Float(bounds.low), Float(bounds.high))
        }
        ck_winograd_run(&tiles, operands.x, operands.w, &end, operands.y, work)
        return .ok
      }
      return status ?? .library(Int64(CK_NO_MEMORY))
    case .pairs(var window, let sizes):
      let (images, outputs) = (Int64(sizes.examples), Int64(sizes.w[0]))
      let status = Scratch.with(bytes: ck_pair_gradient_bytes(&window, images, outputs)) { work in
        ck_pair_gradient(&window, images, outputs, operands.w, operands.x, operands.y, work)
      }
      return KernelStatus(status ?? Int32(CK_NO_MEMORY))
    case .primitive(let handle, let bytes):
      let status = Scratch.with(bytes: bytes) { workspace in
        dn_convolution_execute(handle, operands.x, operands.w, operands.bias, operands.y, workspace)
      }
      return status == 0 ? .ok : .library(status.map { Int64($0) } ?? Int64(CK_NO_MEMORY))
    }
  }
}

/// Where the operands of a convolution are; which of x, w and y is the result depends on the direction.
struct ConvolutionOperands {
  var x, w, y: UnsafeMutableRawPointer
  var bias: UnsafeMutableRawPointer?
}

/// A direction and all sizes of a convolution.
struct ConvolutionSizes {
  let direction: Int
  let dtype: DType
  let hasBias: Bool
  let window: ConvolutionWindow
  let x, w, y: Shape
  var threads: Int32
  /// Whether x and y have their channels next to each other; else they are in row-major order.
  var areChannelsLast = false
  /// Whether w lies as the algorithm has packed it.
  var isPacked = false
  /// Whether the result is added to what y holds.
  var adds = false
  var bounds: ConvolutionBounds?
  /// Whether the bias is of float32 whatever the dtype.
  var isBiasWide = false

  init(_ direction: Int, _ dtype: DType, _ window: ConvolutionWindow, x: Shape, w: Shape, y: Shape, hasBias: Bool) {
    self.direction = direction
    self.dtype = dtype
    self.window = window
    self.x = x
    self.w = w
    self.y = y
    self.hasBias = hasBias
    threads = ck_threads()
  }

  var groups: Int { window.groups }
  var examples: Int { x[0] }

  /// What oneDNN takes; nil for dtypes that it does not.
  var spec: dn_convolution_spec? {
    let code: Int
    switch dtype {
    case .float32: code = DN_F32
    case .bfloat16: code = DN_BF16
    default: return nil
    }
    guard dn_available() else { return nil }
    var spec = dn_convolution_spec()
    spec.direction = Int32(direction)
    spec.algorithm = -1
    spec.dtype = Int32(code)
    spec.axes = Int32(window.axes)
    spec.channels_last = areChannelsLast ? 1 : 0
    spec.threads = threads
    spec.bias = hasBias ? (isBiasWide ? 2 : 1) : 0
    spec.precise = window.isPrecise ? 1 : 0
    spec.packed = isPacked ? 1 : 0
    spec.adds = adds ? 1 : 0
    if let bounds { (spec.bounded, spec.low_bound, spec.high_bound) = (1, Float(bounds.low), Float(bounds.high)) }
    spec.n = Int64(x[0])
    spec.groups = Int64(groups)
    spec.channels = Int64(x[1])
    spec.outputs = Int64(w[0])
    spec.size = triple(x, from: 2)
    spec.kernel = triple(w, from: 2)
    spec.out = triple(y, from: 2)
    spec.stride = triple(window.stride, from: 0)
    spec.dilation = triple(window.dilation, from: 0)
    spec.low = triple(window.low, from: 0)
    spec.high = triple(window.high, from: 0)
    return spec
  }

  /// What our own Winograd transform takes; nil where it does not apply.
  var tiles: ck_winograd? {
    guard areChannelsLast, dtype == .float32 || dtype == .bfloat16, !window.isPrecise, groups == 1, w.rank == 4,
      w[2] == 3, w[3] == 3,
      window.stride == [1, 1], window.dilation == [1, 1]
    else { return nil }
    var result = ck_winograd()
    (result.direction, result.threads) = (Int32(direction), threads)
    result.packed = isPacked
    result.half = dtype == .bfloat16
    (result.examples, result.channels, result.outputs) = (Int64(x[0]), Int64(x[1]), Int64(w[0]))
    result.size = (Int64(x[2]), Int64(x[3]))
    result.out = (Int64(y[2]), Int64(y[3]))
    result.low = (Int64(window.low[0]), Int64(window.low[1]))
    return ck_winograd_applies(&result) ? result : nil
  }

  /// What products of pairs take; nil where they do not apply.
  var pairs: ck_window? {
    guard areChannelsLast, dtype == .bfloat16, direction == DN_WEIGHT_GRADIENT, groups == 1, w.rank <= 5 else {
      return nil
    }
    var window = patches(channels: x[1])
    return ck_pair_gradient_applies(&window, Int64(x[0]), Int64(w[0])) ? window : nil
  }

  /// The window of `channels` channels, over three axes.
  func patches(channels: Int) -> ck_window {
    var result = ck_window()
    result.channels = Int64(channels)
    result.size = spatial(Shape(x[2...]), missing: 1)
    result.kernel = spatial(Shape(w[2...]), missing: 1)
    result.out = spatial(Shape(y[2...]), missing: 1)
    result.stride = spatial(window.stride, missing: 1)
    result.dilation = spatial(window.dilation, missing: 1)
    result.low = spatial(window.low, missing: 0)
    result.high = spatial(window.high, missing: 0)
    return result
  }

  /// What the choice of an algorithm depends on, as a text.
  var key: String {
    let name = ["forward", "input gradient", "weight gradient"][direction]
    return
      "\(name) \(dtype) \(x)*\(w) \(window)\(hasBias ? " bias" : "")\(adds ? " add" : "")"
      + (bounds.map { " \($0)" } ?? "") + (areChannelsLast ? " channels last" : "") + (isPacked ? " packed" : "")
      + " threads=\(threads)"
  }
}

/// Three numbers of a shape; 0 where there are none.
private func triple(_ shape: Shape, from first: Int) -> (Int64, Int64, Int64) {
  func number(_ axis: Int) -> Int64 { first + axis < shape.rank ? Int64(shape[first + axis]) : 0 }
  return (number(0), number(1), number(2))
}

/// Up to three numbers as those of three axes; missing axes come first.
func spatial(_ numbers: Shape, missing: Int) -> (Int64, Int64, Int64) {
  func number(_ axis: Int) -> Int64 {
    axis < 3 - numbers.rank ? Int64(missing) : Int64(numbers[axis - 3 + numbers.rank])
  }
  return (number(0), number(1), number(2))
}

/// A convolution as matrix products: `y = w · columns(x)`, `x = fold(wᵀ · y)`, `w = y · columns(x)ᵀ`.
///
/// Several examples are taken at once, as many as make a matrix of some megabytes; of large images as few channels as
/// keep it below that. 16-bit floats are widened.
struct ConvolutionColumns {
  private let sizes: ConvolutionSizes
  private let dtype: DType
  private let inputs, outputs, taps, plane, outs: Int
  /// Examples and channels whose patches are in memory at once.
  private let examplesAtOnce, channelsAtOnce: Int

  init(_ sizes: ConvolutionSizes) {
    self.sizes = sizes
    dtype = sizes.dtype == .float64 ? .float64 : .float32
    inputs = sizes.w[1]
    outputs = sizes.w[0] / sizes.groups
    taps = sizes.w[2...].reduce(1, *)
    plane = sizes.x[2...].reduce(1, *)
    outs = sizes.y[2...].reduce(1, *)
    let channel = max(1, taps * outs * dtype.size)
    channelsAtOnce = max(1, min(inputs, (64 << 20) / channel))
    examplesAtOnce = max(1, min(sizes.examples, (16 << 20) / (channel * max(1, inputs))))
  }

  func run(_ given: ConvolutionOperands) -> KernelStatus {
    guard sizes.dtype != dtype else { return runWide(given) }
    // Results are written in float32 first, then rounded once.
    let counts = [sizes.x.elementCount, sizes.w.elementCount, sizes.y.elementCount, sizes.w[0]]
    let wide = counts.map { Storage(bytes: $0 * 4) }
    guard let x = wide[0], let w = wide[1], let y = wide[2], let bias = wide[3] else {
      return .library(Int64(CK_NO_MEMORY))
    }
    return withExtendedLifetime(wide) {
      func widen(_ source: UnsafeMutableRawPointer?, _ target: Storage, _ count: Int) {
        if let source { _ = ck_cast_flat(sizes.dtype.code, DType.float32.code, Int64(count), target.pointer, source) }
      }
      if sizes.direction != DN_INPUT_GRADIENT { widen(given.x, x, counts[0]) }
      if sizes.direction != DN_WEIGHT_GRADIENT { widen(given.w, w, counts[1]) }
      if sizes.direction != DN_FORWARD { widen(given.y, y, counts[2]) }
      widen(given.bias, bias, counts[3])
      let status = runWide(
        ConvolutionOperands(x: x.pointer, w: w.pointer, y: y.pointer, bias: given.bias == nil ? nil : bias.pointer))
      let (target, source, count) =
        switch sizes.direction {
        case DN_FORWARD: (given.y, y, counts[2])
        case DN_INPUT_GRADIENT: (given.x, x, counts[0])
        default: (given.w, w, counts[1])
        }
      _ = ck_cast_flat(DType.float32.code, sizes.dtype.code, Int64(count), target, source.pointer)
      return status
    }
  }

  private func runWide(_ given: ConvolutionOperands) -> KernelStatus {
    let size = dtype.size
    let rows = inputs * taps
    let rowsAtOnce = channelsAtOnce * taps
    // Patches of some channels of one group in several examples, those channels themselves, and output planes of the
    // group; the second planes and the part of a gradient are what is added.
    let counts = [
      rowsAtOnce * examplesAtOnce * outs, examplesAtOnce * channelsAtOnce * plane, outputs * examplesAtOnce * outs,
      channelsAtOnce < inputs && sizes.direction == DN_FORWARD ? outputs * examplesAtOnce * outs : 0,
      examplesAtOnce < sizes.examples && sizes.direction == DN_WEIGHT_GRADIENT ? outputs * rowsAtOnce : 0,
    ]
    let storages = counts.map { Storage(bytes: $0 * size) }
    guard !storages.contains(where: { $0 == nil }) else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime(storages) {} }
    let (columns, images, planes) = (storages[0]!.pointer, storages[1]!.pointer, storages[2]!.pointer)
    let (morePlanes, part) = (storages[3]!.pointer, storages[4]!.pointer)
    for first in stride(from: 0, to: sizes.examples, by: examplesAtOnce) {
      let count = min(examplesAtOnce, sizes.examples - first)
      let width = count * outs
      for group in 0..<sizes.groups {
        let y = given.y + (first * sizes.groups + group) * outputs * outs * size
        if sizes.direction != DN_FORWARD { move(planes, to: y, count, intoPlanes: true) }
        for channel in stride(from: 0, to: inputs, by: channelsAtOnce) {
          let channels = min(channelsAtOnce, inputs - channel)
          let height = channels * taps
          var window = sizes.patches(channels: channels)
          let x = given.x + ((first * sizes.groups + group) * inputs + channel) * plane * size
          let w = given.w + (group * outputs * rows + channel * taps) * size
          var status = KernelStatus.ok
          switch sizes.direction {
          case DN_FORWARD:
            gather(x, images, count, channels)
            _ = ck_im2col(dtype.code, &window, Int64(count), columns, images)
            let target = channel == 0 ? planes : morePlanes
            status = multiply(w, (rows, 1), columns, (width, 1), target, width, outputs, height, width)
            if channel > 0 { add(morePlanes, to: planes, outputs * width) }
          case DN_INPUT_GRADIENT:
            status = multiply(w, (1, rows), planes, (width, 1), columns, width, height, outputs, width)
            _ = ck_col2im(dtype.code, &window, Int64(count), images, columns)
            spread(images, x, count, channels)
          default:
            gather(x, images, count, channels)
            _ = ck_im2col(dtype.code, &window, Int64(count), columns, images)
            if first == 0 {
              status = multiply(planes, (width, 1), columns, (1, width), w, rows, outputs, width, height)
            } else {
              status = multiply(planes, (width, 1), columns, (1, width), part, height, outputs, width, height)
              for output in 0..<outputs { add(part + output * height * size, to: w + output * rows * size, height) }
            }
          }
          if status.code != 0 { return status }
        }
        if sizes.direction == DN_FORWARD { move(planes, to: y, count, intoPlanes: false) }
      }
    }
    if sizes.direction == DN_FORWARD, let bias = given.bias { add(bias: bias, to: given.y, dtype) }
    return .ok
  }

  /// Nothing to add up: zeros, and the bias.
  func runEmpty(_ given: ConvolutionOperands, bytes: Int, _ result: UnsafeMutableRawPointer) {
    result.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    if sizes.direction == DN_FORWARD, let bias = given.bias { add(bias: bias, to: given.y, sizes.dtype) }
  }

  /// Some channels of a group in `count` examples, next to each other.
  private func gather(_ x: UnsafeMutableRawPointer, _ images: UnsafeMutableRawPointer, _ count: Int, _ channels: Int) {
    let bytes = channels * plane * dtype.size
    let step = sizes.groups * inputs * plane * dtype.size
    for image in 0..<count {
      (images + image * bytes).copyMemory(from: x + image * step, byteCount: bytes)
    }
  }
  private func spread(_ images: UnsafeMutableRawPointer, _ x: UnsafeMutableRawPointer, _ count: Int, _ channels: Int) {
    let bytes = channels * plane * dtype.size
    let step = sizes.groups * inputs * plane * dtype.size
    for image in 0..<count {
      (x + image * step).copyMemory(from: images + image * bytes, byteCount: bytes)
    }
  }

  /// Between `[examples, outputs, outs]` and rows of one output channel each: `[outputs, examples, outs]`.
  private func move(
    _ planes: UnsafeMutableRawPointer, to y: UnsafeMutableRawPointer, _ count: Int, intoPlanes: Bool
  ) {
    let bytes = outs * dtype.size
    for image in 0..<count {
      for channel in 0..<outputs {
        let row = planes + (channel * count + image) * bytes
        let place = y + (image * sizes.groups * outputs + channel) * bytes
        if intoPlanes {
          row.copyMemory(from: place, byteCount: bytes)
        } else {
          place.copyMemory(from: row, byteCount: bytes)
        }
      }
    }
  }

  private func add(_ a: UnsafeMutableRawPointer, to b: UnsafeMutableRawPointer, _ count: Int) {
    _ = ck_binary_flat(Int32(CK_ADD), dtype.code, Int64(count), b, b, 1, a, 1)
  }

  /// c = a · b; the strides of a and b are those of rows and columns, that of c is from row to row.
  private func multiply(
    _ a: UnsafeMutableRawPointer, _ strideA: (Int, Int), _ b: UnsafeMutableRawPointer, _ strideB: (Int, Int),
    _ c: UnsafeMutableRawPointer, _ strideC: Int, _ m: Int, _ k: Int, _ n: Int
  ) -> KernelStatus {
    if dtype == .float32, dn_available() {
      var spec = dn_matmul_spec()
      (spec.m, spec.n, spec.k, spec.batch) = (Int64(m), Int64(n), Int64(k), 1)
      (spec.a_row, spec.a_column) = (Int64(strideA.0), Int64(strideA.1))
      (spec.b_row, spec.b_column) = (Int64(strideB.0), Int64(strideB.1))
      (spec.c_batch, spec.c_row) = (Int64(m * n), Int64(strideC))
      spec.dtype = Int32(DN_F32)
      spec.threads = sizes.threads
      return MatmulPrimitive.run(spec, a, b, c)
    }
    return KernelStatus(
      ck_matmul_generic(
        dtype.code, Int64(m), Int64(n), Int64(k), a, Int64(strideA.0), Int64(strideA.1), b, Int64(strideB.0),
        Int64(strideB.1), c, Int64(strideC)))
  }

  private func add(bias: UnsafeMutableRawPointer, to y: UnsafeMutableRawPointer, _ dtype: DType) {
    let shape: Shape = [sizes.examples, sizes.w[0], outs]
    var nd = ck_nd(shape)
    nd.set(0, shape, shape.contiguousStrides, to: shape)
    nd.set(1, shape, shape.contiguousStrides, to: shape)
    nd.set(2, [sizes.w[0], 1], [1, 1], to: shape)
    _ = ck_binary(Int32(CK_ADD), dtype.code, &nd, y, y, bias)
  }
}
