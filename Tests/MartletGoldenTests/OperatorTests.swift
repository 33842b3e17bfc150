import Martlet
import Testing

/// How a case's operator is called, for those that exist.
private let operators = generalOperators.merging(visionOperators) { general, _ in general }

private let generalOperators: [String: @Sendable (GoldenCase, [Tensor]) -> [Tensor]] = {
  func unary(_ f: @escaping @Sendable (Tensor) -> Tensor) -> @Sendable (GoldenCase, [Tensor]) -> [Tensor] {
    { _, x in [f(x[0])] }
  }
  func binary(_ f: @escaping @Sendable (Tensor, Tensor) -> Tensor) -> @Sendable (GoldenCase, [Tensor]) -> [Tensor] {
    { _, x in [f(x[0], x[1])] }
  }
  return [
    "exp": unary(exp), "log": unary(log), "sqrt": unary(sqrt), "sin": unary(sin), "cos": unary(cos),
    "tanh": unary(tanh), "sigmoid": unary(sigmoid), "relu": unary(relu), "abs": unary(abs), "sign": unary(sign),
    "neg": unary { -$0 }, "square": unary(square), "reciprocal": unary(reciprocal), "rsqrt": unary(rsqrt),
    "tan": unary(tan), "asin": unary(asin), "acos": unary(acos), "atan": unary(atan), "sinh": unary(sinh),
    "cosh": unary(cosh), "asinh": unary(asinh), "acosh": unary(acosh), "atanh": unary(atanh), "erf": unary(erf),
    "expm1": unary(expm1), "log1p": unary(log1p), "floor": unary(floor), "ceil": unary(ceil), "round": unary(round),
    "atan2": binary { atan2($0, $1) },
    "clamp": { c, x in [clamp(x[0], min: c.double("min"), max: c.double("max"))] },
    "relu6": unary(relu6), "elu": unary { elu($0) }, "selu": unary(selu), "silu": unary(silu), "mish": unary(mish),
    "softplus": unary { softplus($0) }, "softsign": unary(softsign), "hardswish": unary(hardSwish),
    "hardsigmoid": unary(hardSigmoid), "logsigmoid": unary(logSigmoid), "tanhshrink": unary(tanhShrink),
    "gelu": { c, x in [gelu(x[0], approximate: c.string("approximate") == "tanh")] },
    "leaky_relu": { c, x in [leakyRelu(x[0], slope: c.double("negative_slope"))] },
    "prelu": binary(prelu),
    "add": binary(+), "sub": binary(-), "mul": binary(*), "div": binary(/),
    "maximum": binary { maximum($0, $1) }, "minimum": binary { minimum($0, $1) }, "pow": binary { pow($0, $1) },
    "matmul": binary(matmul), "mse_loss": binary { meanSquaredError($0, $1) },
    "where": { _, x in [select(x[0], x[1], x[2])] },
    "sum": { c, x in [x[0].sum(axes: c.ints("dim"), keepDims: c.bool("keepdim"))] },
    "mean": { c, x in [x[0].mean(axes: c.ints("dim"), keepDims: c.bool("keepdim"))] },
    "amax": { c, x in [x[0].max(axes: c.ints("dim"), keepDims: c.bool("keepdim"))] },
    "amin": { c, x in [x[0].min(axes: c.ints("dim"), keepDims: c.bool("keepdim"))] },
    "logsumexp": { c, x in [x[0].logSumExp(axes: c.ints("dim"), keepDims: c.bool("keepdim"))] },
    "var": { c, x in [x[0].variance(axis: c.int("dim"), correction: c.double("correction"))] },
    "std": { c, x in [x[0].standardDeviation(axis: c.int("dim"), correction: c.double("correction"))] },
    "prod": { c, x in [x[0].prod(axis: c.int("dim"))] },
    "cumsum": { c, x in [x[0].cumsum(axis: c.int("dim"))] },
    "cumprod": { c, x in [x[0].cumprod(axis: c.int("dim"))] },
    "norm": { c, x in [x[0].norm(c.double("ord"), axis: c.int("dim"))] },
    "argmax": { c, x in [x[0].argMax(axis: c.int("dim"))] },
    "reshape": { c, x in [x[0].reshaped(Shape(c.ints("shape")))] },
    "permute": { c, x in [x[0].permuted(c.ints("dims"))] },
    "expand": { c, x in [x[0].expanded(to: Shape(c.ints("shape")))] },
    "slice": { c, x in
      let (start, stop, step) = (c.ints("starts"), c.ints("stops"), c.ints("steps"))
      return [
        x[0][
          .range(from: start[0], to: stop[0], by: step[0]), .range(from: start[1], to: stop[1], by: step[1]),
          .range(from: start[2], to: stop[2], by: step[2])]
      ]
    },
    "concat": { c, x in [concat(x, axis: c.int("dim"))] },
    "stack": { c, x in [stack(x, axis: c.int("dim"))] },
    "split": { c, x in x[0].split(c.ints("sizes"), axis: c.int("dim")) },
    "flip": { c, x in [x[0].flipped(axes: c.ints("dims"))] },
    "roll": { c, x in [x[0].rolled(by: c.int("shift"), axis: c.int("dim"))] },
    "tril": { c, x in [x[0].tril(c.int("diagonal"))] },
    "sort": { c, x in
      let (values, indices) = x[0].sorted(axis: c.int("dim"), descending: c.bool("descending"))
      return [values, indices]
    },
    "gather": { c, x in [x[0].gather(axis: c.int("dim"), x[1])] },
    "scatter_add": { c, x in
      // PyTorch's indices may be smaller than x along the other axes; here they are the rows of x that they name.
      [x[0].scatterAdding(axis: c.int("dim"), x[1], x[2])]
    },
    "index_select": { c, x in [x[0].take(axis: c.int("dim"), x[1])] },
    "embedding": { _, x in [x[0].take(axis: 0, x[1])] },
    "topk": { c, x in
      let (values, indices) = x[0].topK(c.int("k"), axis: c.int("dim"))
      return [values, indices]
    },
    "pad": { c, x in
      let widths = c.attributes["pads_last_two_dims"] as! [[Int]]
      let modes: [String: PadMode] = [
        "constant": .constant(0), "reflect": .reflect, "replicate": .replicate, "circular": .circular,
      ]
      return [x[0].padded([(0, 0), (0, 0)] + widths.map { ($0[0], $0[1]) }, mode: modes[c.string("mode")]!)]
    },
    "softmax": { c, x in [softmax(x[0], axis: c.int("dim"))] },
    "log_softmax": { c, x in [logSoftmax(x[0], axis: c.int("dim"))] },
    "inverse": unary(inverse), "det": unary(determinant), "cholesky": unary { cholesky($0) }, "solve": binary(solve),
    "einsum": { c, x in [einsum(c.string("equation"), x)] },
    "bilinear": { _, x in [bilinear(x[0], x[1], x[2], bias: x[3])] },
    "scaled_dot_product_attention": { c, x in
      [
        scaledDotProductAttention(
          x[0], x[1], x[2], mask: x.count > 3 ? x[3] : nil, isCausal: c.attributes["is_causal"] as? Bool ?? false)
      ]
    },
    "rnn": { c, x in
      recurrent(c, x) {
        RNN($0, $1, layers: $2, isBidirectional: $3, dtype: x[0].dtype)
      } run: { layer, state in
        let (y, h) = layer(x[0], state[0])
        return [y, h]
      }
    },
    "gru": { c, x in
      recurrent(c, x) {
        GRU($0, $1, layers: $2, isBidirectional: $3, dtype: x[0].dtype)
      } run: { layer, state in
        let (y, h) = layer(x[0], state[0])
        return [y, h]
      }
    },
    "lstm": { c, x in
      recurrent(c, x) {
        LSTM($0, $1, layers: $2, isBidirectional: $3, dtype: x[0].dtype)
      } run: { layer, state in
        let (y, end) = layer(x[0], LSTMState(hidden: state[0], cell: state[1]))
        return [y, end.hidden, end.cell]
      }
    },
    "linear": { _, x in [matmul(x[0], x[1].transposed()) + x[2]] },
    "conv1d": { c, x in
      [
        conv1d(
          x[0], x[1], bias: x.count > 2 ? x[2] : nil, stride: c.extent("stride"), padding: .both(c.extent("padding")),
          dilation: c.extent("dilation"), groups: c.int("groups"))
      ]
    },
    "conv2d": { c, x in
      [
        conv2d(
          x[0], x[1], bias: x.count > 2 ? x[2] : nil, stride: c.extent("stride"), padding: .both(c.extent("padding")),
          dilation: c.extent("dilation"), groups: c.int("groups"))
      ]
    },
    "conv3d": { c, x in
      [
        conv3d(
          x[0], x[1], bias: x.count > 2 ? x[2] : nil, stride: c.extent("stride"), padding: .both(c.extent("padding")),
          dilation: c.extent("dilation"), groups: c.int("groups"))
      ]
    },
    "l1_loss": binary { l1Loss($0, $1) },
    "huber_loss": { c, x in [huberLoss(x[0], x[1], delta: c.double("delta"))] },
    "smooth_l1_loss": { c, x in [smoothL1Loss(x[0], x[1], beta: c.double("beta"))] },
    "nll_loss": binary { negativeLogLikelihood($0, $1) },
    "binary_cross_entropy": binary { binaryCrossEntropy($0, $1) },
    "binary_cross_entropy_with_logits": binary { binaryCrossEntropyWithLogits($0, $1) },
    "kl_div": binary { klDivergence($0, $1, reduction: .batchMean) },
    "cosine_similarity": { c, x in [cosineSimilarity(x[0], x[1], axis: c.int("dim"))] },
    "triplet_margin_loss": { c, x in [tripletMarginLoss(x[0], x[1], x[2], margin: c.double("margin"))] },
    "ctc_loss": { c, x in [ctcLoss(x[0], x[1], inputLengths: x[2], labelLengths: x[3], blank: c.int("blank"))] },
    "layer_norm": { c, x in
      [
        layerNorm(
          x[0], normalizedShape: Shape(c.ints("normalized_shape")), weight: x[1], bias: x[2], epsilon: c.double("eps"))
      ]
    },
    "rms_norm": { c, x in
      [rmsNorm(x[0], normalizedShape: Shape(c.ints("normalized_shape")), weight: x[1], epsilon: c.double("eps"))]
    },
    "group_norm": { c, x in
      [groupNorm(x[0], groups: c.int("groups"), weight: x[1], bias: x[2], epsilon: c.double("eps"))]
    },
    "instance_norm": { c, x in [instanceNorm(x[0], epsilon: c.double("eps"))] },
    "local_response_norm": { c, x in
      [
        localResponseNorm(
          x[0], size: c.int("size"), alpha: c.double("alpha"), beta: c.double("beta"), k: c.double("k"))
      ]
    },
    "batch_norm": { c, x in
      if !c.bool("training") {
        return [
          batchNorm(x[0], mean: x[3], variance: x[4], weight: x[1], bias: x[2], epsilon: c.double("eps"))
        ]
      }
      var (mean, variance) = (x[3].detached(), x[4].detached())
      let y = batchNorm(
        x[0], runningMean: &mean, runningVariance: &variance, weight: x[1], bias: x[2], momentum: c.double("momentum"),
        epsilon: c.double("eps"))
      return [y, mean, variance]
    },
    "cross_entropy": { c, x in
      let reductions: [String: LossReduction] = ["mean": .mean, "sum": .sum, "none": .none]
      return [
        crossEntropy(
          x[0], x[1], weights: x.count > 2 ? x[2] : nil, labelSmoothing: c.double("label_smoothing"),
          reduction: reductions[c.string("reduction")]!)
      ]
    },
  ]
}()

