import Martlet
import Testing

private func find(_ op: String) -> (Golden, GoldenCase)? {
  guard let golden = Golden.shared, let found = golden.cases.first(where: { $0.op == op }) else { return nil }
  return (golden, found)
}

@Suite struct GoldenPrograms {
  /// The file stores the trained weights under the keys of the initial ones, so those are found by undoing the steps: each
  /// one is `w' = w - rate · gradient(w)`, which a fixed-point iteration in float64 solves for `w`. A step that crosses a
  /// kink of `max(_, 0)` has two origins, and the wrong one is off by some 1e-5 of the loss; over fifty steps that adds up
  /// to 3e-3, so the first ten losses are not compared.
  @Test func twoLayerNet() throws {
    guard let (golden, c) = find("two_layer_net") else { return }
    let t = try c.inputs.map(golden.tensor).map { $0.cast(to: .float64) }
    let x = t[0]
    let y = t[1]
    let rate = c.double("lr")
    func loss(_ w: [Tensor]) -> Tensor {
      let difference = matmul(maximum(matmul(x, w[0]), 0), w[1]) - y
      return (difference * difference).sum()
    }
    let slope = grad { (w: [Tensor]) in loss(w) }
    var start = [t[2], t[3]]
    let stored = c.inputs[2] == c.outputs[1]
    if stored {
      for _ in 0..<c.int("steps") {
        let after = start
        for _ in 0..<40 {
          let gradients = slope(start)
          start = [after[0] + gradients[0] * rate, after[1] + gradients[1] * rate]
        }
      }
    }
    var w1 = start[0].requiringGradient()
    var w2 = start[1].requiringGradient()
    var losses: [Tensor] = []
    for _ in 0..<c.int("steps") {
      let value = loss([w1, w2])
      value.backward()
      losses.append(value.detached())
      w1 = (w1.detached() - w1.grad! * rate).requiringGradient()
      w2 = (w2.detached() - w2.grad! * rate).requiringGradient()
    }
    let compared = stored ? 10... : 0...
    expectClose(stack(losses)[compared], try golden.tensor(c.outputs[0]).cast(to: .float64)[compared], c, "losses")
    expectClose(w1, try golden.tensor(c.outputs[1]), c, "w1")
    expectClose(w2, try golden.tensor(c.outputs[2]), c, "w2")
  }

  @Test func logisticRegression() throws {
    guard let (golden, c) = find("logistic_regression") else { return }
    let (x, t) = (try golden.tensor(c.inputs[0]), try golden.tensor(c.inputs[1]))
    func loss(_ w: Tensor) -> Tensor {
      let p = (tanh(matmul(x, w)) + 1) * 0.5
      return -log(p * t + (1 - p) * (1 - t)).sum()
    }
    try checkGradients(loss, Tensor.zeros([3]))
    var w = Tensor.zeros([3])
    var losses: [Tensor] = []
    for _ in 0..<c.int("steps") {
      let (value, gradient) = valueAndGrad(loss)(w)
      losses.append(value)
      w -= gradient * c.double("lr")
    }
    expectClose(stack(losses), try golden.tensor(c.outputs[0]), c, "losses")
    expectClose(w, try golden.tensor(c.outputs[1]), c, "w")
  }

  @Test func secondDerivatives() throws {
    guard let (golden, c) = find("hessian") else { return }
    let x = try golden.tensor(c.inputs[0])
    func f(_ x: Tensor) -> Tensor {
      let t = tanh(x)
      var product = t[0]
      for i in 1..<t.count { product = product * t[i] }
      return product * x.sum()
    }
    expectClose(f(x), try golden.tensor(c.outputs[0]), c, "value")
    expectClose(grad(f)(x), try golden.tensor(c.outputs[1]), c, "gradient")
    expectClose(hessian(f, x), try golden.tensor(c.outputs[2]), c, "Hessian")
    expectClose(jvp(grad(f), x, Tensor.ones([x.count])).tangent, try golden.tensor(c.outputs[3]), c, "product")
  }

