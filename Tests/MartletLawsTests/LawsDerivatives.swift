import Martlet
import MartletCore
import MartletOps
import MartletReference
import Testing

/// Inputs moved along a direction.
private func moved(_ x: [Tensor], _ d: [Tensor], _ step: Double) -> [Tensor] {
  zip(x, d).map { $0.dtype.isInexact ? $0 + $1 * step : $0 }
}

/// (f(step) - f(-step)) / 2 step, extrapolated from two steps, so that the error is of fourth order.
private func slope(_ f: (Double) -> Double) -> Double {
  func central(_ step: Double) -> Double { (f(step) - f(-step)) / (2 * step) }
  let step = 1e-3
  return (4 * central(step / 2) - central(step)) / 3
}

@Suite struct LawsDerivatives {
  /// A case as a function of its floating results, with a cotangent for them.
  private func function(_ c: OpCase, _ inputs: [Tensor]) -> (f: ([Tensor]) -> [Tensor], ct: [Tensor], d: [Tensor]) {
    let f: ([Tensor]) -> [Tensor] = { floating(apply(any: c.op, $0)) }
    return (f, directions(f(inputs), c.name + " ct"), directions(inputs, c.name + " d"))
  }

  @Test(arguments: Row.all) func vjpIsTheSlope(_ row: Row) {
    for c in row.cases("vjp", where: { $0.isForDerivatives && $0.smoothness == .smooth }) {
      for device in Laws.devices(row, "vjp") {
        expect("vjp = finite differences", c, device) {
          let x = c.tensors(on: device, wide: true)
          let (f, ct, d) = function(c, x)
          let gradient = vjp(f, x).pullback(ct)
          for (input, part) in zip(x, gradient) where part.spec != input.spec {
            return "\(part.spec) is not \(input.spec)"
          }
          let expected = slope { dot(f(moved(x, d, $0)), ct) }
          return difference([dot(gradient, d)], [expected], 1e-7 * c.loose)
        }
      }
    }
  }

  @Test(arguments: Row.all) func secondOrderIsTheSlopeOfTheFirst(_ row: Row) {
    for c in row.cases("second", share: 0.25, where: { $0.isForDerivatives && $0.smoothness == .smooth }) {
      for device in Laws.devices(row, "second") {
        expect("second order = finite differences", c, device) {
          let x = c.tensors(on: device, wide: true)
          let (f, ct, d) = function(c, x)
          let e = directions(x, c.name + " e")
          let first: ([Tensor]) -> Tensor = { point in
            let gradient = grad { (y: [Tensor]) in inner(f(y), ct) }(point)
            return inner(floating(gradient), floating(d))
          }
          let second = grad(first)(x)
          let expected = slope { first(moved(x, e, $0)).item() }
          if let fault = difference([dot(second, e)], [expected], 1e-6 * c.loose) {
            return "reverse over reverse: \(fault)"
          }
          // Forward over reverse gives the same number.
          let forward = jvp(first, x, e).tangent.item()
          return difference([forward], [dot(second, e)], 1e-10 * c.loose).map { "forward over reverse: \($0)" }
        }
      }
    }
  }

  @Test(arguments: Row.all) func jvpIsTheAdjointOfVjp(_ row: Row) {
    for c in row.cases("adjoint", where: { $0.isForDerivatives }) {
      for device in Laws.devices(row, "adjoint") {
        expect("<jvp t, c> = <t, vjp c>", c, device) {
          let x = c.tensors(on: device, wide: true)
          let (f, ct, d) = function(c, x)
          let (value, tangent) = jvp(f, x, d)
          if let fault = difference(value, f(x), loose: 1) { return "value: \(fault)" }
          for (part, whole) in zip(tangent, value) where part.spec != whole.spec {
            return "\(part.spec) is not \(whole.spec)"
          }
          let narrow = value.contains { $0.dtype != .float64 }
          return difference(
            [dot(tangent, ct)], [dot(vjp(f, x).pullback(ct), d)], narrow ? tolerance(.bfloat16) * 10 : 1e-11 * c.loose)
        }
      }
    }
  }

  /// One input at a time: rules may not confuse which inputs need a cotangent or carry a tangent.
  @Test(arguments: Row.all) func eachInputAlone(_ row: Row) {
    for c in row.cases("alone", share: 0.25, where: { $0.isForDerivatives && $0.inputs.count > 1 }) {
      expect("one input alone", c, .cpu) {
        let x = c.tensors(on: .cpu, wide: true)
        let (f, ct, d) = function(c, x)
        let together = vjp(f, x).pullback(ct)
        for position in x.indices where x[position].dtype.isInexact {
          let alone: (Tensor) -> [Tensor] = { one in
            var inputs = x
            inputs[position] = one
            return f(inputs)
          }
          if let fault = difference(vjp(alone, x[position]).pullback(ct), together[position], loose: 8 * c.loose) {
            return "vjp of input \(position): \(fault)"
          }
          let tangent = jvp(alone, x[position], d[position]).tangent
          if let fault = difference([dot(tangent, ct)], [dot([together[position]], [d[position]])], 1e-11 * c.loose) {
            return "jvp of input \(position): \(fault)"
          }
        }
        return nil
      }
    }
  }

  /// Where there is no derivative the documented choice holds.
  @Test func kinks() {
    let ones = Tensor([1.0, 1] as [Double])
    let f: ([Tensor]) -> Tensor = { maximum($0[0], $0[1]).sum() + 10 * minimum($0[0], $0[1]).sum() }
    for gradient in grad(f)([ones, ones]) { #expect(gradient.array(as: Double.self) == [5.5, 5.5]) }
    let zeros = Tensor([0.0, 0] as [Double])
    #expect(grad { (x: Tensor) in (relu(x) + abs(x)).sum() }(zeros).array(as: Double.self) == [0, 0])
    let ties = Tensor([3.0, 1, 3, 3] as [Double])
    let third = 1.0 / 3
    #expect(grad { (x: Tensor) in x.max() }(ties).array(as: Double.self) == [third, 0, third, third])
    // 0 to the power 0, by base and by exponent.
    let powers: ([Tensor]) -> Tensor = { pow($0[0], $0[1]).sum() }
    for gradient in grad(powers)([zeros, zeros]) { #expect(gradient.array(as: Double.self) == [0, 0]) }
  }
}
