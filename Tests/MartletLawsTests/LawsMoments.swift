import Martlet
import MartletCore
import MartletOps
import MartletReference
import Testing

@Suite struct LawsMoments {
  @Test(arguments: Row.all) func valuesAgree(_ row: Row) {
    for c in row.cases("moments", share: 0.25) {
      for device in Laws.devices(row, "moments") {
        expect("now = lazy = compiled", c, device) {
          let x = c.tensors(on: device)
          let f: ([Tensor]) -> [Tensor] = { apply(any: c.op, $0) }
          return try agree(f, x, loose: 0)
        }
      }
    }
  }

  @Test(arguments: Row.all) func gradientsAgree(_ row: Row) {
    for c in row.cases("moments of gradients", share: 0.25, where: { $0.isForDerivatives }) {
      for device in Laws.devices(row, "gradients") {
        expect("gradients: now = lazy = compiled", c, device) {
          let x = c.tensors(on: device, wide: true)
          let ct = directions(floating(apply(any: c.op, x)), c.name + " ct")
          let f: ([Tensor]) -> [Tensor] = { x in
            grad { (y: [Tensor]) in inner(floating(apply(any: c.op, y)), ct) }(x)
          }
          return try agree(f, x, loose: 0)
        }
      }
    }
  }

  private func agree(_ f: @escaping ([Tensor]) -> [Tensor], _ x: [Tensor], loose: Double) throws -> String? {
    let now = f(x)
    if let fault = difference(lazy { f(x) }, now, loose: loose) { return "lazy: \(fault)" }
    let compiled = compile(f)
    if let fault = difference(compiled(x), now, loose: loose) { return "compiled: \(fault)" }
    // The second call runs what the first has captured.
    if let fault = difference(compiled(x), now, loose: loose) { return "compiled, second call: \(fault)" }
    let programs = compiled.programs
    if programs.count != 1 { return "\(programs.count) programs were captured" }
    let faults = programs[0].verify()
    return faults.isEmpty ? nil : "the verifier finds: \(faults)\n\(programs[0])"
  }
}
