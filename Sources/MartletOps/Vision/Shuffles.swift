public import MartletCore

/// Channels become places: `[…, C · r², H, W]` → `[…, C, H · r, W · r]`.
///
/// Source: Shi et al. 2016; PyTorch `pixel_shuffle`.
///
/// - Parameter upscaleFactor: r, 1 or more; the channels are a multiple of its square.
public func pixelShuffle(_ x: Tensor, upscaleFactor r: Int) -> Tensor {
  guard x.rank >= 3 else {
    return failure(.rank(argument: 0, expected: "3 or more: […, C, H, W]"), op: "pixelShuffle", [x])
  }
  guard r >= 1, r < 1 << 15 else {
    return failure(.count(name: "upscaleFactor", r, allowed: "1 or more"), op: "pixelShuffle", [x])
  }
  let (c, h, w) = (x.shape[x.rank - 3], x.shape[x.rank - 2], x.shape[x.rank - 1])
  guard c % (r * r) == 0 else {
    return failure(
      .misuse(
        "x has \(c) channels in axis -3", rule: "the channels are a multiple of upscaleFactor² = \(r * r)"),
      op: "pixelShuffle", [x])
  }
  let n = x.shape[..<(x.rank - 3)].reduce(1, *)
  return x.reshaped([n, c / (r * r), r, r, h, w]).permuted(0, 1, 4, 2, 5, 3)
    .reshaped(Shape(Array(x.shape[..<(x.rank - 3)]) + [c / (r * r), h * r, w * r]))
}

/// Places become channels: `[…, C, H · r, W · r]` → `[…, C · r², H, W]`, the inverse of `pixelShuffle`.
///
/// Source: PyTorch `pixel_unshuffle`.
///
/// - Parameter downscaleFactor: r, 1 or more; height and width are multiples of it.
public func pixelUnshuffle(_ x: Tensor, downscaleFactor r: Int) -> Tensor {
  guard x.rank >= 3 else {
    return failure(.rank(argument: 0, expected: "3 or more: […, C, H, W]"), op: "pixelUnshuffle", [x])
  }
  guard r >= 1, r < 1 << 15 else {
    return failure(.count(name: "downscaleFactor", r, allowed: "1 or more"), op: "pixelUnshuffle", [x])
  }
  let (c, h, w) = (x.shape[x.rank - 3], x.shape[x.rank - 2], x.shape[x.rank - 1])
  guard h % r == 0, w % r == 0 else {
    return failure(
      .misuse("x is \(h) high and \(w) wide", rule: "both are multiples of downscaleFactor = \(r)"),
      op: "pixelUnshuffle", [x])
  }
  let n = x.shape[..<(x.rank - 3)].reduce(1, *)
  return x.reshaped([n, c, h / r, r, w / r, r]).permuted(0, 1, 3, 5, 2, 4)
    .reshaped(Shape(Array(x.shape[..<(x.rank - 3)]) + [c * r * r, h / r, w / r]))
}

/// The channels of `groups` groups in turn: `[N, C, …]` → `[N, C, …]`.
///
/// Source: Zhang et al. 2018 (ShuffleNet); PyTorch `channel_shuffle`.
///
/// - Parameter groups: 1 or more; the channels are a multiple of it.
public func channelShuffle(_ x: Tensor, groups: Int) -> Tensor {
  guard x.rank >= 3 else {
    return failure(.rank(argument: 0, expected: "3 or more: [N, C, …]"), op: "channelShuffle", [x])
  }
  guard groups >= 1, x.shape[1] % groups == 0 else {
    return failure(
      .misuse("x has \(x.shape[1]) channels, groups is \(groups)", rule: "the channels are a multiple of groups"),
      op: "channelShuffle", [x])
  }
  let rest = x.shape[2...].reduce(1, *)
  return x.reshaped([x.shape[0], groups, x.shape[1] / groups, rest]).transposed(1, 2).reshaped(x.shape)
}
