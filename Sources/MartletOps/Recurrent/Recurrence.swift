public import MartletCore

/// The cells of recurrent layers, with the order of their gates.
public enum RecurrentCell: Int32, Sendable, Hashable, Codable {
  /// `h ← tanh(x + W h)`.
  case tanh
  /// `h ← relu(x + W h)`.
  case relu
  /// Gates in, forget, new, out: `c ← forget · c + in · new`, `h ← out · tanh(c)`.
  case lstm
  /// Gates reset, keep, new: `new = tanh(x + reset · (W h + b))`, `h ← (1 - keep) · new + keep · h`.
  case gru

  /// The gates of a hidden unit.
  public var gates: Int {
    switch self {
    case .tanh, .relu: 1
    case .lstm: 4
    case .gru: 3
    }
  }
  /// Whether the gates' values are a result, which the gradient needs.
  var keepsGates: Bool { self == .lstm || self == .gru }
}

/// What the recurrence and its gradient share.
protocol RecurrentOp: Op {
  var cell: RecurrentCell { get }
  var isReversed: Bool { get }
  /// The dtype of 16 bits in which float32 states are multiplied by the weights, with sums in float32; nil: their own.
  var product: DType? { get }
}

extension RecurrentOp {
  func checkProduct(_ states: TensorSpec) throws(OpError) {
    guard let product, product.size != 2 || !product.isFloating || states.dtype != .float32 else { return }
    throw OpError(
      .misuse(
        "the product is in \(product)", rule: "float32 states are multiplied in bfloat16 or float16, others as they are"
      ))
  }

  /// `a · b` in the dtype of the product.
  func multiplied(_ a: Tensor, _ b: Tensor) -> Tensor {
    guard let product else { return matmul(a, b) }
    return matmul(a.cast(to: product), b.cast(to: product)).cast(to: a.dtype)
  }

  /// The times in the order of the steps.
  func times(_ count: Int) -> [Int] { isReversed ? (0..<count).reversed() : Array(0..<count) }

  /// The gates' parts of `[B, G · H]`.
  func parts(_ x: Tensor, _ count: Int) -> [Tensor] {
    count == 1 ? [x] : x.split([Int](repeating: x.shape[1] / count, count: count), axis: 1)
  }

  /// Steps in the order of time, as one tensor; `like`: what one step would be.
  func stacked(_ steps: [Tensor], like: Tensor) -> Tensor {
    if steps.isEmpty { return Tensor(repeating: 0, like.spec.with(shape: like.shape.inserting(0, at: 0))) }
    return stack(isReversed ? steps.reversed() : steps, axis: 0)
  }
}

