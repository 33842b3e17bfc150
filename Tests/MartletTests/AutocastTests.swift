import Martlet
import Testing

@Suite struct AutocastTests {
  private let generator = Generator(seed: 5)
  private func normal(_ shape: Shape) -> Tensor { .normal(shape, generator: generator) }

  @Test func productsAreLowAndLossesWide() {
    let (x, w) = (normal([4, 8]), normal([8, 3]))
    withAutocast(.bfloat16) {
      #expect(matmul(x, w).dtype == .bfloat16)
      #expect(einsum("ij,jk->ik", x, w).dtype == .bfloat16)
      #expect(conv2d(normal([1, 2, 5, 5]), normal([3, 2, 3, 3]), bias: normal([3])).dtype == .bfloat16)
      #expect(convTranspose2d(normal([1, 2, 5, 5]), normal([2, 3, 3, 3]), bias: normal([3])).dtype == .bfloat16)
      #expect(scaledDotProductAttention(normal([2, 3, 4]), normal([2, 3, 4]), normal([2, 3, 4])).dtype == .bfloat16)
      #expect((x + x).dtype == .float32)
      #expect((matmul(x, w) + 1).dtype == .bfloat16)
      #expect((matmul(x, w) + normal([3])).dtype == .float32)
      #expect(crossEntropy(matmul(x, w), Tensor([0, 1, 2, 0])).dtype == .float32)
      #expect(meanSquaredError(matmul(x, w), matmul(x, w)).dtype == .float32)
      #expect(matmul(x.cast(to: .float64), w.cast(to: .float64)).dtype == .float64)
      withAutocast(nil) { #expect(matmul(x, w).dtype == .float32) }
      #expect(matmul(x, w).dtype == .bfloat16)
    }
    #expect(withAutocast(.float16) { matmul(x, w) }.dtype == .float16)
    #expect(matmul(x, w).dtype == .float32)
  }

  /// A model trained in mixed precision: parameters and gradients stay float32, and the gradients are near those of float32.
  @Test func gradientsAreFloat32() {
    let model = Sequential {
      Conv2d(1, 4, kernelSize: 3, bias: false, generator: generator)  // a norm follows: no gradient
      BatchNorm2d(4)
      ReLU()
      MaxPool2d(kernelSize: 2)
      Flatten()
      Linear(4 * 13 * 13, 32, generator: generator)
      LayerNorm(32)
      GELU()
      Linear(32, 10, generator: generator)
    }
    let (x, labels) = (normal([8, 1, 28, 28]), Tensor((0..<8).map { $0 % 10 }))
    func gradients(_ dtype: DType?) -> [Tensor] {
      model.zeroGrad()
      let loss = withAutocast(dtype) { crossEntropy(model(x), labels) }
      #expect(loss.dtype == .float32)
      loss.backward()
      return model.parameters.map { $0.grad! }
    }
    let (wide, low) = (gradients(nil), gradients(.bfloat16))
    for (a, b) in zip(wide, low) {
      #expect(b.dtype == .float32)
      let distance = (a - b).norm().item() / max(1e-6, a.norm().item())
      #expect(distance < 0.1, "\(distance)")
    }
  }

  @Test func recurrentLayersTakeBoth() {
    let lstm = LSTM(4, 6, generator: generator)
    let x = normal([3, 2, 4])
    let wide = lstm(x).output
    let low = withAutocast { lstm(x).output }
    #expect(low.dtype == .float32)
    #expect(allClose(low, wide, absolute: 0.02))
    #expect(withAutocast { GRUCell(4, 6)(x[0]) }.dtype == .float32)
    #expect(withAutocast { lstm(x.cast(to: .bfloat16)).output }.dtype == .float32)
  }

  /// One program inside of the scope and one outside.
  @Test func compiledFunctionsFollowTheScope() {
    let (x, w) = (normal([4, 8]), normal([8, 3]))
    let f = compile { (x: Tensor, w: Tensor) in matmul(x, w) }
    #expect(f(x, w).dtype == .float32)
    #expect(withAutocast { f(x, w) }.dtype == .bfloat16)
    #expect(f(x, w).dtype == .float32)
    let g = compile { (x: Tensor, w: Tensor) in withAutocast { grad { matmul($0, w).cast(to: .float32).sum() }(x) } }
    #expect(g(x, w).dtype == .float32)
  }

  @Test func backwardInsideOfTheScopeIsTheSame() {
    let (x, w) = (normal([4, 8]), normal([8, 3]))
    func f(_ x: Tensor) -> Tensor { square(matmul(x, w)).sum() }
    let inside = withAutocast { grad(f)(x) }
    let (_, pullback) = withAutocast { vjp(f, x) }
    expectSame(inside, pullback(Tensor(1.0).cast(to: .bfloat16)))
  }

  @Test func wholeModelsInAnotherDType() {
    let model = Sequential {
      Linear(4, 8, generator: generator)
      ReLU()
      Linear(8, 2, generator: generator)
    }
    let x = normal([3, 4])
    let wide = model(x)
    model.cast(to: .bfloat16)
    #expect(model.parameters.allSatisfy { $0.value.dtype == .bfloat16 })
    let low = model(x.cast(to: .bfloat16))
    #expect(low.dtype == .bfloat16)
    #expect(allClose(low.cast(to: .float32), wide, absolute: 0.05))
    model(x.cast(to: .bfloat16)).sum().backward()
    #expect(model.parameters[0].grad!.dtype == .bfloat16)
    #expect(errorText { _ = model.cast(to: .int32) }.contains("parameters are of a floating dtype"))
    #expect(errorText { withAutocast(.int8) {} }.contains("bfloat16 or float16"))
  }
}

@Suite struct LossScalerTests {
  /// The scaled step is the step; an overflow leaves parameters and moments as they were and halves the scale.
  @Test(arguments: [false, true]) func stepsAndOverflows(isCompiled: Bool) {
    func make() -> (Linear, Adam) {
      let model = Linear(3, 2, generator: Generator(seed: 1))
      return (model, Adam(model.parameters, learningRate: 0.1))
    }
    let (model, optimizer) = make()
    let (plain, other) = make()
    let scaler = LossScaler(scale: 1024, growthInterval: 2)
    func train(_ x: Tensor) -> Tensor {
      let loss = model(x).sum()
      scaler.scaled(loss).backward()
      scaler.step(optimizer)
      optimizer.zeroGrad()
      return loss
    }
    let step = isCompiled ? compile(train).function : train
    let x = Tensor.normal([4, 3], generator: Generator(seed: 2))
    func reference() {
      plain(x).sum().backward()
      other.step()
      other.zeroGrad()
    }
    _ = step(x)
    reference()
    expectSame(model.weight.value, plain.weight.value, within: 1e-6)
    #expect(scaler.scale.value.item() == 1024)
    let (weight, moments) = (model.weight.value, optimizer.cells.map { $0.cell.read()! })
    _ = step(x * Double.infinity)
    expectSame(model.weight.value, weight)
    for (cell, old) in zip(optimizer.cells, moments) { expectSame(cell.cell.read()!, old) }
    #expect(scaler.scale.value.item() == 512)
    _ = step(x)
    reference()
    _ = step(x)
    reference()
    expectSame(model.weight.value, plain.weight.value, within: 1e-5)
    #expect(scaler.scale.value.item() == 1024)
  }

