import Martlet
import MartletCore
import MartletOps
import Testing

/// A program with control flow: functions of tensors, whose values outside of `compile` come from Swift's own control flow.
private struct Program: Sendable, CustomTestStringConvertible {
  let testDescription: String
  /// float64 numbers of each input.
  let inputs: [(shape: Shape, numbers: [Double])]
  let isSmooth: Bool
  /// `withoutGradient` in it, which forward mode passes now and not in a body that is captured.
  let mutes: Bool
  let f: @Sendable ([Tensor]) -> Tensor

  init(
    _ name: String, _ inputs: [(Shape, [Double])], smooth: Bool = true, mutes: Bool = false,
    _ f: @escaping @Sendable ([Tensor]) -> Tensor
  ) {
    testDescription = name
    self.inputs = inputs
    isSmooth = smooth
    self.mutes = mutes
    self.f = f
  }

  /// The inputs of one example; examples differ.
  func tensors(_ example: Int = 0) -> [Tensor] {
    inputs.map { shape, numbers in
      Tensor(numbers.enumerated().map { $1 + Double(example) * (0.07 + 0.03 * Double($0)) }, shape: shape)
    }
  }
}

private func scalar(_ number: Double) -> Tensor { Tensor(number) }
private let rows: (Shape, [Double]) = ([4, 2], [0.3, -0.2, 0.9, 0.4, -0.7, 0.1, 0.5, -0.6])
private let square: (Shape, [Double]) = ([2, 2], [0.4, -0.3, 0.8, 0.2])

private let programs: [Program] = [
  Program("a network over time by scan", [rows, square, ([2], [0.1, -0.4])]) { t in
    let (last, outputs) = scan(t[0], from: t[2]) { h, x in
      let h = tanh(x + matmul(h.reshaped([1, 2]), t[1]).reshaped([2]))
      return (h, h * h)
    }
    return last.sum() + (outputs * t[0]).sum()
  },
  Program("foldl of the lecture", [([3], [1.1, 0.7, -0.4]), ([], [0.8]), ([], [0.3])]) { t in
    foldl(t[0], from: t[2]) { previous, current in (previous + current) * t[1] }
  },
  Program("Newton's method until it has converged", [([], [3])]) { t in
    whileLoop(t[0] * 0 + 1, while: { abs($0 * $0 - t[0]) .> 1e-13 }, maximum: 50) { ($0 + t[0] / $0) * 0.5 }
  },
  Program("powers by squaring", [([], [1.1])]) { t in
    let n = cond(t[0] .< 1.2) {
      Tensor(5)
    } else: {
      Tensor(6)
    }
    let state = whileLoop([scalar(1), t[0], n], while: { $0[2] .> 0 }) { s in
      let result = cond(remainder(s[2], Tensor(2)) .== 1) {
        s[0] * s[1]
      } else: {
        s[0]
      }
      return [result, s[1] * s[1], floorDivide(s[2], Tensor(2))]
    }
    return state[0]
  },
  Program("cond in scan", [([5], [0.5, -0.3, 0.8, -1.2, 0.1]), ([], [0.7])]) { t in
    scan(t[0], from: t[1]) { s, x in
      let next = cond(x .> 0) {
        sin(s) * x
      } else: {
        s - x * t[1]
      }
      return (next, next * next)
    }.1.sum()
  },
  Program("scan in cond", [([3], [0.5, -0.3, 0.8]), ([], [0.7])]) { t in
    cond(t[1] .< 0.75) {
      foldl(t[0], from: t[1]) { s, x in cos(s + x) }
    } else: {
      (t[0] * t[1]).sum()
    }
  },
  Program("while in scan", [([3], [0.5, 0.9, 0.2]), ([], [1.3])]) { t in
    scan(t[0], from: t[1]) { s, x in
      let grown = whileLoop(s * x, while: { $0 .< 2 }) { $0 * 1.5 + x }
      return (sin(grown), grown)
    }.1.sum()
  },
  Program("scan in while", [([3], [0.5, 0.9, 0.2]), ([], [1.3])]) { t in
    whileLoop([t[1], Tensor(0)], while: { $0[1] .< 3 }) { s in
      [foldl(t[0], from: s[0]) { sin($0 * $1) + $1 }, s[1] + 1]
    }[0]
  },
  Program("steps that depend on the data", [([], [0.9]), ([], [1.4])]) { t in
    whileLoop(t[0], while: { $0 .< 5 }) { $0 * t[1] + sin($0) * 0.1 }
  },
  Program("from the last row to the first", [rows, ([2], [0.2, 0.6])]) { t in
    let (last, outputs) = scan(t[0], from: t[1], reverse: true) { s, x in (s * 0.5 + x * t[1], s * x) }
    return last.sum() + (outputs * t[0]).sum()
  },
  Program("no rows", [([2], [0.2, 0.6])]) { t in
    let (last, outputs) = scan(Tensor.zeros([0, 2], dtype: .float64), from: t[0]) { s, x in (s * x, s + x) }
    return (last * last).sum() + outputs.sum()
  },
  Program("mapped", [rows, ([], [0.6])]) { t in
    mapped(t[0]) { x in exp(x * t[1]).sum() }.sum()
  },
  Program("a state of several tensors", [rows, ([2], [0.2, 0.6])]) { t in
    let xs: [String: Tensor] = ["x": t[0], "y": t[0] * 2]
    let (state, ys) = scan(xs, from: [t[1], t[1].sum()]) {
      (s: [Tensor], row: [String: Tensor]) -> ([Tensor], [Tensor]) in
      let first = s[0] * row["x"]! + s[1]
      return ([first, s[1] * 0.9 + row["y"]!.sum()], [s[0], s[1]])
    }
    return state[0].sum() + state[1] + ys[0].sum() * ys[1].sum()
  },
  Program("a branch that is not defined", [([3], [0.6, 0.2, 0.5])], smooth: false) { t in
    scan(t[0], from: scalar(0)) { s, x in
      (
        s
          + cond(x .> 0.25) {
            sqrt(x - 0.25)
          } else: {
            x * 3
          }, s
      )
    }.0
  },
  Program("what is muted and detached", [([3], [0.5, 0.9, 0.2]), ([], [1.3])], smooth: false, mutes: true) { t in
    foldl(t[0], from: t[1]) { s, x in sin(s) * x.detached() + withoutGradient { s * x } * s }
  },
  Program("a loop without a step", [([], [0.7])], smooth: false) { t in
    whileLoop(t[0], while: { $0 .< 0 }) { $0 * 2 } * t[0]
  },
  Program("a gradient inside", [([3], [0.5, 0.9, 0.2]), ([], [1.3])]) { t in
    foldl(t[0], from: t[1]) { s, x in s - grad { (y: Tensor) in sin(y * x) * t[1] }(s) * 0.5 }
  },
]

