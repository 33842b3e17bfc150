internal import MartletCore

/// Attention that was found: what it reads, and the products that `Attention` and `AttentionGradient` compute in their place.
struct WrittenAttention {
  /// A matrix product, or its transpose.
  struct Product {
    let line: Int
    let isTransposed: Bool
  }
  /// What the products multiply.
  struct Operands {
    let q: MatrixView
    let k: MatrixView
    let v: MatrixView
  }
  struct Gradient {
    let g: MatrixView
    /// Of q, k and v; nil for those that nobody wants.
    let products: [Product?]
  }
  let operands: Operands
  let scale: Double
  let masking: ScoreMasking
  let result: Product
  let gradient: Gradient?
}

/// A value with its axes in another order. Matrices are the same where source and order are.
struct MatrixView: Equatable {
  let source: Program.ValueID
  /// Axis `i` is axis `order[i]` of the source.
  let order: Shape

  var transposed: MatrixView {
    var turned = order
    turned[-2] = order[-1]
    turned[-1] = order[-2]
    return MatrixView(source: source, order: turned)
  }
}

/// What is done with scores between the product and the softmax; the gradient goes the same way back.
private enum ScoreStep {
  case cast(from: DType)
  case multiplied(by: Double)
  case divided(by: Double)
  case masked(ScoreMask)
}

struct AttentionMatcher {
  private let program: Program
  private let makers: [Int?]
  private let readers: [[Int]]
  private let constants: [Program.ValueID: Tensor]
  /// Beyond so many steps from product to softmax nothing is attention.
  private static let mostSteps = 8

  init(_ program: Program) {
    self.program = program
    makers = program.makers
    readers = program.readers
    constants = program.constantTensors
  }

  /// The attention with the softmax of a line.
  func attention(at line: Int) -> WrittenAttention? {
    let instruction = program.instructions[line]
    let soft = instruction.outputs.first ?? 0
    guard let op = instruction.op as? Softmax, op.axis == program.values[soft].rank - 1,
      let scores = scores(instruction.inputs[0])
    else { return nil }
    // In products of few bits weights are rounded after the softmax.
    guard let direct = uses(soft) else { return nil }
    let cast = direct.first { program.instructions[$0].op is Cast && program.instructions[$0].inputs == [soft] }
    let weights = cast.map { output($0) } ?? soft
    guard let uses = cast == nil ? direct : uses(weights) else { return nil }

    // A product that adds over the keys is the result, one that adds over the queries the gradient of the values.
    let matrix = view(weights)
    let results = uses.filter { product($0, with: matrix) != nil }
    let valueGradients = uses.filter { product($0, with: matrix.transposed) != nil }
    guard results.count == 1, let result = product(results[0], with: matrix), valueGradients.count <= 1 else {
      return nil
    }
    let factors = program.instructions[scores.product].inputs.map(view)
    let operands = WrittenAttention.Operands(q: factors[0], k: factors[1].transposed, v: result.other)
    guard operands.v.source != soft, operands.v.source != weights, let scaling = scaling(scores.steps),
      haveOneForm(operands, weights),
      let masking = ScoreMasking(scaling.masks, shape(soft), constants)
    else { return nil }

    let others = Set(direct + uses).subtracting(results + valueGradients + [cast].compactMap { $0 })
    var gradient: WrittenAttention.Gradient?
    if !others.isEmpty || !valueGradients.isEmpty {
      let dv = valueGradients.first.flatMap { product($0, with: matrix.transposed) }
      gradient = self.gradient(operands, dv, soft, scores.steps, isCast: cast != nil, others.sorted())
      guard let gradient, gradient.products.allSatisfy({ ($0?.line ?? .max) > results[0] }),
        isLike(gradient.g, rowsOf: weights, columnsOf: operands.v)
      else { return nil }
    }
    return WrittenAttention(
      operands: operands, scale: scaling.factor, masking: masking, result: result.place, gradient: gradient)
  }

  // MARK: the way to the softmax

