public import MartletCore

// What PyTorch's users type from habit, for what the compiler then says.

extension Module {
  @available(*, unavailable, message: "model.state has the tensors by PyTorch's names")
  public func state_dict() -> State { fatalError("unavailable") }
  @available(*, unavailable, message: "try model.load(state)")
  public func load_state_dict(_ state: State) { fatalError("unavailable") }
  @available(*, unavailable, renamed: "zeroGrad")
  public func zero_grad() { fatalError("unavailable") }
  @available(*, unavailable, message: "model.cast(to: .float16)")
  public func half() -> Self { fatalError("unavailable") }
  @available(*, unavailable, message: "model.cast(to: .float32)")
  public func float() -> Self { fatalError("unavailable") }
  @available(*, unavailable, message: "model.cast(to: .float64)")
  public func double() -> Self { fatalError("unavailable") }
}

extension Array where Element == Parameter {
  @available(*, unavailable, message: "a property: model.parameters, without brackets")
  public func callAsFunction() -> [Parameter] { fatalError("unavailable") }
}

extension Optimizer {
  @available(*, unavailable, message: "write learningRate: SGD(model.parameters, learningRate: 0.1)")
  public init(
    _ parameters: [Parameter], lr: Double, betas: (Double, Double) = (0, 0), momentum: Double = 0,
    weightDecay: Double = 0, weight_decay: Double = 0, nesterov: Bool = false
  ) { fatalError("unavailable") }
  @available(*, unavailable, renamed: "zeroGrad")
  public func zero_grad() { fatalError("unavailable") }
}

@available(*, unavailable, message: "clipGradients(model.parameters, toNorm: 1)")
public func clip_grad_norm_(_ parameters: [Parameter], _ norm: Double = 1, max_norm: Double = 1) {
  fatalError("unavailable")
}
@available(*, unavailable, renamed: "LossScaler")
public typealias GradScaler = LossScaler

extension Sequential {
  @available(*, unavailable, message: "a layer a line: Sequential { Linear(3, 5); ReLU() }")
  public convenience init(_ first: Layer, _ more: Layer...) { fatalError("unavailable") }
}

extension LSTM {
  @available(*, unavailable, message: "write layers: LSTM(3, 5, layers: 2)")
  public convenience init(
    _ inputSize: Int, _ hiddenSize: Int, num_layers: Int, bias: Bool = true, batch_first: Bool = false,
    dropout: Double = 0, bidirectional: Bool = false
  ) { fatalError("unavailable") }
  @available(*, unavailable, message: "write layers: LSTM(3, 5, layers: 2)")
  public convenience init(
    _ inputSize: Int, _ hiddenSize: Int, numLayers: Int, bias: Bool = true, batchFirst: Bool = false,
    dropout: Double = 0, isBidirectional: Bool = false
  ) { fatalError("unavailable") }
  @available(*, unavailable, message: "write isBidirectional: LSTM(3, 5, isBidirectional: true)")
  public convenience init(
    _ inputSize: Int, _ hiddenSize: Int, layers: Int = 1, bias: Bool = true, batchFirst: Bool = false,
    dropout: Double = 0, bidirectional: Bool
  ) { fatalError("unavailable") }
}

extension GRU {
  @available(*, unavailable, message: "write layers: GRU(3, 5, layers: 2)")
  public convenience init(
    _ inputSize: Int, _ hiddenSize: Int, num_layers: Int, bias: Bool = true, batch_first: Bool = false,
    dropout: Double = 0, bidirectional: Bool = false
  ) { fatalError("unavailable") }
  @available(*, unavailable, message: "write layers: GRU(3, 5, layers: 2)")
  public convenience init(
    _ inputSize: Int, _ hiddenSize: Int, numLayers: Int, bias: Bool = true, batchFirst: Bool = false,
    dropout: Double = 0, isBidirectional: Bool = false
  ) { fatalError("unavailable") }
  @available(*, unavailable, message: "write isBidirectional: GRU(3, 5, isBidirectional: true)")
  public convenience init(
    _ inputSize: Int, _ hiddenSize: Int, layers: Int = 1, bias: Bool = true, batchFirst: Bool = false,
    dropout: Double = 0, bidirectional: Bool
  ) { fatalError("unavailable") }
}

extension RNN {
  @available(*, unavailable, message: "write layers: RNN(3, 5, layers: 2)")
  public convenience init(
    _ inputSize: Int, _ hiddenSize: Int, num_layers: Int, bias: Bool = true, batch_first: Bool = false,
    dropout: Double = 0, bidirectional: Bool = false
  ) { fatalError("unavailable") }
  @available(*, unavailable, message: "write layers: RNN(3, 5, layers: 2)")
  public convenience init(
    _ inputSize: Int, _ hiddenSize: Int, numLayers: Int, bias: Bool = true, batchFirst: Bool = false,
    dropout: Double = 0, isBidirectional: Bool = false
  ) { fatalError("unavailable") }
  @available(*, unavailable, message: "write isBidirectional: RNN(3, 5, isBidirectional: true)")
  public convenience init(
    _ inputSize: Int, _ hiddenSize: Int, layers: Int = 1, bias: Bool = true, batchFirst: Bool = false,
    dropout: Double = 0, bidirectional: Bool
  ) { fatalError("unavailable") }
}
