import Martlet
import MartletCore
import MartletOps
import Testing

/// Programs of the CPU drawn at random: what the passes and plans make of them computes what the operations compute one by one.
@Suite(.enabled(if: Device.current == .cpu)) struct LawsPrograms {
  /// Draws programs over a few small shapes, so that operations meet in many ways; equal seeds give equal programs.
  private struct Drawn {
    var program = Program()
    var inputs: [Tensor] = []
    private var random: Numbers

    init(empty name: String) { random = Numbers(name) }

    init(_ seed: Int) {
      self.init(empty: "program \(seed)")
      for _ in 0..<3 { _ = input(Input([4, 6], .float32)) }
      _ = input(Input([6], .float32))
      _ = input(Input([4, 1], .float32))
      constant(Tensor(repeating: 2, [], dtype: .float32))
      constant(Tensor(repeating: 1, [], dtype: .float32))
      for _ in 0..<(4 + below(24)) { step() }
      // Some results of every age, also those of which others are views.
      for id in program.values.indices where below(5) == 0 || id == program.values.count - 1 {
        program.outputs.append(id)
      }
    }

    private mutating func below(_ count: Int) -> Int { min(count - 1, Int(random.unit() * Double(count))) }

    mutating func input(_ input: Input) -> Int {
      let tensor = input.tensor("\(random.unit())", on: .cpu)
      program.values.append(tensor.spec)
      program.inputs.append(program.values.count - 1)
      inputs.append(tensor)
      return program.values.count - 1
    }

    private mutating func constant(_ tensor: Tensor) {
      program.values.append(tensor.spec)
      program.constants.append((program.values.count - 1, tensor))
    }

    /// A value of these specs, if there is one.
    private mutating func value(where fits: (TensorSpec) -> Bool) -> Int? {
      let fitting = program.values.indices.filter { fits(program.values[$0]) }
      // The newer ones more often: chains grow long.
      return fitting.isEmpty ? nil : fitting[max(below(fitting.count), below(fitting.count))]
    }

    mutating func add(_ op: any Op, _ operands: [Int]) {
      guard let specs = try? op.outputs(for: operands.map { program.values[$0] }) else { return }
      guard specs.allSatisfy({ $0.count <= 4096 }) else { return }
      program.values += specs
      let ids = Array(program.values.count - specs.count..<program.values.count)
      program.instructions.append(Program.Instruction(op: op, inputs: operands, outputs: ids))
    }

    private mutating func step() {
      guard let x = value(where: { $0.dtype == .float32 }) else { return }
      let spec = program.values[x]
      let rank = spec.rank
      switch below(16) {
      case 0...2:
        let ops: [any Op] = [
          Relu(), Tanh(), Sigmoid(), Negate(), Abs(), Clamp(low: -1, high: 1), Gelu(approximate: false), Silu(), Sign(),
          Detach(),
          Cast(dtype: .float32),
        ]
        add(ops[below(ops.count)], [x])
      case 3...6:
        let ops: [any Op] = [
          Add(), Subtract(), Multiply(), Maximum(), Minimum(), ClampGradient(low: -1, high: 1), Divide(),
        ]
        guard let y = value(where: { $0.dtype == .float32 && $0.shape.broadcast(with: spec.shape) != nil }) else {
          return
        }
        add(ops[below(ops.count)], below(2) == 0 ? [x, y] : [y, x])
      case 7:
        guard let y = value(where: { $0 == spec }) else { return }
        add(Compare(kind: .less), [x, y])
        if let condition = value(where: { $0.dtype == .bool && $0.shape == spec.shape }) {
          add(Select(), [condition, x, y])
        }
      case 8 where rank == 2: add(Permute(order: below(3) == 0 ? [0, 1] : [1, 0]), [x])
      case 9: add(Reshape(shape: below(2) == 0 ? [spec.count] : Shape([1] + spec.shape)), [x])
      case 10 where rank > 0: add(Sum(axes: [below(rank)], keepDims: below(2) == 0), [x])
      case 11 where rank > 0 && spec.shape[0] > 1:
        let size = max(1, spec.shape[0] / 2)
        var sizes = spec.shape
        sizes[0] = size
        var starts = Shape(repeating: 0, count: rank)
        starts[0] = below(2)
        let region = Region(starts: starts, sizes: sizes, steps: Shape(repeating: 1, count: rank))
        add(Slice(region: region), [x])
        if let part = value(where: { $0 == spec.with(shape: sizes) }) {
          add(below(2) == 0 ? SliceUpdate(region: region) as any Op : SliceAdd(region: region), [x, part])
        }
      case 12 where rank >= 2:
        guard let y = value(where: { $0.dtype == .float32 && $0.rank == 2 && $0.shape[0] == spec.shape[rank - 1] })
        else {
          return
        }
        add(Matmul(), [x, y])
      case 13 where rank > 0: below(2) == 0 ? add(Softmax(axis: rank - 1), [x]) : rectify(x)
      case 14:
        add(Cast(dtype: [.float64, .int32, .bool][below(3)]), [x])
        if let y = value(where: { $0.dtype != .float32 && $0.shape == spec.shape }) { add(Cast(dtype: .float32), [y]) }
      default:
        // Any row of the table, on operands that are there where their specs are, else on new ones.
        let rows = OpTable.allCases.filter { !$0.isMadeByPasses && ![.copyTo, .detach].contains($0) }
        let cases = rows[below(rows.count)].cases
        guard !cases.isEmpty else { return }
        let chosen = cases[below(cases.count)]
        guard chosen.inputs.allSatisfy({ $0.shape.elementCount <= 2048 }) else { return }
        let operands = chosen.inputs.map { wanted -> Int in
          let known =
            wanted.dtype.isFloating ? value(where: { $0.shape == wanted.shape && $0.dtype == wanted.dtype }) : nil
          return below(2) == 0 ? known ?? input(wanted) : input(wanted)
        }
        add(chosen.op, operands)
      }
    }

    /// A normalisation and a rectifier, and the gradients of both: others may read what is between them.
    private mutating func rectify(_ x: Int) {
      let spec = program.values[x]
      guard spec.count > 4, spec.count % 4 == 0 else { return }
      let sets = NormalizedSets(groups: below(3) == 0 ? 1 : nil, epsilon: 0.5)
      add(Reshape(shape: [2, 2, spec.count / 4]), [x])
      let planes = program.values.count - 1
      add(Normalize(sets), [planes])
      add(Relu(), [planes + 1])
      let y = planes + 4
      let like = program.values[y]
      guard let g = value(where: { $0 == like }) else { return }
      add(ClampGradient(low: 0, high: .nan, isOpen: true), [g, y])
      add(NormalizeGradient(sets, affine: 0), [y + 1, planes, planes + 2, planes + 3])
    }
  }

  /// A result may be written over an operand that ends there; not where the same value is another operand too, which an
  /// operation may read at other places.
  @Test func operandsReadTwiceStay() throws {
    var compared = 0
    for row in OpTable.allCases where !row.isMadeByPasses {
      for chosen in row.cases {
        guard
          let outputs = try? chosen.op.outputs(for: chosen.inputs.map { TensorSpec($0.shape, $0.dtype, device: .cpu) }),
          let taken = outputs.indices.lazy.compactMap({ chosen.op.takeover(output: $0) }).first,
          let other = chosen.inputs.indices.first(where: {
            $0 != taken && chosen.inputs[$0].shape == chosen.inputs[taken].shape
              && chosen.inputs[$0].dtype == chosen.inputs[taken].dtype
          })
        else { continue }
        var drawn = Drawn(empty: "\(row) \(compared)")
        var operands = chosen.inputs.map { drawn.input($0) }
        // A value of the program's own, which ends with the operation.
        guard let size = chosen.inputs[taken].shape.first else { continue }
        drawn.add(Concat(axis: 0, sizes: [size]), [operands[taken]])
        operands[taken] = drawn.program.values.count - 1
        operands[other] = operands[taken]
        drawn.add(chosen.op, operands)
        guard drawn.program.instructions.count == 2 else { continue }
        drawn.program.outputs = drawn.program.instructions[drawn.program.instructions.count - 1].outputs
        guard drawn.program.verify().isEmpty else { continue }
        let expected: [Tensor]
        do { expected = try withErrors { try drawn.program.run(drawn.inputs, planned: false) } } catch { continue }
        let results = try drawn.program.run(drawn.inputs, planned: true, times: 2)
        let fault = difference(expected, results, loose: 1)
        #expect(fault == nil, "\(row) \(chosen.op.attributes): \(fault ?? "")\n\(drawn.program)")
        compared += 1
      }
    }
    #expect(compared > 50)
  }

  /// `MARTLET_PROGRAMS` sets how many are drawn.
  private static let count = Environment["MARTLET_PROGRAMS"].flatMap(Int.init) ?? 1000

  @Test func plansComputeWhatOperationsDo() throws {
    let passes = Pass.selected(nil)
    var compared = 0
    for seed in 0..<LawsPrograms.count {
      let drawn = Drawn(seed)
      #expect(drawn.program.verify().isEmpty)
      let expected: [Tensor]
      // What it draws may be a singular matrix, or a condition that is false.
      do { expected = try withErrors { try drawn.program.run(drawn.inputs, planned: false) } } catch { continue }
      var ways: [(String, Program)] = [("no pass", drawn.program), ("all passes", drawn.program.optimized(passes))]
      if seed % 4 == 0 { ways += passes.map { ($0.name, drawn.program.optimized([$0])) } }
      for (name, program) in ways {
        compared += 1
        for planned in [false, true] {
          let results = try program.run(drawn.inputs, planned: planned, times: 2)
          let fault = difference(expected, results, drawn.program.roundsTo16Bits)
          #expect(
            fault == nil, "seed \(seed), \(name), planned \(planned): \(fault ?? "")\n\(drawn.program)\n\(program)")
          if fault != nil { return }
        }
      }
    }
    #expect(compared > LawsPrograms.count)
  }
}

