package import MartletCore

/// A body that runs once for each row: JAX's `lax.scan`.
///
/// Inputs: states, then tensors of `length` rows, then tensors that every step shares. The body takes states, a row of each
/// and the shared tensors, and gives the new states and what becomes a row of each further output.
package struct Scan: ControlOp {
  package static var id: OpID { OpTable.scan.id }
  package static var name: String { "scan" }
  package static var rules: Rules { [.vjp, .jvp, .batched, .recordsAnother] }
  package let body: Subprogram
  package let states: Int
  package let scanned: Int
  package let length: Int
  /// From the last row to the first; outputs keep their places.
  package let isReversed: Bool
  /// How it is differentiated, where it is recorded: the body then gives what that reads.
  package let reversal: Reversal?

  package init(
    body: Subprogram, states: Int, scanned: Int, length: Int, isReversed: Bool = false, reversal: Reversal? = nil
  ) {
    self.body = body
    self.states = states
    self.scanned = scanned
    self.length = length
    self.isReversed = isReversed
    self.reversal = reversal
  }

  package var subprograms: [(name: String, body: Subprogram)] { [("body", body)] }
  package var attributes: String {
    "states=\(states), scanned=\(scanned), length=\(length)\(isReversed ? ", reversed" : "")"
  }
  package var outputCount: Int { body.outputs.count }

  package var silent: Scan {
    Scan(
      body: body.silent, states: states, scanned: scanned, length: length, isReversed: isReversed, reversal: reversal)
  }

  // In files: how it is differentiated is made anew where it is.
  private enum CodingKeys: CodingKey { case body, states, scanned, length, isReversed }
  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      body: try container.decode(Subprogram.self, forKey: .body),
      states: try container.decode(Int.self, forKey: .states),
      scanned: try container.decode(Int.self, forKey: .scanned),
      length: try container.decode(Int.self, forKey: .length),
      isReversed: try container.decode(Bool.self, forKey: .isReversed))
  }
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(body, forKey: .body)
    try container.encode(states, forKey: .states)
    try container.encode(scanned, forKey: .scanned)
    try container.encode(length, forKey: .length)
    try container.encode(isReversed, forKey: .isReversed)
  }

  private func kind(_ position: Int) -> (isState: Bool, isRow: Bool) {
    (position < states, position >= states && position < states + scanned)
  }

  package func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard states >= 0, scanned >= 0, length >= 0, states <= body.outputs.count,
      states <= body.inputs.count, scanned <= body.inputs.count - states,
      body.inputs.prefix(states) == body.outputs.prefix(states),
      (body.inputs.dropFirst(states).prefix(scanned) + body.outputs.dropFirst(states)).allSatisfy({
        $0.rank < Shape.maxRank
      })
    else {
      throw OpError(.misuse("the body gives other states than it takes", rule: "a body of states and rows"))
    }
    let wanted = body.inputs.enumerated().map { position, spec in
      kind(position).isRow ? spec.with(shape: spec.shape.inserting(length, at: 0)) : spec
    }
    try check(inputs, are: wanted)
    return body.on(inputs.first?.device ?? body.device).outputs.enumerated().map { position, spec in
      position < states ? spec : spec.with(shape: spec.shape.inserting(length, at: 0))
    }
  }

  package func run(_ inputs: [Tensor]) throws(OpError) -> [Tensor] {
    let device = inputs.first?.device ?? body.device
    let body = body.on(device)
    var carried = Array(inputs.prefix(states))
    let columns = Array(inputs[states..<states + scanned])
    let shared = Array(inputs.dropFirst(states + scanned))
    let specs = body.outputs.dropFirst(states)
    // On the CPU rows are written where they belong; a device that queues its work gets them stacked at the end.
    let isDirect = device == .cpu || length == 0
    var results: [Tensor] = []
    if isDirect {
      for spec in specs {
        results.append(try .uninitialized(spec.with(shape: spec.shape.inserting(length, at: 0))))
      }
    }
    var kept = [[Tensor]](repeating: [], count: isDirect ? 0 : specs.count)
    var arguments: [Tensor] = []
    for step in 0..<length {
      let row = isReversed ? length - 1 - step : step
      arguments.removeAll(keepingCapacity: true)
      arguments += carried
      for column in columns { arguments.append(column.row(row)) }
      arguments += shared
      carried = []
      let outputs = try body.run(arguments)
      for position in specs.indices {
        if isDirect {
          outputs[position].write(to: results[position - states].row(row).node)
        } else {
          kept[position - states].append(outputs[position])
        }
      }
      carried = Array(outputs.prefix(states))
    }
    if !isDirect { results = kept.map { stack(isReversed ? $0.reversed() : $0) } }
    return carried + results
  }

  package func recording(_ inputs: [TensorSpec], needs: [Bool]) throws(OpError) -> (op: Scan, more: [Tensor])? {
    let device = inputs[0].device
    let reversal = try Reversal.of(body.on(device), active: needs, states: states, scanned: scanned)
    let forward = reversal.split.forward
    let op = Scan(
      body: forward.body, states: states, scanned: scanned, length: length, isReversed: isReversed, reversal: reversal)
    return (op, forward.constants)
  }

  package func saves(needs: Positions) -> Saves {
    guard let reversal else { return .nothing }
    var saves = Saves()
    for position in reversal.keptRows + reversal.keptShared { saves.inputs[position] = true }
    let count = body.outputs.count
    for position in count - reversal.residuals.count..<count { saves.outputs[position] = true }
    return saves
  }

  package func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    guard let reversal else { fatalError("Martlet: a scan was recorded without its derivative") }
    let device = reversal.split.forward.body.device
    func zeros(_ spec: TensorSpec) -> Tensor {
      Tensor(repeating: 0, TensorSpec([], spec.dtype, device: device)).expanded(
        to: spec.shape.inserting(length, at: 0))
    }
    let outputs = body.on(device).outputs
    let inputs = body.on(device).inputs
    let first =
      reversal.states.map { ct[$0] ?? Tensor(repeating: 0, outputs[$0]) }
      + reversal.shared.map { Tensor(repeating: 0, inputs[$0]) }
    let rows =
      reversal.results.map { ct[$0] ?? zeros(outputs[$0]) } + reversal.keptRows.map { saved.input($0) }
      + (outputs.count - reversal.residuals.count..<outputs.count).map { saved.output($0) }
    let back = Scan(
      body: reversal.body.body, states: first.count, scanned: rows.count, length: length, isReversed: !isReversed)
    let results = apply(
      back, first + rows + reversal.keptShared.map { saved.input($0) } + reversal.body.constants)
    var cotangents = [Cotangent?](repeating: nil, count: saved.inputs.count)
    for (position, result) in zip(reversal.states + reversal.shared + reversal.rows, results)
    where saved.specs[position] != nil {
      cotangents[position] = .dense(result)
    }
    return cotangents
  }

  package func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    let body = body.silent.on(inputs[0].device)
    let active = body.closed(t.map { $0 != nil }, states: states, smoothly: true)
    let reached = body.reached(from: active, smoothly: true)
    let moving = body.outputs.indices.map { $0 < states ? active[$0] : reached[$0] }
    guard moving.contains(true) else { return moving.map { _ in nil } }
    do throws(OpError) {
      let rule = try body.jvp(active: active, results: moving, withValues: true)
      // The rule's inputs and outputs in the order of a scan: states with their tangents, rows with theirs, the shared.
      let places = { (kind: (Int) -> Bool) in active.indices.filter { kind($0) } }
      let (stateInputs, rowInputs) = (places { kind($0).isState }, places { kind($0).isRow })
      let sharedInputs = places { !kind($0).isState && !kind($0).isRow }
      let tangentOf = Dictionary(
        uniqueKeysWithValues: active.indices.filter { active[$0] }.enumerated().map { ($1, active.count + $0) })
      func both(_ positions: [Int]) -> [Int] { positions + positions.compactMap { tangentOf[$0] } }
      let order = both(stateInputs) + both(rowInputs) + both(sharedInputs)
      let tangentResults = moving.indices.filter { moving[$0] }
      let count = moving.count
      let resultOrder =
        Array(0..<states) + tangentResults.indices.filter { tangentResults[$0] < states }.map { count + $0 }
        + Array(states..<count) + tangentResults.indices.filter { tangentResults[$0] >= states }.map { count + $0 }
      let arranged = rule.body.arranged(
        inputs: order + Array(active.count + tangentOf.count..<rule.body.inputs.count), outputs: resultOrder)
      let op = Scan(
        body: arranged, states: both(stateInputs).count, scanned: both(rowInputs).count, length: length,
        isReversed: isReversed)
      let all =
        inputs.indices.map { inputs[$0] }
        + active.indices.filter { active[$0] }.map {
          t[$0] ?? Tensor(repeating: 0, inputs[$0].spec)
        }
      let results = apply(op, order.map { all[$0] } + rule.constants)
      var tangents = [Tensor?](repeating: nil, count: count)
      for (place, result) in zip(resultOrder, results) where place >= count {
        tangents[tangentResults[place - count]] = result
      }
      return tangents
    } catch { return fail(error, inputs, count: outputs.count) }
  }

  package func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let size = zip(inputs, mapped).first { $1 }!.0.shape[0]
    let body = body.on(inputs[0].device)
    let active = body.closed(mapped, states: states, smoothly: false)
    let reached = body.reached(from: active, smoothly: false)
    let results = body.outputs.indices.map { $0 < states ? active[$0] : reached[$0] }
    do throws(OpError) {
      let rule = try body.batched(mapped: active, results: results, size: size)
      let op = Scan(body: rule.body, states: states, scanned: scanned, length: length, isReversed: isReversed)
      let given = inputs.enumerated().map { position, input -> Tensor in
        guard active[position] else { return input }
        if kind(position).isRow { return input.movingAxis(0, to: 1) }
        return allMapped(input, mapped[position], size)
      }
      return apply(op, given + rule.constants).enumerated().map { position, output in
        guard results[position] else { return allMapped(output, false, size) }
        return position < states ? output : output.movingAxis(1, to: 0)
      }
    } catch { return failed(self, error, inputs) }
  }
}

extension Tensor {
  /// Row `index` of a plain tensor, over the same memory.
  func row(_ index: Int) -> Tensor {
    let shape = Shape(Array(shape.dropFirst()))
    let strides = node.strides.map { Shape(Array($0.dropFirst())) }
    let step = node.strides.map { $0[0] } ?? shape.elementCount
    return Tensor(
      node: TensorNode(
        spec: spec.with(shape: shape), strides: strides == shape.contiguousStrides ? nil : strides,
        offset: node.offset + index * step, storage: node.storage!))
  }
}
