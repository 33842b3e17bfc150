import Martlet
import MartletCore
import MartletOps
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What the laws share: which cases run, and how results are compared.
enum Laws {
  /// Everything runs with `MARTLET_LAWS=all`; else a sample that `MARTLET_LAWS_SEED` picks.
  static let runsAll = Environment["MARTLET_LAWS"] == "all"
  static let seed: String = {
    let seed = Environment["MARTLET_LAWS_SEED"] ?? "\(time(nil))"
    print(runsAll ? "laws: all cases" : "laws: a sample, MARTLET_LAWS_SEED=\(seed)")
    return seed
  }()

  /// Whether a case is in the sample.
  static func picks(_ name: String, share: Double = 0.4) -> Bool {
    var numbers = Numbers(seed + name)
    return runsAll || numbers.unit() < share
  }

  /// The devices on which a law about rules runs: all, or the CPU and for some rows another.
  static func devices(_ row: Row, _ law: String) -> [Device] {
    if runsAll { return [.cpu, .reference, .delayed] }
    var numbers = Numbers(seed + law + row.testDescription)
    return [.cpu, numbers.word() & 1 == 0 ? .reference : .delayed]
  }

  /// Held while the delayed device is used: a late fault surfaces wherever somebody waits first.
  static let delayed = Lock()

  // How often each law was put to the test, printed at the end.
  // A `Lock` and not a `Mutex`, whose futex the thread sanitizer does not see.
  private static let lock = Lock()
  nonisolated(unsafe) private static var counts: [String: Int] = [:]
  private static let printing: Void = {
    atexit { Laws.printCounts() }
  }()
  static func count(_ law: String) {
    _ = printing
    lock.holding { counts[law, default: 0] += 1 }
  }
  private static func printCounts() {
    for (law, count) in lock.holding({ counts }).sorted(by: { $0.key < $1.key }) {
      print("laws: \(law): \(count) cases")
    }
  }
}

/// A row of the table as an argument of a test.
struct Row: Sendable, CustomTestStringConvertible {
  let table: OpTable
  var testDescription: String { "\(table)" }
  static let all = OpTable.allCases.map { Row(table: $0) }
  /// The sample for a law: a share of the cases, but about a hundred of them at most; all for a share of 1.
  func cases(_ law: String, share: Double = 0.4, where holds: (OpCase) -> Bool = { _ in true }) -> [OpCase] {
    let cases = table.cases.filter(holds)
    let share = share < 1 ? min(share, 100 / Double(max(1, cases.count))) : 1
    return cases.filter { Laws.picks("\(law) \($0.name)", share: share) }
  }
}

/// Relative tolerance of one rounding or a few.
func tolerance(_ dtype: DType) -> Double {
  switch dtype.realPart {
  case .float64: 4e-14
  case .float32: 2e-6
  case .float16: 2e-3
  case .bfloat16: 1.6e-2
  default: 0
  }
}

/// What differs between two results; nil when nothing does. `loose` 0: bit by bit, but for the sign of zero.
func difference(_ a: Tensor, _ b: Tensor, loose: Double) -> String? {
  guard a.shape == b.shape, a.dtype == b.dtype else { return "\(a.dtype)\(a.shape) is not \(b.dtype)\(b.shape)" }
  if a.dtype.isComplex { return difference(parts(a), parts(b), loose: loose) }
  guard a.dtype.isFloating else {
    let (x, y) = (a.array(as: Int64.self), b.array(as: Int64.self))
    return x.indices.first { x[$0] != y[$0] }.map { "element \($0): \(x[$0]) is not \(y[$0])" }
  }
  return difference(a.doubles, b.doubles, tolerance(a.dtype) * loose)
}

