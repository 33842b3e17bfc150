public import MartletCore
public import MartletOps

/// What a recurrent layer takes.
public struct SequenceInput<State> {
  /// `[T, B, D]`, or `[B, T, D]` with `batchFirst`, or `[T, D]`.
  public let x: Tensor
  /// Where the layer starts; zeros when nil.
  public let state: State?
  /// The number of steps of each sequence, `[B]` (`int64`); all when nil.
  public let lengths: Tensor?
}

/// The axes of sequences.
func axisOrder(_ batchFirst: Bool) -> String { batchFirst ? "[B, T, D]" : "[T, B, D]" }
/// How a layer is made that takes them in the other order.
func otherOrder(_ batchFirst: Bool, _ layer: String) -> String {
  batchFirst
    ? "\(layer)(…) without batchFirst takes \(axisOrder(false))"
    : "\(layer)(…, batchFirst: true) takes \(axisOrder(true))"
}

/// What recurrent layers share: the weights, the walk over layers and directions.
///
/// A layer's parameters have PyTorch's names: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, those of the other
/// direction with `_reverse`, those of a projection `weight_hr_l0`. All start uniform in ±1/√hidden.
public class RecurrentLayer {
  public final let inputSize: Int
  public final let hiddenSize: Int
  public final let layers: Int
  public final let isBidirectional: Bool
  public final let batchFirst: Bool
  /// The probability of an element between two layers to become zero while training.
  public final let dropout: Double
  /// The size of the projected hidden states; nil: they are not projected.
  public final let projectionSize: Int?
  public final let mode = Mode()
  public final let generator: Generator
  final let cell: RecurrentCell
  private let all: NamedParameters

  /// The parameters of one layer in one direction.
  struct Weights {
    let input, hidden: Parameter
    let inputBias, hiddenBias, projection: Parameter?
  }
  final let weights: [[Weights]]

  init(
    _ op: String, cell: RecurrentCell, _ inputSize: Int, _ hiddenSize: Int, layers: Int, bias: Bool, batchFirst: Bool,
    dropout: Double, isBidirectional: Bool, projectionSize: Int?, dtype: DType, generator: Generator
  ) {
    if inputSize < 0 || hiddenSize < 1 || layers < 1 {
      fail(
        OpError(
          .misuse(
            "\(layers) layers of size \(hiddenSize) for inputs of size \(inputSize)",
            rule: "inputs of size 0 or more, sizes and the number of layers of 1 or more"), op: op))
    }
    if !(0...1).contains(dropout) {
      fail(OpError(.misuse("the dropout is \(dropout)", rule: "0 ≤ dropout ≤ 1"), op: op))
    }
    if let size = projectionSize, size < 1 || size >= hiddenSize {
      fail(
        OpError(
          .misuse("the projection's size is \(size)", rule: "1 ≤ projectionSize < hiddenSize, \(hiddenSize)"), op: op))
    }
    (self.inputSize, self.hiddenSize, self.layers) = (inputSize, hiddenSize, layers)
    (self.batchFirst, self.dropout, self.isBidirectional) = (batchFirst, dropout, isBidirectional)
    (self.projectionSize, self.cell, self.generator) = (projectionSize, cell, generator)
    let bound = 1 / Double(Swift.max(1, hiddenSize)).squareRoot()
    let (gates, state) = (cell.gates * Swift.max(1, hiddenSize), projectionSize ?? hiddenSize)
    let directions = isBidirectional ? 2 : 1
    var named: [(name: String, value: Any)] = []
    weights = (0..<Swift.max(1, layers)).map { layer in
      (0..<directions).map { direction in
        func parameter(_ name: String, _ shape: Shape) -> Parameter {
          let parameter = Parameter(.uniform(shape, low: -bound, high: bound, dtype: dtype, generator: generator))
          named.append(("\(name)_l\(layer)" + (direction == 1 ? "_reverse" : ""), parameter))
          return parameter
        }
        return Weights(
          input: parameter("weight_ih", [gates, layer == 0 ? inputSize : state * directions]),
          hidden: parameter("weight_hh", [gates, state]), inputBias: bias ? parameter("bias_ih", [gates]) : nil,
          hiddenBias: bias ? parameter("bias_hh", [gates]) : nil,
          projection: projectionSize.map { parameter("weight_hr", [$0, hiddenSize]) })
      }
    }
    all = NamedParameters(children: named)
  }

