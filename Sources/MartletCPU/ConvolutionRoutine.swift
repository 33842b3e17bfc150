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

  package var name: String { "\(self)" }
}

/// A convolution as one algorithm does it, ready to run on this thread.
enum ConvolutionRoutine {
  case primitive(OpaquePointer, workspace: Int)
  case columns(ConvolutionColumns)

  /// Nil where the algorithm does not apply.
  init?(_ algorithm: ConvolutionAlgorithm, _ sizes: ConvolutionSizes) {
    if algorithm == .columns {
      if sizes.areChannelsLast { return nil }
      self = .columns(ConvolutionColumns(sizes))
      return
    }
    guard var spec = sizes.spec else { return nil }
    spec.algorithm = algorithm.rawValue
    spec.reserved = 0
    var handle: OpaquePointer?
    guard dn_convolution_create(&spec, &handle) == 0, let handle else { return nil }
    self = .primitive(handle, workspace: dn_convolution_workspace(handle))
  }

  func destroy() { if case .primitive(let handle, _) = self { dn_convolution_destroy(handle) } }

  func run(_ operands: ConvolutionOperands) -> KernelStatus {
    switch self {
    case .columns(let columns): return columns.run(operands)
    case .primitive(let handle, let bytes):
      guard let workspace = Storage(bytes: bytes) else { return .library(Int64(CK_NO_MEMORY)) }
      let status = withExtendedLifetime(workspace) {
        dn_convolution_execute(handle, operands.x, operands.w, operands.bias, operands.y, workspace.pointer)
      }
      return status == 0 ? .ok : .library(Int64(status))
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
  let threads: Int32
  /// Whether x and y have their channels next to each other; else they are in row-major order.
  var areChannelsLast = false

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
    spec.bias = hasBias ? 1 : 0
    spec.reserved = window.isPrecise ? 1 : 0
    spec.n = Int64(x[0])
    spec.groups = Int64(groups)
    spec.channels = Int64(x[1])
    spec.outputs = Int64(w[0])
    for axis in 0..<window.axes {
      withUnsafeMutableBytes(of: &spec) { raw in
        func set(_ path: PartialKeyPath<dn_convolution_spec>, _ value: Int) {
          raw.storeBytes(
            of: Int64(value), toByteOffset: MemoryLayout<dn_convolution_spec>.offset(of: path)! + axis * 8,
            as: Int64.self)
        }
        set(\.size, x[axis + 2])
        set(\.kernel, w[axis + 2])
        set(\.out, y[axis + 2])
        set(\.stride, window.stride[axis])
        set(\.dilation, window.dilation[axis])
        set(\.low, window.low[axis])
        set(\.high, window.high[axis])
      }
    }
    return spec
  }

  /// The window of `channels` channels, over three axes.
  func patches(channels: Int) -> ck_window {
    var result = ck_window()
    result.channels = Int64(channels)
    fill(&result, \.size, Shape(x[2...]), missing: 1)
    fill(&result, \.kernel, Shape(w[2...]), missing: 1)
    fill(&result, \.out, Shape(y[2...]), missing: 1)
    fill(&result, \.stride, window.stride, missing: 1)
    fill(&result, \.dilation, window.dilation, missing: 1)
    fill(&result, \.low, window.low, missing: 0)
    fill(&result, \.high, window.high, missing: 0)
    return result
  }

  /// What the choice of an algorithm depends on, as a text.
  var key: String {
    let name = ["forward", "input gradient", "weight gradient"][direction]
    return
      "\(name) \(dtype) \(x)*\(w) \(window)\(hasBias ? " bias" : "")\(areChannelsLast ? " channels last" : "") threads=\(threads)"
  }
}

/// Sets one field of a window from up to three numbers; missing axes come first.
func fill(_ window: inout ck_window, _ path: PartialKeyPath<ck_window>, _ numbers: Shape, missing: Int) {
  withUnsafeMutableBytes(of: &window) { raw in
    let offset = MemoryLayout<ck_window>.offset(of: path)!
    for axis in 0..<3 {
      let source = axis - (3 - numbers.rank)
      let value = source < 0 ? missing : numbers[source]
      raw.storeBytes(of: Int64(value), toByteOffset: offset + axis * 8, as: Int64.self)
    }
  }
}

/// A convolution as matrix products: `y = w · columns(x)`, `x = fold(wᵀ · y)`, `w = y · columns(x)ᵀ`.
///
/// Several examples are taken at once, as many as make a matrix of some megabytes. 16-bit floats are widened.
struct ConvolutionColumns {
  private let sizes: ConvolutionSizes
  private let dtype: DType
  private let inputs, outputs, taps, plane, outs: Int
  private let chunk: Int

