import Martlet
import MartletCore
import MartletOps
import MartletReference
import Testing

/// Runs a case on a device; the results are read on the host.
func results(_ c: OpCase, on device: Device) -> [Tensor] { apply(any: c.op, c.tensors(on: device)) }

@Suite struct LawsValues {
  /// All cases, so that a sanitizer sees every kernel with every layout.
  @Test(arguments: Row.all) func kernelsAgree(_ row: Row) {
    for c in row.cases("kernels", share: 1) {
      expect("cpu = reference", c, .cpu) {
        difference(results(c, on: .cpu), results(c, on: .reference), loose: c.loose)
      }
      expect("delayed = cpu", c, .delayed) { difference(results(c, on: .delayed), results(c, on: .cpu), loose: 0) }
    }
  }

  @Test(arguments: Row.all.filter { $0.table.type.rules.contains(.decomposed) })
  func kernelIsDecomposition(_ row: Row) {
    for c in row.cases("decomposition") {
      for device in [Device.cpu, .reference] {
        expect("kernel = decomposition", c, device) {
          guard let parts = c.op.decomposed(c.tensors(on: device)) else { return "there is no decomposition" }
          return difference(results(c, on: device), parts, loose: c.loose)
        }
      }
    }
  }

  @Test(arguments: Row.all) func resultsHaveTheDeclaredSpec(_ row: Row) {
    for c in row.cases("spec") {
      for device in Laws.devices(row, "spec") {
        expect("result = declared spec", c, device) {
          let inputs = c.tensors(on: device)
          let declared = try c.op.outputs(for: inputs.map { $0.spec })
          let found = apply(any: c.op, inputs).map { $0.spec }
          return declared == found ? nil : "\(found) is not \(declared)"
        }
      }
    }
  }

  /// Taking over an input's memory changes nothing but where the result lies, and only when nobody else holds it.
  @Test(arguments: Row.all) func takeoverKeepsValues(_ row: Row) {
    for c in row.cases("takeover") where c.op.takeover(output: 0) != nil {
      for device in Laws.devices(row, "takeover") {
        expect("takeover", c, device) {
          func take<O: Op>(_ op: O) -> String? {
            var given = c.tensors(on: device)
            let kept = c.tensors(on: device)
            let taken = apply(op, taking: &given)
            var held = kept
            let fresh = apply(op, taking: &held)
            return difference(taken, fresh, loose: 0) ?? difference(kept, c.tensors(on: device), loose: 0)
          }
          return take(c.op)
        }
      }
    }
  }

  /// In nested expressions too, where the compiler has many ways to read a literal.
  @Test func numbersAreWeak() {
    for dtype in floatingTypes {
      let x = Tensor(repeating: 1, [2], dtype: dtype)
      #expect(((tanh(x * 0.5) + 1) * 0.5 - 0.25 / x).dtype == dtype)
      #expect((2 * x - 1 + maximum(x, 0) * pow(x, 3)).dtype == dtype)
    }
    // Not by way of float32.
    #expect((Tensor(1.0 as Double) * 0.1).item() == 0.1)
    #expect((Tensor([1, 2]) * 3 - 1).dtype == .int64)
    #expect((Tensor([1, 2]) * 0.5).dtype == .float32)
  }
}