/// A recurrent layer with the parameters that follow the first states.
private func recurrent<M: Module>(
  _ c: GoldenCase, _ x: [Tensor], _ make: (Int, Int, Int, Bool) -> M, run: (M, [Tensor]) -> [Tensor]
) -> [Tensor] {
  let names = c.attributes["parameter_names"] as! [String]
  // The dtype is that of the inputs: a case may run in float64.
  let module = Made.layer("\(c.name) \(x[0].dtype)") {
    make(x[0].shape[2], c.int("hidden"), c.int("layers"), c.bool("bidirectional"))
  }
  let states = Array(x[1..<(x.count - names.count)])
  return try! module.with(State(Array(zip(names, x.suffix(names.count))))) { run(module, states) }
}

private let known: [GoldenCase] = ((Golden.shared?.cases ?? []) + Golden.layers.cases).filter { c in
  c.kind == "op" && operators[c.op] != nil
}

@Suite struct GoldenOperators {
  @Test(arguments: known) func agreesWithPyTorch(_ c: GoldenCase) throws {
    let inputs = try c.inputs.map(c.tensor)
    let f = operators[c.op]!
    for moment in c.readsValues ? [.now] : Moment.allCases {
      let positions = c.grads.keys.sorted()
      let cotangents = try c.cotangents.map(c.tensor)
      let (outputs, gradients) = moment.run(inputs, outputs: c.outputs.count) { given in
        let (values, pullback) = vjp({ f(c, $0) }, given)
        // Only floating outputs have cotangents, in their order.
        var rest = cotangents[...]
        let all = values.map { value in
          value.dtype.isFloating && !rest.isEmpty ? rest.removeFirst() : Tensor(repeating: 0, value.spec)
        }
        return values + (cotangents.isEmpty ? [] : pullback(all))
      }
      for (output, key) in zip(outputs, c.outputs) {
        expectClose(output, try c.tensor(key), c, "\(moment) \(key)")
      }
      for position in positions {
        expectClose(gradients[position], try c.tensor(c.grads[position]!), c, "\(moment) gradient \(position)")
      }
    }
  }