  public final var settings: String {
    "\(inputSize), \(hiddenSize)" + (layers > 1 ? ", layers: \(layers)" : "")
      + (weights[0][0].inputBias == nil ? ", bias: false" : "") + (batchFirst ? ", batchFirst: true" : "")
      + (dropout > 0 ? ", dropout: \(dropout)" : "") + (isBidirectional ? ", isBidirectional: true" : "")
      + (projectionSize.map { ", projectionSize: \($0)" } ?? "")
  }

  /// All layers: the outputs, and the last hidden and cell states `[layers · directions, B, …]`.
  final func run(
    _ op: String, _ given: Tensor, hidden: Tensor?, memory: Tensor?, lengths: Tensor?
  ) -> (output: Tensor, hidden: Tensor, memory: Tensor) {
    func wrong(_ fact: Fact) -> (Tensor, Tensor, Tensor) {
      let error = failure(fact, op: op, [given], names: ["x"])
      return (error, error, error)
    }
    let isBatch = given.rank == 3
    guard isBatch || given.rank == 2 else {
      return wrong(
        .misuse(
          "x has \(ErrorText.counted(given.rank, "axis", "axes"))",
          rule: "its number of axes is 3: \(axisOrder(batchFirst)), or 2: [T, D]",
          remedy: "expandedDims(axis:) for an axis that is missing; \(otherOrder(batchFirst, op))"))
    }
    guard given.shape[given.rank - 1] == inputSize else {
      return wrong(.argumentShape(argument: 0, expected: "\(inputSize) features along the last axis"))
    }
    let isTurned = isBatch && batchFirst
    var x = isTurned ? given.transposed(0, 1) : isBatch ? given : given.expandedDims(axis: 1)
    let (steps, batch) = (x.shape[0], x.shape[1])
    guard steps > 0 else {
      return wrong(.argumentShape(argument: 0, expected: "one step or more along the axis of time"))
    }
    let count = layers * (isBidirectional ? 2 : 1)
    for (state, size, name) in [(hidden, projectionSize ?? hiddenSize, "hidden"), (memory, hiddenSize, "cell")] {
      guard let state else { continue }
      let shape: Shape = isBatch ? [count, batch, size] : [count, size]
      guard state.shape == shape else {
        return wrong(
          .misuse(
            "the \(name) state has shape \(state.shape)",
            rule: "it is \(shape) for this x, whose axes are \(isBatch ? axisOrder(batchFirst) : "[T, D]")",
            remedy: isBatch ? otherOrder(batchFirst, op) : nil))
      }
    }
    var ragged: Ragged?
    do throws(OpError) {
      if let lengths { ragged = try Ragged(lengths, steps: steps, batch: batch, like: x) }
    } catch { return wrong(error.fact) }
    // What stands behind the ends may be anything, also NaN: it takes no part in the gradients either.
    if let ragged { x = ragged.masked(x) }
    let dtype = weights[0][0].hidden.read()!.dtype
    func part(_ state: Tensor?, _ number: Int, _ size: Int) -> Tensor {
      guard let state else { return Tensor(repeating: 0, TensorSpec([batch, size], dtype, device: x.device)) }
      let own = state.part(0, number)
      return isBatch ? own : own.expandedDims(axis: 0)
    }
    var (hiddens, memories): ([Tensor], [Tensor]) = ([], [])
    for (layer, directions) in weights.enumerated() {
      var outputs: [Tensor] = []
      for (direction, weights) in directions.enumerated() {
        let number = hiddens.count
        // With lengths the other direction runs forward over sequences that are turned within their lengths.
        let isReversed = direction == 1 && ragged == nil
        let input = direction == 1 ? ragged?.turned(x) ?? x : x
        let (states, cells) = walk(
          input, part(hidden, number, projectionSize ?? hiddenSize), part(memory, number, hiddenSize), weights,
          isReversed: isReversed)
        let last = isReversed ? 0 : steps - 1
        hiddens.append(ragged?.last(states) ?? states.part(0, last))
        if let cells { memories.append(ragged?.last(cells) ?? cells.part(0, last)) }
        outputs.append(ragged.map { direction == 1 ? $0.turned($0.masked(states)) : $0.masked(states) } ?? states)
      }
      x = outputs.count == 1 ? outputs[0] : concat(outputs, axis: 2)
      if layer + 1 < weights.count, dropout > 0, mode.isTraining {
        x = MartletNN.dropout(x, probability: dropout, key: generator.next())
      }
    }
    func stacked(_ states: [Tensor]) -> Tensor {
      if states.isEmpty { return x }
      return stack(isBatch ? states : states.map { $0.squeezed(axis: 0) }, axis: 0)
    }
    let output = isTurned ? x.transposed(0, 1) : isBatch ? x : x.squeezed(axis: 1)
    return (output, stacked(hiddens), stacked(memories))
  }

