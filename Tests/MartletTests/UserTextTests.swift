import Martlet
import MartletCore
import Testing

private let here = "MartletTests/UserTextTests.swift"

/// What error texts say of the place of an operation.
@Suite(.disabled(if: isSanitized)) struct PlaceTests {
  @Test func thrownErrorsNameTheLine() {
    let (x, y) = (Tensor.ones([2]), Tensor.ones([3]))
    let line = #line + 2
    let text = errorText(places: true) {
      let sum = x + y
      _ = sum * 2
    }
    #expect(text.hasSuffix("\n  called at \(here):\(line)"), "\(text)")
  }

  @Test func capturedOperationsNameTheirLine() {
    let line = #line + 2
    let f = compile { (x: Tensor) in
      let product = matmul(exp(x), x)
      return product + 1
    }
    let text = errorText(places: true) { _ = f(Tensor.ones([2, 3])) }
    #expect(text.hasSuffix("\n  called at \(here):\(line), inside compile at \(here):\(line - 1)"), "\(text)")
  }

  @Test(.disabled(if: Device.current == .delayed, "found when somebody waits")) func programsThatFailNameTheCall() {
    let table = Tensor.ones([3, 2])
    let f = compile { (i: Tensor) in table.take(axis: 0, i) * 2 }
    let line = #line + 2
    let text = errorText(places: true) {
      let rows = f(Tensor([5]))
      _ = rows + 1
    }
    #expect(text.contains("take: index 5"), "\(text)")
    #expect(text.hasSuffix("in the program of compile at \(here):\(line - 3), called at \(here):\(line)"), "\(text)")
  }

  @Test func lazyOperationsNameTheirLine() {
    let line = #line + 3
    let text = errorText(places: true) {
      lazy {
        let product = matmul(Tensor.ones([2, 3]), Tensor.ones([2, 3]))
        _ = product + 1
      }
    }
    #expect(text.hasSuffix("\n  called at \(here):\(line)"), "\(text)")
  }

  /// What only the values show comes to light where one is read.
  @Test(.disabled(if: Device.current == .delayed, "found when somebody waits")) func lazyValuesNameTheReading() {
    let line = #line + 3
    let text = errorText(places: true) {
      let rows = lazy { Tensor.ones([3, 2]).take(axis: 0, Tensor([5])) * 2 }
      let sum = rows.floats
      _ = sum.count
    }
    #expect(text.contains("take: index 5"), "\(text)")
    #expect(text.hasSuffix("\n  put off by lazy, and run for a value that was read at \(here):\(line)"), "\(text)")
  }

  @Test(
    arguments: [
      ("go(_:)", "go"), ("Net.forward(_:)", "Net.forward"), ("closure #1 in Net.forward(_:)", "Net.forward"),
      ("closure #2 in closure #1 in step<A>(_:)", "step"), ("specialized go<A>(_:)", "go"),
      ("generic specialization <Swift.Int> of go<A>(_:)", "go"), ("main", nil), ("", nil),
    ] as [(String, String?)])
  func functionsOfMergedLines(symbol: String, name: String?) { #expect(Origins.function(symbol) == name) }

  /// Of closures at the top level of a program the name is cut.
  @Test func mergedClosures() {
    let mangled = "$s8Mistakes06MartletB06TensorVADcfU1_"
    #expect(Origins.part("closure #3", rawName: mangled) == "a line in a closure of Mistakes")
    #expect(Origins.part("merged closure #3 (", rawName: mangled) == "a line in a closure of Mistakes")
    #expect(Origins.part("closure #1 in Net.forward(_:)", rawName: mangled) == "a line of Net.forward")
    #expect(Origins.part("main", rawName: "main") == nil)
  }

  @Test func modulesOfFunctions() {
    #expect(Origins.isCaller(symbol: "$s4main2goyySiF") && Origins.isCaller(symbol: "$s10MartletAppAAyyF"))
    for symbol in ["$s11MartletCore4failyyF", "$sSa6appendyyxnF", "main", "_start"] {
      #expect(!Origins.isCaller(symbol: symbol), "\(symbol)")
    }
  }
}

/// After an error a gradient that is not there does not end the program, and the scope leaves everything as it was.
@Suite struct GradientAfterErrorTests {
  private func step(_ layer: Linear, _ optimizer: any Optimizer, _ x: Tensor) {
    let loss = (layer(x) + Tensor.ones([3])).sum()
    loss.backward()
    let gradient = layer.weight.grad!
    #expect(gradient.shape == [2, 2] && gradient.sum().item().isNaN)
    layer.bias!.grad! *= 0.5
    optimizer.step()
  }

  @Test(arguments: [false, true]) func gradientsAreErrorTensors(momentum: Bool) {
    let layer = Linear(2, 2)
    let optimizer = SGD(layer.parameters, learningRate: 0.1, momentum: momentum ? 0.9 : 0)
    let before = layer.weight.value.floats
    let text = errorText { step(layer, optimizer, Tensor.ones([4, 2])) }
    #expect(text.hasPrefix("add: the shapes [4, 2] and [3] do not broadcast"), "\(text)")
    #expect(layer.weight.grad == nil && layer.bias!.grad == nil)
    #expect(layer.weight.value.floats == before)
    // The next step is as if nothing had been.
    layer(Tensor.ones([4, 2])).sum().backward()
    #expect(layer.weight.grad!.floats == [4, 4, 4, 4])
    optimizer.step()
    #expect(zip(layer.weight.value.floats, before).allSatisfy { abs($0 - ($1 - 0.4)) < 1e-6 })
  }

  @Test func leavesAreErrorTensors() {
    let leaf = Tensor.ones([3]).requiringGradient()
    let text = errorText {
      let wrong = leaf + Tensor.ones([2])
      wrong.backward()
      #expect(leaf.grad!.shape == [3] && wrong.grad!.sum().item().isNaN)
    }
    #expect(text.hasPrefix("add: the shapes"), "\(text)")
    #expect(leaf.grad == nil)
  }

  @Test func noBackwardIsNoError() throws {
    let leaf = Tensor.ones([3]).requiringGradient()
    try withErrors { #expect(leaf.grad == nil) }
  }
}

@Suite struct UserTextTests {
  @Test func innerOperationsComeAfterTheFunction() {
    let number = Tensor([5])
    let cases: [(String, () -> Tensor)] = [
      ("Embedding › take: index 5 is out of range", { Embedding(3, 2)(number) }),
      ("oneHot › scatterAdd: index 5 is out of range", { oneHot(number, classes: 3) }),
      ("inverse: x has shape [2, 3]", { inverse(Tensor.ones([2, 3])) }),
      ("inverse › solve: the matrix is singular", { inverse(Tensor.zeros([3, 3])) }),
      ("choleskySolve › triangularSolve: ", { choleskySolve(Tensor.eye(3), Tensor.ones([2])) }),
      ("negativeLogLikelihood › gather: index 5", { negativeLogLikelihood(Tensor.zeros([1, 3]), number) }),
      // Of one operation: its own name.
      ("crossEntropy: label 5 is out of range", { crossEntropy(Tensor.zeros([1, 3]), number) }),
      ("take: index 5 is out of range", { Tensor.ones([3]).take(axis: 0, number) }),
    ]
    for (text, body) in cases where Device.current == .cpu {
      let found = errorText { _ = body() }
      #expect(found.hasPrefix(text), "\(found)")
    }
  }

  @Test func labelsWithAColumn() {
    let labels = Tensor.zeros([8, 1], dtype: .int64)
    for body in [
      { _ = crossEntropy(Tensor.zeros([8, 4]), labels) }, { _ = negativeLogLikelihood(Tensor.zeros([8, 4]), labels) },
    ] {
      let text = errorText(body)
      #expect(text.contains("labels has shape [8, 1]") && text.contains("try: labels.squeezed(axis: 1)"), "\(text)")
    }
  }

  @Test func sequencesNameBatchFirst() {
    let attention = MultiheadAttention(6, 2)
    let cases: [(String, () -> Void)] = [
      ("MultiheadAttention(…, batchFirst: true) takes [B, T, D]", { _ = attention(Tensor.ones([6])) }),
      (
        "MultiheadAttention(…, batchFirst: true) takes [B, T, D]",
        { _ = attention(Tensor.ones([2, 5, 6]), Tensor.ones([2, 3, 6]), Tensor.ones([3, 2, 6])) }
      ),
      ("LSTM(…, batchFirst: true) takes [B, T, D]", { _ = LSTM(3, 5)(Tensor.ones([3])) }),
      ("GRU(…) without batchFirst takes [T, B, D]", { _ = GRU(3, 5, batchFirst: true)(Tensor.ones([3])) }),
    ]
    for (text, body) in cases {
      let found = errorText(body)
      #expect(found.contains("try: ") && found.contains(text), "\(found)")
    }
  }

  @Test func tooManyAxes() {
    let wide = errorText { _ = Tensor.ones([2]).reshaped([1, 1, 1, 1, 1, 1, 1, 1, 2]) }
    #expect(wide.hasPrefix("reshape: the result would have more than 8 axes"), "\(wide)")
    let x = Tensor.ones([1, 1, 1, 1, 2])
    let second = errorText { _ = hessian({ ($0 * $0).sum() }, x) }
    #expect(second.contains("hessian: the derivatives would have 5 + 5 axes"), "\(second)")
    #expect(second.contains("hessian({ f($0.reshaped([1, 1, 1, 1, 2])) }, x.flattened())"), "\(second)")
    for mode in [DerivativeMode.forward, .reverse] {
      let first = errorText { _ = jacobian({ $0 * 2 }, x, mode: mode) }
      #expect(first.contains("jacobian: the derivatives would have 5 + 5 axes"), "\(mode): \(first)")
    }
    // What the remedy says works.
    let flat = hessian(
      { (y: Tensor) in (y.reshaped([1, 1, 1, 1, 2]) * y.reshaped([1, 1, 1, 1, 2])).sum() }, x.flattened())
    expectValues(flat, [2, 2], [2, 0, 0, 2])
  }

  @Test func partsOfShapesPrintAsShapes() {
    let shape: Shape = [2, 3, 4]
    #expect("\(shape[1...])" == "[3, 4]" && "\(shape.dropLast())" == "[2, 3]" && Shape(shape[1...]) == [3, 4])
  }

  @Test func layersThatAreNotThere() {
    let model = Sequential { Linear(3, 3) }
    let text = errorText { _ = model[5] }
    #expect(text.contains("Sequential: there is no layer 5") && text.contains("0 ≤ index < 1"), "\(text)")
  }

  /// Numbers of PyTorch 2: `torch.stft(arange(12.), 8, 4, 5, window)`.
  @Test func shortWindowsStandInTheMiddle() {
    let window = Tensor([0.5, 1, 2, 1, 0.25] as [Float])
    let z = stft(Tensor.range(to: 12), nFFT: 8, hop: 4, windowLength: 5, window: window)
    expectValues(
      z.real, [5, 4],
      [
        5.75, 13.75, 32.75, 48.75, -0.5303300619, -8.7729701996, -17.7227172852, -23.9653587341, -2, 2, 2, 0,
        0.5303300619, 0.7729706764, 1.7227182388, 3.9653587341, -1.75, -1.75, -4.75, -8.75,
      ], within: 1e-4)
    expectValues(
      z.imaginary, [5, 4],
      [
        0, 0, 0, 0, -4.2980971336, -5.7123103142, -16.0762710571, -27.1473388672, 0.25, 4.25, 9.25, 15.25,
        -0.2980971336, -1.7123103142, -4.0762720108, -7.1473388672, 0, 0, 0, 0,
      ], within: 1e-4)
  }

  /// Without overflows the scale would end at infinity.
  @Test func scalesStayFinite() {
    let parameter = Parameter(Tensor.ones([1]))
    let optimizer = SGD([parameter], learningRate: 0)
    let scaler = LossScaler(scale: 0x1p22, growthInterval: 1)
    var scales: [Double] = []
    for _ in 0..<4 {
      scaler.scaled(parameter.value.sum()).backward()
      scaler.step(optimizer)
      optimizer.zeroGrad()
      scales.append(scaler.scale.value.item())
    }
    #expect(scales == [0x1p23, 0x1p24, 0x1p24, 0x1p24] && LossScaler.maximumScale == 0x1p24)
  }
}