  @Test func hasCases() {
    if Golden.shared != nil { #expect(known.count { c in !Golden.layers.cases.contains { $0.name == c.name } } >= 120) }
    for c in Golden.layers.cases { #expect(operators[c.op] != nil, "\(c.op)") }
  }

  /// Forward mode against reverse mode, and two examples at once against each by itself.
  @Test(arguments: Golden.layers.cases.filter { !$0.grads.isEmpty }) func rulesAgree(_ c: GoldenCase) throws {
    let f = operators[c.op]!
    let inputs = try c.inputs.map(c.tensor).map { $0.dtype.isFloating ? $0.cast(to: .float64) : $0 }
    let cotangents = try c.cotangents.map(c.tensor).map { $0.cast(to: .float64) }
    let positions = c.grads.keys.sorted()
    let variables = positions.map { inputs[$0] }
    func g(_ x: [Tensor]) -> [Tensor] {
      var all = inputs
      for (position, x) in zip(positions, x) { all[position] = x }
      return f(c, all).filter { $0.dtype.isFloating }
    }
    let generator = Generator(seed: 5)
    let directions = variables.map { Tensor.normal($0.shape, dtype: .float64, generator: generator) }
    let (values, tangents) = jvp(g, variables, directions)
    let gradients = vjp(g, variables).pullback(cotangents)
    func dot(_ a: [Tensor], _ b: [Tensor]) -> Double {
      zip(a, b).reduce(0) { $0 + ($1.0 * $1.1).sum().item() }
    }
    let (forward, reverse) = (dot(tangents, cotangents), dot(directions, gradients))
    #expect(abs(forward - reverse) <= 1e-9 * (1 + abs(forward)), "\(forward) is not \(reverse)")

    if c.readsValues { return }
    let moved = zip(variables, directions).map { $0 + $1 * 1e-3 }
    let both = vmap(g)(zip(variables, moved).map { stack([$0, $1]) })
    for (example, expected) in [values, g(moved)].enumerated() {
      for (y, z) in zip(both, expected) {
        #expect(allClose(y[example], z, relative: 1e-10, absolute: 1e-12))
      }
    }
  }
}

extension GoldenCase {
  /// Whether the operator looks at the values of its inputs, so that it only runs now.
  var readsValues: Bool { op == "nms" || op == "roi_pool" || op == "roi_align" && int("sampling_ratio") < 1 }
}

/// When values are computed.
enum Moment: CaseIterable {
  case now, onDemand, aheadOfTime

  /// Runs `f` in this moment and parts its results.
  func run(_ inputs: [Tensor], outputs count: Int, _ f: @escaping ([Tensor]) -> [Tensor]) -> ([Tensor], [Tensor]) {
    let results: [Tensor]
    switch self {
    case .now: results = f(inputs)
    case .onDemand: results = lazy { f(inputs) }
    case .aheadOfTime:
      let compiled = compile(f)
      results = compiled(inputs)
    }
    return (Array(results.prefix(count)), Array(results.dropFirst(count)))
  }
}