  /// One layer in one direction: hidden and cell states of all steps.
  private func walk(
    _ x: Tensor, _ hidden: Tensor, _ memory: Tensor, _ weights: Weights, isReversed: Bool
  ) -> (Tensor, Tensor?) {
    let (gates, inner) = shares(x, weights.input, weights.inputBias, weights.hiddenBias, cell, hidden.dtype)
    if let projection = weights.projection?.value {
      return walk(gates, hidden, memory, weights.hidden.value, projection, isReversed: isReversed)
    }
    var inputs = [gates, hidden, weights.hidden.value]
    if cell == .lstm { inputs.append(memory) }
    if cell == .gru { inputs.append(inner) }
    let results = apply(
      Recurrence(cell: cell, isReversed: isReversed, product: gates.dtype == .float32 ? Autocast.dtype : nil), inputs)
    return (results[0], cell == .lstm ? results[1] : nil)
  }

  /// An LSTM whose hidden states are projected, step by step.
  private func walk(
    _ gates: Tensor, _ hidden: Tensor, _ memory: Tensor, _ weight: Tensor, _ projection: Tensor, isReversed: Bool
  ) -> (Tensor, Tensor?) {
    var (hidden, memory) = (hidden, memory)
    var (hiddens, memories): ([Tensor], [Tensor]) = ([], [])
    let (own, down) = (weight.transposed(), projection.transposed())
    let times = 0..<gates.shape[0]
    for time in isReversed ? Array(times.reversed()) : Array(times) {
      let parts = (gates.part(0, time) + matmul(hidden, own)).split(
        [Int](repeating: hiddenSize, count: 4), axis: 1)
      memory = sigmoid(parts[1]) * memory + sigmoid(parts[0]) * MartletOps.tanh(parts[2])
      hidden = matmul(sigmoid(parts[3]) * MartletOps.tanh(memory), down)
      hiddens.append(hidden)
      memories.append(memory)
    }
    return (
      stack(isReversed ? hiddens.reversed() : hiddens, axis: 0),
      stack(isReversed ? memories.reversed() : memories, axis: 0)
    )
  }
}

/// The inputs' share of the gates, in the dtype of the states, and the bias within the new gate of a GRU.
func shares(
  _ x: Tensor, _ weight: Parameter, _ bias: Parameter?, _ hiddenBias: Parameter?, _ cell: RecurrentCell, _ dtype: DType
) -> (gates: Tensor, inner: Tensor) {
  let product = matmul(x, weight.value.transposed())
  let size = product.shape[product.rank - 1] / cell.gates
  guard let bias = bias?.value, let own = hiddenBias?.value else {
    return (product.cast(to: dtype), Tensor(repeating: 0, TensorSpec([size], dtype, device: x.device)))
  }
  guard cell == .gru else { return ((product + (bias + own)).cast(to: dtype), own) }
  let outer = bias + own[..<(2 * size)].padded([(0, size)])
  return ((product + outer).cast(to: dtype), own[(2 * size)...])
}

