import MartletCore
import MartletOps

/// The first index outside of `0 ..< size`.
private func bad(_ indices: [Int64], _ size: Int) -> KernelStatus? {
  indices.first { $0 < 0 || $0 >= size }.map { .badIndex($0) }
}

/// Adds to some elements of input 0, in the arithmetic of its dtype.
private func adding(_ arguments: borrowing KernelArguments, _ additions: [(to: Int, from: Int)]) {
  if arguments.spec(0).dtype.isComplex {
    var result = arguments.complexNumbers(0)
    let values = arguments.complexNumbers(2)
    for (to, from) in additions { result[to] = result[to] + values[from] }
    arguments.write(complex: result)
  } else if arguments.spec(0).dtype.isFloating {
    var result = arguments.doubles(0)
    let values = arguments.doubles(2)
    for (to, from) in additions { result[to] += values[from] }
    arguments.write(result)
  } else {
    let isBool = arguments.spec(0).dtype == .bool
    var result = arguments.integers(0)
    let values = arguments.integers(2)
    for (to, from) in additions { result[to] = isBool ? result[to] | values[from] : result[to] &+ values[from] }
    arguments.write(result)
  }
}

/// Where whole slices lie: at `index` of an axis of the table, and at `j` of the axes that replace it.
private func slices(_ table: Blocks, _ indices: [Int64]) -> [(table: Int, slice: Int)] {
  var result: [(table: Int, slice: Int)] = []
  for o in 0..<table.outer {
    for (j, index) in indices.enumerated() {
      for i in 0..<table.inner {
        result.append((table.place(o, Int(index), i), (o * indices.count + j) * table.inner + i))
      }
    }
  }
  return result
}

func installIndexing() {
  Kernels.register(Gather.self, .reference) { op, arguments in
    let from = Blocks(arguments.spec(0).shape, axis: op.axis)
    let to = Blocks(arguments.spec(1).shape, axis: op.axis)
    let (x, indices) = (arguments.bits(0), arguments.integers(1))
    if let fault = bad(indices, from.size) { return fault }
    var result = [UInt128](repeating: 0, count: indices.count)
    for o in 0..<to.outer {
      for j in 0..<to.size {
        for i in 0..<to.inner {
          let place = to.place(o, j, i)
          result[place] = x[from.place(o, Int(indices[place]), i)]
        }
      }
    }
    arguments.write(bits: result)
    return .ok
  }
  Kernels.register(ScatterAdd.self, .reference) { op, arguments in
    let to = Blocks(arguments.spec(0).shape, axis: op.axis)
    let from = Blocks(arguments.spec(1).shape, axis: op.axis)
    let indices = arguments.integers(1)
    if let fault = bad(indices, to.size) { return fault }
    var additions: [(to: Int, from: Int)] = []
    for o in 0..<from.outer {
      for j in 0..<from.size {
        for i in 0..<from.inner {
          let place = from.place(o, j, i)
          additions.append((to.place(o, Int(indices[place]), i), place))
        }
      }
    }
    adding(arguments, additions)
    return .ok
  }
  Kernels.register(ScatterReduce.self, .reference) { op, arguments in
    let to = Blocks(arguments.spec(0).shape, axis: op.axis)
    let from = Blocks(arguments.spec(1).shape, axis: op.axis)
    let indices = arguments.integers(1)
    if let fault = bad(indices, to.size) { return fault }
    func combine<T>(_ x: [T], _ values: [T], _ with: (T, T) -> T) -> [T] {
      var result = x
      for o in 0..<from.outer {
        for j in 0..<from.size {
          for i in 0..<from.inner {
            let place = from.place(o, j, i)
            let target = to.place(o, Int(indices[place]), i)
            result[target] = with(result[target], values[place])
          }
        }
      }
      return result
    }
    if arguments.spec(0).dtype.isFloating {
      let (x, values) = (arguments.doubles(0), arguments.doubles(2))
      switch op.kind {
      case .product: arguments.write(combine(x, values, *))
      case .maximum: arguments.write(combine(x, values, larger))
      case .minimum: arguments.write(combine(x, values, smaller))
      }
    } else {
      let (x, values) = (arguments.integers(0), arguments.integers(2))
      switch op.kind {
      case .product: arguments.write(combine(x, values, &*))
      case .maximum: arguments.write(combine(x, values) { max($0, $1) })
      case .minimum: arguments.write(combine(x, values) { min($0, $1) })
      }
    }
    return .ok
  }
  Kernels.register(Take.self, .reference) { op, arguments in
    let table = Blocks(arguments.spec(0).shape, axis: op.axis)
    let (x, indices) = (arguments.bits(0), arguments.integers(1))
    if let fault = bad(indices, table.size) { return fault }
    var result = [UInt128](repeating: 0, count: arguments.outputSpec().count)
    for (place, slice) in slices(table, indices) { result[slice] = x[place] }
    arguments.write(bits: result)
    return .ok
  }
  Kernels.register(TakeAdd.self, .reference) { op, arguments in
    let table = Blocks(arguments.spec(0).shape, axis: op.axis)
    let indices = arguments.integers(1)
    if let fault = bad(indices, table.size) { return fault }
    adding(arguments, slices(table, indices).map { ($0.table, $0.slice) })
    return .ok
  }
  Kernels.register(TakeUpdate.self, .reference) { op, arguments in
    let table = Blocks(arguments.spec(0).shape, axis: op.axis)
    let indices = arguments.integers(1)
    if let fault = bad(indices, table.size) { return fault }
    var result = arguments.bits(0)
    let values = arguments.bits(2)
    for (place, slice) in slices(table, indices) { result[place] = values[slice] }
    arguments.write(bits: result)
    return .ok
  }
}
