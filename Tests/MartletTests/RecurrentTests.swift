import Martlet
import MartletCore
import MartletOps
import Testing

@Suite struct RecurrentTests {
  private let generator = Generator(seed: 3)
  private func normal(_ shape: Shape) -> Tensor { .normal(shape, dtype: .float64, generator: generator) }

  /// A padded batch gives what each sequence gives alone, whatever stands in the padding.
  @Test func lengthsAreThatOfEachSequenceAlone() throws {
    let lengths = [3, 5, 1]
    for isBidirectional in [false, true] {
      let lstm = LSTM(2, 4, layers: 2, isBidirectional: isBidirectional, dtype: .float64, generator: generator)
      let gru = GRU(2, 4, layers: 2, isBidirectional: isBidirectional, dtype: .float64, generator: generator)
      let x = normal([5, 3, 2])
      let (y, state) = lstm(x, lengths: Tensor(lengths))
      let (z, hidden) = gru(x, lengths: Tensor(lengths))
      for (number, length) in lengths.enumerated() {
        let alone = x[..<length, number...number]
        let (own, end) = lstm(alone)
        expectSame(y[..<length, number...number], own, within: 1e-12)
        expectSame(state.hidden[0..., number...number], end.hidden, within: 1e-12)
        expectSame(state.cell[0..., number...number], end.cell, within: 1e-12)
        #expect(abs(y[length..., number]).sum().item() == 0)
        let (ownGRU, endGRU) = gru(alone)
        expectSame(z[..<length, number...number], ownGRU, within: 1e-12)
        expectSame(hidden[0..., number...number], endGRU, within: 1e-12)
      }
    }
  }

  @Test func whatStandsInThePaddingDoesNotMatter() throws {
    let lstm = LSTM(2, 3, isBidirectional: true, dtype: .float64, generator: generator)
    let x = normal([4, 2, 2])
    var other = x
    other[2..., 0] = Tensor([[100.0, .nan], [7, 1e10]]).cast(to: .float64)
    let lengths = Tensor([2, 4])
    func loss(_ x: Tensor) -> Tensor {
      (lstm(x, lengths: lengths).output * 3).sum() + lstm(x, lengths: lengths).state.cell.sum()
    }
    expectSame(loss(x), loss(other), within: 1e-12)
    let (a, b) = (grad(loss)(x), grad(loss)(other))
    expectSame(a, b, within: 1e-12)
    #expect(abs(b[2..., 0]).sum().item() == 0)
    try checkGradients(loss, x, order: 2)
  }

  /// A cell step by step is the layer; its state may be carried on.
  @Test func cellsAreLayersStepByStep() throws {
    let x = normal([4, 3, 2])
    let lstm = LSTM(2, 5, dtype: .float64, generator: generator)
    let cell = LSTMCell(2, 5, dtype: .float64, generator: generator)
    try cell.load(State(lstm.state.entries.map { ($0.name.replacing("_l0", with: ""), $0.tensor) }))
    var state: LSTMState?
    var hiddens: [Tensor] = []
    for time in 0..<4 {
      state = cell(x[time], state)
      hiddens.append(state!.hidden)
    }
    let (y, end) = lstm(x)
    expectSame(stack(hiddens), y, within: 1e-12)
    expectSame(state!.cell.expandedDims(axis: 0), end.cell, within: 1e-12)
    let (first, middle) = lstm(x[..<2])
    let (second, _) = lstm(x[2...], middle)
    expectSame(concat([first, second]), y, within: 1e-12)

    let gru = GRU(2, 5, dtype: .float64, generator: generator)
    let step = GRUCell(2, 5, dtype: .float64, generator: generator)
    try step.load(State(gru.state.entries.map { ($0.name.replacing("_l0", with: ""), $0.tensor) }))
    expectSame(step(x[1], step(x[0])), gru(x).output[1], within: 1e-12)
    expectSame(step(x[1, 0], step(x[0, 0])), gru(x).output[1, 0], within: 1e-12)
    let rnn = RNN(2, 5, activation: .relu, dtype: .float64, generator: generator)
    let plain = RNNCell(2, 5, activation: .relu, dtype: .float64, generator: generator)
    try plain.load(State(rnn.state.entries.map { ($0.name.replacing("_l0", with: ""), $0.tensor) }))
    expectSame(plain(x[1], plain(x[0])), rnn(x).output[1], within: 1e-12)
  }

