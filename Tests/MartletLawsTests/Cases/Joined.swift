import Martlet
import MartletCore
import MartletOps

extension OpTable {
  /// Products with all that may follow them, on both sides of the size from which oneDNN takes them.
  var fusedMatmulCases: [OpCase] {
    var cases: [OpCase] = []
    for dtype in [.float32, .bfloat16, .float64] as [DType] {
      for (a, b): (Shape, Shape) in [
        ([1, 3], [3, 4]), ([5, 7], [7, 33]), ([2, 3, 8], [8, 5]), ([70, 64], [64, 65]), ([2, 40, 64], [64, 70]),
        ([1, 600], [600, 500]),
      ] {
        let isLarge = a.elementCount * b[1] > 1 << 18
        // What the pass makes for the device: a rectifier follows small products alone, functions of oneDNN large ones.
        let functions: [FusedMatmul.Function?] =
          dtype == .float64 ? [nil] : isLarge || dtype == .bfloat16 ? [nil, .gelu, .geluTanh, .silu] : [nil, .relu]
        for function in functions {
          for (hasBias, adds) in [(true, false), (false, true), (true, true), (false, false)] {
            let result = Shape(Array(a.dropLast()) + [b[1]])
            for layout in [Layout.dense, .transposed] {
              cases.append(
                OpCase(
                  FusedMatmul(hasBias: hasBias, adds: adds, function: function),
                  [Input(a, dtype, .between(-1, 1), layout), Input(b, dtype, .between(-0.2, 0.2), layout)]
                    + (hasBias ? [Input([b[1]], dtype, .between(-1, 1))] : [])
                    + (adds ? [Input(result, dtype, .between(-1, 1), layout)] : []),
                  .kinked, loose: dtype.size == 2 ? 8 : 1))
              guard dtype == .bfloat16, !adds else { continue }
              cases.append(
                OpCase(
                  FusedMatmul(hasBias: hasBias, adds: false, function: function, widens: true),
                  [Input(a, dtype, .between(-1, 1), layout), Input(b, dtype, .between(-0.2, 0.2), layout)]
                    + (hasBias ? [Input([b[1]], dtype, .between(-1, 1))] : []),
                  .kinked, loose: 8))
            }
          }
        }
      }
    }
    return cases
  }

  /// Updates of parameters of several sizes.
  var joinedUpdateCases: [OpCase] {
    var cases: [OpCase] = []
    for dtype in [.float32, .float64] as [DType] {
      for amsgrad in [false, true] {
        for layout in [Layout.dense, .transposed] {
          let adam = AdamUpdate(
            beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, decoupled: true, amsgrad: amsgrad)
          var inputs: [Input] = []
          for (number, shape) in ([[3, 4], [], [0], [9000], [65]] as [Shape]).enumerated() {
            inputs += [
              Input(shape, dtype, .between(-1, 1), layout), Input(shape, dtype, .between(-1, 1)),
              Input([], dtype, .list([0.01])), Input(shape, dtype, .between(-1, 1)),
              Input(shape, dtype, .between(0.5, 2)), Input([], dtype, .list([Double(1 + number / 2)])),
            ]
            if amsgrad { inputs.append(Input(shape, dtype, .between(0.5, 2))) }
          }
          cases.append(
            OpCase(JoinedUpdates(adam, count: 5, inputCount: amsgrad ? 7 : 6), inputs, .kinked, loose: 8))
        }
      }
      for (momentum, inputCount) in [(0.0, 3), (0.9, 3), (0.9, 4)] {
        let sgd = SGDUpdate(momentum: momentum, dampening: 0.1, weightDecay: 0.1, nesterov: false)
        let inputs = ([[40], [40], [0], [2, 3], [40]] as [Shape]).flatMap { shape in
          [
            Input(shape, dtype, .between(-1, 1)), Input(shape, dtype, .between(-1, 1)), Input([], dtype, .list([0.1])),
            Input(shape, dtype, .between(-1, 1)),
          ].prefix(inputCount)
        }
        cases.append(OpCase(JoinedUpdates(sgd, count: 5, inputCount: inputCount), inputs, .smooth, loose: 4))
      }
    }
    return cases
  }
}
