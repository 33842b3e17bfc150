public import MartletCore

/// The windows over which a pooling operation runs: of one size, moving by a stride, or adaptive.
public struct PoolingWindow: Hashable, Sendable, Codable, CustomStringConvertible {
  /// The sizes of a sliding window; for adaptive windows the sizes of the result.
  public let kernel: Shape
  public let stride: Shape
  public let dilation: Shape
  /// The places before the first and behind the last element of each axis that windows may reach into.
  public let low: Shape
  public let high: Shape
  /// Whether a last window that begins inside but reaches beyond the end is kept.
  public let ceilMode: Bool
  /// Whether the windows cover the input in as many parts of almost equal size as the result has elements.
  public let isAdaptive: Bool

  public init(kernel: Shape, stride: Shape, dilation: Shape, low: Shape, high: Shape, ceilMode: Bool) {
    self.kernel = kernel
    self.stride = stride
    self.dilation = dilation
    self.low = low
    self.high = high
    self.ceilMode = ceilMode
    isAdaptive = false
  }

  /// Windows for a result of `size`: along each axis the o-th covers `⌊o · in / out⌋ ..< ⌈(o + 1) · in / out⌉`.
  public init(adaptiveTo size: Shape) {
    kernel = size
    stride = Shape(repeating: 1, count: size.rank)
    dilation = stride
    low = Shape(repeating: 0, count: size.rank)
    high = low
    ceilMode = false
    isAdaptive = true
  }

  /// The number of spatial axes.
  public var axes: Int { kernel.rank }

  /// The spatial sizes of the result. Throws when the window is none or does not fit.
  package func outputSize(_ size: Shape) throws(OpError) -> Shape {
    guard (1...3).contains(axes), stride.rank == axes, dilation.rank == axes, low.rank == axes, high.rank == axes else {
      throw OpError(
        .misuse("the window has \(axes) spatial axes", rule: "1, 2 or 3, the same for kernel, stride and padding"))
    }
    guard size.rank == axes else {
      throw OpError(.rank(argument: 0, expected: "\(axes + 2): two and \(axes) spatial ones"))
    }
    var result = size
    for axis in 0..<axes {
      guard kernel[axis] >= 1, kernel[axis] <= Int(Int32.max) else {
        throw OpError(.count(name: isAdaptive ? "outputSize" : "kernelSize", kernel[axis], allowed: "1 … \(Int32.max)"))
      }
      if isAdaptive {
        guard size[axis] > 0 else { throw OpError(.emptyReduction(axis: axis + 2)) }
        result[axis] = kernel[axis]
        continue
      }
      guard (1...Int(Int32.max)).contains(stride[axis]) else {
        throw OpError(.count(name: "stride", stride[axis], allowed: "1 … \(Int32.max)"))
      }
      guard (1...Int(Int32.max)).contains(dilation[axis]) else {
        throw OpError(.count(name: "dilation", dilation[axis], allowed: "1 … \(Int32.max)"))
      }
      let reach = dilation[axis] * (kernel[axis] - 1) + 1
      for padding in [low[axis], high[axis]] where padding < 0 || padding > reach / 2 {
        throw OpError(
          .misuse(
            "the padding is \(padding) for a window of \(reach)", rule: "0 ≤ padding ≤ half of the window",
            remedy: "padded(_:) before pooling, or a larger kernelSize"))
      }
      let (padded, overflow) = size[axis].addingReportingOverflow(low[axis] + high[axis])
      guard !overflow, padded >= reach, size[axis] > 0 else {
        throw OpError(
          .misuse(
            "a window of \(reach) does not fit into \(size[axis]) with padding \(low[axis]) and \(high[axis])",
            rule: "dilation · (kernel - 1) + 1 ≤ size + padding",
            remedy: "a smaller kernelSize or larger inputs"))
      }
      var count = (padded - reach + (ceilMode ? stride[axis] - 1 : 0)) / stride[axis] + 1
      // Every window begins inside the input or its left padding.
      if ceilMode, (count - 1) * stride[axis] >= size[axis] + low[axis] { count -= 1 }
      // Windows with gaps may step over all elements.
      if dilation[axis] > 1, low[axis] > 0 || high[axis] > 0 || ceilMode {
        for o in 0..<count {
          let start = o * stride[axis] - low[axis]
          // The first tap at or behind the first element.
          let skipped = start >= 0 ? 0 : (-start + dilation[axis] - 1) / dilation[axis]
          guard skipped < kernel[axis], start + skipped * dilation[axis] < size[axis] else {
            throw OpError(
              .misuse(
                "window \(o) of size \(kernel[axis]) with dilation \(dilation[axis]) sees no element of \(size[axis])",
                rule: "each window sees an element", remedy: "a smaller dilation or padding"))
          }
        }
      }
      result[axis] = count
    }
    return result
  }

  public var description: String {
    if isAdaptive { return "outputSize=\(kernel)" }
    var parts = ["kernelSize=\(kernel)", "stride=\(stride)"]
    if dilation.contains(where: { $0 != 1 }) { parts.append("dilation=\(dilation)") }
    if low.contains(where: { $0 != 0 }) || high != low {
      parts.append(low == high ? "padding=\(low)" : "padding=\(low)…\(high)")
    }
    if ceilMode { parts.append("ceilMode") }
    return parts.joined(separator: ", ")
  }
}

/// A pooling operation: each plane `x[n, c]` by itself, so that examples can be put behind each other.
protocol PoolingOp: Op {
  var window: PoolingWindow { get }
}

extension PoolingOp {
  func pooled(_ x: TensorSpec) throws(OpError) -> TensorSpec {
    guard x.rank == window.axes + 2 else {
      throw OpError(.rank(argument: 0, expected: "\(window.axes + 2): two and \(window.axes) spatial ones"))
    }
    guard x.dtype.isFloating else { throw OpError(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
    let size = try window.outputSize(Shape(x.shape[2...]))
    return x.with(shape: Shape(Array(x.shape[..<2]) + Array(size)))
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let inputs = allMapped(inputs, mapped)
    let examples = inputs[0].shape[0]
    return apply(self, inputs.map { $0.examplesAsRows() }).map { $0.rowsAsExamples(examples) }
  }
  public var attributes: String { "\(window)" }
}
