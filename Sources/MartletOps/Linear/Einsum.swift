public import MartletCore

/// An equation of an Einstein sum with the sizes of its labels. A letter's label is its code; the axes of `…` have
/// negative ones, counted from the last.
private struct EinsumEquation {
  var operands: [[Int]] = []
  var output: [Int] = []
  var sizes: [Int: Int] = [:]

  init(_ text: String, _ shapes: [Shape]) throws(OpError) {
    func wrong(_ problem: String, _ rule: String, _ remedy: String? = nil) -> OpError {
      OpError(.misuse("the equation is \"\(text)\": \(problem)", rule: rule, remedy: remedy))
    }
    let plain = text.filter { !$0.isWhitespace }
    let sides = plain.split(separator: "->", omittingEmptySubsequences: false).map(String.init)
    guard sides.count <= 2 else { throw wrong("it has \(sides.count - 1) arrows", "one arrow \"->\" or none") }
    let terms = sides[0].split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    guard terms.count == shapes.count else {
      throw wrong(
        "it has \(terms.count) term\(terms.count == 1 ? "" : "s") for \(shapes.count) tensors",
        "a term for each tensor, with commas between them")
    }
    /// The labels of a term; nil stands for its ellipsis.
    func labels(_ term: String) throws(OpError) -> [Int?] {
      var labels: [Int?] = []
      var rest = term[...]
      while let character = rest.first {
        if rest.hasPrefix("...") || character == "…" {
          guard !labels.contains(nil) else { throw wrong("\"\(term)\" has two ellipses", "one \"...\" in a term") }
          labels.append(nil)
          rest = rest.dropFirst(character == "…" ? 1 : 3)
        } else {
          guard character.isASCII, character.isLetter else {
            throw wrong("\"\(character)\" is no label", "labels are the letters a to z and A to Z, and \"...\"")
          }
          labels.append(Int(character.asciiValue!))
          rest = rest.dropFirst()
        }
      }
      return labels
    }
    var ellipsis = 0
    for (position, (term, shape)) in zip(terms, shapes).enumerated() {
      let parsed = try labels(term)
      let letters = parsed.compactMap { $0 }.count
      let hidden = shape.rank - letters
      guard parsed.contains(nil) ? hidden >= 0 : hidden == 0 else {
        throw wrong(
          "\"\(term)\" has \(letters) label\(letters == 1 ? "" : "s"), and tensor \(position) has shape \(shape)",
          "a label for each axis" + (parsed.contains(nil) ? " outside of \"...\"" : ""),
          parsed.contains(nil) ? nil : "\"...\" stands for axes without a label")
      }
      ellipsis = Swift.max(ellipsis, parsed.contains(nil) ? hidden : 0)
      var axes: [Int] = []
      for label in parsed {
        if let label { axes.append(label) } else { axes += (0..<hidden).map { $0 - hidden } }
      }
      for (axis, label) in axes.enumerated() {
        // A label that this term has twice takes the diagonal, of equal sizes; with other terms a size of 1 is broadcast.
        let twin = axes[..<axis].firstIndex(of: label)
        let (size, known) = (shape[axis], twin.map { shape[$0] } ?? sizes[label] ?? 1)
        guard size == known || (twin == nil && (size == 1 || known == 1)) else {
          let name = label < 0 ? "an axis of \"...\"" : "\"\(Character(UnicodeScalar(UInt8(label))))\""
          throw wrong(
            "\(name) is \(known) in one place and \(size) in axis \(axis) of tensor \(position), of shape \(shape)",
            "a label has one size everywhere, or 1")
        }
        if size != 1 || sizes[label] == nil { sizes[label] = size }
      }
      operands.append(axes)
    }
    let hiddenAxes = (0..<ellipsis).map { $0 - ellipsis }
    guard sides.count == 2 else {
      // As NumPy: the axes of the ellipsis, then every letter that stands once, in the order of the alphabet.
      var counts: [Int: Int] = [:]
      for label in operands.joined() { counts[label, default: 0] += 1 }
      output = hiddenAxes + counts.filter { $0.key >= 0 && $0.value == 1 }.keys.sorted()
      return
    }
    for label in try labels(sides[1]) {
      guard let label else {
        output += hiddenAxes
        continue
      }
      let name = Character(UnicodeScalar(UInt8(label)))
      guard sizes[label] != nil else {
        throw wrong("\"\(name)\" stands in the result alone", "the labels of the result stand in some term")
      }
      guard !output.contains(label) else {
        throw wrong("\"\(name)\" stands twice in the result", "a label stands once in the result")
      }
      output.append(label)
    }
  }

}

