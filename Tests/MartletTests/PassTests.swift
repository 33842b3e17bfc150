import Martlet
import MartletCore
import MartletOps
import Testing

/// Each pass alone: the program before and after, as text.
@Suite(.enabled(if: Device.current == .cpu)) struct PassTests {
  func pass(_ name: String) -> [Pass] { [Pass.all.first { $0.name == name }!] }

  /// The lines of operations and results, of the program as captured and after passes.
  private func lines(_ program: Program) -> [String] {
    program.description.split(separator: "\n").map { $0.trimmingPrefix(while: { $0 == " " }) }.map { String($0) }
      .filter { !$0.hasPrefix("program") && !$0.contains("= input") && $0 != "}" }
  }
  func texts(
    _ name: String, _ f: @escaping (Tensor) -> Tensor, on x: Tensor = .ones([4])
  ) throws -> (before: [String], after: [String]) {
    let program = try compile(f).program(for: x)
    return (lines(program), lines(program.optimized(pass(name))))
  }

  @Test func deadCode() throws {
    let (before, after) = try texts("deadCode") { x in
      let unused = exp(x) + 1
      return unused.shape == x.shape ? x + x : x
    }
    #expect(
      before == [
        "%2 = constant float32[] = 1.", "%1 = exp(%0) -> float32[4]", "%3 = add(%1, %2) -> float32[4]",
        "%4 = add(%0, %0) -> float32[4]", "return %4",
      ])
    #expect(after == ["%4 = add(%0, %0) -> float32[4]", "return %4"])
  }

  /// What is computed from constants while a function is captured runs at once; a program can hold such operations all the
  /// same, when another pass leaves them.
  @Test func constantFolding() throws {
    var program = Program()
    let spec = TensorSpec([4])
    program.values = [spec, spec, spec, spec]
    program.inputs = [0]
    program.constants = [(1, Tensor([1, 2, 3, 4] as [Float]))]
    program.instructions = [
      Program.Instruction(op: Add(), inputs: [1, 1], outputs: [2]),
      Program.Instruction(op: Multiply(), inputs: [0, 2], outputs: [3]),
    ]
    program.outputs = [3]
    let folded = program.optimized(pass("constantFolding"))
    #expect(folded.instructions.count == 1 && folded.verify().isEmpty)
    let x = Tensor([1, 1, 2, 2] as [Float])
    #expect(try folded.run([x], planned: true)[0].array(as: Float.self) == [2, 4, 12, 16])
  }

  /// Lines have their numbers until all changes are made; what is read in place of a value may be replaced itself.
  @Test func edits() throws {
    let program = try compile { (x: Tensor) in relu(-exp(x)) + x }.program(for: .ones([4]))
    var (changed, edits) = (program, Edits())
    let twice = try edits.insert(Add(), [0, 1], before: 2, of: &changed)[0]
    edits.replace([0, 1], by: Program.Instruction(op: Negate(), inputs: [0], outputs: [2]))
    edits.insert(Program.Instruction(op: Exp(), inputs: [0], outputs: [1]), before: 0)
    edits.remove(2)
    edits.redirect(3, to: 2)
    edits.redirect(2, to: twice)
    #expect(edits.isGone(1) && !edits.isGone(3) && edits.current(3) == twice && edits.current(0) == 0)
    #expect(throws: OpError.self) { try edits.insert(Add(), [0], before: 0, of: &changed) }
    #expect(lines(program).count == 5 && changed.instructions.count == 4)
    #expect(
      lines(edits.applied(to: changed)) == [
        "%1 = exp(%0) -> float32[4]", "%2 = negate(%0) -> float32[4]", "%5 = add(%0, %1) -> float32[4]",
        "%4 = add(%5, %0) -> float32[4]", "return %4",
      ])
  }

  @Test func channelsLast() throws {
    let kernels = Tensor.ones([16, 16, 3, 3])
    let small = Tensor.ones([32, 16, 1, 1])
    let (before, after) = try texts(
      "channelsLast", { x in conv2d(relu(conv2d(x, kernels, padding: 1)), small, stride: 2) },
      on: .ones([1, 16, 4, 4]))
    func operations(_ lines: [String]) -> [String] { lines.filter { !$0.contains("= constant") } }
    #expect(
      operations(before) == [
        "%2 = convolution(%0, %1) {padding=[1, 1]} -> float32[1, 16, 4, 4]", "%3 = relu(%2) -> float32[1, 16, 4, 4]",
        "%5 = convolution(%3, %4) {stride=[2, 2]} -> float32[1, 32, 2, 2]", "return %5",
      ])
    #expect(
      operations(after) == [
        "%6 = permute(%0) {order=[0, 2, 3, 1]} -> float32[1, 4, 4, 16]",
        "%7 = contiguous(%6) -> float32[1, 4, 4, 16]",
        "%8 = permute(%7) {order=[0, 3, 1, 2]} -> float32[1, 16, 4, 4]",
        "%2 = convolution(%8, %1) {padding=[1, 1]} -> float32[1, 16, 4, 4]", "%3 = relu(%2) -> float32[1, 16, 4, 4]",
        "%9 = slice(%3) {starts=[0, 0, 0, 0], sizes=[1, 16, 2, 2], steps=[1, 1, 2, 2]} -> float32[1, 16, 2, 2]",
        "%10 = permute(%9) {order=[0, 2, 3, 1]} -> float32[1, 2, 2, 16]",
        "%11 = contiguous(%10) -> float32[1, 2, 2, 16]",
        "%12 = permute(%11) {order=[0, 3, 1, 2]} -> float32[1, 16, 2, 2]",
        "%5 = convolution(%12, %4) {stride=1} -> float32[1, 32, 2, 2]",
        "%13 = contiguous(%5) -> float32[1, 32, 2, 2]", "return %13",
      ])
    // Few channels: oneDNN's own order is faster.
    let thin = Tensor.ones([6, 3, 3, 3])
    let (rows, same) = try texts("channelsLast", { x in conv2d(x, thin) }, on: .ones([1, 3, 8, 8]))
    #expect(rows == same)
  }

  @Test func commonSubexpressions() throws {
    let (before, after) = try texts("commonSubexpressions") { x in exp(x * 2) + exp(x * 2) }
    #expect(before.filter { $0.contains("exp(") }.count == 2 && before.filter { $0.contains("constant") }.count == 2)
    #expect(
      after == [
        "%1 = constant float32[] = 2.", "%2 = multiply(%0, %1) -> float32[4]", "%3 = exp(%2) -> float32[4]",
        "%7 = add(%3, %3) -> float32[4]", "return %7",
      ])
  }

  @Test func algebra() throws {
    // Of what lies between two factors nothing is lost that the result would have: neither by what grows and shrinks, nor where
    // one factor is beyond the dtype.
    let x = Tensor.ones([3], dtype: .float16)
    for f in [{ $0 * 256 * 256 }, { $0 * 256 * (1 / 256) }, { $0 * (1 / 256) * (1 / 256) }] as [(Tensor) -> Tensor] {
      let (before, after) = try texts("algebra", f, on: x)
      #expect(before == after)
    }
    let products = try texts("algebra") { x in x * 2 * 2 }
    #expect(products.before.filter { $0.contains("multiply") }.count == 2)
    #expect(products.after.last == "return %4" && products.after.contains("%5 = constant float32[] = 4."))
    #expect(products.after.contains("%4 = multiply(%0, %5) -> float32[4]"))
    let undone = try texts("algebra") { x in -(-x) }
    #expect(undone.before.count == 3 && undone.after.last == "return %0")
    // Products that round twice are left alone.
    let rounding = try texts("algebra") { x in x * 0.1 * 0.3 }
    #expect(rounding.before == rounding.after)
    let square = Tensor.ones([2, 2])
    let transposed = try texts("algebra", { x in matmul(x, x.transposed()).transposed() }, on: square)
    #expect(transposed.before.filter { $0.contains("permute") }.count == 2)
    #expect(transposed.after.contains("%4 = permute(%0) {order=[1, 0]} -> float32[2, 2]"))
    #expect(transposed.after.contains("%3 = matmul(%0, %4) -> float32[2, 2]"))
    // Also behind a cast, as in gradients of weights under autocast.
    let cast = try texts(
      "algebra",
      { x in
        let y = x.cast(to: .bfloat16)
        return matmul(y, y).cast(to: .float32).transposed()
      }, on: square)
    #expect(cast.after.last == "return %4" && cast.after.contains { $0.hasPrefix("%4 = cast") })
    #expect(cast.after.contains { $0.hasPrefix("%7 = matmul(%5, %6)") })
    let views = try texts(
      "algebra", { x in x.reshaped([4]).reshaped([1, 4]).reshaped([2, 2]).transposed().transposed() }, on: square)
    #expect(views.before.count == 6 && views.after.last == "return %0")
  }

  /// A product that is read in two ways is not made in both orders of its axes, also where one reader stood for what is undone.
  @Test func productsAreMadeOnce() throws {
    func operations(_ f: @escaping (Tensor) -> Tensor) throws -> [String] {
      let x = Tensor([1, 2, 3, 4] as [Float]).reshaped([2, 2])
      let program = try compile(f).program(for: x).optimized(pass("algebra") + pass("deadCode"))
      #expect(try program.run([x], planned: true)[0].array(as: Float.self) == f(x).array(as: Float.self))
      return program.instructions.map { type(of: $0.op).name }
    }
    let negated = try operations { x in
      let y = -matmul(x, x)
      return (-y).transposed() + y
    }
    #expect(negated == ["matmul", "negate", "permute", "add"])
    let reshaped = try operations { x in
      let y = matmul(x, x).reshaped([4])
      return y.reshaped([2, 2]).transposed() + y[0]
    }
    #expect(reshaped.filter { $0 == "matmul" }.count == 1)
    // What is undone and read by nobody else does not count: the product is made as it is wanted.
    let undone = try operations { x in (-(-matmul(x, x))).transposed() }
    #expect(undone == ["permute", "permute", "matmul"])
  }

  /// The gradient of parts that are the whole is the parts' gradients side by side; of others it is added up.
  @Test func gradientsOfParts() throws {
    func operations(_ sizes: [Range<Int>], _ weights: [Double]) throws -> [String] {
      let f = grad { (x: Tensor) in
        zip(sizes, weights).map { part, weight in (exp(x[0..., part]) * weight).sum() }.reduce(Tensor(0 as Float)) {
          $0 + $1
        }
      }
      let x = Tensor.ones([2, 6])
      let program = try compile(f).program(for: x).optimized(pass("algebra") + pass("deadCode"))
      #expect(allClose(try program.run([x], planned: true)[0], f(x), relative: 0, absolute: 0))
      return program.instructions.map { type(of: $0.op).name }
    }
    let whole = try operations([2..<6, 0..<2], [2, 3])
    #expect(whole.filter { $0 == "concat" }.count == 1 && !whole.contains("sliceAdd") && !whole.contains("embed"))
    for overlapping in [[0..<4, 2..<6], [0..<2, 3..<6], [0..<3, 0..<3]] {
      let added = try operations(overlapping, [2, 3])
      #expect(added.contains("sliceAdd") && added.contains("embed") && !added.contains("concat"), "\(overlapping)")
    }
  }

  @Test func fusion() throws {
    let (before, after) = try texts("fusion") { x in relu(x + 1) * x }
    #expect(before.count == 5)
    #expect(
      after == [
        "%1 = constant float32[] = 1.",
        "%4 = fused(%0, %1) {add(0, 1); relu(2); 4 = multiply(3, 0)} -> float32[4]", "return %4",
      ])
    // A way around the chain: the sum needs all of it, and what follows needs the sum.
    let around = try texts("fusion") { x in
      let y = exp(x) + x
      return y * y.sum() + y
    }
    #expect(around.after.filter { $0.contains("fused") }.count == 2)
    #expect(around.after.contains { $0.contains("= sum(") })
  }

  @Test func cheapStepsAreDuplicated() throws {
    let f = compile { (x: Tensor) -> Tensor in
      let z = x * 2 + 1
      let y = tanh(z)
      return z * matmul(y, y.transposed()).sum() * x
    }
    let program = try f.program(for: Tensor.ones([3, 3])).optimized(pass("fusion"))
    // The forward chain keeps tanh alone; the last chain computes z from x.
    let chains = lines(program).filter { $0.contains("fused") }
    #expect(chains.count == 2 && chains[0].hasSuffix("} -> float32[3, 3]") && chains[1].contains("multiply(0, "))
  }

  @Test func passesAreChosenByName() {
    #expect(Pass.selected("off").isEmpty)
    #expect(
      !Pass.selected("-fusion").contains { $0.name == "fusion" } && Pass.selected("-fusion").count == Pass.all.count - 1
    )
    #expect(Pass.selected("fusion,algebra").map { $0.name } == ["algebra", "fusion"])
  }

  @Test func matmulEpilogues() throws {
    let w = Tensor.ones([3, 5])
    let bias = Tensor.ones([5])
    let name = "matmulEpilogues"
    func operations(_ f: @escaping (Tensor) -> Tensor, on x: Tensor = .ones([4, 3])) throws -> [String] {
      try texts(name, f, on: x).after.filter { !$0.contains("= constant") && !$0.hasPrefix("return") }
        .map { String($0[$0.firstIndex(of: "=")!...].dropFirst(2)) }
    }
    #expect(
      try operations { x in relu(matmul(x, w) + bias) } == ["fusedMatmul(%0, %1, %3) {bias, relu} -> float32[4, 5]"])
    #expect(
      try operations { x in matmul(x, w) + matmul(x * 2, w) }.last!.contains("fusedMatmul") == true)
    // A row of the shape [1, N] is a bias; a column is none.
    #expect(
      try operations { x in matmul(x, w) + bias.reshaped([1, 5]) }.contains { $0.contains("{bias}") })
    #expect(try operations { x in matmul(x, w) + Tensor.ones([4, 1]) }.allSatisfy { !$0.contains("fusedMatmul") })
    // What somebody else reads stays.
    #expect(
      try operations { x in
        let y = matmul(x, w)
        return (y + bias) * y
      }.allSatisfy { !$0.contains("fusedMatmul") })
    // The rectifier of a large product is not the library's, which takes NaN for 0; the others are.
    let (large, wide) = (Tensor.ones([128, 256]), Tensor.ones([256, 512]))
    let zeros = Tensor.zeros([512])
    #expect(
      try operations({ x in relu(matmul(x, wide) + zeros) }, on: large)
        == ["fusedMatmul(%0, %1, %3) {bias} -> float32[128, 512]", "relu(%4) -> float32[128, 512]"])
    #expect(
      try operations({ x in gelu(matmul(x, wide) + zeros) }, on: large)
        == ["fusedMatmul(%0, %1, %3) {bias, gelu} -> float32[128, 512]"])
    #expect(
      try operations({ x in matmul(x, x.transposed()) + x }, on: .ones([2, 3, 3])).allSatisfy { !$0.contains("fused") })
    // A product of bfloat16 that is read as float32 is written so; not where others read it, or something is added.
    let narrow = Tensor.ones([3, 5], dtype: .bfloat16), x = Tensor.ones([4, 3], dtype: .bfloat16)
    #expect(
      try operations({ x in matmul(x, narrow).cast(to: .float32) }, on: x)
        == ["fusedMatmul(%0, %1) {float32} -> float32[4, 5]"])
    #expect(
      try operations({ x in silu(matmul(x, narrow)).cast(to: .float32) }, on: x)
        == ["fusedMatmul(%0, %1) {silu, float32} -> float32[4, 5]"])
    #expect(
      try operations({ x in (matmul(x, narrow) + matmul(x * 2, narrow)).cast(to: .float32) }, on: x)
        .contains { $0.hasPrefix("cast") })
  }

  /// NaN stays NaN through products with a rectifier, small and large.
  @Test(arguments: [4, 200]) func rectifiersKeepNaN(size: Int) throws {
    let f = compile { (x: Tensor) in relu(matmul(x, Tensor.ones([size, size])) + Tensor.ones([size])) }
    let result = f(Tensor(repeating: .nan, TensorSpec([size, size])))
    #expect(result.isNaN.all().array(as: Bool.self) == [true])
  }

  @Test func reductions() throws {
    func operations(_ f: @escaping (Tensor) -> Tensor, on x: Tensor = .ones([4, 16])) throws -> [String] {
      let program = try compile(f).program(for: x).optimized(pass("fusion") + pass("reductions"))
      return lines(program).filter { !$0.contains("= constant") && !$0.hasPrefix("return") }
        .map { String($0[$0.firstIndex(of: "=")!...].dropFirst(2)) }
    }
    #expect(
      try operations { x in (exp(x) * x).sum() }
        == ["fused(%0) {exp(0); multiply(1, 0); sum(2)[axes=[0, 1]]} -> float32[]"])
    #expect(try operations { x in exp(x).mean(axis: 1) } == ["fused(%0) {exp(0); mean(1)[axes=[1]]} -> float32[4]"])
    #expect(
      try operations { x in
        let y = exp(x)
        return matmul(y, Tensor.ones([16, 1])) + y.max(axis: 0).sum()
      }.first == "fused(%0) {1 = exp(0); max(1)[axes=[0]]} -> float32[4, 16], float32[16]")
    // Axes in the middle, few columns, whole numbers, and an input that lies otherwise: as before.
    #expect(try operations({ x in exp(x).sum(axis: 1) }, on: .ones([2, 3, 4])).count == 2)
    #expect(try operations({ x in exp(x).sum(axis: 0) }, on: .ones([4, 3])).count == 2)
    #expect(try operations { x in (x .> 0).sum() }.count == 2)
    #expect(try operations { x in exp(x.transposed()).sum(axis: 0) }.contains { $0.hasPrefix("sum") })
  }

  /// Reductions of chains have the bits of reductions alone.
  @Test(arguments: [[7], [70_000], [3, 700], [40, 3], [3, 40_000], [300, 33], [2500, 8], [2, 5000]] as [Shape])
  func reducedBits(shape: Shape) throws {
    let x = sin(Tensor.range(to: Double(shape.elementCount), dtype: .float32)).reshaped(shape)
    for axes in shape.rank == 1 ? [[0]] : [[0], [1], [0, 1]] {
      let f: @Sendable (Tensor) -> Tensor = { x in
        let y = exp(x) * x
        return concat(
          [y.sum(axes: axes), y.mean(axes: axes), y.max(axes: axes), y.min(axes: axes)].map { $0.flattened() })
      }
      let program = try compile(f).program(for: x)
      let (alone, joined) = (program.optimized(pass("fusion")), program.optimized(pass("fusion") + pass("reductions")))
      // Narrow columns are left alone.
      let kept = axes == [0] && shape.rank == 2 ? shape[1] : 1
      #expect(joined.instructions.contains { $0.op is Sum } == (kept > 1 && kept < 8))
      let expected = try alone.run([x], planned: true)[0].array(as: Float.self)
      for threads in 1...3 {
        let results = try withThreads(threads) { try joined.run([x], planned: true)[0].array(as: Float.self) }
        #expect(results == expected, "\(axes), \(threads) threads")
      }
    }
  }

  @Test func updates() throws {
    let model = Sequential {
      Linear(3, 4)
      ReLU()
      Linear(4, 2)
    }
    let optimizer = SGD(model.parameters, learningRate: 0.1)
    let step = compile { (x: Tensor) in
      let loss = model(x).sum()
      loss.backward()
      optimizer.step()
      return loss
    }
    let program = try step.program(for: .ones([5, 3]))
    let after = lines(program.optimized(pass("updates"))).filter { $0.contains("Update") }
    #expect(lines(program).filter { $0.contains("sgdUpdate") }.count == 4)
    #expect(after.count == 1 && after[0].contains("joinedUpdates") && after[0].contains("{4 × sgdUpdate, momentum=0"))
    // What reads an updated parameter comes between: two steps are two groups.
    let twice = compile { (x: Tensor) -> Tensor in
      func loss() -> Tensor {
        optimizer.zeroGrad()
        let loss = model(x).sum()
        loss.backward()
        optimizer.step()
        return loss
      }
      return loss() + loss()
    }
    let both = try twice.program(for: .ones([5, 3]))
    #expect(lines(both.optimized(pass("updates"))).filter { $0.contains("joinedUpdates") }.count == 2)
  }

  /// The gradients of weights under autocast are read in bfloat16 by their updates.
  @Test func updatesReadNarrowGradients() throws {
    let layer = Linear(3, 4)
    let optimizer = Adam(layer.parameters, learningRate: 0.1)
    let step = compile { (x: Tensor) -> Tensor in
      let loss = withAutocast { exp(layer(x).cast(to: .float32)).sum() }
      loss.backward()
      optimizer.step()
      return loss
    }
    let program = try step.program(for: .ones([5, 3]))
    func gradients(_ program: Program) -> [DType] {
      program.instructions.filter { $0.op is AdamUpdate }.map { program.values[$0.inputs[1]].dtype }
    }
    #expect(gradients(program) == [.float32, .float32])
    let read = program.optimized(pass("algebra") + pass("updates"))
    let joined = read.instructions.filter { $0.op is JoinedUpdates }
    #expect(joined.count == 1 && [1, 7].allSatisfy { read.values[joined[0].inputs[$0]].dtype == .bfloat16 })
  }

  /// Products with all that may follow them, against operations one by one; also where numbers are not finite.
  @Test(arguments: [8, 200]) func productsAgree(size: Int) throws {
    let generator = Generator(seed: 4)
    var odd = Tensor.normal([size, size], generator: generator)
    odd[0] = Tensor(repeating: .nan, TensorSpec([size]))
    odd[1] = Tensor(repeating: 1e30, TensorSpec([size]))
    odd[2] = Tensor(repeating: -1e30, TensorSpec([size]))
    odd[3] = Tensor(repeating: 1e4, TensorSpec([size]))
    let (w, bias) = (Tensor.normal([size, size], generator: generator), Tensor.normal([size], generator: generator))
    let other = Tensor.normal([size, size], generator: generator)
    let identity = Tensor.identity(size)
    let functions: [(Tensor) -> Tensor] = [
      { $0 }, { relu($0) }, { gelu($0) }, { gelu($0, approximate: true) }, { silu($0) },
    ]
    for (number, function) in functions.enumerated() {
      for dtype in [DType.float32, .bfloat16] {
        let f = { (x: Tensor) -> Tensor in
          let (w, bias, other) = (w.cast(to: dtype), bias.cast(to: dtype), other.cast(to: dtype))
          let y = x.cast(to: dtype)
          return concat([
            function(matmul(y, w) + bias), function(matmul(y, w) + bias + other), matmul(y, w) + other,
          ]).cast(to: .float32)
        }
        let x = Tensor.normal([size, size], generator: generator) / Double(size).squareRoot()
        let tolerance = dtype == .float32 ? 1e-4 : 0.1
        #expect(allClose(compile(f)(x), f(x), relative: tolerance, absolute: tolerance), "\(number) \(dtype)")
      }
      let limits = { (x: Tensor) in function(matmul(x, identity) + bias) }
      #expect(allClose(compile(limits)(odd), limits(odd), relative: 1e-4, absolute: 1e-4, equalNaN: true), "\(number)")
    }
  }

  /// An activation that the backward part reads long after the forward part is made again, if its argument is there.
  @Test func recomputation() throws {
    let size = 512
    func chain(_ activation: @escaping (Tensor) -> Tensor) throws -> (before: [String], after: [String]) {
      let f = valueAndGrad { (x: Tensor) in
        var h = x
        for _ in 0..<8 { h = matmul(activation(matmul(h, x)), x) }
        return h.sum()
      }
      let program = try compile { (x: Tensor) in f(x).1 }.program(for: Tensor.ones([size, size]))
      let after = program.optimized(pass("recomputation"))
      let x = Tensor.normal([size, size], generator: Generator(seed: 1)) / Double(size).squareRoot()
      let results = try [program, after].map { try $0.run([x], planned: true)[0] }
      #expect(allClose(results[0], results[1], relative: 0, absolute: 0))
      return (lines(program), lines(after))
    }
    func count(_ lines: [String], _ name: String) -> Int { lines.filter { $0.contains("= \(name)(") }.count }
    let gelus = try chain { gelu($0) }
    #expect(count(gelus.before, "gelu") == 8 && (13...16).contains(count(gelus.after, "gelu")))
    // The gradient of tanh reads the result, and the argument is not there any more.
    let tanhs = try chain { tanh($0) }
    #expect(tanhs.before == tanhs.after)
    // Small results stay.
    let small = try texts(
      "recomputation",
      { x in
        let y = exp(x)
        var z = y
        for _ in 0..<40 { z = sin(z) }
        return z * y * x
      })
    #expect(small.before == small.after)
  }
}
