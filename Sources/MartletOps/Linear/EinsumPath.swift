/// The order in which an Einstein sum over several tensors is done, two at a time.
public struct EinsumPath: Sendable, CustomStringConvertible {
  /// Which two tensors meet in each step; the result stands behind those that are left.
  public let steps: [(Int, Int)]
  /// The multiplications of all steps.
  public let multiplications: Double

  public var description: String {
    steps.map { "(\($0.0), \($0.1))" }.joined(separator: " ") + ", \(multiplications) multiplications"
  }

  /// Sets of labels, by a bit each.
  typealias Labels = UInt64

  /// - Parameters:
  ///   - operands: the labels of each tensor.
  ///   - output: the labels that stay.
  ///   - sizes: the size of each label.
  init(_ operands: [Labels], output: Labels, sizes: [Int]) {
    var terms = operands
    var steps: [(Int, Int)] = []
    var total = 0.0
    // Past this number the trees over all subsets are too many: pairs that are cheapest at the moment come first.
    while terms.count > EinsumPath.exactLimit {
      var (best, least) = ((0, 1), Double.infinity)
      for j in terms.indices {
        for i in 0..<j {
          let cost = EinsumPath.cost(terms[i] | terms[j], sizes)
          if cost < least { (best, least) = ((i, j), cost) }
        }
      }
      total += least
      steps.append(best)
      let both = terms[best.0] | terms[best.1]
      terms.remove(at: best.1)
      terms.remove(at: best.0)
      terms.append(both & terms.reduce(output, |))
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

  private static func cost(_ labels: Labels, _ sizes: [Int]) -> Double {
    var (rest, product) = (labels, 1.0)
    while rest != 0 {
      product *= Double(sizes[rest.trailingZeroBitCount])
      rest &= rest - 1
    }
    return product
  }

  /// The cheapest tree over all terms, by the cheapest trees over their subsets (bit sets): its joins, inner ones first.
  private static func cheapest(
    _ terms: [Labels], _ output: Labels, _ sizes: [Int]
  ) -> (cost: Double, joins: [(Int, Int)]) {
    let all = (1 << terms.count) - 1
    func union(_ subset: Int) -> Labels {
      terms.indices.reduce(0) { subset >> $1 & 1 == 1 ? $0 | terms[$1] : $0 }
    }
    // What is left of a subset's product: the labels that the others or the output need.
    let labels = (0...all).map { subset in
      subset & (subset - 1) == 0 ? union(subset) : union(subset) & (output | union(all & ~subset))
    }
    var costs = [Double](repeating: 0, count: all + 1)
    var splits = [Int](repeating: 0, count: all + 1)
    for subset in 1...all where subset & (subset - 1) != 0 {
      costs[subset] = .infinity
      var left = (subset - 1) & subset
      while left > 0 {
        let right = subset & ~left
        if left > right {
          let total = costs[left] + costs[right] + cost(labels[left] | labels[right], sizes)
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
