import Martlet
import MartletCore
import MartletOps

/// A step of a chain: the operation and the numbers of its operands, the inputs first.
private func chain(
  _ inputs: [Input], _ steps: [(any Op, [Int])], results: [Int], reduced: [(Int, any Reduction)] = []
) -> OpCase {
  var specs = inputs.map { TensorSpec($0.shape, $0.dtype) }
  for (op, operands) in steps { specs += try! op.outputs(for: operands.map { specs[$0] }) }
  let op = Fused(
    inputs: Array(specs.prefix(inputs.count)), steps: steps.map { Fused.Step(op: $0.0, operands: $0.1) },
    specs: Array(specs.dropFirst(inputs.count)),
    results: results.map { Fused.Result(step: $0) }
      + reduced.map { Fused.Result(step: $0.0, reduction: $0.1) })
  return OpCase(op!, inputs, .kinked)
}

extension OpTable {
  var fusedCases: [OpCase] {
    var cases: [OpCase] = []
    for dtype in floatingTypes {
      // 16-bit floats are rounded once in a chain and after each step without.
      let loose = dtype.size == 2 ? 8.0 : 1
      for shape: Shape in [[], [0], [1], [511], [513], [3, 700], [2, 3, 5, 7], [70, 64]] {
        let x = Input(shape, dtype, .spaced)
        let y = Input(shape, dtype)
        // A bias and an activation; all intermediate results kept.
        cases.append(
          chain([x, y], [(Add(), [0, 1]), (Relu(), [2]), (Multiply(), [3, 0])], results: [0, 1, 2]).loosened(loose))
        if dtype.size == 2 { continue }
        // A value that is used again after many steps; a number.
        cases.append(
          chain(
            [x, Input([], dtype, .list([0.5])), y],
            [
              (Tanh(), [0]), (Multiply(), [3, 1]), (Clamp(low: -0.25, high: 0.5), [4]),
              (ClampGradient(low: -1, high: 1), [2, 0]),
              (Subtract(), [5, 6]), (Compare(kind: .greater), [7, 3]), (Select(), [8, 0, 2]), (Negate(), [9]),
            ], results: [4, 5, 7]))
      }
      cases += reducedCases(dtype).map { $0.loosened(loose) }
      // Broadcast operands of every kind, and orders in memory.
      for (a, b): (Shape, Shape) in [
        ([4, 5, 6], [6]), ([4, 5, 6], [5, 1]), ([4, 5, 6], [4, 1, 1]), ([4, 1, 6], [5, 1]),
        ([2, 3, 40, 40], [3, 1, 1]),
        ([300, 7], [300, 1]),
      ] {
        let shape = a.broadcast(with: b)!
        for layout in [Layout.dense, .transposed] {
          cases.append(
            chain(
              [Input(a, dtype, .spaced, layout), Input(b, dtype), Input(shape, dtype, .between(1, 2), layout)],
              [(Add(), [0, 1]), (Exp(), [1]), (Divide(), [3, 2]), (Multiply(), [5, 4])], results: [3, 2]
            ).loosened(loose))
        }
      }
      cases.append(
        chain(
          [Input([6, 40], dtype, .spaced, .strided), Input([6, 40], dtype, .between(-1, 1), .expanded)],
          [(Add(), [0, 1]), (Sigmoid(), [2])], results: [1]
        ).loosened(loose))
    }
    for dtype in integerTypes {
      cases.append(
        chain(
          [Input([3, 200], dtype, .grid(0)), Input([200], dtype, .grid(0))],
          [(Multiply(), [0, 1]), (Cast(dtype: .float32), [2]), (Cast(dtype: .int16), [3]), (Cast(dtype: .bool), [0])],
          results: [1, 2, 3]))
    }
    let flags = Input([5, 130], .bool, .below(2))
    cases.append(
      chain(
        [flags, Input([130], .bool, .below(2))],
        [(Logic(kind: .and), [0, 1]), (LogicalNot(), [2]), (Logic(kind: .xor), [3, 0])],
        results: [0, 2]))
    cases.append(
      chain(
        [Input([40, 33], .bfloat16), Input([40, 33], .float32)],
        [
          (Cast(dtype: .float32), [0]), (Multiply(), [2, 1]), (Cast(dtype: .float16), [3]),
          (Cast(dtype: .bfloat16), [1]),
        ],
        results: [1, 2, 3]
      ).loosened(8))
    return cases
  }

  /// Chains whose results are reduced: whole, by rows and by columns, over pieces of every kind.
  private func reducedCases(_ dtype: DType) -> [OpCase] {
    var cases: [OpCase] = []
    for (shape, axes): (Shape, Positions) in [
      ([1], [0]), ([600], [0]), ([3, 700], [0, 1]), ([40, 3], [1]), ([3, 2500], [1]), ([2, 33_000], [1]),
      ([5, 8], [0]),
      ([130, 9], [0]), ([3, 2100], [0]), ([1030, 16], [0]), ([4, 5, 6], [1, 2]), ([4, 5, 6], [0]),
      ([4, 5, 9], [0, 1]),
    ] {
      let some = dtype.size == 2 && shape.elementCount > 4000 ? 1 : 2
      for keepDims in [false, true].prefix(some) {
        let kinds: [any Reduction] = [
          Sum(axes: axes, keepDims: keepDims), Mean(axes: axes, keepDims: keepDims),
          Max(axes: axes, keepDims: keepDims),
          Min(axes: axes, keepDims: keepDims),
        ]
        let x = Input(shape, dtype, .between(0.25, 1))  // sums that do not cancel
        let y = Input(shape, dtype, .between(0.5, 1))
        // Two of one result, which is kept as well; one of another.
        cases.append(
          chain(
            [x, y], [(Multiply(), [0, 1]), (Add(), [2, 0])], results: [0],
            reduced: [(0, kinds[0]), (1, kinds[1]), (0, kinds[2])]))
        cases.append(chain([x, y], [(Subtract(), [0, 1])], results: [], reduced: [(0, kinds[3])]))
      }
    }
    return cases
  }
}
