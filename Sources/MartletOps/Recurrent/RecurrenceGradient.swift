public import MartletCore

/// The cotangents of a recurrence: from those of the hidden states, of the cell states and of the gates' values (where they
/// are given), its results, and its inputs but the first. Results: the cotangents of `x`, of the first hidden state, and of
/// the first cell state (LSTM) or of the hidden state's share of the gates `[T, B, 3 · H]` (GRU).
public struct RecurrenceGradient: RecurrentOp {
  public static var id: OpID { OpTable.recurrenceGradient.id }
  public static var name: String { "recurrenceGradient" }
  public static var rules: Rules { [.decomposed] }
  public let cell: RecurrentCell
  public let isReversed: Bool
  /// Whether the cotangents of the cell states are given.
  public let hasMemory: Bool
  /// Whether the cotangents of the gates' values are given.
  public let hasGates: Bool
  public let product: DType?
  public init(cell: RecurrentCell, isReversed: Bool, hasMemory: Bool, hasGates: Bool, product: DType? = nil) {
    self.cell = cell
    self.product = product
    self.isReversed = isReversed
    self.hasMemory = hasMemory
    self.hasGates = hasGates
  }
  public static var argumentNames: [String] { (0..<9).map { "input \($0)" } }
  public var outputCount: Int { cell.keepsGates ? 3 : 2 }

  /// The positions of the inputs; nil: not there.
  package struct Places {
    package let dy = 0
    package var dc, dgates, c, gates, c0: Int?
    package let y, h0, weight, count: Int
    init(_ op: RecurrenceGradient) {
      var next = 1
      func place(_ isThere: Bool) -> Int? {
        guard isThere else { return nil }
        defer { next += 1 }
        return next
      }
      dc = place(op.hasMemory)
      dgates = place(op.hasGates)
      y = place(true)!
      c = place(op.cell == .lstm)
      gates = place(op.cell.keepsGates)
      h0 = place(true)!
      weight = place(true)!
      c0 = place(op.cell == .lstm)
      count = next
    }
  }
  package var places: Places { Places(self) }

  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    let at = places
    guard inputs.count == at.count else {
      throw OpError(.numberOfInputs(inputs.count, expected: "\(at.count)"))
    }
    let dy = inputs[0]
    guard dy.dtype.isFloating else { throw OpError(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
    guard dy.rank == 3 else { throw OpError(.rank(argument: 0, expected: "3: [steps, batch, hidden]")) }
    let (steps, batch, hidden) = (dy.shape[0], dy.shape[1], dy.shape[2])
    var shapes = [Shape](repeating: dy.shape, count: at.count)
    for position in [at.dgates, at.gates] { if let position { shapes[position] = [steps, batch, 4 * hidden] } }
    shapes[at.h0] = [batch, hidden]
    shapes[at.weight] = [cell.gates * hidden, hidden]
    if let position = at.c0 { shapes[position] = [batch, hidden] }
    for position in 1..<inputs.count {
      guard inputs[position].dtype == dy.dtype else {
        throw OpError(.dtype(argument: position, expected: "\(dy.dtype), as the cotangent of the hidden states"))
      }
      guard inputs[position].shape == shapes[position] else {
        throw OpError(.argumentShape(argument: position, expected: "\(shapes[position])"))
      }
    }
    try checkProduct(dy)
    let x = dy.with(shape: [steps, batch, cell.gates * hidden])
    let first = dy.with(shape: [batch, hidden])
    return [x, first] + (cell == .lstm ? [first] : cell == .gru ? [x] : [])
  }

  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let at = places
    let (dy, states, first, weight) = (inputs[0], inputs[at.y], inputs[at.h0], inputs[at.weight])
    let order = times(dy.shape[0])
    var (dxs, shares): ([Tensor], [Tensor]) = ([], [])
    let nothing = Tensor(repeating: 0, first.spec)
    var (dh, dc) = (nothing, nothing)
    for (step, time) in order.enumerated().reversed() {
      let y = states.part(0, time)
      let d = dh + dy.part(0, time)
      let before = step == 0 ? first : states.part(0, order[step - 1])
      let extra = at.dgates.map { parts(inputs[$0].part(0, time), 4) }
      func plus(_ x: Tensor, _ position: Int) -> Tensor { extra.map { x + $0[position] } ?? x }
      let gates = at.gates.map { parts(inputs[$0].part(0, time), 4) } ?? []
      var passed: Tensor?
      let share: Tensor
      switch cell {
      case .tanh: share = d * (1 - y * y)
      case .relu: share = select(y .> 0, d, 0)
      case .lstm:
        let memories = inputs[at.c!]
        let past = step == 0 ? inputs[at.c0!] : memories.part(0, order[step - 1])
        let squashed = MartletOps.tanh(memories.part(0, time))
        var slope = dc + d * gates[3] * (1 - squashed * squashed)
        if let position = at.dc { slope = slope + inputs[position].part(0, time) }
        let (i, f, n, o) = (gates[0], gates[1], gates[2], gates[3])
        share = concat(
          [
            plus(slope * n, 0) * i * (1 - i), plus(slope * past, 1) * f * (1 - f), plus(slope * i, 2) * (1 - n * n),
            plus(d * squashed, 3) * o * (1 - o),
          ], axis: 1)
        dc = slope * f
      case .gru:
        let (reset, keep, new, hidden) = (gates[0], gates[1], gates[2], gates[3])
        let dn = plus(d * (1 - keep), 2) * (1 - new * new)
        let dz = plus(d * (before - new), 1) * keep * (1 - keep)
        let dr = plus(dn * hidden, 0) * reset * (1 - reset)
        share = concat([dr, dz, plus(dn * reset, 3)], axis: 1)
        dxs.append(concat([dr, dz, dn], axis: 1))
        passed = d * keep
      }
      shares.append(share)
      dh = multiplied(share, weight)
      if let passed { dh = dh + passed }
    }
    let one = concat([Tensor](repeating: nothing, count: cell.gates), axis: 1)
    let share = stacked(shares.reversed(), like: one)
    switch cell {
    case .tanh, .relu: return [share, dh]
    case .lstm: return [share, dh, dc]
    case .gru: return [stacked(dxs.reversed(), like: one), dh, share]
    }
  }
}
