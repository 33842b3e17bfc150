import Foundation
import Martlet
import Testing

/// An Einstein sum by its definition: a loop over the values of all labels.
private func naive(_ equation: String, _ tensors: [Tensor]) -> [Double] {
  let sides = equation.split(separator: "->", omittingEmptySubsequences: false)
  let terms = sides[0].split(separator: ",", omittingEmptySubsequences: false).map { Array($0) }
  var sizes: [Character: Int] = [:]
  for (term, tensor) in zip(terms, tensors) {
    for (axis, label) in term.enumerated() where tensor.shape[axis] != 1 || sizes[label] == nil {
      sizes[label] = tensor.shape[axis]
    }
  }
  let output = Array(sides[1])
  let labels = output + sizes.keys.filter { !output.contains($0) }.sorted()
  let data = tensors.map { $0.doubles }
  let count = output.reduce(1) { $0 * sizes[$1]! }
  var result = [Double](repeating: 0, count: count)
  let total = labels.reduce(1) { $0 * sizes[$1]! }
  for number in 0..<total {
    var value: [Character: Int] = [:]
    var rest = number
    for label in labels.reversed() {
      value[label] = rest % sizes[label]!
      rest /= sizes[label]!
    }
    var product = 1.0
    for (position, term) in terms.enumerated() {
      var place = 0
      for (axis, label) in term.enumerated() {
        let size = tensors[position].shape[axis]
        place = place * size + (size == 1 ? 0 : value[label]!)
      }
      product *= data[position][place]
    }
    result[output.reduce(0) { $0 * sizes[$1]! + value[$1]! }] += product
  }
  return result
}

private let cases: [(String, [Shape])] = [
  ("i,i->", [[3], [3]]), ("i,i->i", [[3], [3]]), ("i,j->ij", [[3], [4]]), ("i,j->ji", [[3], [4]]),
  ("ij,jk->ik", [[2, 3], [3, 4]]), ("ij,jk->ki", [[2, 3], [3, 4]]), ("ij,kj->ik", [[2, 3], [4, 3]]),
  ("ij->", [[2, 3]]), ("ij->ji", [[2, 3]]), ("ij->j", [[2, 3]]), ("ii->", [[3, 3]]), ("ii->i", [[3, 3]]),
  ("iij->ij", [[3, 3, 2]]), ("iji->j", [[3, 2, 3]]), ("iii->i", [[2, 2, 2]]), ("iijj->ji", [[2, 2, 3, 3]]),
  ("bij,bjk->bik", [[2, 3, 4], [2, 4, 5]]), ("bij,bjk->ikb", [[2, 3, 4], [2, 4, 5]]),
  ("bi,bi->b", [[2, 3], [2, 3]]), ("bi,bi->", [[2, 3], [2, 3]]), ("bi,bi->bi", [[2, 3], [2, 3]]),
  ("ij,j->i", [[2, 3], [3]]), ("ij,k->ik", [[2, 3], [4]]), ("ij,j,k->ik", [[2, 3], [3], [4]]),
  ("i,ij,j->", [[2], [2, 3], [3]]), ("ab,bc,cd,de->ae", [[2, 3], [3, 4], [4, 2], [2, 3]]),
  ("ab,bc,cd,de,ea->", [[2, 3], [3, 4], [4, 2], [2, 3], [3, 2]]),
  ("a,b,c,d,e,f->fa", [[2], [2], [3], [1], [2], [3]]),
  ("a,ab,b,bc,c,cd,d,da,aa->bd", [[2], [2, 3], [3], [3, 2], [2], [2, 2], [2], [2, 2], [2, 2]]),
  ("ij,jk->ik", [[2, 1], [3, 4]]), ("ij,jk->ik", [[2, 3], [1, 4]]), ("ij,ij->ij", [[2, 1], [1, 3]]),
  ("bhid,bhjd->bhij", [[2, 2, 3, 4], [2, 2, 5, 4]]), ("ij,jk->ik", [[0, 3], [3, 2]]),
  ("ij,jk->ik", [[2, 0], [0, 3]]),
  ("i,ii->i", [[5], [1, 1]]), ("Aa,aB->BA", [[2, 3], [3, 4]]), ("->", [[]]), (",i->i", [[], [3]]),
]

@Suite struct EinsumTests {
  private func inputs(_ shapes: [Shape]) -> [Tensor] {
    shapes.enumerated().map { position, shape in
      let count = shape.reduce(1, *)
      return Tensor((0..<count).map { Double(($0 * 7 + position * 3) % 11) - 5 }, shape: shape)
    }
  }

