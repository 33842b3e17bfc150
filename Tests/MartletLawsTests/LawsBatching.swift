import Martlet
import MartletCore
import MartletOps
import MartletReference
import Testing

@Suite struct LawsBatching {
  /// Every combination of mapped inputs; of many inputs each alone, all, and all but one.
  private func combinations(_ count: Int) -> [[Bool]] {
    if count <= 3 { return (1..<(1 << count)).map { bits in (0..<count).map { bits >> $0 & 1 == 1 } } }
    return [[Bool](repeating: true, count: count)]
      + (0..<count).flatMap { one in [(0..<count).map { $0 == one }, (0..<count).map { $0 != one }] }
  }

  /// The inputs of three examples: those that are mapped differ, the others are those of the first.
  private func examples(_ c: OpCase, _ mapped: [Bool], _ device: Device, wide: Bool) -> [[Tensor]] {
    let first = c.tensors(on: device, wide: wide)
    return (0..<3).map { example in
      zip(zip(first, c.tensors(on: device, example: example, wide: wide)), mapped).map { $1 ? $0.1 : $0.0 }
    }
  }

  /// The inputs as `vmap` wants them, and its axes: the examples stand first, or last in every other input.
  private func stacked(_ examples: [[Tensor]], _ mapped: [Bool]) -> (inputs: [Tensor], axes: [Int?]) {
    var inputs: [Tensor] = []
    var axes: [Int?] = []
    for (position, isMapped) in mapped.enumerated() {
      let axis = position % 2 == 0 ? 0 : examples[0][position].rank
      inputs.append(isMapped ? stack(examples.map { $0[position] }, axis: axis) : examples[0][position])
      axes.append(isMapped ? axis : nil)
    }
    return (inputs, axes)
  }

  @Test(arguments: Row.all) func batchedIsALoop(_ row: Row) {
    for c in row.cases("batched", share: 0.2) where c.inputs.allSatisfy({ $0.shape.rank < Shape.maxRank }) {
      for device in Laws.devices(row, "batched") {
        for mapped in combinations(c.inputs.count) {
          expect("batched = loop", c, device) {
            let examples = examples(c, mapped, device, wide: false)
            let (inputs, axes) = stacked(examples, mapped)
            let together = vmap(inAxes: axes) { (x: [Tensor]) in apply(any: c.op, x) }(inputs)
            let loop = examples.map { apply(any: c.op, $0) }
            let expected = loop[0].indices.map { output in stack(loop.map { $0[output] }) }
            return difference(together, expected, loose: max(1, c.loose)).map { "mapped \(mapped): \($0)" }
          }
        }
      }
    }
  }

  /// No examples give empty results of the right shape, and a shared input a gradient of zeros.
  @Test(arguments: Row.all) func noExamplesGiveNothing(_ row: Row) {
    for c in row.cases("no examples", share: 0.2) where c.inputs.allSatisfy({ $0.shape.rank < Shape.maxRank }) {
      for mapped in combinations(c.inputs.count) {
        expect("vmap of nothing", c, .cpu) {
          let one = c.tensors(on: .cpu)
          let inputs = zip(one, mapped).map {
            $1 ? .zeros($0.shape.inserting(0, at: 0), dtype: $0.dtype, device: $0.device) : $0
          }
          let f: ([Tensor]) -> [Tensor] = vmap(inAxes: mapped.map { $0 ? 0 : nil }) { apply(any: c.op, $0) }
          let expected = try c.op.outputs(for: one.map { $0.spec }).map {
            Tensor.zeros($0.shape.inserting(0, at: 0), dtype: $0.dtype, device: $0.device)
          }
          if let fault = difference(f(inputs), expected, loose: 1) { return "mapped \(mapped): \(fault)" }
          guard c.isForDerivatives else { return nil }
          let gradients = grad { (x: [Tensor]) in
            floating(f(x)).reduce(Tensor(0 as Float, device: .cpu)) { $0 + $1.sum().real.to(.cpu).cast(to: .float32) }
          }(inputs)
          for (position, input) in inputs.enumerated() where input.dtype.isInexact {
            guard gradients[position].shape == input.shape, numbers(gradients[position]).allSatisfy({ $0 == 0 }) else {
              return "mapped \(mapped): the gradient of input \(position) is not zero"
            }
          }
          return nil
        }
      }
    }
  }

  @Test(arguments: Row.all) func derivativesUnderMapAreALoop(_ row: Row) {
    for c in row.cases("mapped vjp", share: 0.2, where: { $0.isForDerivatives && $0.smoothness == .smooth })
    where c.inputs.allSatisfy({ $0.shape.rank < Shape.maxRank }) {
      for mapped in combinations(c.inputs.count) {
        expect("vmap of vjp and jvp = loop", c, .cpu) {
          let examples = examples(c, mapped, .cpu, wide: true)
          let (inputs, axes) = stacked(examples, mapped)
          let f: ([Tensor]) -> [Tensor] = { floating(apply(any: c.op, $0)) }
          let ct = directions(f(examples[0]), c.name + " ct")
          let d = directions(examples[0], c.name + " d")
          let derivatives: ([Tensor]) -> [Tensor] = { x in vjp(f, x).pullback(ct) + jvp(f, x, d).tangent }
          let together = vmap(inAxes: axes, derivatives)(inputs)
          let loop = examples.map(derivatives)
          let expected = loop[0].indices.map { output in stack(loop.map { $0[output] }) }
          return difference(together, expected, loose: 8 * c.loose).map { "mapped \(mapped): \($0)" }
        }
      }
    }
  }

  @Test(arguments: Row.all) func gradientThroughMapIsThatOfALoop(_ row: Row) {
    for c in row.cases("grad vmap", share: 0.2, where: { $0.isForDerivatives && $0.smoothness == .smooth })
    where c.inputs.allSatisfy({ $0.shape.rank < Shape.maxRank }) {
      for mapped in combinations(c.inputs.count) {
        expect("grad of vmap = loop", c, .cpu) {
          let examples = examples(c, mapped, .cpu, wide: true)
          let (inputs, axes) = stacked(examples, mapped)
          let f: ([Tensor]) -> [Tensor] = { floating(apply(any: c.op, $0)) }
          let ct = directions(f(examples[0]), c.name + " ct")
          let each: ([Tensor]) -> [Tensor] = vmap(inAxes: axes) { (y: [Tensor]) in [inner(f(y), ct)] }
          let together = grad { (x: [Tensor]) in each(x)[0].sum() }(inputs)
          let loop = examples.map { vjp(f, $0).pullback(ct) }
          let expected = inputs.indices.map { position -> Tensor in
            guard inputs[position].dtype.isInexact else { return together[position] }
            let parts = loop.map { $0[position] }
            return mapped[position] ? stack(parts, axis: axes[position]!) : parts[0] + parts[1] + parts[2]
          }
          return difference(together, expected, loose: 8 * c.loose).map { "mapped \(mapped): \($0)" }
        }
      }
    }
  }
}