private func expectClose(_ a: Tensor, _ b: Tensor, _ what: String, _ tolerance: Double = 1e-11) {
  #expect(a.shape == b.shape && a.dtype == b.dtype, "\(what): \(a.spec) is not \(b.spec)")
  guard a.shape == b.shape else { return }
  for (x, y) in zip(a.array(as: Double.self), b.array(as: Double.self)) {
    #expect((x - y).magnitude <= tolerance * (1 + y.magnitude), "\(what): \(x) is not \(y)")
  }
}

private func expectClose(_ a: [Tensor], _ b: [Tensor], _ what: String, _ tolerance: Double = 1e-11) {
  #expect(a.count == b.count)
  for (x, y) in zip(a, b) { expectClose(x, y, what, tolerance) }
}

/// The slopes along each element of each input, by differences of fourth order.
private func slopes(_ f: ([Tensor]) -> Double, _ x: [Tensor]) -> [Tensor] {
  x.indices.map { position in
    let numbers = x[position].array(as: Double.self)
    let result = numbers.indices.map { element -> Double in
      func at(_ step: Double) -> Double {
        var moved = numbers
        moved[element] += step
        var inputs = x
        inputs[position] = Tensor(moved, shape: x[position].shape)
        return f(inputs)
      }
      let h = 1e-3
      return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    }
    return Tensor(result, shape: x[position].shape)
  }
}