/// Parameters with the names that they have in the state.
private struct NamedParameters: NamedChildren {
  let children: [(name: String, value: Any)]
}

/// Sequences of several lengths in one tensor `[T, B, …]`.
private struct Ragged {
  private let isThere: Tensor
  private let turn: Tensor
  private let ends: Tensor
  private let steps: Int
  private let batch: Int

  init(_ lengths: Tensor, steps: Int, batch: Int, like x: Tensor) throws(OpError) {
    guard lengths.dtype == .int64 || lengths.dtype == .int32, lengths.shape == [batch] else {
      throw OpError(
        .misuse(
          "lengths is \(lengths.dtype)\(lengths.shape)", rule: "int64 or int32, one for each sequence: [\(batch)]"))
    }
    let lengths = lengths.cast(to: .int64).detached()
    if lengths.hasValue, lengths.count > 0 {
      let (least, most) = (Int(lengths.min().item()), Int(lengths.max().item()))
      guard least >= 1, most <= steps else {
        throw OpError(
          .misuse("the lengths are between \(least) and \(most)", rule: "1 ... \(steps), the steps of x"))
      }
    }
    let time = Tensor.range(to: Double(steps), dtype: .int64, device: x.device).expandedDims(axis: 1)
    let row = Tensor.range(to: Double(batch), dtype: .int64, device: x.device)
    isThere = (time .< lengths).expandedDims(axis: 2)
    turn = (select(time .< lengths, lengths - 1 - time, time) * batch + row).reshaped([steps * batch])
    ends = (lengths - 1) * batch + row
    (self.steps, self.batch) = (steps, batch)
  }

  private func rows(_ x: Tensor) -> Tensor { x.reshaped([steps * batch, x.shape[2]]) }
  /// Each sequence from its end to its start; what lies behind the end stays.
  func turned(_ x: Tensor) -> Tensor { rows(x).take(axis: 0, turn).reshaped(x.shape) }
  /// Zeros behind the ends.
  func masked(_ x: Tensor) -> Tensor { select(isThere, x, 0) }
  /// The last step of each sequence.
  func last(_ x: Tensor) -> Tensor { rows(x).take(axis: 0, ends) }
}

/// The state of an `LSTM`: `[layers · directions, B, …]` each, or `[B, …]` for a cell.
public struct LSTMState: Sendable {
  public var hidden: Tensor
  public var cell: Tensor
  public init(hidden: Tensor, cell: Tensor) {
    self.hidden = hidden
    self.cell = cell
  }
}

