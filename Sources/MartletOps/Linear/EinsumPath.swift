/// The order in which an Einstein sum over several tensors is done, two at a time.
public struct EinsumPath: Sendable, CustomStringConvertible {
  /// Which two tensors meet in each step; the result stands behind those that are left.
  public let steps: [(Int, Int)]
  /// The multiplications of all steps.
  public let multiplications: Double

  public var description: String {
    steps.map { "(\($0.0), \($0.1))" }.joined(separator: " ") + ", \(multiplications) multiplications"
  }

  /// - Parameters:
  ///   - operands: the labels of each tensor.
  ///   - output: the labels that stay.
  ///   - sizes: the size of each label.
  init(_ operands: [Set<Int>], output: Set<Int>, sizes: [Int: Int]) {
    var terms = operands
    var steps: [(Int, Int)] = []
    var total = 0.0
    // Past this number the trees over all subsets are too many: pairs that are cheapest at the moment come first.
    while terms.count > EinsumPath.exactLimit {
      let pairs = terms.indices.flatMap { i in ((i + 1)..<terms.count).map { (i, $0) } }
      let costs = pairs.map { EinsumPath.cost(terms[$0.0].union(terms[$0.1]), sizes) }
      let best = costs.indices.min { costs[$0] < costs[$1] }!
      total += costs[best]
      steps.append(pairs[best])
      EinsumPath.join(pairs[best], in: &terms, output)
    }
    let tree = EinsumPath.cheapest(terms, output, sizes)
    total += tree.cost
    // The tree's leaves are numbers in `terms`; the steps name places in what is left.
    var places = terms.indices.map { 1 << $0 }
    for (left, right) in tree.joins {
      let (i, j) = (places.firstIndex(of: left)!, places.firstIndex(of: right)!)
      let step = (Swift.min(i, j), Swift.max(i, j))
      steps.append(step)
      places.remove(at: step.1)
      places.remove(at: step.0)
      places.append(left | right)
    }
    self.steps = steps
    multiplications = total
  }

  /// Up to as many tensors, the order is the one with the fewest multiplications.
  static let exactLimit = 8

  private static func cost(_ labels: Set<Int>, _ sizes: [Int: Int]) -> Double {
    labels.reduce(1) { $0 * Double(sizes[$1]!) }
  }

  /// The labels of a product that the others or the output still need.
  static func kept(_ labels: Set<Int>, others: some Sequence<Set<Int>>, _ output: Set<Int>) -> Set<Int> {
    labels.intersection(others.reduce(output) { $0.union($1) })
  }

  private static func join(_ pair: (Int, Int), in terms: inout [Set<Int>], _ output: Set<Int>) {
    let both = terms[pair.0].union(terms[pair.1])
    terms.remove(at: pair.1)
    terms.remove(at: pair.0)
    terms.append(kept(both, others: terms, output))
  }

  /// The cheapest tree over all terms, by the cheapest trees over their subsets (bit sets): its joins, inner ones first.
  private static func cheapest(
    _ terms: [Set<Int>], _ output: Set<Int>, _ sizes: [Int: Int]
  ) -> (cost: Double, joins: [(Int, Int)]) {
    let all = (1 << terms.count) - 1
    func members(_ subset: Int) -> [Set<Int>] { terms.indices.filter { subset >> $0 & 1 == 1 }.map { terms[$0] } }
    let labels = (0...all).map { subset in
      let own = members(subset)
      return own.count == 1
        ? own[0] : kept(own.reduce([]) { $0.union($1) }, others: members(all & ~subset), output)
    }
    var costs = [Double](repeating: 0, count: all + 1)
    var splits = [Int](repeating: 0, count: all + 1)
    for subset in 1...all where subset & (subset - 1) != 0 {
      costs[subset] = .infinity
      var left = (subset - 1) & subset
      while left > 0 {
        let right = subset & ~left
        if left > right {
          let total = costs[left] + costs[right] + cost(labels[left].union(labels[right]), sizes)
          if total < costs[subset] { (costs[subset], splits[subset]) = (total, left) }
        }
        left = (left - 1) & subset
      }
    }
    var joins: [(Int, Int)] = []
    func visit(_ subset: Int) {
      guard subset & (subset - 1) != 0 else { return }
      let (left, right) = (splits[subset], subset & ~splits[subset])
      visit(left)
      visit(right)
      joins.append((left, right))
    }
    visit(all)
    return (costs[all], joins)
  }
}