  @Test(arguments: cases.indices) func isTheSumOverAllLabels(_ index: Int) {
    let (equation, shapes) = cases[index]
    let x = inputs(shapes)
    #expect(einsum(equation, x).doubles == naive(equation, x))
    if !shapes.contains(where: { $0.contains(0) }) {
      #expect(throws: Never.self) { try checkGradients({ einsum(equation, $0) }, x) }
    }
  }

  @Test func implicitResultsAndEllipses() {
    let (a, b) = (inputs([[2, 3]])[0], inputs([[3, 4]])[0])
    #expect(einsum("ij,jk", a, b).doubles == einsum("ij,jk->ik", a, b).doubles)
    #expect(einsum("ba", a).shape == [3, 2])
    #expect(einsum("aa", inputs([[3, 3]])[0]).shape == [])
    let (x, y) = (inputs([[5, 1, 2, 3]])[0], inputs([[4, 3, 2]])[0])
    #expect(allClose(einsum("...ij,...jk->...ik", x, y), matmul(x, y)))
    #expect(einsum("...ij,...jk", x, y).shape == [5, 4, 2, 2])
    #expect(einsum("…ij -> …ji", x).shape == [5, 1, 3, 2])
    #expect(einsum("...ij->i", x).doubles == x.sum(axes: [0, 1, 3]).doubles)
    #expect(einsum("i...->...", x).doubles == x.sum(axis: 0).doubles)
  }

  /// Every order of joins, by trying all of them.
  @Test func theOrderHasTheFewestMultiplications() throws {
    let problems: [(String, [Shape])] = [
      ("ab,bc,cd->ad", [[2, 30], [30, 4], [4, 50]]), ("ab,bc,cd->ad", [[50, 4], [4, 30], [30, 2]]),
      ("ab,bc,cd,de->ae", [[10, 2], [2, 40], [40, 3], [3, 20]]),
      ("ab,bc,cd,de,ea->", [[7, 3], [3, 11], [11, 2], [2, 5], [5, 7]]),
      ("ij,j,k,kl,l,im->m", [[4, 9], [9], [8], [8, 7], [7], [4, 6]]),
      ("abc,bcd,cde,de,ea->b", [[3, 4, 5], [4, 5, 6], [5, 6, 2], [6, 2], [2, 3]]),
    ]
    for (equation, shapes) in problems {
      let sides = equation.components(separatedBy: "->")
      let terms = sides[0].split(separator: ",").map { Set($0) }
      var sizes: [Character: Int] = [:]
      for (term, shape) in zip(sides[0].split(separator: ","), shapes) {
        for (label, size) in zip(term, shape) { sizes[label] = size }
      }
      func best(_ terms: [Set<Character>]) -> Int {
        if terms.count == 1 { return 0 }
        var least = Int.max
        for i in terms.indices {
          for j in terms.indices where j > i {
            var rest = terms
            rest.remove(at: j)
            rest.remove(at: i)
            let both = terms[i].union(terms[j])
            let cost = both.reduce(1) { $0 * sizes[$1]! }
            least = min(least, cost + best(rest + [both.intersection(rest.reduce(Set(sides[1])) { $0.union($1) })]))
          }
        }
        return least
      }
      let path = try einsumPath(equation, shapes)
      #expect(path.multiplications == Double(best(terms)), "\(equation)")
      #expect(path.steps.count == terms.count - 1)
    }
  }

  /// Axes of size 1 and labels that stand alone are gone before the order is sought.
  @Test func theOrderIsThatOfEinsum() throws {
    #expect(try einsumPath("ij,jk,kl->il", [[100, 1], [50, 100], [100, 2]]).multiplications == 400)
  }

  @Test func wrongEquations() throws {
    let (a, b) = (Tensor(repeating: 1, [2, 3]), Tensor(repeating: 1, [4, 5]))
    let wrong: [(String, [Tensor], String)] = [
      ("ij,jk->ik", [a, b], "\"j\" is 3 in one place and 4 in axis 0 of tensor 1"),
      ("ij->ik", [a], "\"k\" stands in the result alone"),
      ("ij->ii", [a], "\"i\" stands twice in the result"),
      ("ijk->i", [a], "\"ijk\" has 3 labels, and tensor 0 has shape [2, 3]"),
      ("...ijk->i", [a], "\"...ijk\" has 3 labels, and tensor 0 has shape [2, 3]"),
      ("i->i", [a], "\"...\" stands for axes without a label"),
      ("ij", [a, b], "it has 1 term for 2 tensors"),
      ("i2->i", [a], "\"2\" is no label"),
      ("ij->i->j", [a], "it has 2 arrows"),
      ("......->", [a], "two ellipses"),
      ("ii->i", [a], "\"i\" is 2 in one place and 3 in axis 1 of tensor 0"),
      ("i,ii->i", [Tensor.ones([5]), Tensor.ones([1, 5])], "\"i\" is 1 in one place and 5 in axis 1 of tensor 1"),
    ]
    for (equation, tensors, text) in wrong {
      let error = #expect(throws: OpError.self) { try withErrors { einsum(equation, tensors) } }
      #expect("\(error!)".contains(text), "\(error!)")
    }
    #expect(throws: OpError.self) { try withErrors { einsum("ij", [Tensor]()) } }
  }
}