/// An equation for tensors of given shapes, with what is to be done.
private struct EinsumPlan {
  let equation: EinsumEquation
  /// The labels of each operand that are neither broadcast nor summed before it meets another.
  let kept: [Set<Int>]
  let path: EinsumPath

  init(_ text: String, _ shapes: [Shape]) throws(OpError) {
    let equation = try EinsumEquation(text, shapes)
    let output = Set(equation.output)
    let large = zip(equation.operands, shapes).map { labels, shape in
      Set(labels.indices.filter { shape[$0] != 1 || equation.sizes[labels[$0]] == 1 }.map { labels[$0] })
    }
    kept = large.indices.map { index in
      large[index].intersection(
        large.indices.filter { $0 != index }.reduce(into: output) { $0.formUnion(large[$1]) })
    }
    let labels = equation.sizes.keys.sorted()
    func bits(_ set: Set<Int>) -> EinsumPath.Labels {
      labels.enumerated().reduce(0) { set.contains($1.element) ? $0 | 1 << UInt64($1.offset) : $0 }
    }
    path = EinsumPath(kept.map(bits), output: bits(output), sizes: labels.map { equation.sizes[$0]! })
    self.equation = equation
  }

  private struct Key: Hashable {
    let text: String
    let shapes: [Shape]
  }
  // Training calls few equations many times.
  private static let lock = Lock()
  nonisolated(unsafe) private static var known: [Key: EinsumPlan] = [:]

  static func of(_ text: String, _ shapes: [Shape]) throws(OpError) -> EinsumPlan {
    let key = Key(text: text, shapes: shapes)
    if let plan = lock.holding({ known[key] }) { return plan }
    let plan = try EinsumPlan(text, shapes)
    lock.holding {
      if known.count >= 256 { known.removeAll() }
      known[key] = plan
    }
    return plan
  }
}

/// A tensor whose axes have labels, each of them another.
private struct Labelled {
  var tensor: Tensor
  var labels: [Int]

  /// Repeated labels become one axis, their diagonal.
  init(_ tensor: Tensor, _ labels: [Int]) {
    self.tensor = tensor
    self.labels = labels
    var axis = 0
    while axis < self.labels.count {
      if let other = self.labels[(axis + 1)...].firstIndex(of: self.labels[axis]) {
        self.labels.append(self.labels[axis])
        self.labels.remove(at: other)
        self.labels.remove(at: axis)
        self.tensor = self.tensor.movingAxis(axis, to: -1).movingAxis(other - 1, to: -2).diagonal()
      } else {
        axis += 1
      }
    }
  }

  mutating func sum(where isSummed: (Int) -> Bool) {
    let axes = labels.indices.filter { isSummed(labels[$0]) }
    if axes.isEmpty { return }
    tensor = tensor.sum(axes: axes)
    labels.removeAll(where: isSummed)
  }

  /// Without the axes of size 1 whose label is larger elsewhere.
  mutating func squeeze(_ sizes: [Int: Int]) {
    for axis in labels.indices.reversed() where tensor.shape[axis] == 1 && sizes[labels[axis]] != 1 {
      tensor = tensor.squeezed(axis: axis)
      labels.remove(at: axis)
    }
  }

  func permuted(to order: [Int]) -> Tensor {
    order == labels ? tensor : tensor.permuted(order.map { labels.firstIndex(of: $0)! })
  }

