import Martlet

/// How the operators of images are called.
let visionOperators: [String: @Sendable (GoldenCase, [Tensor]) -> [Tensor]] = [
  "conv_transpose1d": { c, x in [transposed(c, x, convTranspose1d)] },
  "conv_transpose2d": { c, x in [transposed(c, x, convTranspose2d)] },
  "conv_transpose3d": { c, x in [transposed(c, x, convTranspose3d)] },
  "im2col": { c, x in
    [
      unfold(
        x[0], kernelSize: c.extent("kernel"), dilation: c.extent("dilation"), padding: c.extent("padding"),
        stride: c.extent("stride"))
    ]
  },
  "unfold": { c, x in
    [
      unfold(
        x[0], kernelSize: c.extent("kernel_size"), dilation: c.extent("dilation"), padding: c.extent("padding"),
        stride: c.extent("stride"))
    ]
  },
  "fold": { c, x in
    [
      fold(
        x[0], outputSize: c.extent("output_size"), kernelSize: c.extent("kernel_size"), dilation: c.extent("dilation"),
        padding: c.extent("padding"), stride: c.extent("stride"))
    ]
  },
  "max_pool1d": { c, x in [maximum(c, x, maxPool1d)] },
  "max_pool2d": { c, x in [maximum(c, x, maxPool2d)] },
  "max_pool3d": { c, x in [maximum(c, x, maxPool3d)] },
  "avg_pool1d": { c, x in [mean(c, x, averagePool1d)] },
  "avg_pool2d": { c, x in [mean(c, x, averagePool2d)] },
  "avg_pool3d": { c, x in [mean(c, x, averagePool3d)] },
  "lp_pool1d": { c, x in [powers(c, x, lpPool1d)] },
  "lp_pool2d": { c, x in [powers(c, x, lpPool2d)] },
  "lp_pool3d": { c, x in [powers(c, x, lpPool3d)] },
  "adaptive_avg_pool1d": { c, x in [adaptiveAveragePool1d(x[0], outputSize: c.extent("output_size"))] },
  "adaptive_avg_pool2d": { c, x in [adaptiveAveragePool2d(x[0], outputSize: c.extent("output_size"))] },
  "adaptive_avg_pool3d": { c, x in [adaptiveAveragePool3d(x[0], outputSize: c.extent("output_size"))] },
  "adaptive_max_pool1d": { c, x in [adaptiveMaxPool1d(x[0], outputSize: c.extent("output_size"))] },
  "adaptive_max_pool2d": { c, x in [adaptiveMaxPool2d(x[0], outputSize: c.extent("output_size"))] },
  "adaptive_max_pool3d": { c, x in [adaptiveMaxPool3d(x[0], outputSize: c.extent("output_size"))] },
  "max_unpool1d": { c, x in [unpooled(c, x, maxUnpool1d)] },
  "max_unpool2d": { c, x in [unpooled(c, x, maxUnpool2d)] },
  "max_unpool3d": { c, x in [unpooled(c, x, maxUnpool3d)] },
  "fractional_max_pool2d": { c, x in
    let (values, indices) = fractionalMaxPool2dWithIndices(
      x[0], kernelSize: c.extent("kernel_size"), outputSize: c.extent("output_size"), samples: x[1])
    return [values, indices]
  },
  "fractional_max_pool3d": { c, x in
    let (values, indices) = fractionalMaxPool3dWithIndices(
      x[0], kernelSize: c.extent("kernel_size"), outputSize: c.extent("output_size"), samples: x[1])
    return [values, indices]
  },
  "interpolate": { c, x in
    let modes: [String: InterpolationMode] = [
      "nearest": .nearest, "nearest-exact": .nearestExact, "linear": .linear, "bilinear": .bilinear,
      "trilinear": .trilinear, "bicubic": .bicubic, "area": .area,
    ]
    let mode = modes[c.string("mode")]!
    if c.has("scale_factor") {
      return [
        interpolate(
          x[0], scaleFactors: c.doubles("scale_factor"), mode: mode, alignCorners: c.bool("align_corners"),
          recomputesScaleFactor: c.bool("recompute_scale_factor"))
      ]
    }
    return [
      interpolate(
        x[0], size: c.extent("size"), mode: mode, alignCorners: c.bool("align_corners"), antialias: c.bool("antialias"))
    ]
  },
  "grid_sample": { c, x in
    let modes: [String: GridMode] = ["bilinear": .bilinear, "nearest": .nearest, "bicubic": .bicubic]
    let paddings: [String: GridPadding] = ["zeros": .zeros, "border": .border, "reflection": .reflection]
    return [
      gridSample(
        x[0], x[1], mode: modes[c.string("mode")]!, padding: paddings[c.string("padding_mode")]!,
        alignCorners: c.bool("align_corners"))
    ]
  },
  "affine_grid": { c, x in
    [affineGrid(x[0], size: Shape(c.ints("size")), alignCorners: c.bool("align_corners"))]
  },
  "pixel_shuffle": { c, x in [pixelShuffle(x[0], upscaleFactor: c.int("upscale_factor"))] },
  "pixel_unshuffle": { c, x in [pixelUnshuffle(x[0], downscaleFactor: c.int("downscale_factor"))] },
  "channel_shuffle": { c, x in [channelShuffle(x[0], groups: c.int("groups"))] },
  "pad_layer": { c, x in
    let widths = c.ints("padding")
    let layers: [String: PaddingLayer] = [
      "ConstantPad1d": ConstantPad1d(widths, value: 1.5), "ConstantPad2d": ConstantPad2d(widths, value: 1.5),
      "ConstantPad3d": ConstantPad3d(widths, value: 1.5), "ReflectionPad1d": ReflectionPad1d(widths),
      "ReflectionPad2d": ReflectionPad2d(widths), "ReflectionPad3d": ReflectionPad3d(widths),
      "ReplicationPad1d": ReplicationPad1d(widths), "ReplicationPad2d": ReplicationPad2d(widths),
      "ReplicationPad3d": ReplicationPad3d(widths), "CircularPad1d": CircularPad1d(widths),
      "CircularPad2d": CircularPad2d(widths), "CircularPad3d": CircularPad3d(widths),
    ]
    return [layers[c.string("layer")]!(x[0])]
  },
  "conv_layer": { c, x in
    let mode = PaddingMode(rawValue: c.string("padding_mode"))!
    let padding = Padding.both(c.extent("padding"))
    let (names, dtype) = (["weight", "bias"], x[0].dtype)
    switch c.int("axes") {
    case 1:
      return [run(c, x, names) { Conv1d(2, 3, kernelSize: 3, padding: padding, paddingMode: mode, dtype: dtype) }]
    case 2:
      return [run(c, x, names) { Conv2d(2, 3, kernelSize: 3, padding: padding, paddingMode: mode, dtype: dtype) }]
    default:
      return [run(c, x, names) { Conv3d(2, 3, kernelSize: 3, padding: padding, paddingMode: mode, dtype: dtype) }]
    }
  },
  "weight_norm": { c, x in
    let names = c.attributes["parameter_names"] as! [String]
    return [run(c, x, names) { WeightNorm(Linear(4, 3, dtype: x[0].dtype), axis: c.has("dim") ? 0 : nil) }]
  },
  "spectral_norm": { c, x in
    let names = c.attributes["parameter_names"] as! [String]
    return [run(c, x, names) { SpectralNorm(Linear(4, 3, dtype: x[0].dtype)) }]
  },
  "pairwise_distance": { c, x in
    [pairwiseDistance(x[0], x[1], order: c.double("p"), keepDims: c.bool("keepdim"))]
  },
  "embedding_bag": { c, x in
    let modes: [String: BagMode] = ["sum": .sum, "mean": .mean, "max": .max]
    return [
      embeddingBag(
        x[1], x[0], offsets: x.count > 2 ? x[2] : nil, mode: modes[c.string("mode")]!,
        perSampleWeights: x.count > 3 ? x[3] : nil, paddingIndex: c.has("padding_idx") ? c.int("padding_idx") : nil,
        includesLastOffset: c.bool("include_last_offset"))
    ]
  },
  "box_iou": { _, x in [boxIoU(x[0], x[1])] },
  "nms": { c, x in [nonMaximumSuppression(x[0], scores: x[1], threshold: c.double("iou_threshold"))] },
  "roi_pool": { c, x in
    [roiPool(x[0], boxes: x[1], outputSize: c.extent("output_size"), spatialScale: c.double("spatial_scale"))]
  },
  "roi_align": { c, x in
    let ratio = c.int("sampling_ratio")
    return [
      roiAlign(
        x[0], boxes: x[1], outputSize: c.extent("output_size"), spatialScale: c.double("spatial_scale"),
        samplingRatio: ratio > 0 ? ratio : nil, aligned: c.bool("aligned"))
    ]
  },
]

