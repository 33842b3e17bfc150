public import MartletCore
public import MartletOps

/// What the cells of recurrent layers share: one step of one layer, for loops written by hand. Parameters have PyTorch's
/// names (`weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`) and start uniform in ±1/√hidden.
public class RecurrentStep {
  public final let inputSize: Int
  public final let hiddenSize: Int
  public final let weightIH: Parameter
  public final let weightHH: Parameter
  public final let biasIH: Parameter?
  public final let biasHH: Parameter?
  final let cell: RecurrentCell

  init(
    _ op: String, cell: RecurrentCell, _ inputSize: Int, _ hiddenSize: Int, bias: Bool, dtype: DType,
    generator: Generator
  ) {
    if inputSize < 0 || hiddenSize < 1 {
      fail(
        OpError(
          .misuse(
            "size \(hiddenSize) for inputs of size \(inputSize)", rule: "inputs of size 0 or more, a size of 1 or more"),
          op: op))
    }
    (self.inputSize, self.hiddenSize, self.cell) = (inputSize, hiddenSize, cell)
    let (bound, gates) = (1 / Double(Swift.max(1, hiddenSize)).squareRoot(), cell.gates * hiddenSize)
    func parameter(_ shape: Shape) -> Parameter {
      Parameter(.uniform(shape, low: -bound, high: bound, dtype: dtype, generator: generator))
    }
    weightIH = parameter([gates, inputSize])
    weightHH = parameter([gates, hiddenSize])
    biasIH = bias ? parameter([gates]) : nil
    biasHH = bias ? parameter([gates]) : nil
  }
  public final var stateNames: [String: String] {
    ["weightIH": "weight_ih", "weightHH": "weight_hh", "biasIH": "bias_ih", "biasHH": "bias_hh"]
  }

  public final var settings: String { "\(inputSize), \(hiddenSize)" + (biasIH == nil ? ", bias: false" : "") }

  /// The next hidden state, and that of the cell.
  final func step(_ op: String, _ x: Tensor, _ hidden: Tensor?, _ memory: Tensor?) -> (Tensor, Tensor?) {
    guard x.rank == 1 || x.rank == 2, x.shape[x.rank - 1] == inputSize else {
      let error = failure(
        .argumentShape(argument: 0, expected: "[B, \(inputSize)] or [\(inputSize)]"), op: op, [x], names: ["x"])
      return (error, error)
    }
    let rows = x.rank == 2 ? x : x.expandedDims(axis: 0)
    let shape: Shape = x.rank == 2 ? [x.shape[0], hiddenSize] : [hiddenSize]
    for (state, name) in [(hidden, "hidden"), (memory, "cell")] {
      if let state, state.shape != shape {
        let error = failure(
          .misuse("the \(name) state has shape \(state.shape)", rule: "it is \(shape) for this x"), op: op, [x],
          names: ["x"])
        return (error, error)
      }
    }
    func start(_ state: Tensor?) -> Tensor {
      guard let state else {
        return Tensor(
          repeating: 0, TensorSpec([rows.shape[0], hiddenSize], weightHH.read()!.dtype, device: x.device))
      }
      return x.rank == 2 ? state : state.expandedDims(axis: 0)
    }
    let first = start(hidden)
    let (gates, inner) = shares(rows, weightIH, biasIH, biasHH, cell, first.dtype)
    var inputs = [gates.expandedDims(axis: 0), first, weightHH.value]
    if cell == .lstm { inputs.append(start(memory)) }
    if cell == .gru { inputs.append(inner) }
    let results = apply(
      Recurrence(cell: cell, isReversed: false, product: gates.dtype == .float32 ? Autocast.dtype : nil), inputs)
    func one(_ steps: Tensor) -> Tensor { steps.reshaped(shape) }
    return (one(results[0]), cell == .lstm ? one(results[1]) : nil)
  }
}

/// One step of an `LSTM`: `[B, inputSize]` and a state → the next state. Source: PyTorch `LSTMCell`.
public final class LSTMCell: RecurrentStep, Module {
  public init(
    _ inputSize: Int, _ hiddenSize: Int, bias: Bool = true, dtype: DType = .float32,
    generator: Generator = Random.generator
  ) { super.init("LSTMCell", cell: .lstm, inputSize, hiddenSize, bias: bias, dtype: dtype, generator: generator) }
  public func forward(_ input: (Tensor, LSTMState?)) -> LSTMState {
    let (hidden, cell) = step("LSTMCell", input.0, input.1?.hidden, input.1?.cell)
    return LSTMState(hidden: hidden, cell: cell ?? hidden)
  }
  /// The next state; it starts as zeros when nil.
  public func callAsFunction(_ x: Tensor, _ state: LSTMState? = nil) -> LSTMState { self((x, state)) }
}

/// One step of a `GRU`: `[B, inputSize]` and a hidden state → the next one. Source: PyTorch `GRUCell`.
public final class GRUCell: RecurrentStep, Module {
  public init(
    _ inputSize: Int, _ hiddenSize: Int, bias: Bool = true, dtype: DType = .float32,
    generator: Generator = Random.generator
  ) { super.init("GRUCell", cell: .gru, inputSize, hiddenSize, bias: bias, dtype: dtype, generator: generator) }
  public func forward(_ input: (Tensor, Tensor?)) -> Tensor { step("GRUCell", input.0, input.1, nil).0 }
  /// The next hidden state; it starts as zeros when nil.
  public func callAsFunction(_ x: Tensor, _ state: Tensor? = nil) -> Tensor { self((x, state)) }
}

/// One step of an `RNN`: `[B, inputSize]` and a hidden state → the next one. Source: PyTorch `RNNCell`.
public final class RNNCell: RecurrentStep, Module {
  public init(
    _ inputSize: Int, _ hiddenSize: Int, activation: RNN.Activation = .tanh, bias: Bool = true,
    dtype: DType = .float32, generator: Generator = Random.generator
  ) {
    super.init(
      "RNNCell", cell: activation == .tanh ? .tanh : .relu, inputSize, hiddenSize, bias: bias, dtype: dtype,
      generator: generator)
  }
  public func forward(_ input: (Tensor, Tensor?)) -> Tensor { step("RNNCell", input.0, input.1, nil).0 }
  /// The next hidden state; it starts as zeros when nil.
  public func callAsFunction(_ x: Tensor, _ state: Tensor? = nil) -> Tensor { self((x, state)) }
}