@Suite struct ControlFlowTests {
  /// Values: what Swift's control flow computes now is what `lazy` and a program compute, planned and one by one.
  @Test(arguments: programs) fileprivate func valuesAgree(_ program: Program) throws {
    let compiled = compile(program.f)
    for example in 0..<3 {
      let x = program.tensors(example)
      let now = program.f(x)
      expectClose(lazy { program.f(x) }, now, "lazy")
      expectClose(compiled(x), now, "compiled")
      expectClose(try withAnomalyDetection { compiled(x) }, now, "one by one")
    }
    #expect(compiled.programs.count == 1)
    #expect(compiled.programs[0].verify().isEmpty)
    #expect(compiled.programs[0].instructions.allSatisfy { !$0.op.attributes.contains("Subprogram") })
  }

  @Test(arguments: programs) fileprivate func gradientsAgree(_ program: Program) {
    let gradient = grad(program.f)
    let compiled = compile(gradient)
    let outside = grad(compile(program.f).function)
    for example in 0..<2 {
      let x = program.tensors(example)
      let now = gradient(x)
      if program.isSmooth {
        expectClose(now, slopes({ program.f($0).item() }, x), "finite differences", 1e-8)
      }
      expectClose(compiled(x), now, "inside of compile")
      expectClose(outside(x), now, "around compile")
      expectClose(lazy { gradient(x) }, now, "lazy")
    }
  }

  @Test(arguments: programs) fileprivate func secondOrderAgrees(_ program: Program) {
    let second = grad { (x: [Tensor]) in
      grad(program.f)(x).enumerated().reduce(scalar(0)) { $0 + ($1.element * (0.3 + Double($1.offset))).sum() }
    }
    let x = program.tensors(1)
    let now = second(x)
    expectClose(compile(second)(x), now, "inside of compile", 1e-10)
    let f = compile(program.f).function
    let around = grad { (x: [Tensor]) in
      grad(f)(x).enumerated().reduce(scalar(0)) { $0 + ($1.element * (0.3 + Double($1.offset))).sum() }
    }
    expectClose(around(x), now, "around compile", 1e-10)
    // Forward over reverse.
    if program.mutes { return }
    let direction = program.tensors(2)
    let forward = compile { (x: [Tensor], d: [Tensor]) in jvp(grad(program.f), x, d).tangent }
    expectClose(forward(x, direction), jvp(grad(program.f), x, direction).tangent, "forward over reverse", 1e-10)
  }

  @Test(arguments: programs.filter { !$0.mutes }) fileprivate func forwardModeAgrees(_ program: Program) {
    let (x, d) = (program.tensors(), program.tensors(2))
    let now = jvp(program.f, x, d)
    let compiled = compile { (x: [Tensor], d: [Tensor]) in
      let (value, tangent) = jvp(program.f, x, d)
      return [value, tangent]
    }(x, d)
    expectClose(compiled, [now.value, now.tangent], "inside of compile")
    expectClose(jvp(compile(program.f).function, x, d).tangent, now.tangent, "around compile")
    let gradient = grad(program.f)(x)
    let product = zip(gradient, d).reduce(scalar(0)) { $0 + ($1.0 * $1.1).sum() }
    expectClose(now.tangent, product, "reverse mode", 1e-10)
  }

  @Test(arguments: programs) fileprivate func mapsAreLoops(_ program: Program) {
    let examples = (0..<4).map { program.tensors($0) }
    let together = examples[0].indices.map { position in stack(examples.map { $0[position] }) }
    let values = stack(examples.map(program.f))
    expectClose(vmap(program.f)(together), values, "now")
    expectClose(compile(vmap(program.f))(together), values, "inside of compile")
    expectClose(vmap(compile(program.f).function)(together), values, "around compile")

    let gradients = examples.map(grad(program.f))
    let expected = together.indices.map { position in stack(gradients.map { $0[position] }) }
    expectClose(vmap(grad(program.f))(together), expected, "vmap of grad")
    expectClose(compile(vmap(grad(program.f)))(together), expected, "vmap of grad, compiled")
    let sum: ([Tensor]) -> Tensor = { vmap(program.f)($0).sum() }
    expectClose(grad(sum)(together), expected, "grad of vmap")
    expectClose(compile(grad(sum))(together), expected, "grad of vmap, compiled")

    // The first input alone differs from example to example.
    let axes: [Int?] = together.indices.map { $0 == 0 ? 0 : nil }
    let shared = [together[0]] + examples[0].dropFirst()
    let loop = stack(examples.map { program.f([$0[0]] + examples[0].dropFirst()) })
    expectClose(compile(vmap(inAxes: axes, program.f))(shared), loop, "one input mapped")
  }
}