  @Test func clippingBetween() {
    let model = Linear(3, 2)
    let optimizer = SGD(model.parameters, learningRate: 1)
    let scaler = LossScaler(scale: 256)
    let before = model.weight.value
    scaler.scaled(model(Tensor.ones([1, 3]) * 100).sum()).backward()
    scaler.unscale(optimizer)
    _ = clipGradients(model.parameters, toNorm: 1)
    #expect(scaler.step(optimizer))
    #expect((before - model.weight.value).norm().item() <= 1.0001)
    #expect(errorText { _ = LossScaler(scale: 0) }.contains("scale > 0"))
    scaler.unscale(optimizer)
    #expect(errorText { scaler.unscale(optimizer) }.contains("try: scaler.update() where a step is left out"))
    // A step that is left out: its overflow moves the scale.
    model.weight.grad = Tensor(repeating: Double.infinity, model.weight.value.spec)
    scaler.update()
    #expect(scaler.scale.value.item() == 256)
    scaler.unscale(optimizer)
    scaler.update()
    #expect(scaler.scale.value.item() == 128)
    scaler.update()
    #expect(scaler.scale.value.item() == 128)
  }

  /// Two optimizers: parameters and scales after two iterations, the first of which overflows here or there; PyTorch's.
  @Test(arguments: [false, true], [false, true]) func severalOptimizers(isCompiled: Bool, unscalesFirst: Bool) {
    let cases: [(g: Double, d: Double, first: [Double], second: [Double])] = [
      (1, 1, [0.5, 0.5, 2, 1.5, 1024], [0, -1, 1, -1, 2048]),
      (.infinity, 1, [1, 2, 2, 1.5, 512], [0.5, 0.5, 1, -1, 512]),
      (1, .infinity, [0.5, 0.5, 3, 4, 512], [0, -1, 2, 1.5, 512]),
      (.infinity, .infinity, [1, 2, 3, 4, 512], [0.5, 0.5, 2, 1.5, 512]),
    ]
    for (g, d, first, second) in cases {
      let cells = [Parameter(Tensor([1, 2] as [Float])), Parameter(Tensor([3, 4] as [Float]))]
      let optimizers = cells.map { SGD([$0], learningRate: 0.5) }
      let scaler = LossScaler(scale: 1024, growthInterval: 2)
      func iterate(_ factors: Tensor) -> Tensor {
        let slopes = [Tensor([1, 3] as [Float]), Tensor([2, 5] as [Float])]
        for i in 0..<2 { scaler.scaled((cells[i].value * slopes[i]).sum() * factors[i]).backward() }
        if unscalesFirst { for optimizer in optimizers { scaler.unscale(optimizer) } }
        for optimizer in optimizers { scaler.step(optimizer) }
        for optimizer in optimizers { optimizer.zeroGrad() }
        return factors.sum()
      }
      let step = isCompiled ? compile(iterate).function : iterate
      for (factors, expected) in [([g, d], first), ([1, 1], second)] {
        _ = step(Tensor(factors.map { Float($0) }))
        expectValues(concat(cells.map { $0.value.detached() }, axis: 0), [4], Array(expected[..<4]))
        #expect(scaler.scale.value.item() == expected[4])
      }
    }
  }
}

@Suite struct OptimizerStateTests {
  @Test func goesOnWhereItWas() throws {
    func make() -> (Linear, AdamW) {
      let model = Linear(3, 2, generator: Generator(seed: 1))
      return (model, AdamW(model.parameters, learningRate: 0.1))
    }
    let x = Tensor.normal([4, 3], generator: Generator(seed: 2))
    func step(_ model: Linear, _ optimizer: AdamW) {
      optimizer.zeroGrad()
      square(model(x)).sum().backward()
      optimizer.step()
    }
    let (model, optimizer) = make()
    step(model, optimizer)
    let (other, resumed) = make()
    try other.load(model.state)
    try resumed.load(optimizer.state)
    step(model, optimizer)
    step(other, resumed)
    expectSame(model.weight.value, other.weight.value)

    let wrong = State(["m.0": Tensor.ones([3]), "n": Tensor.ones([1])])
    let text = "\(try #require(throws: OpError.self) { try resumed.load(wrong) })"
    #expect(text.contains("m.0") && text.contains("unexpected") && text.contains("rate"), "\(text)")
    expectSame(model.weight.value, other.weight.value)
    let literal: State = ["a": Tensor(1.0), "b": Tensor(2.0)]
    #expect(literal.names == ["a", "b"])
  }
}