  @Test func perExampleGradients() throws {
    guard let (golden, c) = find("vmap_grad") else { return }
    let t = try c.inputs.map(golden.tensor)
    func loss(_ w: Tensor, _ x: Tensor, _ label: Tensor) -> Tensor {
      crossEntropy((matmul(w, x) + t[1])[.newAxis], label[.newAxis])
    }
    let gradients = vmap(inAxes: [nil, 0, 0]) { (w: Tensor, x: Tensor, label: Tensor) in
      grad { (w: Tensor) in loss(w, x, label) }(w)
    }
    expectClose(gradients(t[0], t[2], t[3]), try golden.tensor(c.outputs[0]), c, "gradients")
  }
}

/// A step of the network below: a convolution, and on the way back up a transposed one.
private final class UNetStep: Module {
  let conv1: Conv2d
  let transposed: ConvTranspose2d?
  init(_ inputs: Int, _ outputs: Int, isDecoder: Bool) {
    conv1 = Conv2d(inputs, outputs, kernelSize: 3, stride: isDecoder ? 1 : 2, padding: 1, bias: false)
    transposed =
      isDecoder
      ? ConvTranspose2d(outputs, outputs, kernelSize: 3, stride: 2, padding: 1, outputPadding: 1, bias: false) : nil
  }
  func forward(_ x: Tensor) -> Tensor {
    let y = relu(conv1(x))
    return transposed.map { $0(y) } ?? y
  }
}

private final class UNet: Module {
  let encoder1 = UNetStep(3, 16, isDecoder: false)
  let encoder2 = UNetStep(16, 16, isDecoder: false)
  let encoder3 = UNetStep(16, 16, isDecoder: false)
  let encoder4 = UNetStep(16, 16, isDecoder: false)
  let decoder4 = UNetStep(16, 16, isDecoder: true)
  let decoder3 = UNetStep(32, 16, isDecoder: true)
  let decoder2 = UNetStep(32, 16, isDecoder: true)
  let decoder1 = UNetStep(32, 16, isDecoder: true)
  let classifier: Conv2d
  init(classes: Int) { classifier = Conv2d(16, classes, kernelSize: 1, bias: false) }
  func forward(_ x: Tensor) -> Tensor {
    let e1 = encoder1(x)
    let e2 = encoder2(e1)
    let e3 = encoder3(e2)
    var y = decoder4(encoder4(e3))
    for (decoder, skip) in [(decoder3, e3), (decoder2, e2), (decoder1, e1)] {
      y = decoder(concat([y, skip], axis: 1))
    }
    return classifier(y)
  }
}

@Suite struct GoldenUNet {
  @Test func agreesWithPyTorch() throws {
    guard let (golden, c) = find("unet") else { return }
    let inputs = try c.inputs.map(golden.tensor)
    let names = c.attributes["parameter_names"] as! [String]
    let model = UNet(classes: c.int("n_classes"))
    #expect(model.state.names == names)
    try model.load(State(Array(zip(names, inputs.dropFirst(2)))))
    let parameters = model.parameters
    let cotangent = try golden.tensor(c.cotangents[0])
    func step() -> Tensor {
      model.zeroGrad()
      let loss = crossEntropy(model(inputs[0]), inputs[1])
      (loss * cotangent).backward()
      return loss
    }
    let compiled = compile { (_: Tensor) in step() }
    for run in [step, { compiled(inputs[0]) }] {
      expectClose(run(), try golden.tensor(c.outputs[0]), c, "loss")
      for (position, parameter) in parameters.enumerated() {
        expectClose(parameter.grad!, try golden.tensor(c.grads[position + 2]!), c, names[position])
      }
    }
    let image = inputs[0].requiringGradient()
    (crossEntropy(model(image), inputs[1]) * cotangent).backward()
    expectClose(image.grad!, try golden.tensor(c.grads[0]!), c, "image")
  }
}

@Suite struct GoldenOptimizers {
  static let cases = (Golden.shared?.cases ?? []).filter { $0.kind == "optimizer" && $0.op != "clip_grad_norm" }

