import MartletCore

// What is said to a layer whose input has other features or channels than it was made for.

/// The error of an input whose last axis has not the layer's features.
func misfit(_ x: Tensor, layer: String, features: Int, to outputs: Int) -> Tensor {
  let shape = Array(x.shape)
  let found = shape.last.map { "x has \($0)" } ?? "x is a scalar"
  let tail = (0..<max(0, shape.count - 1)).first { shape[$0...].reduce(1, *) == features }
  let remedy =
    if let tail {
      "x.flattened(from: \(tail))" + (tail == 1 ? " or a Flatten layer" : "") + " first: "
        + "\(shape[tail...].map(String.init).joined(separator: " × ")) = \(features)"
    } else if let axis = shape.firstIndex(of: features) {
      "x.movingAxis(\(axis), to: -1): the features are the last axis"
    } else if let last = shape.last {
      "\(layer)(\(last), \(outputs)) for this input, or another input"
    } else {
      "x with an axis of features"
    }
  return failure(
    .misuse(
      "it takes \(features) features in the last axis, and \(found)",
      rule: "[…, \(features)] → […, \(outputs)]", remedy: remedy), op: "\(layer)(\(features), \(outputs))", [x],
    names: ["x"])
}

/// Whether an input has the layer's channels: `[N, C, …]` of one of the ranks, or one example `[C, …]`.
func hasChannels(_ x: Tensor, _ channels: Int, ranks: ClosedRange<Int>, single: Int? = nil) -> Bool {
  if ranks.contains(x.rank), x.rank > 1 { return x.shape[1] == channels }
  return x.rank == single && x.shape[0] == channels
}

/// The error of an input that has not the layer's channels.
///
/// - Parameters:
///   - call: how the layer is written, `Conv2d(3, 8, …)`.
///   - shapes: what the layer takes, `[N, 3, H, W]`.
///   - ranks: of these, with the axis of examples.
func misfit(
  _ x: Tensor, call: String, channels: Int, shapes: [String], ranks: ClosedRange<Int>,
  makesAnother: (Int) -> String
) -> Tensor {
  let shape = Array(x.shape)
  let rank = shape.count
  var remedy: String?
  if ranks.contains(rank), rank > 2, shape[rank - 1] == channels {
    let order = [0, rank - 1] + Array(1..<(rank - 1))
    remedy = "x.permuted(\(order.map(String.init).joined(separator: ", "))): the channels come before the spatial axes"
  } else if rank + 1 == ranks.lowerBound, channels == 1 {
    remedy = "x.expandedDims(axis: 1), which adds the axis of the one channel"
  } else if rank + 1 == ranks.lowerBound, shape.first == channels {
    remedy = "x.expandedDims(axis: 0), which makes a batch of one example"
  } else if rank + 1 == ranks.lowerBound, rank > 1, shape.last == channels {
    let order = [rank - 1] + Array(0..<(rank - 1))
    remedy =
      "x.permuted(\(order.map(String.init).joined(separator: ", "))).expandedDims(axis: 0): the channels come first, in a batch "
      + "of one example"
  } else if rank + 2 == ranks.lowerBound, channels == 1, rank > 0 {
    remedy = "x.expandedDims(axis: 0).expandedDims(axis: 0): one example with one channel"
  } else if rank == 2, ranks.lowerBound > 2 {
    remedy = "x.unflattened(axis: 1, sizes: […]), which gives the features their axes"
  } else if ranks.contains(rank), rank > 1 {
    remedy = "\(makesAnother(shape[1])) for this input, or another input"
  }
  let found =
    ranks.contains(rank) && rank > 1
    ? "x has \(ErrorText.counted(shape[1], "channel"))" : "x has \(ErrorText.counted(rank, "axis", "axes"))"
  return failure(
    .misuse(
      "it takes \(ErrorText.counted(channels, "channel")) in axis 1, and \(found)",
      rule: "x is \(shapes.joined(separator: " or "))", remedy: remedy), op: call, [x], names: ["x"])
}