/// All steps of a recurrent layer in one direction.
///
/// `x: [T, B, G · H]` is the inputs' share of the gates; then the first hidden state `[B, H]` and the weights `[G · H, H]`;
/// last the first cell state (LSTM), or the bias `[H]` within the new gate (GRU). Results: the hidden states `[T, B, H]`,
/// the cell states (LSTM), and the gates' values `[T, B, 4 · H]` (LSTM; GRU, the fourth being `W h + b`).
public struct Recurrence: RecurrentOp {
  public static var id: OpID { OpTable.recurrence.id }
  public static var name: String { "recurrence" }
  public static var rules: Rules { [.vjp, .decomposed] }
  public static var argumentNames: [String] { ["x", "hidden", "weight", "last"] }
  public let cell: RecurrentCell
  public let isReversed: Bool
  public let product: DType?
  public init(cell: RecurrentCell, isReversed: Bool, product: DType? = nil) {
    self.cell = cell
    self.isReversed = isReversed
    self.product = product
  }
  public var outputCount: Int { cell == .lstm ? 3 : cell == .gru ? 2 : 1 }
  var inputCount: Int { cell.keepsGates ? 4 : 3 }

  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == inputCount else {
      throw OpError(.numberOfInputs(inputs.count, expected: "\(inputCount)"))
    }
    let x = inputs[0]
    guard x.dtype.isFloating else { throw OpError(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
    guard x.rank == 3, x.shape[2] % cell.gates == 0 else {
      throw OpError(.argumentShape(argument: 0, expected: "[steps, batch, \(cell.gates) · hidden]"))
    }
    let (batch, hidden) = (x.shape[1], x.shape[2] / cell.gates)
    let shapes: [Shape] = [
      x.shape, [batch, hidden], [x.shape[2], hidden], cell == .lstm ? [batch, hidden] : [hidden],
    ]
    for position in 1..<inputs.count {
      guard inputs[position].dtype == x.dtype else {
        throw OpError(.dtype(argument: position, expected: "\(x.dtype), as x"))
      }
      guard inputs[position].shape == shapes[position] else {
        throw OpError(.argumentShape(argument: position, expected: "\(shapes[position])"))
      }
    }
    try checkProduct(x)
    let states = x.with(shape: [x.shape[0], batch, hidden])
    let gates = x.with(shape: [x.shape[0], batch, 4 * hidden])
    return cell == .lstm ? [states, states, gates] : cell == .gru ? [states, gates] : [states]
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    var hidden = inputs[1]
    var memory = inputs.last!
    let weight = inputs[2].transposed()
    var results = [[Tensor]](repeating: [], count: outputCount)
    for time in times(inputs[0].shape[0]) {
      let x = parts(inputs[0].part(0, time), cell.gates)
      let own = parts(multiplied(hidden, weight), cell.gates)
      switch cell {
      case .tanh: hidden = MartletOps.tanh(x[0] + own[0])
      case .relu: hidden = MartletOps.relu(x[0] + own[0])
      case .lstm:
        let (enter, forget) = (sigmoid(x[0] + own[0]), sigmoid(x[1] + own[1]))
        let (new, out) = (MartletOps.tanh(x[2] + own[2]), sigmoid(x[3] + own[3]))
        memory = forget * memory + enter * new
        hidden = out * MartletOps.tanh(memory)
        results[1].append(memory)
        results[2].append(concat([enter, forget, new, out], axis: 1))
      case .gru:
        let (reset, keep) = (sigmoid(x[0] + own[0]), sigmoid(x[1] + own[1]))
        let share = own[2] + inputs[3]
        let new = MartletOps.tanh(x[2] + reset * share)
        hidden = (1 - keep) * new + keep * hidden
        results[1].append(concat([reset, keep, new, share], axis: 1))
      }
      results[0].append(hidden)
    }
    let gates = concat([Tensor](repeating: inputs[1], count: 4), axis: 1)
    return results.enumerated().map { position, steps in
      stacked(steps, like: position == outputCount - 1 && cell.keepsGates ? gates : inputs[1])
    }
  }

  public func saves(needs: Positions) -> Saves {
    Saves(
      inputs: cell == .lstm ? [1, 2, 3] : [1, 2], outputs: cell == .lstm ? [0, 1, 2] : cell == .gru ? [0, 1] : [0])
  }

  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let (states, hidden) = (saved.output(0), saved.input(1))
    let gradient = RecurrenceGradient(
      cell: cell, isReversed: isReversed, hasMemory: cell == .lstm && ct[1] != nil,
      hasGates: cell.keepsGates && ct[outputCount - 1] != nil, product: product)
    var inputs = [ct[0] ?? Tensor(repeating: 0, states.spec)]
    if gradient.hasMemory { inputs.append(ct[1]!) }
    if gradient.hasGates { inputs.append(ct[outputCount - 1]!) }
    inputs += (0..<outputCount).map { saved.output($0) } + [hidden, saved.input(2)]
    if cell == .lstm { inputs.append(saved.input(3)) }
    let parts = apply(gradient, inputs)
    // The hidden state's share of the gates; what the weights see of it, over all steps at once.
    let share = cell == .gru ? parts[2] : parts[0]
    var cotangents: [Cotangent?] = [needs[0] ? .dense(parts[0]) : nil, needs[1] ? .dense(parts[1]) : nil, nil]
    if needs[2] {
      let steps = states.shape[0]
      let rest = steps == 0 ? states : isReversed ? states[1...] : states[..<(steps - 1)]
      let first = steps == 0 ? [] : [hidden.expandedDims(axis: 0)]
      let before = concat(isReversed ? [rest] + first : first + [rest], axis: 0)
      let rows = share.shape[0] * share.shape[1]
      cotangents[2] = .dense(
        multiplied(share.reshaped([rows, share.shape[2]]).transposed(), before.reshaped([rows, hidden.shape[1]])))
    }
    if cell == .lstm { cotangents.append(needs[3] ? .dense(parts[2]) : nil) }
    if cell == .gru {
      let width = hidden.shape[1]
      cotangents.append(needs[3] ? .dense(share[0..., 0..., (2 * width)...].sum(axes: [0, 1])) : nil)
    }
    return cotangents
  }
}
