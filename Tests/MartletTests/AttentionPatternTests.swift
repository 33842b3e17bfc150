import Martlet
import MartletCore
import MartletOps
import Testing

/// Attention that is written out becomes the operation, with its backward part, and computes the same.
@Suite(.enabled(if: Device.current == .cpu)) struct AttentionPatternTests {
  private static let passes = Pass.selected(nil)
  private static let others = passes.filter { $0.name != "attention" }

  private func normal(_ shape: Shape, seed: Int) -> Tensor { .normal(shape, generator: Generator(seed: seed)) }

  private func operations(_ program: Program) -> [String] { program.instructions.map { type(of: $0.op).name } }

  /// The attention of a program after the passes; nil where there is none.
  private func found(_ program: Program) -> Attention? {
    let after = program.optimized(Self.passes)
    let names = operations(after)
    let all = after.instructions.compactMap { $0.op as? Attention }
    #expect(all.count <= 1 && names.contains("softmax") == all.isEmpty && after.verify().isEmpty)
    return all.first
  }

  // MARK: ways to write it

  /// A way to write attention with masks.
  struct Variant: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let masks: @Sendable (_ rows: Int, _ columns: Int) -> [Tensor]
    let scale: Double
    let isCausal: Bool
    let hasMask: Bool
    let attend: @Sendable (_ q: Tensor, _ k: Tensor, _ v: Tensor, _ masks: [Tensor]) -> Tensor

    init(
      _ name: String, scale: Double = 1, isCausal: Bool = false, hasMask: Bool = false,
      masks: @escaping @Sendable (Int, Int) -> [Tensor] = { _, _ in [] },
      _ attend: @escaping @Sendable (Tensor, Tensor, Tensor, [Tensor]) -> Tensor
    ) {
      testDescription = name
      (self.scale, self.isCausal, self.hasMask) = (scale, isCausal, hasMask)
      (self.masks, self.attend) = (masks, attend)
    }

    /// With what is done to the scores.
    static func scores(
      _ name: String, scale: Double = 1, isCausal: Bool = false, hasMask: Bool = false,
      masks: @escaping @Sendable (Int, Int) -> [Tensor] = { _, _ in [] },
      _ change: @escaping @Sendable (Tensor, [Tensor]) -> Tensor
    ) -> Variant {
      Variant(name, scale: scale, isCausal: isCausal, hasMask: hasMask, masks: masks) { q, k, v, masks in
        matmul(softmax(change(matmul(q, k.transposed()), masks), axis: -1), v)
      }
    }
  }

  /// True below and on the diagonal, as users make it.
  private static func causal(_ scores: Tensor) -> Tensor {
    Tensor.ones([scores.shape[-2], scores.shape[-1]]).tril() .> 0
  }
  /// Every third key may not be seen, and row 1 sees nothing.
  private static func sparse(_ rows: Int, _ columns: Int) -> Tensor {
    Tensor((0..<rows * columns).map { $0 % 3 != 0 && $0 / columns != 1 }, shape: [rows, columns])
  }

  static let variants: [Variant] = [
    .scores("plain") { s, _ in s },
    .scores("times a number", scale: 0.3) { s, _ in s * 0.3 },
    .scores("a number times", scale: 0.3) { s, _ in 0.3 * s },
    .scores("by a number", scale: 1 / Double(Float(3).squareRoot())) { s, _ in s / Double(3).squareRoot() },
    .scores("two factors", scale: 0.25) { s, _ in s * 0.5 / 2 },
    Variant("scaled queries") { q, k, v, _ in matmul(softmax(matmul(q * 0.5, k.transposed())), v) },
    Variant("a transposed result") { q, k, v, _ in matmul(softmax(matmul(q, k.transposed())), v).transposed() + 1 },
    .scores("a causal fill", scale: 0.5, isCausal: true) { s, _ in
      (s * 0.5).maskedFill(.!causal(s), -Double.infinity)
    },
    .scores("a causal select", scale: 0.5, isCausal: true) { s, _ in select(causal(s), s * 0.5, -Double.infinity) },
    .scores("a causal mask of triu", isCausal: true) { s, _ in
      select(Tensor.ones(Shape([1, 1, s.shape[-2], s.shape[-1]].suffix(s.rank))).triu(1) .> 0.5, -Double.infinity, s)
    },
    .scores("a causal summand", isCausal: true) { s, _ in
      s + select(causal(s), Tensor(0 as Float), Tensor(-Float.infinity))
    },
    .scores("a large negative summand", hasMask: true) { s, _ in
      s + (1 - Tensor.ones([s.shape[-2], s.shape[-1]]).tril()) * -1e9
    },
    .scores("a constant that hides a row", hasMask: true) { s, _ in
      select(sparse(s.shape[-2], s.shape[-1]), s, -Double.infinity)
    },
    .scores("numbers for each key", scale: 0.5, hasMask: true, masks: { _, columns in [.range(to: Double(columns))] }) {
      $1[0] + $0 * 0.5
    },
    .scores(
      "summands that hide a row", hasMask: true,
      masks: { [select(sparse($0, $1), Tensor(0.5 as Float), Tensor(-Float.infinity))] }
    ) {
      $0 + $1[0]
    },
    .scores("a condition", hasMask: true, masks: { [sparse($0, $1)] }) { select($1[0], $0, -Double.infinity) },
    .scores("a fill", scale: 0.25, hasMask: true, masks: { [sparse($0, $1)] }) {
      ($0 * 0.25).maskedFill($1[0], -Double.infinity)
    },
    .scores("an inverted fill", hasMask: true, masks: { [sparse($0, $1)] }) {
      $0.maskedFill(.!$1[0], -Double.infinity)
    },
    .scores(
      "keys of a padded sequence, causal", isCausal: true, hasMask: true,
      masks: { _, n in [Tensor(Array(0..<n)) .< n - 2] }
    ) {
      select(causal($0), select($1[0], $0, -Double.infinity), -Double.infinity)
    },
    .scores("softmax in float32", scale: 0.5) { s, _ in (s * 0.5).cast(to: .float32) },
  ]

  @Test(arguments: variants, [[], [3], [2, 3]] as [Shape])
  func variantsAgree(_ variant: Variant, _ leading: Shape) throws {
    for (rows, columns) in [(6, 6), (5, 7)] {
      let x = [(rows, 4), (columns, 4), (columns, 3)].enumerated().map { position, sizes in
        normal(Shape(leading + [sizes.0, sizes.1]), seed: position + 1)
      }
      let masks = variant.masks(rows, columns)
      for dtype in [nil, DType.bfloat16] {
        func attend(_ x: [Tensor], _ masks: [Tensor]) -> Tensor {
          withAutocast(dtype) {
            let x = x.map { $0 * 0.5 }
            return dtype == nil || variant.testDescription.contains("scaled")
              ? variant.attend(x[0], x[1], x[2], masks)
              : variant.attend(x[0].autocast, x[1].autocast, x[2].autocast, masks)
          }
        }
        let forward = try compile { (x: [Tensor], masks: [Tensor]) in attend(x, masks) }.program(for: x, masks)
        let training = try compile { (x: [Tensor], masks: [Tensor]) in
          valueAndGrad { (x: [Tensor]) in
            let y = attend(x, masks).cast(to: .float32)
            return exp(select(y.isNaN, Tensor(0 as Float), y) * 0.5).sum()
          }(x)
        }.program(for: x, masks)
        for (name, program) in [("forward", forward), ("training", training)] {
          let what: Comment = "\(name) of \(rows) × \(columns), \(dtype ?? .float32)"
          let op = found(program)
          #expect(op?.isCausal == variant.isCausal && op?.hasMask == variant.hasMask, what)
          #expect(dtype != nil || abs((op?.scale ?? 0) - variant.scale) < 1e-6, what)
          let expected = try program.optimized(Self.others).run(x + masks, planned: true)
          for planned in [false, true] {
            let results = try program.optimized(Self.passes).run(x + masks, planned: planned)
            #expect(results.count == expected.count)
            for (a, b) in zip(results, expected) {
              let bound = dtype == nil ? 1e-5 : 0.06
              #expect(a.spec == b.spec && allClose(a, b, relative: bound, absolute: bound, equalNaN: true), what)
            }
          }
        }
        let names = operations(training.optimized(Self.passes))
        #expect(names.count { $0 == "attentionGradient" } == 1 && !names.contains("matmul"))
      }
    }
  }

  /// Self-attention of one matrix, keys that come transposed, gradients of some operands alone.
  @Test func operandsMayBeAlike() throws {
    let x = normal([2, 6, 6], seed: 1)
    let other = normal([2, 6, 6], seed: 2)
    let bodies: [(_ x: Tensor, _ other: Tensor) -> Tensor] = [
      { x, _ in matmul(softmax(matmul(x, x.transposed())), x) },
      { x, _ in matmul(softmax(matmul(x, x)), x.transposed()) },
      { x, y in matmul(softmax(matmul(x, y.transposed()) * 0.1), y) },
      { x, y in matmul(softmax(matmul(y, exp(x).transposed()) * 0.1), y) },
      { x, y in matmul(softmax(matmul(y, y.transposed()) * 0.1), x) + x },
      { x, y in
        let first = matmul(softmax(matmul(x, y.transposed())), x)
        return matmul(softmax(matmul(first, x.transposed()) * 0.5), first)
      },
    ]
    for (number, body) in bodies.enumerated() {
      let f = valueAndGrad { (x: Tensor, y: Tensor) in exp(body(x, y) * 0.2).sum() }
      let program = try compile { (x: Tensor, y: Tensor) in f(x, y) }.program(for: x, other)
      let names = operations(program.optimized(Self.passes))
      #expect(!names.contains("softmax") && names.contains("attentionGradient"), "\(number)")
      let expected = try program.optimized(Self.others).run([x, other], planned: true)
      for (a, b) in zip(try program.optimized(Self.passes).run([x, other], planned: true), expected) {
        #expect(allClose(a, b, relative: 1e-5, absolute: 1e-5), "\(number)")
      }
    }
  }

  // MARK: what is left alone

  @Test func othersAreLeftAlone() throws {
    let condition = Self.sparse(6, 6)
    let bodies: [(String, (_ x: [Tensor]) -> [Tensor])] = [
      (
        "scores that are read",
        { x in
          let s = matmul(x[0], x[1].transposed())
          return [matmul(softmax(s), x[2]), s.sum()]
        }
      ),
      (
        "weights that are given back",
        { x in
          let w = softmax(matmul(x[0], x[1].transposed()))
          return [matmul(w, x[2]), w]
        }
      ),
      ("another axis", { x in [matmul(softmax(matmul(x[0], x[1].transposed()), axis: 1), x[2])] }),
      ("a factor that is not known", { x in [matmul(softmax(matmul(x[0], x[1].transposed()) * x[3]), x[2])] }),
      (
        "a masked score that is scaled",
        { x in [matmul(softmax((matmul(x[0], x[1].transposed()) + x[0]) * 0.5), x[2])] }
      ),
      ("a finite fill", { x in [matmul(softmax(matmul(x[0], x[1].transposed()).maskedFill(condition, -1e9)), x[2])] }),
      ("two masks", { x in [matmul(softmax(matmul(x[0], x[1].transposed()) + x[0] + x[2]), x[2])] }),
      (
        "dropout",
        { x in
          let w = dropout(softmax(matmul(x[0], x[1].transposed())), probability: 0.5, key: Generator(seed: 3).next())
          return [matmul(w, x[2])]
        }
      ),
      ("keys for all examples", { x in [matmul(softmax(matmul(x[0], x[1][0].transposed())), x[2])] }),
      (
        "weights that are turned and cast",
        { x in
          let x = x.map { $0.cast(to: .bfloat16) }
          let w = softmax(matmul(x[0], x[1].transposed()).cast(to: .float32))
          return [matmul(w.transposed().cast(to: .bfloat16), x[2])]
        }
      ),
      (
        "weights that are multiplied from both sides",
        { x in
          let w = softmax(matmul(x[0], x[1].transposed()))
          return [matmul(w, x[2]), matmul(w.transposed(), x[2][0..., 0..., ..<3])]
        }
      ),
      (
        "weights that are the values too",
        { x in
          let w = softmax(matmul(x[0], x[1].transposed()))
          return [matmul(w, w.transposed())]
        }
      ),
      ("no product", { x in [matmul(softmax(x[0] + x[1]), x[2])] }),
      (
        "float64",
        { x in
          let x = x.map { $0.cast(to: .float64) }
          return [matmul(softmax(matmul(x[0], x[1].transposed())), x[2])]
        }
      ),
      (
        "whole numbers between",
        { x in
          [matmul(softmax(matmul(x[0], x[1].transposed()).cast(to: .int32).cast(to: .float32)), x[2])]
        }
      ),
    ]
    let x = (0..<3).map { normal([2, 6, 6], seed: $0 + 1) } + [Tensor(0.5 as Float)]
    for (name, body) in bodies {
      let program = try compile { (x: [Tensor]) in body(x) }.program(for: x)
      #expect(found(program) == nil, "\(name)")
      #expect("\(program.optimized(Self.passes))" == "\(program.optimized(Self.others))", "\(name)")
    }
  }

  /// In training: gradients of masks, weights in the loss, and gradients of gradients need what would not be there.
  @Test func otherGradientsAreLeftAlone() throws {
    let x = (0..<4).map { normal([2, 6, 6], seed: $0 + 1) }
    func attend(_ x: [Tensor]) -> Tensor { matmul(softmax(matmul(x[0], x[1].transposed()) + x[3]), x[2]) }
    let losses: [(String, ([Tensor]) -> Tensor)] = [
      ("a mask", { exp(attend($0)).sum() }),
      (
        "weights",
        { x in
          let w = softmax(matmul(x[0], x[1].transposed()))
          return exp(matmul(w, x[2])).sum() + exp(w).sum()
        }
      ),
      (
        "second order",
        { x in
          grad { (v: Tensor) in exp(matmul(softmax(matmul(v, x[1].transposed())), x[2])).sum() }(x[0]).sum()
        }
      ),
    ]
    for (name, loss) in losses {
      let program = try compile { (x: [Tensor]) in valueAndGrad(loss)(x) }.program(for: x)
      #expect(found(program) == nil, "\(name)")
    }
    #expect(found(try compile { (x: [Tensor]) in attend(x) }.program(for: x)) != nil)
  }

  // MARK: texts

  private func lines(_ program: Program) -> [String] {
    program.description.split(separator: "\n").map { $0.trimmingPrefix(while: { $0 == " " }) }.map { String($0) }
      .filter { !$0.hasPrefix("program") && !$0.contains("= input") && $0 != "}" }
  }
  private func after(_ f: @escaping ([Tensor]) -> [Tensor], _ x: [Tensor]) throws -> [String] {
    lines(try compile { (x: [Tensor]) in f(x) }.program(for: x).optimized(Pass.selected("attention")))
  }

  @Test func forward() throws {
    let x = (0..<3).map { normal([2, 3, 5, 4], seed: $0) }
    let mask = Tensor.ones([5, 5]).tril() .== 0
    func attend(_ x: [Tensor]) -> [Tensor] {
      let scores = matmul(x[0], x[1].transposed()) / 2
      return [matmul(softmax(scores.maskedFill(mask, -Double.infinity)), x[2])]
    }
    #expect(
      try after(attend, x) == [
        "%12, %13 = attention(%0, %1, %2) {scale=0.5, isCausal=true, hasMask=false, dropout=0.0} -> "
          + "float32[2, 3, 5, 4], float32[2, 3, 5]", "return %12",
      ])
    // The mask is not known: rows that see nothing stay NaN.
    let unknown = x + [Tensor.ones([5]) .> 0]
    #expect(
      try after(
        { x in [matmul(softmax(select(x[3], matmul(x[0], x[1].transposed()), -Double.infinity)), x[2])] }, unknown)
        == [
          "%10, %11 = attention(%0, %1, %2, %3) {scale=1.0, isCausal=false, hasMask=true, dropout=0.0} -> "
            + "float32[2, 3, 5, 4], float32[2, 3, 5]", "%12 = subtract(%11, %11) -> float32[2, 3, 5]",
          "%13 = reshape(%12) {shape=[2, 3, 5, 1]} -> float32[2, 3, 5, 1]",
          "%14 = add(%10, %13) -> float32[2, 3, 5, 4]", "return %14",
        ])
  }

  @Test func training() throws {
    let x = (0..<3).map { normal([2, 5, 4], seed: $0) }
    let text = try after(
      { x in
        let (loss, gradients) = valueAndGrad { (x: [Tensor]) in
          exp(matmul(softmax(matmul(x[0], x[1].transposed()) * 0.3), x[2])).sum()
        }(x)
        return [loss] + gradients
      }, x)
    let attributes = "{scale=0.30000001192092896, isCausal=false, hasMask=false, dropout=0.0}"
    #expect(
      text == [
        "%11 = constant float32[2, 5, 4]",
        "%27, %28 = attention(%0, %1, %2) \(attributes) -> float32[2, 5, 4], float32[2, 5]",
        "%9 = exp(%27) -> float32[2, 5, 4]", "%10 = sum(%9) {axes=[0, 1, 2]} -> float32[]",
        "%12 = multiply(%11, %9) -> float32[2, 5, 4]", "%29 = multiply(%12, %27) -> float32[2, 5, 4]",
        "%30 = sum(%29) {axes=[2]} -> float32[2, 5]",
        "%31, %32, %33 = attentionGradient(%0, %1, %2, %12, %28, %30) \(attributes) -> "
          + "float32[2, 5, 4], float32[2, 5, 4], float32[2, 5, 4]", "return %10, %31, %32, %33",
      ])
  }

  // MARK: memory

  /// Training on long sequences does not hold a matrix of scores.
  @Test func memoryOfLongSequences() throws {
    let (length, heads, features) = (2048, 2, 16)
    let scores = heads * length * length * 4
    func parted(_ x: Tensor) -> Tensor { x.reshaped([1, length, heads, features]).permuted([0, 2, 1, 3]) }
    let mask = Tensor.ones([length, length]).tril() .== 0
    func arena(readsWeights: Bool) throws -> Int {
      let f = compile { (x: Tensor) in
        valueAndGrad { (x: Tensor) in
          let parts = x.split([heads * features, heads * features, heads * features], axis: 2).map(parted)
          let weights = softmax(
            (matmul(parts[0], parts[1].transposed()) / 4).maskedFill(mask, -Double.infinity), axis: -1)
          let y = matmul(weights, parts[2]).permuted([0, 2, 1, 3]).reshaped([1, length, heads * features])
          return exp(y).sum() + (readsWeights ? weights.max() : Tensor(0 as Float))
        }(x)
      }
      return try f.explain(normal([1, length, 3 * heads * features], seed: 1)).arenaBytes
    }
    let (with, without) = (try arena(readsWeights: false), try arena(readsWeights: true))
    #expect(with < scores / 4 && without > 2 * scores, "\(with) and \(without) bytes; scores \(scores)")
  }
}
