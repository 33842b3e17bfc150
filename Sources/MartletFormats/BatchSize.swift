import MartletCore

/// A whole number that depends on the size of the batch: `times · B + plus`.
struct BatchSize: Hashable, Sendable {
  var times: Int
  var plus: Int

  private static let timesKey = "*B"
  private static let plusKey = "+"

  /// The number of which these are the values for those sizes of the batch; nil when there is none.
  init?(_ values: [Int], at sizes: [Int]) {
    let (rise, overflow) = values[1].subtractingReportingOverflow(values[0])
    let run = sizes[1] - sizes[0]
    guard !overflow, rise % run == 0 else { return nil }
    times = rise / run
    let (first, overflow2) = times.multipliedReportingOverflow(by: sizes[0])
    let (rest, overflow3) = values[0].subtractingReportingOverflow(first)
    guard !overflow2, !overflow3 else { return nil }
    plus = rest
    for (value, size) in zip(values, sizes) where self.value(at: size) != value { return nil }
  }

  private init?(_ members: [HeaderJSON.Member]) {
    guard members.count == 2, let times = members.first(where: { $0.key == BatchSize.timesKey })?.value,
      let plus = members.first(where: { $0.key == BatchSize.plusKey })?.value,
      case .integer(let a) = times, case .integer(let c) = plus
    else { return nil }
    (self.times, self.plus) = (a, c)
  }

  /// Nil beyond 64 bits.
  func value(at size: Int) -> Int? {
    let (product, overflow) = times.multipliedReportingOverflow(by: size)
    let (sum, overflow2) = product.addingReportingOverflow(plus)
    return overflow || overflow2 ? nil : sum
  }

  private var tree: HeaderJSON {
    .object([
      .init(key: BatchSize.timesKey, value: .integer(times)), .init(key: BatchSize.plusKey, value: .integer(plus)),
    ])
  }

  /// The tree of which these are the instances for those sizes; nil when they differ in more than such numbers.
  static func merged(_ trees: [HeaderJSON], at sizes: [Int]) -> HeaderJSON? {
    guard trees.contains(where: { $0 != trees[0] }) else { return trees[0] }
    switch trees[0] {
    case .integer:
      var values: [Int] = []
      for tree in trees {
        guard case .integer(let value) = tree else { return nil }
        values.append(value)
      }
      return BatchSize(values, at: sizes)?.tree
    case .array(let first):
      var lists: [[HeaderJSON]] = []
      for tree in trees {
        guard case .array(let items) = tree, items.count == first.count else { return nil }
        lists.append(items)
      }
      var items: [HeaderJSON] = []
      for index in first.indices {
        guard let item = merged(lists.map { $0[index] }, at: sizes) else { return nil }
        items.append(item)
      }
      return .array(items)
    case .object(let first):
      var lists: [[HeaderJSON.Member]] = []
      for tree in trees {
        guard case .object(let members) = tree, members.map(\.key) == first.map(\.key) else { return nil }
        lists.append(members)
      }
      var members: [HeaderJSON.Member] = []
      for index in first.indices {
        guard let value = merged(lists.map { $0[index].value }, at: sizes) else { return nil }
        members.append(.init(key: first[index].key, value: value))
      }
      return .object(members)
    default: return nil
    }
  }

  /// The tree for one size of the batch.
  static func instantiated(_ tree: HeaderJSON, _ size: Int) throws(ProgramFault) -> HeaderJSON {
    switch tree {
    case .array(let items):
      var result: [HeaderJSON] = []
      result.reserveCapacity(items.count)
      for item in items { result.append(try instantiated(item, size)) }
      return .array(result)
    case .object(let members):
      if let number = BatchSize(members) {
        guard let value = number.value(at: size) else { throw ProgramFault("a size for B = \(size) is too large") }
        return .integer(value)
      }
      var result: [HeaderJSON.Member] = []
      for member in members { result.append(.init(key: member.key, value: try instantiated(member.value, size))) }
      return .object(result)
    default: return tree
    }
  }

  /// The numbers of a list, each of which may depend on the size of the batch; nil for what is no such list.
  static func list(_ tree: HeaderJSON) -> [BatchSize]? {
    guard case .array(let items) = tree else { return nil }
    var result: [BatchSize] = []
    for item in items {
      switch item {
      case .integer(let value): result.append(BatchSize(constant: value))
      case .object(let members):
        guard let number = BatchSize(members) else { return nil }
        result.append(number)
      default: return nil
      }
    }
    return result
  }

  init(constant: Int) { (times, plus) = (0, constant) }
}

extension BatchSize: CustomStringConvertible {
  var description: String {
    if times == 0 { return "\(plus)" }
    let product = times == 1 ? "B" : times == -1 ? "-B" : "\(times)·B"
    return plus == 0 ? product : plus < 0 ? "\(product) - \(plus.magnitude)" : "\(product) + \(plus)"
  }
}
