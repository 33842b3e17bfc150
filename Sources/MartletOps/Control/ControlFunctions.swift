public import MartletCore

// Control flow on values. Where values are at hand it is Swift's own: `if`, `while`, `for`. Inside `compile`, and where vmap
// gives each example a predicate of its own, the functions are captured once and become the subprograms of one operation.

/// What `then` or `otherwise` gives, as the predicate says: `if` on a value, in every moment.
///
/// Outside of `compile` only the branch that is taken runs. Inside, both are captured, and the one that is taken runs when
/// the program does. With a predicate for each example of a `vmap` both run, and each example takes its own result; its
/// derivative passes only through the branch that it takes. What `withoutGradient` mutes in a branch that is captured is
/// constant, in forward mode too; this holds for the bodies of `whileLoop` and `scan` as well.
///
/// Both branches give values of one structure, shapes and dtypes. They may read parameters and write buffers.
///
///     let y = cond(z .< 0) { matmul(x, a) } else: { matmul(x, b) }
///
/// - Parameter predicate: a scalar of dtype bool.
///
/// Source: TensorFlow `tf.cond`, PyTorch `torch.cond`.
public func cond<R: TensorTree>(_ predicate: Tensor, then: () -> R, else otherwise: () -> R) -> R {
  let call = Context.enter("cond")
  defer { Context.leave(call) }
  if let error = predicateError(predicate, "cond", "the predicate") { return erroneous(error, otherwise) }
  if predicate.canBeRead { return predicate.item(as: Bool.self) ? then() : otherwise() }
  do throws(OpError) {
    var results: (then: R?, otherwise: R?) = (nil, nil)
    let first = try TracedBody([], name: "cond") { _ in
      let result = then()
      results.then = result
      return result.flattened
    }
    let second = try TracedBody([], name: "cond") { _ in
      let result = otherwise()
      results.otherwise = result
      return result.flattened
    }
    try checkBranches(first, second, results.then!.structure == results.otherwise!.structure)
    let joined = TracedBody.joined([first, second], states: 0, carries: false, writes: [true, true])
    let op = Branch(then: joined.bodies[0], otherwise: joined.bodies[1])
    let outputs = apply(op, [predicate] + joined.shared)
    let count = first.results.count
    for (cell, value) in zip(joined.cells, outputs.dropFirst(count)) { cell.write(value) }
    return results.then!.replacing(Array(outputs.prefix(count)))
  } catch { return erroneous(fail(error, [predicate])[0], otherwise) }
}

private func checkBranches(_ first: TracedBody, _ second: TracedBody, _ areAlike: Bool) throws(OpError) {
  guard areAlike, first.results.count == second.results.count else {
    throw OpError(
      .misuse(
        "`then` gives \(ErrorText.counted(first.results.count, "tensor")) and `else` "
          + "\(ErrorText.counted(second.results.count, "tensor")), or in another structure",
        rule: "both branches give values of one structure", remedy: "zeros in the place of what one of them has not"),
      op: "cond")
  }
  for (position, (a, b)) in zip(first.results, second.results).enumerated() where a != b {
    let what = first.results.count == 1 ? "" : " as result \(position)"
    throw OpError(
      .misuse(
        "`then` gives \(a) and `else` \(b)\(what)", rule: "both branches give tensors of one shape and dtype",
        remedy: "cast(to:), expanded(to:) or padded(…) in one of them"), op: "cond")
  }
}

/// Runs `body` from state to state as long as the condition holds: `while` on a value, in every moment.
///
/// Inside `compile` the number of steps may differ from call to call. It is differentiable in reverse mode too: the loop
/// then runs a second time and keeps what its derivative reads, and derivatives of higher order compute the states of each
/// step anew. In a `vmap` whose examples want different numbers of steps it goes on until none wants more; those that have
/// ended keep their states.
///
///     let root = whileLoop(x, while: { abs($0 * $0 - 2) .> 1e-6 }, maximum: 50) { ($0 + 2 / $0) / 2 }
///     let (steps, power) = whileLoop(TensorTuple(Tensor(0), x), while: { $0.values.0 .< 10 }) {
///       TensorTuple($0.values.0 + 1, $0.values.1 * x)
///     }.values
///
/// - Parameters:
///   - initial: the state: a tensor, or a tree of tensors; several parts are a `TensorTuple`, or a structure of one's own
///     (`TensorTree`).
///   - condition: a scalar of dtype bool from the state. It may not write cells.
///   - maximum: so many steps at most; if the condition still holds then, that is an error. By default there is no limit.
///   - body: the next state, of the structure, shapes and dtypes of the last. Cells that it writes (running statistics,
///     random generators) are carried from step to step.
///
/// Source: TensorFlow `tf.while_loop`, JAX `lax.while_loop`.
public func whileLoop<S: TensorTree>(
  _ initial: S, while condition: (S) -> Tensor, maximum: Int? = nil, body: (S) -> S
) -> S {
  let call = Context.enter("whileLoop")
  defer { Context.leave(call) }
  if let maximum, maximum < 0 {
    let error = failure(.count(name: "maximum", maximum, allowed: "0 or more"), op: "whileLoop", initial.flattened)
    return initial.mapTensors { _ in error }
  }
  var state = initial
  var count = 0
  while !StateFrame.isCapturing(state.flattened) {
    if let error = state.flattened.first(where: { $0.isError }) { return initial.mapTensors { _ in error } }
    let goesOn = condition(state)
    if let error = predicateError(goesOn, "whileLoop", "the condition") { return initial.mapTensors { _ in error } }
    guard goesOn.canBeRead else { break }
    guard goesOn.item(as: Bool.self) else { return state }
    if count == maximum {
      let error = fail(Loop.exceeded(count), state.flattened)[0]
      return initial.mapTensors { _ in error }
    }
    let next = body(state)
    if let error = stateChange(state, next, "whileLoop") {
      let error = fail(error, next.flattened)[0]
      return initial.mapTensors { _ in error }
    }
    state = next
    count += 1
  }
  return captured(state, while: condition, maximum: maximum.map { $0 - count }, body)
}

