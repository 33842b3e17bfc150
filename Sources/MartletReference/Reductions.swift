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

/// The place of the largest element: the first of equal ones, and a NaN before all.
private func largest(_ values: [Double]) -> Int {
  var best = 0
  for index in values.indices where !values[best].isNaN && (values[index].isNaN || values[index] > values[best]) {
    best = index
  }
  return best
}

func installReductions() {
  naive(Sum.self) { op, arguments in
    let groups = groups(arguments.spec(0).shape, op.axes)
    if arguments.spec(0).dtype.isFloating {
      let x = arguments.doubles(0)
      arguments.write(groups.map { $0.reduce(0.0) { $0 + x[$1] } })
    } else {
      let x = arguments.integers(0)
      arguments.write(groups.map { $0.reduce(Int64(0)) { $0 &+ x[$1] } })
    }
  }
  naive(Max.self) { op, arguments in
    let groups = groups(arguments.spec(0).shape, op.axes)
    if arguments.spec(0).dtype.isFloating {
      let x = arguments.doubles(0)
      arguments.write(groups.map { $0.dropFirst().reduce(x[$0[0]]) { larger($0, x[$1]) } })
    } else {
      let x = arguments.integers(0)
      arguments.write(groups.map { $0.dropFirst().reduce(x[$0[0]]) { max($0, x[$1]) } })
    }
  }
  naive(ArgMax.self) { op, arguments in
    let groups = groups(arguments.spec(0).shape, [op.axis])
    if arguments.spec(0).dtype.isFloating {
      let x = arguments.doubles(0)
      arguments.write(groups.map { group in Int64(largest(group.map { x[$0] })) })
    } else {
      let x = arguments.integers(0)
      arguments.write(groups.map { g in Int64(g.indices.reduce(0) { x[g[$1]] > x[g[$0]] ? $1 : $0 }) })
    }
  }
}
