package import MartletCore

extension Pass {
  /// Makes `Attention` of attention that is written out, with its backward part where the program has one: scores and weights
  /// are then nowhere in memory.
  ///
  ///     s = q · kᵀ, cast, scaled, masked    w = softmax(s)    y = w · v
  ///     dv = wᵀ · g    dw = g · vᵀ    ds = w dw - w Σ(w dw), masked, scaled, cast    dq = ds · k    dk = dsᵀ · q
  ///
  /// Nothing else may read scores and weights; the gradient of a mask would. Dropout of the weights is left alone too: the
  /// operation draws other random numbers.
  ///
  /// Masks are added, or put -∞ in the place of scores. A finite number in their place, as -1e9, is left alone: a row that may
  /// see nothing then sees all keys alike. Constants that show each query the keys up to its own become `isCausal`.
  ///
  /// A row that may see nothing is NaN when it is written out, and zeros by the operation. Unless the mask is a constant that
  /// leaves something to every row, the NaN are put back: the sum of such a row has the logarithm -∞, and -∞ - -∞ is added to
  /// the result, and to the gradient of the values, which has NaN for all keys then. Numbers that
  /// are not finite for another reason may come out otherwise: a row of scores that are all -∞ without a mask gives zeros, and a
  /// cotangent that is NaN reaches keys that were hidden too.
  package static let attention = Pass("attention") { program in
    guard program.instructions.contains(where: { $0.op is Softmax }),
      program.values.allSatisfy({ $0.device == .cpu })
    else { return }
    Rooms.require(.cpu)
    guard Kernels.hasKernel(Attention.self, .cpu), Kernels.hasKernel(AttentionGradient.self, .cpu) else { return }
    // What nobody needs must not count as a reader.
    Pass.deadCode.run(&program)
    let matcher = AttentionMatcher(program)
    let found = program.instructions.indices.compactMap { matcher.attention(at: $0) }
    guard !found.isEmpty else { return }
    var rewriting = AttentionRewriting(program)
    for attention in found {
      // What an operation refuses stays as it was written.
      var next = rewriting
      if (try? next.replace(attention)) != nil { rewriting = next }
    }
    program = rewriting.rewritten()
  }
}

/// Writes `Attention` in the place of what was found; what nobody reads any more goes with the dead code.
private struct AttentionRewriting {
  private var program: Program
  private let makers: [Int?]
  private var edits = Edits()

  init(_ program: Program) {
    self.program = program
    makers = program.makers
  }

  mutating func replace(_ written: WrittenAttention) throws {
    let line = written.result.line
    let operands = [written.operands.q, written.operands.k, written.operands.v]
    var masks: [Program.ValueID] = []
    var dtype = program.values[operands[0].source].dtype
    switch written.masking.mask {
    case .seen(let mask, where: let truth): masks = [try truth ? mask : inverted(mask, line)]
    case .added(let mask):
      // Scores of 16 bits that a mask of 32 is added to are wide from there on.
      if program.values[mask].dtype == .float32 { dtype = .float32 }
      masks = [try cast(mask, to: dtype, line)]
    case nil: break
    }
    let inputs = try operands.map { try operand($0, dtype, line) }
    let op = Attention(
      scale: written.scale, isCausal: written.masking.isCausal, hasMask: !masks.isEmpty, dropout: 0)
    let results = try append(op, inputs + masks, line)
    var (y, logSums) = (results[0], results[1])
    // NaN where a row saw nothing, else 0; and y without.
    let plain = y
    let unseen = try written.masking.mayHideRows ? append(Subtract(), [logSums, logSums], line)[0] : nil
    if let unseen { y = try append(Add(), [y, cast(columns(unseen, line), to: dtype, line)], line)[0] }
    try put(y, for: written.result, line)

    guard let gradient = written.gradient else { return }
    let start = gradient.products.compactMap { $0?.line }.min()!
    let g = try operand(gradient.g, dtype, start)
    // Gradients pass through what is added to a score, but not to where another number was put.
    let seen = if case .seen = written.masking.mask { plain } else { y }
    let product = try append(
      Multiply(), [cast(g, to: .float32, start), cast(seen, to: .float32, start)], start)[0]
    let last = program.values[product].rank - 1
    let delta = try append(Sum(axes: [last], keepDims: false), [product], start)[0]
    let backward = AttentionGradient(scale: op.scale, isCausal: op.isCausal, hasMask: op.hasMask, dropout: 0)
    var parts = try append(backward, inputs + [g, logSums, delta] + masks, start)
    if let unseen, gradient.products[2] != nil {
      let sum = try append(Sum(axes: [last - 1], keepDims: true), [unseen], start)[0]
      parts[2] = try append(Add(), [parts[2], cast(columns(sum, start), to: dtype, start)], start)[0]
    }
    for (part, place) in zip(parts, gradient.products) {
      if let place { try put(part, for: place, start) }
    }
  }

  /// Lets all read the result of an attention, or a gradient, in place of a product.
  private mutating func put(_ id: Program.ValueID, for product: WrittenAttention.Product, _ line: Int) throws {
    let old = program.instructions[product.line].outputs[0]
    let spec = program.values[old]
    var new = try cast(id, to: spec.dtype, line)
    if spec.rank == 2 {
      let shape = program.values[new].shape.removing(at: 0)
      new = try append(Reshape(shape: shape), [new], line)[0]
    }
    if product.isTransposed {
      let order = MatrixView(source: new, order: Shape(0..<spec.rank)).transposed.order
      new = try append(Permute(order: order), [new], line)[0]
    }
    edits.redirect(old, to: new)
  }

  /// A matrix as the operation takes it: with an axis of heads, and of a dtype.
  private mutating func operand(_ view: MatrixView, _ dtype: DType, _ line: Int) throws -> Program.ValueID {
    var id = view.source
    if !view.order.elementsEqual(0..<view.order.rank) { id = try append(Permute(order: view.order), [id], line)[0] }
    let shape = program.values[id].shape
    if shape.rank == 2 { id = try append(Reshape(shape: shape.inserting(1, at: 0)), [id], line)[0] }
    return try cast(id, to: dtype, line)
  }

  private mutating func cast(_ id: Program.ValueID, to dtype: DType, _ line: Int) throws -> Program.ValueID {
    try program.values[id].dtype == dtype ? id : append(Cast(dtype: dtype), [id], line)[0]
  }

  /// The numbers as matrices of one column.
  private mutating func columns(_ id: Program.ValueID, _ line: Int) throws -> Program.ValueID {
    let shape = program.values[id].shape
    return try append(Reshape(shape: shape.inserting(1, at: shape.rank)), [id], line)[0]
  }

  private mutating func inverted(_ id: Program.ValueID, _ line: Int) throws -> Program.ValueID {
    if let maker = makers[id], program.instructions[maker].op is LogicalNot {
      return program.instructions[maker].inputs[0]
    }
    return try append(LogicalNot(), [id], line)[0]
  }

  /// A new instruction before a line.
  private mutating func append(_ op: any Op, _ inputs: [Program.ValueID], _ line: Int) throws -> [Program.ValueID] {
    try edits.insert(op, inputs, before: line, of: &program)
  }

  func rewritten() -> Program {
    var result = edits.applied(to: program)
    // Constant masks are inverted once, and views made twice are one.
    for pass in [Pass.constantFolding, .algebra, .commonSubexpressions, .deadCode] { pass.run(&result) }
    return result
  }
}