private func captured<S: TensorTree>(
  _ initial: S, while condition: (S) -> Tensor, maximum: Int?, _ body: (S) -> S
) -> S {
  let states = initial.flattened
  do throws(OpError) {
    let specs = states.map { $0.spec }
    var fault: OpError?
    let whether = try TracedBody(specs, name: "whileLoop") { state in
      let goesOn = condition(initial.replacing(state))
      return [predicateError(goesOn, "whileLoop", "the condition") ?? goesOn]
    }
    guard whether.writtenCells.isEmpty else {
      throw OpError(
        .misuse(
          "the condition writes \(whether.writtenCells[0].name)", rule: "the condition of a loop only reads",
          remedy: "write it in the body"), op: "whileLoop")
    }
    let step = try TracedBody(specs, name: "whileLoop") { state in
      let before = initial.replacing(state)
      let next = body(before)
      fault = stateChange(before, next, "whileLoop")
      return next.flattened
    }
    if let fault { throw fault }
    let joined = TracedBody.joined([whether, step], states: states.count, carries: true, writes: [false, true])
    let op = Loop(
      condition: joined.bodies[0], body: joined.bodies[1], states: states.count + joined.cells.count, maximum: maximum)
    let outputs = apply(op, states + joined.before + joined.shared)
    for (cell, value) in zip(joined.cells, outputs.dropFirst(states.count)) { cell.write(value) }
    return initial.replacing(Array(outputs.prefix(states.count)))
  } catch {
    let failed = fail(error, states)[0]
    return initial.mapTensors { _ in failed }
  }
}

/// Runs `body` for one row after the other: from the state and a row, the next state and a row of the result.
///
/// Inside `compile` the body is captured once, whatever the number of rows. It is differentiable to any order, and mappable;
/// the reverse pass is a scan from the last row to the first, over what the steps have kept.
///
///     let (last, outputs) = scan(x, from: h) { h, x in
///       let h = tanh(matmul(x, w) + matmul(h, u))
///       return (h, h)
///     }
///
/// - Parameters:
///   - xs: a tensor, or a tree of tensors, whose axes 0 have one size. It may be 0.
///   - initial: the first state.
///   - reverse: from the last row to the first; rows of the result keep their places.
///   - body: the next state has the structure, shapes and dtypes of the last. Cells that the body writes (running
///     statistics, random generators) are carried from step to step.
/// - Returns: the last state, and what the body gave beside it, stacked along a new axis 0.
///
/// Source: JAX `lax.scan`, TensorFlow `tf.scan`.
public func scan<X: TensorTree, S: TensorTree, Y: TensorTree>(
  _ xs: X, from initial: S, reverse: Bool = false, _ body: (S, X) -> (S, Y)
) -> (S, Y) {
  let call = Context.enter("scan")
  defer { Context.leave(call) }
  let columns = xs.flattened
  let sizes = columns.map { $0.rank == 0 ? -1 : $0.shape[0] }
  guard let length = sizes.first, length >= 0, sizes.allSatisfy({ $0 == length }) else {
    let problem =
      columns.isEmpty
      ? "xs has no tensors" : "the tensors of xs are \(columns.map { "\($0.spec)" }.joined(separator: ", "))"
    let error = failure(
      .misuse(
        problem, rule: "the tensors of xs have an axis 0, all of one size",
        remedy: columns.isEmpty
          ? "arange(n) for n steps without rows" : "reshaped(…) or movingAxis(…), or a part of one"),
      op: "scan")
    let result = withoutWrites { body(initial, xs) }
    return (initial.mapTensors { _ in error }, result.1.mapTensors { _ in error })
  }
  if StateFrame.isCapturing(columns + initial.flattened) || length == 0 {
    return captured(xs, length, from: initial, reverse: reverse, body)
  }
  var state = initial
  var rows: [[Tensor]] = []
  var template: Y?
  for step in 0..<length {
    let row = reverse ? length - 1 - step : step
    let (next, y) = body(state, xs.replacing(columns.map { $0[row] }))
    if let error = stateChange(state, next, "scan") {
      let failed = fail(error, next.flattened)[0]
      return (initial.mapTensors { _ in failed }, y.mapTensors { _ in failed })
    }
    state = next
    rows.append(y.flattened)
    template = y
  }
  if reverse { rows.reverse() }
  return (state, template!.replacing(rows[0].indices.map { position in stack(rows.map { $0[position] }) }))
}

