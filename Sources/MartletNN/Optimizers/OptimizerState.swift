public import MartletCore

extension Optimizer {
  /// The rate, the moments and the counts of steps by name, as a snapshot: what a checkpoint keeps beside `model.state`.
  public var state: State { State(cells.compactMap { entry in entry.cell.read().map { (entry.name, $0) } }) }

  /// Goes on from the state of an optimizer of the same kind over parameters of the same shapes.
  ///
  /// Throws, and changes nothing, when names are missing or unknown or shapes or dtypes differ; the error lists all of them.
  public func load(_ state: State) throws(OpError) {
    try check(state)
    for entry in cells { entry.cell.write(state[entry.name]) }
  }

  /// Throws the error of `load` for a state that does not fit.
  package func check(_ state: State) throws(OpError) {
    let known = Dictionary(cells.map { ($0.name, $0.cell) }) { first, _ in first }
    let given = Dictionary(state.entries.map { ($0.name, $0.tensor) }) { first, _ in first }
    let missing = cells.filter { given[$0.name] == nil && $0.cell.read() != nil }.map { $0.name }
    let unexpected = state.names.filter { known[$0] == nil }
    let misshapen = state.entries.compactMap { name, tensor -> String? in
      guard let here = known[name]?.read()?.spec ?? spec(of: name[...]),
        here.shape != tensor.shape || here.dtype != tensor.dtype
      else { return nil }
      return "\(name): \(here) here, \(tensor.spec) given"
    }
    guard missing.isEmpty, unexpected.isEmpty, misshapen.isEmpty else {
      throw OpError(
        .stateNames(missing: missing, unexpected: unexpected, misshapen: misshapen, near: []), op: "load")
    }
  }

  /// What a cell that is empty before the first step will hold: like the parameter whose number its name ends with.
  private func spec(of name: Substring) -> TensorSpec? {
    if let group = self as? OptimizerGroup {
      guard let dot = name.firstIndex(of: "."), let index = Int(name[..<dot]), group.optimizers.indices.contains(index)
      else { return nil }
      return group.optimizers[index].spec(of: name[name.index(after: dot)...])
    }
    guard let last = name.split(separator: ".").last, let index = Int(last), parameters.indices.contains(index) else {
      return nil
    }
    return parameters[index].read()?.spec
  }
}