  /// The sum over the labels of `a` and `b` that are not `kept`; `order` is how the result is wanted in the end.
  static func product(_ a: Labelled, _ b: Labelled, kept: Set<Int>, order: [Int], _ sizes: [Int: Int]) -> Labelled {
    let shared = a.labels.filter { b.labels.contains($0) }
    let (batch, summed) = (shared.filter { kept.contains($0) }, shared.filter { !kept.contains($0) })
    let (left, right) = (a.labels.filter { !shared.contains($0) }, b.labels.filter { !shared.contains($0) })
    // The wanted order decides which factor comes first, so that the result needs no copy.
    if let l = left.compactMap({ order.firstIndex(of: $0) }).min(),
      let r = right.compactMap({ order.firstIndex(of: $0) }).min(), r < l
    {
      return product(b, a, kept: kept, order: order, sizes)
    }
    func size(_ labels: [Int]) -> Int { labels.reduce(1) { $0 * sizes[$1]! } }
    func shape(_ parts: [Int]) -> Shape { Shape(batch.isEmpty ? parts : [size(batch)] + parts) }
    let labels = batch + left + right
    let resultShape = Shape(labels.map { sizes[$0]! })
    if summed.isEmpty || (left.isEmpty && right.isEmpty && !batch.isEmpty) {
      // No matrix product: each element of the result is one product, or a sum along rows.
      let x = a.permuted(to: batch + left + summed).reshaped(shape([size(left), 1, size(summed)]))
      let y = b.permuted(to: batch + right + summed).reshaped(shape([1, size(right), size(summed)]))
      let product = x * y
      return Labelled((summed.isEmpty ? product : product.sum(axis: -1)).reshaped(resultShape), labels)
    }
    let x = a.permuted(to: batch + left + summed).reshaped(shape([size(left), size(summed)]))
    let y = b.permuted(to: batch + summed + right).reshaped(shape([size(summed), size(right)]))
    return Labelled(matmul(x, y).reshaped(resultShape), labels)
  }
}

/// The Einstein sum: each term of the equation names the axes of a tensor, labels that the result lacks are summed over.
///
///     einsum("bij,bjk->bik", a, b)   // a matrix product for each b
///     einsum("ii->i", a)             // the diagonal
///     einsum("...ij->...ji", a)      // the last two axes exchanged
///
/// A label that one tensor has twice takes its diagonal. Sizes of 1 are broadcast, as are the axes of `...` (or `…`).
/// Without `->` the result has the labels that stand once, in the order of the alphabet, behind the axes of `...`.
/// Several tensors meet two at a time, in the order with the fewest multiplications (see `einsumPath`). Dtypes promote.
///
/// Source: PyTorch `einsum`; NumPy.
public func einsum(_ equation: String, _ tensors: Tensor...) -> Tensor { einsum(equation, tensors) }

/// The Einstein sum of an array of tensors.
public func einsum(_ equation: String, _ tensors: [Tensor]) -> Tensor {
  let names = tensors.indices.map { "tensor \($0)" }
  guard let first = tensors.first else {
    return failure(.misuse("there are no tensors", rule: "einsum takes one tensor or more"), op: "einsum")
  }
  if tensors.contains(where: { $0.isError }) { return failure(.noInputs, op: "einsum", tensors, names: names) }
  let plan: EinsumPlan
  do { plan = try EinsumPlan.of(equation, tensors.map { $0.shape }) } catch {
    return failure(error.fact, op: "einsum", tensors, names: names)
  }
  let parsed = plan.equation
  let dtype = tensors.reduce(first.dtype) { $0 == $1.dtype ? $0 : $0.promoted(with: $1.dtype) }
  let output = Set(parsed.output)
  var terms = zip(tensors, parsed.operands).map { Labelled($0.cast(to: dtype), $1) }
  for index in terms.indices {
    terms[index].squeeze(parsed.sizes)
    terms[index].sum { !plan.kept[index].contains($0) }
  }
  for (i, j) in plan.path.steps {
    let (a, b) = (terms[i], terms[j])
    terms.remove(at: j)
    terms.remove(at: i)
    let needed = terms.reduce(into: output) { $0.formUnion($1.labels) }
    let kept = Set(a.labels + b.labels).intersection(needed)
    terms.append(.product(a, b, kept: kept, order: parsed.output, parsed.sizes))
  }
  return terms[0].permuted(to: parsed.output)
}

/// The order in which `einsum` does an equation over tensors of these shapes, and how many multiplications it takes: the
/// fewest possible up to eight tensors, a greedy order beyond.
public func einsumPath(_ equation: String, _ shapes: [Shape]) throws -> EinsumPath {
  do { return try EinsumPlan.of(equation, shapes).path } catch {
    throw OpError(error.fact, op: "einsum")
  }
}
