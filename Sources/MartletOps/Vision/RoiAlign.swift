public import MartletCore

/// The means of the parts of boxes in feature maps, read between elements: `x: [N, C, H, W]` and `boxes: [K, 5]` →
/// `[K, C, outputSize…]`.
///
/// `boxes` have no gradient; an image that `x` does not have is an error. Places beyond the maps count 0. Source: He et al.
/// 2017; torchvision `roi_align`.
///
/// - Parameters:
///   - boxes: the number of the image in `x`, then x1, y1, x2, y2.
///   - outputSize: the parts along height and width.
///   - spatialScale: what coordinates are multiplied by: 1/16 for boxes of an image that is 16 times larger than `x`.
///   - samplingRatio: how many places are read along each side of a part; nil: as many as it has elements, rounded up.
///   - aligned: whether coordinates move by half an element, so that they name the borders of elements as in other functions.
public func roiAlign(
  _ x: Tensor, boxes: Tensor, outputSize: Extent, spatialScale: Double = 1, samplingRatio: Int? = nil,
  aligned: Bool = false
) -> Tensor {
  let parts = RoiParts(
    size: outputSize.over(2), scale: spatialScale, samplingRatio: samplingRatio, isAligned: aligned)
  return apply(RoiAlign(parts), x, boxes.detached())
}

/// How `roiAlign` parts boxes and reads the parts.
public struct RoiParts: Hashable, Sendable, Codable, CustomStringConvertible {
  /// The parts along height and width.
  public let size: Shape
  private let scaleBits: UInt64
  /// What coordinates are multiplied by.
  public var scale: Double { Double(bitPattern: scaleBits) }
  /// The places along each side of a part; nil: as many as it has elements.
  public let samplingRatio: Int?
  /// Whether coordinates move by half an element.
  public let isAligned: Bool
  public init(size: Shape, scale: Double, samplingRatio: Int?, isAligned: Bool) {
    (self.size, self.samplingRatio, self.isAligned) = (size, samplingRatio, isAligned)
    scaleBits = scale.bitPattern
  }
  public var description: String {
    "\(size), scale=\(scale)" + (samplingRatio.map { ", samplingRatio=\($0)" } ?? "") + (isAligned ? ", aligned" : "")
  }