@Suite struct ProductTests {
  let a = Tensor([1.0, 2, 3, 4, 5, 6], shape: [2, 3])

  @Test func tensordotJoinsAxes() {
    let b = Tensor((0..<12).map(Double.init), shape: [3, 4])
    #expect(tensordot(a, b, axes: 1).doubles == matmul(a, b).doubles)
    #expect(tensordot(a, a).doubles == [91])
    #expect(tensordot(a, a, axes: 0).shape == [2, 3, 2, 3])
    #expect(tensordot(a, a, axes: ([0], [0])).doubles == matmul(a.transposed(), a).doubles)
    #expect(tensordot(a, a, axes: ([-1], [1])).doubles == matmul(a, a.transposed()).doubles)
  }

  /// Numbers of NumPy's documentation of `kron`.
  @Test func kronecker() {
    #expect(kron(Tensor([1.0, 10, 100]), Tensor([5.0, 6, 7])).doubles == [5, 6, 7, 50, 60, 70, 500, 600, 700])
    #expect(
      kron(Tensor.eye(2, dtype: .float64), Tensor.ones([2, 2], dtype: .float64)).doubles
        == [1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1])
    #expect(kron(Tensor([2.0]), a).shape == [2, 3])
  }

  @Test func crossProduct() {
    let (x, y) = (Tensor([1.0, 2, 3]), Tensor([4.0, 5, 6]))
    #expect(cross(x, y).doubles == [-3, 6, -3])
    #expect(cross(y, x).doubles == [3, -6, 3])
    #expect(errorText { _ = cross(Tensor.ones([3, 3]), x, axis: 0) }.contains("2, that of a"))
  }

  @Test func distances() throws {
    for rows in [3, 40] {
      let x = Tensor.normal([rows, 4], dtype: .float64, generator: Generator(seed: 1))
      let y = Tensor.normal([2, 5, 4], dtype: .float64, generator: Generator(seed: 2))
      for order in [0.5, 1, 2, 3, .infinity] {
        let expected = (x.expandedDims(axis: 1) - y.expandedDims(axis: 1)).norm(order, axis: -1)
        #expect(allClose(cdist(x, y, order: order), expected, relative: 1e-9))
      }
      #expect(throws: Never.self) { try checkGradients({ cdist($0[0], $0[1]) }, [x, y]) }
      var broken = x
      broken[0, 0] = Tensor(.nan)
      broken[1, 0] = Tensor(.infinity)
      #expect(cdist(broken, y)[0..., 0].isNaN.all().item() == 1)
      #expect(cdist(broken, y)[0..., 1].isFinite.any().item() == 0)
      let own = cdist(x, x)
      #expect(abs(own.diagonal()).max().item() < 1e-6)
      #expect(grad({ cdist($0, $0).sum() })(x).isFinite.all().item() == 1)
    }
  }

  @Test func wrongUse() {
    let wrong: [(String, () -> Tensor)] = [
      ("axis 0 of a has size 2 and axis 1 of b has size 3", { tensordot(a, a, axes: ([0], [1])) }),
      ("axes is 3", { tensordot(a, a, axes: 3) }),
      ("there are 1 axes of a and 2 of b", { tensordot(a, a, axes: ([0], [0, 1])) }),
      ("rows of 3 features", { cdist(a, a.transposed()) }),
      ("order is -1", { cdist(a, a, order: -1) }),
      ("3 elements along axis 0", { cross(a, a, axis: 0) }),
      ("a is […, 5] and b is […, 6]", { bilinear(a, a, Tensor(repeating: 1, [4, 5, 6])) }),
    ]
    for (text, body) in wrong {
      let error = #expect(throws: OpError.self) { try withErrors(body) }
      #expect("\(error!)".contains(text), "\(error!)")
    }
  }
}