func difference(_ x: [Double], _ y: [Double], _ tolerance: Double) -> String? {
  guard x.count == y.count else { return "\(x.count) elements are not \(y.count)" }
  for (place, (p, q)) in zip(x, y).enumerated() {
    if p == q || p.isNaN && q.isNaN { continue }
    if (p - q).magnitude <= tolerance * (1 + max(p.magnitude, q.magnitude)), p.isFinite, q.isFinite { continue }
    return "element \(place): \(p) is not \(q)"
  }
  return nil
}

func difference(_ a: [Tensor], _ b: [Tensor], loose: Double) -> String? {
  guard a.count == b.count else { return "\(a.count) results are not \(b.count)" }
  for (position, (x, y)) in zip(a, b).enumerated() {
    if let difference = difference(x, y, loose: loose) { return "output \(position): \(difference)" }
  }
  return nil
}

/// Numbers in -1 ... 1 of a spec, for directions and cotangents; zeros for integers.
func direction(_ spec: TensorSpec, _ seed: String) -> Tensor {
  guard spec.dtype.isInexact else { return Tensor(repeating: 0, spec) }
  return Input(spec.shape, spec.dtype, .between(-1, 1)).tensor(seed, on: spec.device)
}

func directions(_ tensors: [Tensor], _ seed: String) -> [Tensor] {
  tensors.enumerated().map { direction($1.spec, "\(seed) \($0)") }
}

/// Complex numbers as pairs, in one row; real tensors as they are.
func parts(_ x: Tensor) -> Tensor { x.dtype.isComplex ? viewAsReal(x.reshaped([x.count])) : x }
func numbers(_ x: Tensor) -> [Double] { parts(x).doubles }

/// The sum over all products, as a number; complex numbers are pairs.
func dot(_ a: [Tensor], _ b: [Tensor]) -> Double {
  zip(a, b).reduce(0) { sum, pair in
    guard pair.0.dtype.isInexact else { return sum }
    return sum + zip(numbers(pair.0), numbers(pair.1)).reduce(0) { $0 + $1.0 * $1.1 }
  }
}

/// The sum over all products, as a tensor.
func inner(_ a: [Tensor], _ b: [Tensor]) -> Tensor {
  zip(a, b).map { (parts($0) * parts($1)).sum().cast(to: .float64) }.reduce(Tensor(0.0 as Double, device: a[0].device))
  { $0 + $1 }
}

func floating(_ tensors: [Tensor]) -> [Tensor] { tensors.filter { $0.dtype.isInexact } }

/// Reports what a law finds about a case.
func expect(_ what: String, _ c: OpCase, _ device: Device, _ body: () throws -> String?) {
  Laws.count(what)
  func run() throws -> String? { try withErrors { try body() } }
  do {
    let fault = device == .delayed || c.op is CopyTo ? try Laws.delayed.holding(run) : try run()
    if let fault { Issue.record("\(what), \(device): \(c.name): \(fault)") }
  } catch { Issue.record("\(what), \(device): \(c.name): \(error)") }
}

@Suite struct LawsCoverage {
  @Test(arguments: Row.all) func everyRowHasCases(_ row: Row) {
    #expect(!row.table.cases.isEmpty)
    #expect(row.table.cases.allSatisfy { type(of: $0.op).id == row.table.id && type(of: $0.op) == row.table.type })
    #expect(!row.table.wrongCases.isEmpty)
    let rules = row.table.type.rules
    let cases = row.table.cases
    // What states a derivative is differentiated by some case.
    if rules.contains(.vjp) { #expect(cases.contains { $0.isForDerivatives && $0.smoothness == .smooth }) }
    // An operation with a vjp has a jvp, its own or that of its decomposition.
    #expect(rules.contains(.vjp) || !rules.contains(.jvp))
    #expect(!rules.contains(.vjp) || rules.contains(.jvp) || rules.contains(.decomposed))
    #expect(rules.contains(.decomposed) || rules.contains(.constant) || rules.contains(.vjp))
    #expect(rules.contains(.decomposed) || rules.contains(.batched))
  }
}