  /// The line of the product from which scores come, and the steps between; each is read by the next alone.
  private func scores(_ id: Program.ValueID, depth: Int = 0) -> (product: Int, steps: [ScoreStep])? {
    guard depth < Self.mostSteps, readers[id].count == 1, let line = makers[id],
      [.float32, .bfloat16].contains(program.values[id].dtype)
    else { return nil }
    let instruction = program.instructions[line]
    let x = instruction.inputs
    func before(_ position: Int, _ step: ScoreStep) -> (product: Int, steps: [ScoreStep])? {
      guard shape(x[position]) == shape(id) else { return nil }
      return scores(x[position], depth: depth + 1).map { ($0.product, $0.steps + [step]) }
    }
    switch instruction.op {
    case is Matmul: return (line, [])
    case is Cast: return before(0, .cast(from: program.values[x[0]].dtype))
    case is Multiply:
      if let factor = number(x[1]) { return before(0, .multiplied(by: factor)) }
      return number(x[0]).flatMap { before(1, .multiplied(by: $0)) }
    case is Divide: return number(x[1]).flatMap { before(0, .divided(by: $0)) }
    case is Add:
      return before(0, .masked(.added(x[1]))) ?? before(1, .masked(.added(x[0])))
    case is Select:
      if number(x[2]) == -.infinity { return before(1, .masked(.seen(x[0], where: true))) }
      return number(x[1]) == -.infinity ? before(2, .masked(.seen(x[0], where: false))) : nil
    default: return nil
    }
  }

  /// The factor of the scores and the masks; nil where masks are scaled too.
  private func scaling(_ steps: [ScoreStep]) -> (factor: Double, masks: [ScoreMask])? {
    var (factor, masks) = (1.0, [ScoreMask]())
    for step in steps {
      switch step {
      case .cast: continue
      case .masked(let mask): masks.append(mask)
      case .multiplied(let number) where masks.isEmpty: factor *= number
      case .divided(let number) where masks.isEmpty: factor /= number
      default: return nil
      }
    }
    return factor.isFinite ? (factor, masks) : nil
  }

  /// Whether queries, keys and values have one dtype and the same leading axes.
  private func haveOneForm(_ operands: WrittenAttention.Operands, _ weights: Program.ValueID) -> Bool {
    let all = [operands.q, operands.k, operands.v]
    let leading = shape(weights).dropLast(2)
    return shape(weights)[-1] > 0
      && all.allSatisfy { view in
        program.values[view.source].dtype == program.values[all[0].source].dtype
          && view.order.dropLast(2).map { shape(view.source)[$0] }.elementsEqual(leading)
      }
  }

  /// Whether a matrix has the rows of the weights and the columns of the values, as the result has and its cotangent must.
  private func isLike(_ g: MatrixView, rowsOf weights: Program.ValueID, columnsOf v: MatrixView) -> Bool {
    let sizes = g.order.map { shape(g.source)[$0] }
    return sizes.dropLast().elementsEqual(shape(weights).dropLast()) && sizes.last == shape(v.source)[v.order[-1]]
      && program.values[g.source].dtype == program.values[v.source].dtype
  }

  // MARK: the way back

  /// The gradient, where `others`, what reads the weights beside the products with values and `g`, is the softmax's rule.
  private func gradient(
    _ operands: WrittenAttention.Operands, _ dv: (place: WrittenAttention.Product, other: MatrixView)?,
    _ soft: Program.ValueID, _ steps: [ScoreStep], isCast: Bool, _ others: [Int]
  ) -> WrittenAttention.Gradient? {
    if others.isEmpty, let dv { return WrittenAttention.Gradient(g: dv.other, products: [nil, nil, dv.place]) }
    guard let rule = softmaxGradient(soft, others), let made = isCast ? uncast(rule.cotangent) : rule.cotangent,
      readers[made].count == 1, let line = makers[made], program.instructions[line].op is Matmul
    else { return nil }
    let factors = program.instructions[line].inputs.map(view)
    guard factors[1] == operands.v.transposed, dv.map({ $0.other == factors[0] }) ?? true else { return nil }

    var slope = rule.result
    for step in steps.reversed() {
      guard let before = back(step, slope) else { return nil }
      slope = before
    }
    let matrix = view(slope)
    guard let uses = uses(slope) else { return nil }
    let dq = uses.compactMap { product($0, with: matrix) }.filter { $0.other == operands.k }
    let dk = uses.compactMap { product($0, with: matrix.transposed) }.filter { $0.other == operands.q }
    guard dq.count <= 1, dk.count <= 1, uses.count == dq.count + dk.count else { return nil }
    return WrittenAttention.Gradient(
      g: factors[0], products: [dq.first?.place, dk.first?.place, dv?.place])
  }