  private func make(_ c: GoldenCase, _ p: [Parameter]) -> (any Optimizer)? {
    let rate = c.double("lr")
    let decay = c.double("weight_decay")
    let betas = (c.attributes["betas"] as? [Double]).map { ($0[0], $0[1]) } ?? (0.9, 0.999)
    return switch c.op {
    case "sgd", "sgd_momentum", "sgd_nesterov":
      SGD(p, learningRate: rate, momentum: c.double("momentum"), weightDecay: decay, nesterov: c.bool("nesterov"))
    case "adam", "amsgrad":
      Adam(p, learningRate: rate, betas: betas, weightDecay: decay, amsgrad: c.bool("amsgrad"))
    case "adamw": AdamW(p, learningRate: rate, betas: betas, weightDecay: decay)
    case "rmsprop", "rmsprop_centered":
      RMSprop(
        p, learningRate: rate, alpha: c.attributes["alpha"] as? Double ?? 0.99, momentum: c.double("momentum"),
        centered: c.bool("centered"))
    case "adagrad": Adagrad(p, learningRate: rate)
    case "adadelta": Adadelta(p, learningRate: rate, rho: c.double("rho"))
    case "adamax": Adamax(p, learningRate: rate)
    case "nadam": NAdam(p, learningRate: rate)
    case "radam": RAdam(p, learningRate: rate)
    default: nil
    }
  }

  @Test(arguments: cases) func followsPyTorch(_ c: GoldenCase) throws {
    let golden = Golden.shared!
    let target = try golden.tensor(c.inputs[1])
    let weights = Tensor.range(from: 1, to: 13).reshaped(4, 3)
    for compiled in [false, true] {
      let w = Parameter(try golden.tensor(c.inputs[0]))
      let optimizer = try #require(make(c, [w]))
      func step() -> Tensor {
        optimizer.zeroGrad()
        let difference = w.value - target
        let loss = (difference * difference * weights).sum()
        loss.backward()
        optimizer.step()
        return loss
      }
      let compiledStep = compile { (_: Tensor) in step() }
      var trajectory = [w.value.detached()]
      for _ in 0..<c.int("steps") {
        if compiled { _ = compiledStep(target) } else { _ = step() }
        trajectory.append(w.value.detached())
      }
      expectClose(stack(trajectory), try golden.tensor(c.outputs[0]), c, compiled ? "compiled" : "now")
    }
  }
}

@Suite struct GoldenSchedules {
  private static let cases = (Golden.shared?.cases ?? []).filter { $0.kind == "schedule" }

  private static func schedule(_ c: GoldenCase) -> Schedule? {
    let rate = c.double("base_lr")
    return switch c.op {
    case "step": .step(rate, size: c.int("step_size"), factor: c.double("gamma"))
    case "multistep": .multiStep(rate, milestones: c.ints("milestones"), factor: c.double("gamma"))
    case "exponential": .exponential(rate, factor: c.double("gamma"))
    case "cosine": .cosine(rate, to: c.double("eta_min"), steps: c.int("T_max"))
    case "linear": .linear(rate, from: c.double("start_factor"), steps: c.int("total_iters"))
    case "one_cycle": .oneCycle(highest: c.double("max_lr"), steps: c.int("total_steps"))
    case "polynomial": .polynomial(rate, steps: c.int("total_iters"), power: c.double("power"))
    case "warm_restarts": .warmRestarts(rate, first: c.int("T_0"), factor: c.int("T_mult"))
    default: nil
    }
  }

  @Test(arguments: cases) func followsPyTorch(_ c: GoldenCase) throws {
    let schedule = try #require(GoldenSchedules.schedule(c))
    let expected = try Golden.shared!.tensor(c.outputs[0])
    expectClose(Tensor((0..<expected.count).map { Float(schedule.rate(at: $0)) }), expected, c, "rates")
  }

  @Test func warmUpLeadsToTheSchedule() {
    let schedule = Schedule.constant(0.5).warmedUp(over: 4)
    #expect((0..<6).map { schedule.rate(at: $0) } == [0, 0.125, 0.25, 0.375, 0.5, 0.5])
  }

  @Test(arguments: (Golden.shared?.cases ?? []).filter { $0.op == "clip_grad_norm" })
  func clippingFollowsPyTorch(_ c: GoldenCase) throws {
    let gradients = try c.inputs.map(Golden.shared!.tensor)
    let parameters = gradients.map { Parameter(Tensor(repeating: 0, $0.spec)) }
    for (parameter, g) in zip(parameters, gradients) { parameter.grad = g }
    clipGradients(parameters, toNorm: c.double("max_norm"))
    for (parameter, key) in zip(parameters, c.outputs) {
      expectClose(parameter.grad!, try Golden.shared!.tensor(key), c, key)
    }
    clipGradients(parameters, toValue: 0.1)
    #expect(parameters.allSatisfy { $0.grad!.floats.allSatisfy { abs($0) <= 0.1 } })
  }
}
