public import MartletCore

/// How a device computes a convolution whose kernels it has packed: made for one thread count.
package struct ConvolutionPacking: Hashable, Sendable {
  /// The device's number of its algorithm.
  package let algorithm: Int32
  package let threads: Int32
  /// Whether images lie with their channels next to each other.
  package let isChannelsLast: Bool
  /// Of the packed kernels.
  package let byteCount: Int

  package init(algorithm: Int32, threads: Int32, isChannelsLast: Bool, byteCount: Int) {
    self.algorithm = algorithm
    self.threads = threads
    self.isChannelsLast = isChannelsLast
    self.byteCount = byteCount
  }
}

/// A convolution and what follows it in one operation: `x: [N, C, spatial…]`, the kernels, then a bias `[O]` if it has one,
/// then, if it `adds`, a tensor like the result; the sum is put between the bounds. Made by the pass `epilogues`.
///
/// With a packing the kernels are what `PackKernels` made of `[O, C / groups, kernel…]`.
public struct FusedConvolution: PassMade {
  public static var id: OpID { OpTable.fusedConvolution.id }
  public static var name: String { "fusedConvolution" }
  public static var rules: Rules { [.decomposed] }
  public static var argumentNames: [String] { ["x", "weight", "bias", "added"] }
  public let window: ConvolutionWindow
  /// The shape of the kernels.
  package let kernels: Shape
  package let hasBias: Bool
  package let adds: Bool
  /// Nil: whatever the sum is.
  package let bounds: ConvolutionBounds?
  package let packing: ConvolutionPacking?
  public var threads: Int? { packing.map { Int($0.threads) } }

  package init(
    _ window: ConvolutionWindow, kernels: Shape, hasBias: Bool, adds: Bool, bounds: ConvolutionBounds?,
    packing: ConvolutionPacking? = nil
  ) {
    self.window = window
    self.kernels = kernels
    self.hasBias = hasBias
    self.adds = adds
    self.bounds = bounds
    self.packing = packing
  }

  /// The same by kernels that are packed.
  package func with(_ packing: ConvolutionPacking) -> FusedConvolution {
    FusedConvolution(window, kernels: kernels, hasBias: hasBias, adds: adds, bounds: bounds, packing: packing)
  }

  /// How a device computes such a convolution of `x` fast; nil where it does not. Written once, when its kernels are
  /// registered.
  nonisolated(unsafe) package static var prepare:
    (@Sendable (FusedConvolution, _ x: TensorSpec, _ isChannelsLast: Bool) -> ConvolutionPacking?)?

  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    let count = 2 + (hasBias ? 1 : 0) + (adds ? 1 : 0)
    guard inputs.count == count else { throw OpError(.numberOfInputs(inputs.count, expected: "\(count)")) }
    let (x, w) = (inputs[0], inputs[1])
    if let packing {
      guard w.dtype == .uint8, w.shape == [packing.byteCount] else {
        throw OpError(.argumentShape(argument: 1, expected: "[\(packing.byteCount)], packed kernels"))
      }
    } else if w.shape != kernels {
      throw OpError(.argumentShape(argument: 1, expected: "\(kernels)"))
    }
    let result = try Convolution(window).outputs(for: [x, TensorSpec(kernels, x.dtype, device: x.device)])
    if hasBias, inputs[2].shape != [kernels[0]] || inputs[2].dtype != Self.biasType(x.dtype) {
      throw OpError(.argumentShape(argument: 2, expected: "\(Self.biasType(x.dtype))[\(kernels[0])]"))
    }
    if adds, inputs[count - 1] != result[0] {
      throw OpError(.argumentShape(argument: count - 1, expected: "\(result[0]), like the result"))
    }
    return result
  }

  /// 16-bit floats have a bias of float32.
  static func biasType(_ dtype: DType) -> DType { dtype.size == 2 ? .float32 : dtype }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    if packing != nil { return nil }
    var y = apply(
      Convolution(window), [inputs[0], inputs[1]] + (hasBias ? [inputs[2].cast(to: inputs[0].dtype)] : []))[0]
    if adds { y = y + inputs[inputs.count - 1] }
    if let bounds { y = apply(bounds.clamp, y) }
    return [y]
  }

  public func strides(of result: TensorSpec, for inputs: [Tensor]) -> Shape? {
    guard let packing else { return Order.channelsLast(result, like: inputs[0]) }
    return packing.isChannelsLast ? Order.channelsLast(result) : nil
  }
  /// What is added, if it lies like the result.
  public func takeover(output: Int) -> Int? { adds ? (hasBias ? 3 : 2) : nil }

  public var attributes: String {
    var parts = [window.description]
    if hasBias { parts.append("bias") }
    if adds { parts.append("add") }
    if let bounds { parts.append(bounds.description) }
    return parts.joined(separator: ", ")
  }
}

/// Between which numbers the results of a convolution are put.
public struct ConvolutionBounds: Hashable, Sendable, CustomStringConvertible {
  public let low: Double
  /// Infinity: a rectifier.
  public let high: Double
  public init(low: Double, high: Double) {
    self.low = low
    self.high = high
  }
  var clamp: Clamp { Clamp(low: low, high: high) }
  public var description: String { low == 0 && high == .infinity ? "relu" : "clamp \(low) … \(high)" }
}

/// Kernels `[O, C / groups, kernel…]` of a `FusedConvolution` as its device reads them: bytes.
public struct PackKernels: PassMade {
  public static var id: OpID { OpTable.packKernels.id }
  public static var name: String { "packKernels" }
  public static var rules: Rules { [.decomposed] }
  public static var argumentNames: [String] { ["weight"] }
  package let convolution: FusedConvolution
  /// What the convolution is of.
  package let x: TensorSpec
  public var threads: Int? { convolution.threads }

  package init(_ convolution: FusedConvolution, x: TensorSpec) {
    self.convolution = convolution
    self.x = x
  }

  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 1 else { throw OpError(.numberOfInputs(inputs.count, expected: "1")) }
    guard inputs[0].shape == convolution.kernels else {
      throw OpError(.argumentShape(argument: 0, expected: "\(convolution.kernels)"))
    }
    guard let packing = convolution.packing else { return inputs }
    guard inputs[0].dtype == x.dtype else { throw OpError(.dtypesDiffer) }
    return [TensorSpec([packing.byteCount], .uint8, device: inputs[0].device)]
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? { convolution.packing == nil ? inputs : nil }
  public var attributes: String { convolution.attributes }
}
