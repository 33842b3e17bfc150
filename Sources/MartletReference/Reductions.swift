import MartletCore
import MartletOps

/// For each element of the result the places of the elements that it is made of, in row-major order.
private func groups(_ shape: Shape, _ axes: Positions) -> [[Int]] {
  let kept = reducedShape(shape, axes, keepDims: true)
  let reduced = Shape((0..<shape.rank).map { axes[$0] ? shape[$0] : 1 })
  let strides = shape.contiguousStrides
  let inside = positions(of: reduced, reduced, strides)
  return positions(of: kept, kept, strides).map { start in inside.map { start + $0 } }
}

/// The place of the first element in an order, the first of equal ones, and a NaN before all.
private func best(_ values: [Double], _ before: (Double, Double) -> Bool) -> Int {
  var best = 0
  for index in values.indices where !values[best].isNaN && (values[index].isNaN || before(values[index], values[best]))
  {
    best = index
  }
  return best
}

private func extreme<O: Reduction>(
  _ type: O.Type, _ float: @escaping @Sendable (Double, Double) -> Double,
  _ integer: @escaping @Sendable (Int64, Int64) -> Int64
) {
  naive(type) { op, arguments in
    let groups = groups(arguments.spec(0).shape, op.axes)
    if arguments.spec(0).dtype.isFloating {
      let x = arguments.doubles(0)
      arguments.write(groups.map { $0.dropFirst().reduce(x[$0[0]]) { float($0, x[$1]) } })
    } else {
      let x = arguments.integers(0)
      arguments.write(groups.map { $0.dropFirst().reduce(x[$0[0]]) { integer($0, x[$1]) } })
    }
  }
}

func installReductions() {
  naive(Sum.self) { op, arguments in
    let groups = groups(arguments.spec(0).shape, op.axes)
    if arguments.spec(0).dtype.isComplex {
      let x = arguments.complexNumbers(0)
      arguments.write(complex: groups.map { $0.reduce(Complex<Double>(0)) { $0 + x[$1] } })
    } else if arguments.spec(0).dtype.isFloating {
      let x = arguments.doubles(0)
      arguments.write(groups.map { $0.reduce(0.0) { $0 + x[$1] } })
    } else {
      let x = arguments.integers(0)
      arguments.write(groups.map { $0.reduce(Int64(0)) { $0 &+ x[$1] } })
    }
  }
  extreme(Max.self, larger) { max($0, $1) }
  extreme(Min.self, smaller) { min($0, $1) }
  naive(Cumsum.self) { op, arguments in
    let blocks = Blocks(arguments.spec(0).shape, axis: op.axis)
    func scan<T>(_ x: [T], zero: T, _ add: (T, T) -> T) -> [T] {
      var result = x
      for o in 0..<blocks.outer {
        for i in 0..<blocks.inner {
          var sum = zero
          for step in 0..<blocks.size {
            let place = blocks.place(o, op.reversed ? blocks.size - 1 - step : step, i)
            sum = add(sum, x[place])
            result[place] = sum
          }
        }
      }
      return result
    }
    if arguments.spec(0).dtype.isComplex {
      arguments.write(complex: scan(arguments.complexNumbers(0), zero: Complex(0), +))
    } else if arguments.spec(0).dtype.isFloating {
      arguments.write(scan(arguments.doubles(0), zero: 0, +))
    } else {
      arguments.write(scan(arguments.integers(0), zero: 0, &+))
    }
  }
  naive(ArgMax.self) { op, arguments in
    let groups = groups(arguments.spec(0).shape, [op.axis])
    if arguments.spec(0).dtype.isFloating {
      let x = arguments.doubles(0)
      arguments.write(groups.map { group in Int64(best(group.map { x[$0] }, op.largest ? { $0 > $1 } : { $0 < $1 })) })
    } else {
      let x = arguments.integers(0)
      let before: (Int64, Int64) -> Bool = op.largest ? { $0 > $1 } : { $0 < $1 }
      arguments.write(groups.map { g in Int64(g.indices.reduce(0) { before(x[g[$1]], x[g[$0]]) ? $1 : $0 }) })
    }
  }
}