  @Test func shapesAndNames() {
    let lstm = LSTM(3, 6, layers: 2, batchFirst: true, isBidirectional: true, projectionSize: 2, generator: generator)
    #expect(
      lstm.state.names.prefix(10) == [
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_hr_l0", "weight_ih_l0_reverse",
        "weight_hh_l0_reverse", "bias_ih_l0_reverse", "bias_hh_l0_reverse", "weight_hr_l0_reverse",
      ])
    #expect(lstm.state["weight_ih_l1"]!.shape == [24, 4])
    let (y, state) = lstm(Tensor.ones([7, 5, 3]))
    #expect(y.shape == [7, 5, 4])
    #expect(state.hidden.shape == [4, 7, 2])
    #expect(state.cell.shape == [4, 7, 6])
    let (one, end) = GRU(3, 2, layers: 3)(Tensor.ones([4, 3]))
    #expect(one.shape == [4, 2])
    #expect(end.shape == [3, 2])
    final class Tagger: Module {
      let rnn = LSTM(3, 4)
      func forward(_ x: Tensor) -> Tensor { rnn(x).output }
    }
    #expect(Tagger().state.names.first == "rnn.weight_ih_l0")
  }

  /// The first outputs of a projected LSTM, by its definition.
  @Test func projections() throws {
    let lstm = LSTM(2, 3, projectionSize: 2, dtype: .float64, generator: generator)
    let x = normal([2, 1, 2])
    let w = lstm.state
    var (h, c) = (Tensor.zeros([1, 2], dtype: .float64), Tensor.zeros([1, 3], dtype: .float64))
    for time in 0..<2 {
      let gates =
        matmul(x[time], w["weight_ih_l0"]!.transposed()) + w["bias_ih_l0"]! + w["bias_hh_l0"]!
        + matmul(h, w["weight_hh_l0"]!.transposed())
      let parts = gates.split([3, 3, 3, 3], axis: 1)
      c = sigmoid(parts[1]) * c + sigmoid(parts[0]) * tanh(parts[2])
      h = matmul(sigmoid(parts[3]) * tanh(c), w["weight_hr_l0"]!.transposed())
      expectSame(lstm(x).output[time], h, within: 1e-12)
    }
  }

  @Test func dropoutBetweenLayersWhileTraining() {
    let lstm = LSTM(4, 8, layers: 2, dropout: 0.5, generator: generator)
    let x = Tensor.ones([3, 2, 4])
    #expect(!allClose(lstm(x).output, lstm(x).output))
    lstm.eval()
    expectSame(lstm(x).output, lstm(x).output)
  }

  @Test func wrongUse() {
    let lstm = LSTM(3, 4)
    let x = Tensor.ones([5, 2, 3])
    let texts: [(String, () -> Void)] = [
      ("3 features along the last axis", { _ = lstm(Tensor.ones([5, 2, 4])) }),
      ("3: [T, B, D], or 2: [T, D]", { _ = lstm(Tensor.ones([3])) }),
      ("one step or more", { _ = lstm(Tensor.ones([0, 2, 3])) }),
      (
        "the hidden state has shape [2, 4]",
        { _ = lstm(x, LSTMState(hidden: Tensor.ones([2, 4]), cell: Tensor.ones([1, 2, 4]))) }
      ),
      ("the lengths are between 2 and 6", { _ = lstm(x, lengths: Tensor([2, 6])) }),
      ("one for each sequence: [2]", { _ = lstm(x, lengths: Tensor([2, 3, 4])) }),
      ("the projection's size is 4", { _ = LSTM(3, 4, projectionSize: 4) }),
      ("the dropout is 2", { _ = GRU(3, 4, dropout: 2) }),
      ("sizes and the number of layers of 1 or more", { _ = RNN(3, 4, layers: 0) }),
      ("[B, 3] or [3]", { _ = LSTMCell(3, 4)(x) }),
    ]
    for (text, body) in texts {
      let found = errorText(body)
      #expect(found.contains(text), "\(found)")
    }
  }

  /// Products of 16 bits with sums in float32, against the same written as single operations; sizes with and without whole
  /// vectors and pairs.
  @Test(arguments: [RecurrentCell.tanh, .relu, .lstm, .gru], [DType.bfloat16, .float16])
  func productsOfSixteenBits(_ cell: RecurrentCell, _ product: DType) throws {
    func f(_ shape: Shape) -> Tensor { .normal(shape, generator: generator) * 0.5 }
    for (steps, batch, hidden) in [(1, 1, 1), (3, 9, 17), (4, 7, 64), (3, 2, 65), (0, 2, 3)] {
      for isReversed in [false, true] {
        let (state, weight) = (f([batch, hidden]), f([cell.gates * hidden, hidden]) / Double(hidden).squareRoot())
        let wide: Shape = [steps, batch, 4 * hidden]
        let keepsGates = cell == .lstm || cell == .gru
        let forward = Recurrence(cell: cell, isReversed: isReversed, product: product)
        let inputs =
          [f([steps, batch, cell.gates * hidden]), state, weight]
          + (cell == .lstm ? [state] : cell == .gru ? [f([hidden])] : [])
        expectNear(apply(forward, inputs), forward.decomposed(inputs)!, "\(cell) \(hidden)")
        let states = f([steps, batch, hidden])
        let backward = RecurrenceGradient(
          cell: cell, isReversed: isReversed, hasMemory: cell == .lstm, hasGates: keepsGates, product: product)
        let saved =
          [states] + (cell == .lstm ? [states] : []) + (keepsGates ? [f(wide)] : [])
          + [sigmoid(f([steps, batch, hidden]))] + (cell == .lstm ? [states] : [])
          + (keepsGates ? [sigmoid(f(wide))] : []) + [state, weight] + (cell == .lstm ? [state] : [])
        expectNear(apply(backward, saved), backward.decomposed(saved)!, "gradient, \(cell) \(hidden)")
      }
    }
    #expect(throws: OpError.self) {
      try withErrors {
        _ = apply(
          Recurrence(cell: .tanh, isReversed: false, product: product),
          [normal([1, 1, 2]), normal([1, 2]), normal([2, 2])])
      }
    }
  }

  private func expectNear(_ a: [Tensor], _ b: [Tensor], _ what: String) {
    #expect(a.count == b.count)
    for (x, y) in zip(a, b) { #expect(allClose(x, y, relative: 1e-2, absolute: 1e-2), "\(what)") }
  }

  /// Under autocast the weights' gradients are those of float32, but for the rounding.
  @Test func autocastRoundsProductsAlone() {
    let lstm = LSTM(6, 33, layers: 2, generator: generator)
    let x = Tensor.normal([7, 4, 6], generator: generator)
    func gradients(_ dtype: DType?) -> [Tensor] {
      lstm.zeroGrad()
      let output = withAutocast(dtype) { lstm(x).output }
      #expect(output.dtype == .float32)
      (output * output).sum().backward()
      return lstm.parameters.map { $0.value.grad! }
    }
    for (exact, rounded) in zip(gradients(nil), gradients(.bfloat16)) {
      let scale = abs(exact).max().item()
      #expect(allClose(rounded / scale, exact / scale, relative: 0, absolute: 0.02))
      #expect(Device.current == .reference || !allClose(rounded, exact, relative: 1e-6, absolute: 0))
    }
  }
}