  init(_ sizes: ConvolutionSizes) {
    self.sizes = sizes
    dtype = sizes.dtype == .float64 ? .float64 : .float32
    inputs = sizes.w[1]
    outputs = sizes.w[0] / sizes.groups
    taps = sizes.w[2...].reduce(1, *)
    plane = sizes.x[2...].reduce(1, *)
    outs = sizes.y[2...].reduce(1, *)
    let bytes = max(1, inputs * taps * outs * dtype.size)
    chunk = max(1, min(sizes.examples, (16 << 20) / bytes))
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
    // Patches of one group in several examples, that group's output planes, and the sum of a gradient's parts.
    guard let columns = Storage(bytes: rows * chunk * outs * size),
      let planes = Storage(bytes: outputs * chunk * outs * size),
      let images = Storage(bytes: chunk * inputs * plane * size), let part = Storage(bytes: outputs * rows * size)
    else { return .library(Int64(CK_NO_MEMORY)) }
    defer { withExtendedLifetime((columns, planes, images, part)) {} }
    var window = sizes.patches(channels: inputs)
    var first = 0
    while first < sizes.examples {
      let count = min(chunk, sizes.examples - first)
      for group in 0..<sizes.groups {
        let x = given.x + (first * sizes.groups + group) * inputs * plane * size
        let w = given.w + group * outputs * rows * size
        let y = given.y + (first * sizes.groups + group) * outputs * outs * size
        var status = KernelStatus.ok
        switch sizes.direction {
        case DN_FORWARD:
          gather(x, images.pointer, count)
          _ = ck_im2col(dtype.code, &window, Int64(count), columns.pointer, images.pointer)
          status = multiply(
            w, (rows, 1), columns.pointer, (count * outs, 1), planes.pointer, outputs, rows, count * outs)
          move(planes.pointer, to: y, count, intoPlanes: false)
        case DN_INPUT_GRADIENT:
          move(planes.pointer, to: y, count, intoPlanes: true)
          status = multiply(
            w, (1, rows), planes.pointer, (count * outs, 1), columns.pointer, rows, outputs, count * outs)
          _ = ck_col2im(dtype.code, &window, Int64(count), images.pointer, columns.pointer)
          spread(images.pointer, x, count)
        default:
          gather(x, images.pointer, count)
          _ = ck_im2col(dtype.code, &window, Int64(count), columns.pointer, images.pointer)
          move(planes.pointer, to: y, count, intoPlanes: true)
          let target = first == 0 ? w : part.pointer
          status = multiply(
            planes.pointer, (count * outs, 1), columns.pointer, (1, count * outs), target, outputs, count * outs, rows)
          if first > 0 {
            _ = ck_binary_flat(Int32(CK_ADD), dtype.code, Int64(outputs * rows), w, w, 1, part.pointer, 1)
          }
        }
        if status.code != 0 { return status }
      }
      first += count
    }
    if sizes.direction == DN_FORWARD, let bias = given.bias { add(bias, to: given.y) }
    return .ok
  }

  /// The channels of a group in `count` examples, next to each other.
  private func gather(_ x: UnsafeMutableRawPointer, _ images: UnsafeMutableRawPointer, _ count: Int) {
    let bytes = inputs * plane * dtype.size
    for image in 0..<count {
      (images + image * bytes).copyMemory(from: x + image * sizes.groups * bytes, byteCount: bytes)
    }
  }
  private func spread(_ images: UnsafeMutableRawPointer, _ x: UnsafeMutableRawPointer, _ count: Int) {
    let bytes = inputs * plane * dtype.size
    for image in 0..<count {
      (x + image * sizes.groups * bytes).copyMemory(from: images + image * bytes, byteCount: bytes)
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

  /// c = a · b; the strides of a and b are those of rows and columns.
  private func multiply(
    _ a: UnsafeMutableRawPointer, _ strideA: (Int, Int), _ b: UnsafeMutableRawPointer, _ strideB: (Int, Int),
    _ c: UnsafeMutableRawPointer, _ m: Int, _ k: Int, _ n: Int
  ) -> KernelStatus {
    if dtype == .float32, dn_available() {
      var spec = dn_matmul_spec()
      (spec.m, spec.n, spec.k, spec.batch) = (Int64(m), Int64(n), Int64(k), 1)
      (spec.a_row, spec.a_column) = (Int64(strideA.0), Int64(strideA.1))
      (spec.b_row, spec.b_column) = (Int64(strideB.0), Int64(strideB.1))
      (spec.c_batch, spec.c_row) = (Int64(m * n), Int64(n))
      spec.dtype = Int32(DN_F32)
      spec.threads = sizes.threads
      return MatmulPrimitive.run(spec, a, b, c)
    }
    return KernelStatus(
      ck_matmul_generic(
        dtype.code, Int64(m), Int64(n), Int64(k), a, Int64(strideA.0), Int64(strideA.1), b, Int64(strideB.0),
        Int64(strideB.1), c, Int64(n)))
  }

  private func add(_ bias: UnsafeMutableRawPointer, to y: UnsafeMutableRawPointer) {
    let shape: Shape = [sizes.examples, sizes.w[0], outs]
    var nd = ck_nd(shape)
    nd.set(0, shape, shape.contiguousStrides, to: shape)
    nd.set(1, shape, shape.contiguousStrides, to: shape)
    nd.set(2, [sizes.w[0], 1], [1, 1], to: shape)
    _ = ck_binary(Int32(CK_ADD), dtype.code, &nd, y, y, bias)
  }
}