extension Program {
  /// For each output whether it follows from a result of 16 bits. Chains leave out roundings of such values that nobody reads.
  fileprivate var roundsTo16Bits: [Bool] {
    var rounds = [Bool](repeating: false, count: values.count)
    for instruction in instructions {
      for id in instruction.outputs {
        rounds[id] = instruction.inputs.contains { rounds[$0] } || values[id].dtype.isHalf
      }
    }
    return outputs.map { rounds[$0] }
  }
}

/// What differs between the results of two ways; where they follow from values of 16 bits, beyond the rounding of these.
private func difference(_ expected: [Tensor], _ results: [Tensor], _ narrow: [Bool]) -> String? {
  guard expected.count == results.count else { return "\(results.count) results are not \(expected.count)" }
  for (position, (a, b)) in zip(expected, results).enumerated() {
    let isNarrow = narrow[position]
    guard !isNarrow || a.dtype.isFloating else { continue }  // a comparison of what is rounded may be another
    let found =
      isNarrow && a.shape == b.shape && a.dtype == b.dtype
      ? difference(a.doubles, b.doubles, max(2 * tolerance(.bfloat16), 64 * tolerance(a.dtype)))
      : difference(a, b, loose: 64)
    if let found { return "output \(position): \(found)" }
  }
  return nil
}