  /// `w dw - w Σ(w dw)` of the two lines that multiply by the weights: `dw` and the whole.
  private func softmaxGradient(
    _ weights: Program.ValueID, _ lines: [Int]
  ) -> (cotangent: Program.ValueID, result: Program.ValueID)? {
    guard lines.count == 2, lines.allSatisfy({ program.instructions[$0].op is Multiply }) else { return nil }
    let (weighted, sums) = (output(lines[0]), output(lines[1]))
    guard readers[weighted].count == 2, let cotangent = other(than: weights, lines[0]),
      let sum = other(than: weights, lines[1]), readers[sum].count == 1, let adding = makers[sum],
      let op = program.instructions[adding].op as? Sum, op.keepDims, op.axes == [shape(weighted).rank - 1],
      program.instructions[adding].inputs == [weighted],
      let end = reader(of: sums), program.instructions[end].op is Subtract,
      program.instructions[end].inputs == [weighted, sums]
    else { return nil }
    return (cotangent, output(end))
  }

  /// The gradient before a step from that behind it.
  private func back(_ step: ScoreStep, _ gradient: Program.ValueID) -> Program.ValueID? {
    if case .masked(.added) = step { return gradient }
    guard let line = reader(of: gradient) else { return nil }
    let instruction = program.instructions[line]
    let x = instruction.inputs
    let fits =
      switch step {
      case .cast(let dtype): instruction.op is Cast && program.values[output(line)].dtype == dtype
      case .multiplied(let factor): instruction.op is Multiply && number(other(than: gradient, line)) == factor
      case .divided(let divisor): instruction.op is Divide && x[0] == gradient && number(x[1]) == divisor
      case .masked(.seen(let mask, let truth)):
        instruction.op is Select && x[0] == mask && x[truth ? 1 : 2] == gradient && number(x[truth ? 2 : 1]) == 0
      case .masked(.added): true
      }
    return fits && shape(output(line)) == shape(gradient) ? output(line) : nil
  }

  /// What a cast that alone reads it has cast.
  private func uncast(_ id: Program.ValueID) -> Program.ValueID? {
    guard readers[id].count == 1, let line = makers[id], program.instructions[line].op is Cast else { return nil }
    return program.instructions[line].inputs[0]
  }

  // MARK: reading the program

  private func shape(_ id: Program.ValueID) -> Shape { program.values[id].shape }
  private func output(_ line: Int) -> Program.ValueID { program.instructions[line].outputs[0] }

  /// The number that an operand is.
  private func number(_ id: Program.ValueID?) -> Double? {
    id.flatMap { constants[$0] }.flatMap { $0.count == 1 && $0.dtype.isFloating ? $0.item() : nil }
  }

  /// The one instruction that reads a value.
  private func reader(of id: Program.ValueID) -> Int? {
    readers[id].count == 1 && readers[id][0] < program.instructions.count ? readers[id][0] : nil
  }

  /// The operand beside `id` of an operation on two.
  private func other(than id: Program.ValueID, _ line: Int) -> Program.ValueID? {
    let x = program.instructions[line].inputs
    return x[0] == id ? x[1] : x[1] == id ? x[0] : nil
  }

  /// The instructions that read a value or its axes in another order; nil where the caller does.
  private func uses(_ id: Program.ValueID) -> [Int]? {
    var lines: [Int] = []
    for line in Set(readers[id]).sorted() {
      guard line < program.instructions.count else { return nil }
      guard program.instructions[line].op is Permute else {
        lines.append(line)
        continue
      }
      guard let more = uses(output(line)) else { return nil }
      lines += more
    }
    return lines
  }

  private func view(_ id: Program.ValueID) -> MatrixView {
    guard let line = makers[id], let op = program.instructions[line].op as? Permute else {
      return MatrixView(source: id, order: Shape(0..<shape(id).rank))
    }
    let inner = view(program.instructions[line].inputs[0])
    return MatrixView(source: inner.source, order: Shape(op.order.map { inner.order[$0] }))
  }

  /// The line as `matrix · other`, or the transpose of that; nil where it is neither.
  private func product(
    _ line: Int, with matrix: MatrixView
  ) -> (place: WrittenAttention.Product, other: MatrixView)? {
    guard program.instructions[line].op is Matmul else { return nil }
    let factors = program.instructions[line].inputs.map(view)
    if factors[0] == matrix { return (WrittenAttention.Product(line: line, isTransposed: false), factors[1]) }
    guard factors[1] == matrix.transposed else { return nil }
    return (WrittenAttention.Product(line: line, isTransposed: true), factors[0].transposed)
  }
}
