import CKernels
import MartletCore
import MartletOps

/// The loop in C of an elementwise operation, as a step of a chain.
struct FusedLoop {
  let family: Int
  let code: Int
  let low: Double
  let high: Double

  init(_ family: Int, _ code: Int, low: Double = 0, high: Double = 0) {
    self.family = family
    self.code = code
    self.low = low
    self.high = high
  }

  // Filled while the kernels are registered, and read after it.
  nonisolated(unsafe) private static var table: [OpID: @Sendable (any Op) -> FusedLoop] = [:]

  static func register<O: Op>(_: O.Type, _ loop: @escaping @Sendable (O) -> FusedLoop) {
    table[O.id] = { loop($0 as! O) }
  }

  static func find(_ op: any Op) -> FusedLoop? { table[type(of: op).id]?(op) }
}

/// The tables of a chain for the kernel.
private final class FusedTables: @unchecked Sendable {
  // Sendable: written once, when it is made.
  let program: UnsafePointer<ck_fused>
  let inputs: [TensorSpec]
  /// That of the steps' results, where some are reduced.
  let shape: Shape?

  /// Nil for a chain that the kernel does not hold.
  init?(_ inputs: [TensorSpec], _ steps: [Fused.Step], _ specs: [TensorSpec], _ results: [Fused.Result]) {
    let reduced = results.filter { $0.reduction != nil }
    guard inputs.count <= CK_FUSED_INPUTS, results.count <= CK_FUSED_OUTPUTS, steps.count <= CK_FUSED_STEPS,
      let axis = FusedTables.axis(reduced, specs), let tables = FusedTables.steps(inputs, steps, specs, results)
    else { return nil }
    self.inputs = inputs
    shape = reduced.first.map { specs[$0.step].shape }
    var program = ck_fused()
    program.inputs = Int32(inputs.count)
    program.outputs = Int32(results.count)
    program.steps = Int32(steps.count)
    program.width = Int32(specs.map { FusedTables.wide($0.dtype).size }.max() ?? 4)
    program.axis = axis
    set(&program.input_dtype, inputs.map { $0.dtype.code })
    set(&program.output_dtype, results.map { specs[$0.step].dtype.code })
    set(&program.reduction, results.map { $0.reduction.map { FusedTables.kind($0) } ?? -1 })
    set(&program.slot, results.map { FusedTables.slot($0.step, results) })
    set(&program.step, tables)
    let pointer = UnsafeMutablePointer<ck_fused>.allocate(capacity: 1)
    pointer.initialize(to: program)
    self.program = UnsafePointer(pointer)
  }

  deinit { program.deallocate() }

  /// The dtype inside of the chain.
  private static func wide(_ dtype: DType) -> DType { dtype.isHalf ? .float32 : dtype }

  /// The steps with their loops, registers and places of results.
  private static func steps(
    _ inputs: [TensorSpec], _ steps: [Fused.Step], _ specs: [TensorSpec], _ results: [Fused.Result]
  ) -> [ck_fused_step]? {
    guard let registers = registers(steps, inputs.count) else { return nil }
    let dtypes = (inputs + specs).map { wide($0.dtype).code }
    var tables: [ck_fused_step] = []
    for (position, step) in steps.enumerated() {
      guard let loop = FusedLoop.find(step.op) else { return nil }
      let operands = step.operands
      var table = ck_fused_step()
      table.family = Int32(loop.family)
      table.code = Int32(loop.code)
      table.dtype = dtypes[operands.last!]
      table.to = dtypes[inputs.count + position]
      guard ck_elementwise_loop(table.family, table.code, table.dtype, table.to) != nil else { return nil }
      table.inputs = Int32(operands.count)
      set(&table.in, operands.map { Int32($0 < inputs.count ? $0 : inputs.count + registers[$0 - inputs.count]) })
      table.out = Int32(registers[position])
      table.store = Int32(results.firstIndex { $0.step == position && $0.reduction == nil } ?? -1)
      table.slot = slot(position, results)
      table.low = loop.low
      table.high = loop.high
      tables.append(table)
    }
    return tables
  }

  /// Where a step of which something is reduced leaves its result; -1 for others.
  private static func slot(_ step: Int, _ results: [Fused.Result]) -> Int32 {
    let slots = Set(results.filter { $0.reduction != nil }.map { $0.step }).sorted()
    return Int32(slots.firstIndex(of: step) ?? -1)
  }

  private static func kind(_ op: any Reduction) -> Int32 {
    switch op {
    case is Sum: Int32(CK_RED_SUM)
    case is Mean: Int32(CK_RED_MEAN)
    case is Max: Int32(CK_RED_MAX)
    default: Int32(CK_RED_MIN)
    }
  }