  /// Checks maps of a shape, and boxes.
  func check(_ shape: Shape, _ x: TensorSpec, _ boxes: TensorSpec) throws(OpError) {
    guard boxes.rank == 2, boxes.shape[1] == 5 else {
      throw OpError(.argumentShape(argument: 1, expected: "[K, 5]: the number of the image, x1, y1, x2, y2"))
    }
    guard x.dtype == boxes.dtype else { throw OpError(.dtypesDiffer) }
    guard x.dtype.isFloating else { throw OpError(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
    guard size.rank == 2, size.allSatisfy({ $0 >= 1 }), samplingRatio ?? 1 >= 1, shape[2] >= 1, shape[3] >= 1 else {
      throw OpError(
        .misuse(
          "outputSize is \(size)" + (samplingRatio.map { ", samplingRatio \($0)" } ?? ""),
          rule: "1 or more each, for feature maps of one element or more"))
    }
  }

  /// What a bad image says.
  func fault(_ status: KernelStatus, images: Int) -> Fact { .index(Int(status.value), size: images, axis: 0) }

  /// The means in smaller operations. The values of `boxes` are read where there is no `samplingRatio`.
  func composite(_ x: Tensor, _ boxes: Tensor) -> Tensor {
    let spatial = [x.shape[2], x.shape[3]]
    // Between coordinates of 16 bits there may be several elements.
    let boxes = (boxes.dtype == .float64 ? boxes : boxes.cast(to: .float32)).detached()
    let image = boxes[.all, 0].cast(to: .int64)

    /// Places along one axis, `[K, parts, samples]`, and what each counts in the mean of its part.
    func places(_ axis: Int) -> (places: Tensor, shares: Tensor) {
      let offset = isAligned ? 0.5 : 0
      let start = (boxes[.all, 2 - axis] * scale - offset).expandedDims(axis: 1)
      let end = (boxes[.all, 4 - axis] * scale - offset).expandedDims(axis: 1)
      let length = isAligned ? end - start : maximum(end - start, 1)
      let part = length / Double(size[axis])
      func steps(_ count: Int) -> Tensor { Tensor.range(to: Double(count), dtype: boxes.dtype, device: x.device) }
      let begin = (start + part * steps(size[axis])).expandedDims(axis: 2)
      let wide = part.expandedDims(axis: 2)
      if let samplingRatio {
        let all = begin + (steps(samplingRatio) + 0.5) * wide / Double(samplingRatio)
        return (all, Tensor(repeating: 1 / Double(samplingRatio), all.spec))
      }
      let counts = ceil(wide)
      let step = steps(max(1, Int(counts.array(as: Double.self).max() ?? 0)))
      let safe = maximum(counts, 1)
      let all = begin + (step + 0.5) * wide / safe
      let shares = (step .< counts).cast(to: boxes.dtype) / safe
      return (all, shares.expanded(to: all.shape))
    }

    /// The two elements around each place, with their weights; a place beyond the border counts as 0.
    func taps(_ axis: Int) -> [(index: Tensor, weight: Tensor)] {
      let (place, share) = places(axis)
      let last = Double(spatial[axis] - 1)
      let isInside = ((place .>= -1) .& (place .<= Double(spatial[axis]))).cast(to: boxes.dtype) * share
      let inner = clamp(place, min: 0, max: last)
      let below = floor(inner)
      let after = inner - below
      return [
        (below.cast(to: .int64), (1 - after) * isInside),
        (clamp(below + 1, max: last).cast(to: .int64), after * isInside),
      ]
    }
    // Elements with all their channels as rows of a table: [K, parts, samples, parts, samples, C].
    let table = x.permuted(0, 2, 3, 1).reshaped([x.shape[0] * spatial[0] * spatial[1], x.shape[1]])
    let count = boxes.shape[0]
    func high(_ t: Tensor) -> Tensor { t.reshaped([count, t.shape[1], t.shape[2], 1, 1]) }
    func wide(_ t: Tensor) -> Tensor { t.reshaped([count, 1, 1, t.shape[1], t.shape[2]]) }
    let columns = taps(1)
    var sum: Tensor?
    for row in taps(0) {
      for column in columns {
        let line = high(row.index) + image.reshaped([count, 1, 1, 1, 1]) * spatial[0]
        let values = table.take(axis: 0, line * spatial[1] + wide(column.index))
        let weights = (high(row.weight) * wide(column.weight)).expandedDims(axis: -1).cast(to: x.dtype)
        let part = (values * weights).sum(axes: [2, 4])
        sum = sum.map { $0 + part } ?? part
      }
    }
    return sum!.permuted(0, 3, 1, 2)
  }
}

/// The means of the parts of boxes in feature maps, as `roiAlign` says: `[N, C, H, W]`, `[K, 5]` → `[K, C, parts…]`.
public struct RoiAlign: BinaryOp {
  public static var id: OpID { OpTable.roiAlign.id }
  public static var name: String { "roiAlign" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public static var argumentNames: [String] { ["x", "boxes"] }
  public let parts: RoiParts
  public init(_ parts: RoiParts) { self.parts = parts }
  public var canFault: Bool { true }
  public func fault(_ status: KernelStatus, _ inputs: [TensorSpec]) -> Fact {
    parts.fault(status, images: inputs[0].shape[0])
  }

  public func output(for x: TensorSpec, _ boxes: TensorSpec) throws(OpError) -> TensorSpec {
    guard x.rank == 4 else { throw OpError(.rank(argument: 0, expected: "4: [N, C, H, W]")) }
    try parts.check(x.shape, x, boxes)
    let shape = Shape([boxes.shape[0], x.shape[1]] + Array(parts.size))
    guard x.with(shape: shape).checkedByteCount != nil else { throw OpError(.tooLarge(shape)) }
    return x.with(shape: shape)
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? { [parts.composite(inputs[0], inputs[1])] }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    guard needs[0] else { return [nil, nil] }
    let shape = saved.spec(0).shape
    let adjoint = RoiAlignGradient(parts, images: shape[0], height: shape[2], width: shape[3])
    return [.dense(apply(adjoint, ct[0]!, saved.input(1))), nil]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, $0, inputs[1]) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    if mapped[0], mapped[1] { return looped(self, inputs, mapped) }
    let examples = inputs[mapped[0] ? 0 : 1].shape[0]
    if mapped[0] { return [apply(self, inputs[0].examplesAsChannels(), inputs[1]).channelsAsExamples(examples)] }
    return [apply(self, inputs[0], inputs[1].examplesAsRows()).rowsAsExamples(examples)]
  }
  public var attributes: String { parts.description }
}

/// The adjoint of `RoiAlign`: what `[K, C, parts…]` adds to feature maps `[N, C, H, W]`.
public struct RoiAlignGradient: BinaryOp {
  public static var id: OpID { OpTable.roiAlignGradient.id }
  public static var name: String { "roiAlignGradient" }
  public static var rules: Rules { [.vjp, .jvp, .batched, .decomposed] }
  public static var argumentNames: [String] { ["g", "boxes"] }
  public let parts: RoiParts
  public let images, height, width: Int
  public init(_ parts: RoiParts, images: Int, height: Int, width: Int) {
    (self.parts, self.images, self.height, self.width) = (parts, images, height, width)
  }
  public var canFault: Bool { true }
  public func fault(_ status: KernelStatus, _ inputs: [TensorSpec]) -> Fact { parts.fault(status, images: images) }

  public func output(for g: TensorSpec, _ boxes: TensorSpec) throws(OpError) -> TensorSpec {
    guard g.rank == 4 else { throw OpError(.rank(argument: 0, expected: "4: [K, C, parts…]")) }
    let shape: Shape = [images, g.shape[1], height, width]
    guard images >= 0 else { throw OpError(.count(name: "images", images, allowed: "0 or more")) }
    try parts.check(shape, g, boxes)
    guard Array(g.shape[2...]) == Array(parts.size), g.shape[0] == boxes.shape[0] else {
      throw OpError(.argumentShape(argument: 0, expected: "[\(boxes.shape[0]), C, \(parts.size[0]), \(parts.size[1])]"))
    }
    guard g.with(shape: shape).checkedByteCount != nil else { throw OpError(.tooLarge(shape)) }
    return g.with(shape: shape)
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let zeros = Tensor(repeating: 0, inputs[0].spec.with(shape: [images, inputs[0].shape[1], height, width]))
    return [MartletCore.vjp({ (x: Tensor) in parts.composite(x, inputs[1]) }, zeros).pullback(inputs[0])]
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [1]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [needs[0] ? .dense(apply(RoiAlign(parts), ct[0]!, saved.input(1))) : nil, nil]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, $0, inputs[1]) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    guard !mapped[1] else { return looped(self, inputs, mapped) }
    let examples = inputs[0].shape[0]
    return [apply(self, inputs[0].examplesAsChannels(), inputs[1]).channelsAsExamples(examples)]
  }
  public var attributes: String { "\(parts), \([images, height, width])" }
}