private func transposed(
  _ c: GoldenCase, _ x: [Tensor],
  _ f: (Tensor, Tensor, Tensor?, Extent, Extent, Extent, Extent, Int) -> Tensor
) -> Tensor {
  f(
    x[0], x[1], x[2], c.extent("stride"), c.extent("padding"), c.extent("output_padding"), c.extent("dilation"),
    c.int("groups"))
}

private func maximum(
  _ c: GoldenCase, _ x: [Tensor], _ f: (Tensor, Extent, Extent?, Extent, Extent, Bool) -> Tensor
) -> Tensor {
  f(x[0], c.extent("kernel_size"), c.extent("stride"), c.extent("padding"), 1, c.bool("ceil_mode"))
}

private func mean(
  _ c: GoldenCase, _ x: [Tensor], _ f: (Tensor, Extent, Extent?, Extent, Bool, Bool) -> Tensor
) -> Tensor {
  f(
    x[0], c.extent("kernel_size"), c.extent("stride"), c.extent("padding"), c.bool("ceil_mode"),
    c.bool("count_include_pad"))
}

private func powers(
  _ c: GoldenCase, _ x: [Tensor], _ f: (Tensor, Double, Extent, Extent?, Bool) -> Tensor
) -> Tensor {
  f(x[0], c.double("norm_type"), c.extent("kernel_size"), c.extent("stride"), c.bool("ceil_mode"))
}

private func unpooled(
  _ c: GoldenCase, _ x: [Tensor], _ f: (Tensor, Tensor, Extent, Extent?, Extent, Extent?) -> Tensor
) -> Tensor {
  f(x[0], x[1], c.extent("kernel_size"), c.extent("stride"), c.extent("padding"), c.extent("output_size"))
}

/// A layer in evaluation with the tensors behind the first as its state.
private func run<M: Module<Tensor, Tensor>>(
  _ c: GoldenCase, _ x: [Tensor], _ names: [String], _ make: () -> M
) -> Tensor {
  // The dtype is that of the inputs: a case may run in float64.
  let key = "\(c.name) \(x[0].dtype)"
  let module = Made.layer(key) {
    let layer = make()
    layer.eval()
    return layer
  }
  return try! module.with(State(Array(zip(names, x.dropFirst())))) { module(x[0]) }
}