  /// That over which all reductions go; nil where they differ, and for what the kernel does not reduce.
  private static func axis(_ reduced: [Fused.Result], _ specs: [TensorSpec]) -> Int32? {
    guard let first = reduced.first, let axes = first.reduction?.axes else { return 0 }
    let shape = specs[first.step].shape
    guard reduced.allSatisfy({ specs[$0.step].dtype.isFloating && $0.reduction?.axes == axes }),
      specs.allSatisfy({ $0.shape == shape })
    else { return nil }
    return axis(axes, shape)
  }

  /// Where the axes begin that go, if these are the last ones, or where those begin that stay, as `~axis`; nil for others, and
  /// for what `ck_reduce` would add up in another order.
  private static func axis(_ axes: Positions, _ shape: Shape) -> Int32? {
    let first = (0..<shape.rank).first { axes[$0] } ?? shape.rank
    if shape.elementCount == 0 || axes.isEmpty { return nil }
    if (first..<shape.rank).allSatisfy({ axes[$0] }) { return Int32(first) }
    guard let kept = (0..<shape.rank).first(where: { !axes[$0] }), (kept..<shape.rank).allSatisfy({ !axes[$0] }) else {
      return nil
    }
    let columns = shape[kept...].reduce(1, *)
    return columns == 1 ? 0 : columns >= 8 ? ~Int32(kept) : nil
  }

  /// A register for each step's result, given back after its last reader; nil when there are too few.
  private static func registers(_ steps: [Fused.Step], _ inputs: Int) -> [Int]? {
    var last = Array(steps.indices)
    for (position, step) in steps.enumerated() {
      for operand in step.operands where operand >= inputs { last[operand - inputs] = position }
    }
    var free = Array((0..<Int(CK_FUSED_REGISTERS)).reversed())
    var registers: [Int] = []
    for (position, step) in steps.enumerated() {
      // The result has a register of its own: loops do not read what they write.
      guard let register = free.popLast() else { return nil }
      registers.append(register)
      if last[position] == position { free.append(register) }
      for operand in Set(step.operands) where operand >= inputs && last[operand - inputs] == position {
        free.append(registers[operand - inputs])
      }
    }
    return registers
  }
}

/// Sets the first elements of an array of C.
private func set<Tuple, Element>(_ array: inout Tuple, _ elements: [Element]) {
  withUnsafeMutableBytes(of: &array) { raw in
    let target = raw.bindMemory(to: Element.self)
    for (position, element) in elements.enumerated() { target[position] = element }
  }
}

func registerFused() {
  Fused.prepare = { inputs, steps, specs, results in FusedTables(inputs, steps, specs, results) }
  Kernels.register(Fused.self, .cpu) { op, arguments in
    guard let prepared = op.body.prepared else { return .unsupported }
    let tables = unsafeDowncast(prepared, to: FusedTables.self)
    // The loops were chosen for the dtypes for which the chain was made.
    for input in 0..<arguments.inputCount where arguments.dtype(input) != tables.inputs[input].dtype {
      return .unsupported
    }
    return run(tables, arguments)
  }
}

private func run(_ tables: FusedTables, _ arguments: borrowing KernelArguments) -> KernelStatus {
  let shape = tables.shape ?? arguments.outputSpec().shape
  let order = tables.shape == nil ? axesByPlace(arguments) : Shape(0..<shape.rank)
  let inputs = arguments.inputCount
  let rank = shape.rank
  return withUnsafeTemporaryAllocation(of: Int64.self, capacity: (inputs + 1) * 8) { numbers in
    let strides = numbers.baseAddress! + 8
    for place in 0..<rank { numbers[place] = Int64(shape[order[place]]) }
    for input in 0..<inputs {
      let its = arguments.shape(input)
      let given = arguments.strides(input)
      let shift = rank - its.rank
      for place in 0..<rank {
        let axis = order[place] - shift
        strides[input * 8 + place] = axis < 0 || its[axis] != shape[axis + shift] ? 0 : Int64(given[axis])
      }
    }
    return withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer.self, capacity: inputs + arguments.outputCount) {
      pointers in
      for input in 0..<inputs { pointers[input] = arguments.pointer(input) }
      for output in 0..<arguments.outputCount { pointers[inputs + output] = arguments.outputPointer(output) }
      return KernelStatus(
        ck_run_fused(tables.program, Int32(rank), numbers.baseAddress!, strides, pointers.baseAddress!))
    }
  }
}

/// The axes of the results from the slowest to the fastest.
private func axesByPlace(_ arguments: borrowing KernelArguments) -> Shape {
  let shape = arguments.outputSpec().shape
  var order = Shape(0..<shape.rank)
  guard arguments.output(0, { $0.strides != nil }) else { return order }
  let strides = arguments.outputStrides()
  let sorted = (0..<shape.rank).sorted { strides[$0] != strides[$1] ? strides[$0] > strides[$1] : $0 < $1 }
  for (place, axis) in sorted.enumerated() { order[place] = axis }
  return order
}