private func captured<X: TensorTree, S: TensorTree, Y: TensorTree>(
  _ xs: X, _ length: Int, from initial: S, reverse: Bool, _ body: (S, X) -> (S, Y)
) -> (S, Y) {
  let columns = xs.flattened
  let states = initial.flattened
  var template: Y?
  do throws(OpError) {
    let rows = columns.map { $0.spec.with(shape: Shape(Array($0.shape.dropFirst()))) }
    var fault: OpError?
    let traced = try TracedBody(states.map { $0.spec } + rows, name: "scan") { given in
      let before = initial.replacing(Array(given.prefix(states.count)))
      let (next, y) = body(before, xs.replacing(Array(given.dropFirst(states.count))))
      template = y
      fault = stateChange(before, next, "scan")
      return next.flattened + y.flattened
    }
    if let fault { throw fault }
    let joined = TracedBody.joined([traced], states: states.count, carries: true, writes: [true])
    let count = states.count + joined.cells.count
    let op = Scan(
      body: joined.bodies[0], states: count, scanned: columns.count, length: length, isReversed: reverse)
    let outputs = apply(op, states + joined.before + columns + joined.shared)
    for (cell, value) in zip(joined.cells, outputs[states.count..<count]) { cell.write(value) }
    return (
      initial.replacing(Array(outputs.prefix(states.count))), template!.replacing(Array(outputs.dropFirst(count)))
    )
  } catch {
    let failed = fail(error, states + columns)[0]
    let shape = template ?? withoutWrites { body(initial.mapTensors { _ in failed }, xs.mapTensors { _ in failed }).1 }
    return (initial.mapTensors { _ in failed }, shape.mapTensors { _ in failed })
  }
}

/// The state after the last row: `scan` without rows of a result.
///
///     let y = foldl(x, from: y0) { previous, current in (previous + current) * w }
///
/// Source: TensorFlow `tf.foldl`.
public func foldl<X: TensorTree, S: TensorTree>(
  _ xs: X, from initial: S, reverse: Bool = false, _ body: (S, X) -> S
) -> S {
  scan(xs, from: initial, reverse: reverse) { (body($0, $1), [Tensor]()) }.0
}

/// What `body` gives for each row, stacked along axis 0; row after row. `vmap` computes all rows at once.
///
/// Source: TensorFlow `tf.map_fn`, JAX `lax.map`.
public func mapped<X: TensorTree, Y: TensorTree>(_ xs: X, _ body: (X) -> Y) -> Y {
  scan(xs, from: [Tensor]()) { ($0, body($1)) }.1
}

/// The error of a predicate that is none.
private func predicateError(_ predicate: Tensor, _ op: String, _ what: String) -> Tensor? {
  if predicate.isError { return predicate }
  if predicate.dtype == .bool, predicate.rank == 0 { return nil }
  return failure(
    .misuse(
      "\(what) is \(predicate.spec)", rule: "it is a scalar of dtype bool",
      remedy: predicate.dtype != .bool
        ? "a comparison, as in x .> 0"
        : op == "cond"
          ? "select(mask, a, b), which chooses element by element; or mask.any() or mask.all(), or vmap over the examples"
          : "any() or all() of it, or vmap over the examples"), op: op, [predicate])
}

/// A state that differs from the last in its structure or a spec.
private func stateChange<S: TensorTree>(_ before: S, _ after: S, _ op: String) -> OpError? {
  let (old, new) = (before.flattened, after.flattened)
  if new.contains(where: { $0.isError }) { return nil }
  guard old.count == new.count, before.structure == after.structure else {
    return OpError(
      .misuse(
        "the body gives a state of \(ErrorText.counted(new.count, "tensor")), and was given one of "
          + "\(ErrorText.counted(old.count, "tensor")), or in another structure",
        rule: "each state has the structure of the first", remedy: nil), op: op)
  }
  for (position, (a, b)) in zip(old, new).enumerated() where a.spec != b.spec {
    let name = old.count == 1 ? "the state" : "tensor \(position) of the state"
    return OpError(
      .misuse(
        "\(name) is \(a.spec), and the body makes \(b.spec) of it",
        rule: "the body gives a state of the shapes and dtypes that it was given",
        remedy: "an initial state of the final shape and dtype, or cast(to:) or reshaped(…) in the body"), op: op)
  }
  return nil
}

/// After an error: tensors of the error in the structure of what `body` gives.
private func erroneous<R: TensorTree>(_ error: Tensor, _ body: () -> R) -> R {
  withoutWrites { body() }.mapTensors { _ in error }
}