/// A long short-term memory.
///
///     let lstm = LSTM(650, 650, layers: 2)
///     let (y, state) = lstm(x)
///     let (z, next) = lstm(more, state)
///
/// **Shapes** `x` is `[T, B, inputSize]`, `[B, T, inputSize]` with `batchFirst`, or `[T, inputSize]`; the output has
/// `hiddenSize` (or `projectionSize`) features, twice as many when bidirectional. Sequences of several lengths are padded at
/// the end, and `lengths` says where each ends: outputs behind it are zero, and the last state is that of the end.
///
/// Source: Hochreiter and Schmidhuber 1997; PyTorch `LSTM`, whose packed sequences `lengths` stands for.
public final class LSTM: RecurrentLayer, Module {
  /// - Parameters:
  ///   - dropout: of the outputs of all layers but the last, while training.
  ///   - projectionSize: the size to which hidden states are projected (Sak et al. 2014).
  public init(
    _ inputSize: Int, _ hiddenSize: Int, layers: Int = 1, bias: Bool = true, batchFirst: Bool = false,
    dropout: Double = 0, isBidirectional: Bool = false, projectionSize: Int? = nil, dtype: DType = .float32,
    generator: Generator = Random.generator
  ) {
    super.init(
      "LSTM", cell: .lstm, inputSize, hiddenSize, layers: layers, bias: bias, batchFirst: batchFirst, dropout: dropout,
      isBidirectional: isBidirectional, projectionSize: projectionSize, dtype: dtype, generator: generator)
  }
  public func forward(_ input: SequenceInput<LSTMState>) -> (Tensor, LSTMState) {
    let (y, hidden, cell) = run(
      "LSTM", input.x, hidden: input.state?.hidden, memory: input.state?.cell, lengths: input.lengths)
    return (y, LSTMState(hidden: hidden, cell: cell))
  }
  /// The outputs of all steps and the last state.
  public func callAsFunction(
    _ x: Tensor, _ state: LSTMState? = nil, lengths: Tensor? = nil
  ) -> (output: Tensor, state: LSTMState) { self(SequenceInput(x: x, state: state, lengths: lengths)) }
}

/// A layer of gated recurrent units, whose state is its hidden state. Shapes and lengths as those of `LSTM`.
/// Source: Cho et al. 2014; PyTorch `GRU`.
public final class GRU: RecurrentLayer, Module {
  public init(
    _ inputSize: Int, _ hiddenSize: Int, layers: Int = 1, bias: Bool = true, batchFirst: Bool = false,
    dropout: Double = 0, isBidirectional: Bool = false, dtype: DType = .float32, generator: Generator = Random.generator
  ) {
    super.init(
      "GRU", cell: .gru, inputSize, hiddenSize, layers: layers, bias: bias, batchFirst: batchFirst, dropout: dropout,
      isBidirectional: isBidirectional, projectionSize: nil, dtype: dtype, generator: generator)
  }
  public func forward(_ input: SequenceInput<Tensor>) -> (Tensor, Tensor) {
    let (y, hidden, _) = run("GRU", input.x, hidden: input.state, memory: nil, lengths: input.lengths)
    return (y, hidden)
  }
  /// The outputs of all steps and the last hidden state.
  public func callAsFunction(
    _ x: Tensor, _ state: Tensor? = nil, lengths: Tensor? = nil
  ) -> (output: Tensor, state: Tensor) { self(SequenceInput(x: x, state: state, lengths: lengths)) }
}

/// A plain recurrent layer: `h ← tanh(W x + b + U h + c)`, or with `relu`. Shapes and lengths as those of `LSTM`.
/// Source: Elman 1990; PyTorch `RNN`.
public final class RNN: RecurrentLayer, Module {
  public enum Activation: Sendable { case tanh, relu }
  public init(
    _ inputSize: Int, _ hiddenSize: Int, layers: Int = 1, activation: Activation = .tanh, bias: Bool = true,
    batchFirst: Bool = false, dropout: Double = 0, isBidirectional: Bool = false, dtype: DType = .float32,
    generator: Generator = Random.generator
  ) {
    super.init(
      "RNN", cell: activation == .tanh ? .tanh : .relu, inputSize, hiddenSize, layers: layers, bias: bias,
      batchFirst: batchFirst, dropout: dropout, isBidirectional: isBidirectional, projectionSize: nil, dtype: dtype,
      generator: generator)
  }
  public func forward(_ input: SequenceInput<Tensor>) -> (Tensor, Tensor) {
    let (y, hidden, _) = run("RNN", input.x, hidden: input.state, memory: nil, lengths: input.lengths)
    return (y, hidden)
  }
  /// The outputs of all steps and the last hidden state.
  public func callAsFunction(
    _ x: Tensor, _ state: Tensor? = nil, lengths: Tensor? = nil
  ) -> (output: Tensor, state: Tensor) { self(SequenceInput(x: x, state: state, lengths: lengths)) }
}
