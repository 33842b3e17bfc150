import MartletCore

/// The derivative of a loop's body as the body of a loop that runs back.
///
/// Its states are the cotangents of the states and the sums of those of the shared inputs; it reads in each step the
/// cotangents of what the step has given, and what it has kept.
package final class Reversal: Sendable, Hashable {
  let split: Split
  /// Inputs: cotangents of states, sums, cotangents of results, kept rows, residuals, kept shared inputs. Outputs: the
  /// cotangents of states a step earlier, the new sums, cotangents of rows.
  let body: Derived
  /// The inputs of which there are cotangents, by kind.
  let states: [Int]
  let rows: [Int]
  let shared: [Int]
  /// The outputs behind the states of which there are cotangents.
  let results: [Int]
  let keptRows: [Int]
  let keptShared: [Int]
  let residuals: [TensorSpec]

  package static func == (a: Reversal, b: Reversal) -> Bool { a === b }
  package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }

  /// Of a body whose first `states` inputs and outputs are states, and whose next `scanned` inputs differ from step to step.
  static func of(_ body: Subprogram, active: [Bool], states: Int, scanned: Int) throws(OpError) -> Reversal {
    let active = body.closed(active, states: states, smoothly: true)
    return try body.derived("reversal \(states) \(scanned)", active) { () throws(OpError) in
      try Reversal(body, active, states, scanned)
    }
  }

  private init(_ forward: Subprogram, _ active: [Bool], _ stateCount: Int, _ scanned: Int) throws(OpError) {
    let active = zip(active, forward.inputs).map { $0 && $1.dtype.isInexact }
    let reached = forward.reached(from: active, smoothly: true)
    let results = forward.outputs.indices.map { $0 < stateCount ? active[$0] : reached[$0] }
    let split = try forward.split(
      active: active, results: results, kept: forward.inputs.indices.map { $0 >= stateCount })
    let isState = { $0 < stateCount }
    let isRow = { $0 >= stateCount && $0 < stateCount + scanned }
    let states = split.active.filter(isState)
    let rows = split.active.filter(isRow)
    let shared = split.active.filter { $0 >= stateCount + scanned }
    let ys = split.results.filter { $0 >= stateCount }
    let kept = split.sources.compactMap { source -> Int? in
      if case .input(let position) = source { position } else { nil }
    }
    let keptRows = kept.filter(isRow)
    let keptShared = kept.filter { !isRow($0) }
    let outputs = forward.outputs
    let residuals = Array(split.forward.body.outputs.dropFirst(outputs.count))
    let kinds: [[TensorSpec]] = [
      states.map { outputs[$0] }, shared.map { forward.inputs[$0] }, ys.map { outputs[$0] },
      keptRows.map { forward.inputs[$0] }, residuals, keptShared.map { forward.inputs[$0] },
    ]
    let activeInputs = split.active
    body = try Subprogram.traced(kinds.flatMap { $0 }) { given in
      var rest = given[...]
      let parts = kinds.map { kind -> [Tensor] in
        defer { rest = rest.dropFirst(kind.count) }
        return Array(rest.prefix(kind.count))
      }
      let sources = split.sources.map { source in
        switch source {
        case .residual(let position): parts[4][position]
        case .input(let position):
          keptRows.firstIndex(of: position).map { parts[3][$0] } ?? parts[5][keptShared.firstIndex(of: position)!]
        }
      }
      let gradients = split.backward.applied(parts[0] + parts[2] + sources)
      func gradient(_ input: Int) -> Tensor { gradients[activeInputs.firstIndex(of: input)!] }
      return states.map(gradient) + zip(parts[1], shared).map { $0 + gradient($1) } + rows.map(gradient)
    }
    self.split = split
    self.states = states
    self.rows = rows
    self.shared = shared
    self.results = ys
    self.keptRows = keptRows
    self.keptShared = keptShared
    self.residuals = residuals
  }

}
