import Martlet
import Testing

@Suite struct SubscriptTests {
  struct Read: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let part: Tensor
    let shape: Shape
    let values: [Double]
    init(_ name: String, _ part: Tensor, _ shape: Shape, _ values: [Double]) {
      testDescription = name
      self.part = part
      self.shape = shape
      self.values = values
    }
  }

  private static let x = count([3, 4])  // [[0 1 2 3] [4 5 6 7] [8 9 10 11]]
  private static let cube = count([2, 3, 4])

  private static let reads: [Read] = [
    Read("x[1]", x[1], [4], [4, 5, 6, 7]),
    Read("x[-1]", x[-1], [4], [8, 9, 10, 11]),
    Read("x[1, -2]", x[1, -2], [], [6]),
    Read("x[0..<2, 3]", x[0..<2, 3], [2], [3, 7]),
    Read("x[1...]", x[1..., 0], [2], [4, 8]),
    Read("x[..<2]", x[..<2, 0], [2], [0, 4]),
    Read("x[...1]", x[...1, 0], [2], [0, 4]),
    Read("x[1...2]", x[1...2, 0], [2], [4, 8]),
    Read("x[(-2)...]", x[(-2)..., 0], [2], [4, 8]),
    Read("x[..<(-1)]", x[..<(-1), 0], [2], [0, 4]),
    Read("x[...(-1)]", x[...(-1), 0], [3], [0, 4, 8]),
    Read("cut at the end", x[1..<100, 0], [2], [4, 8]),
    Read("empty", x[2..<2], [0, 4], []),
    Read("behind the end", x[7..<9], [0, 4], []),
    Read("all", x[.all, 1], [3], [1, 5, 9]),
    Read("step", x[0, .range(by: 2)], [2], [0, 2]),
    Read("step from 1", x[0, .range(from: 1, by: 2)], [2], [1, 3]),
    Read("backwards", x[0, .range(by: -1)], [4], [3, 2, 1, 0]),
    Read("backwards by 2", x[0, .range(from: -1, to: 0, by: -2)], [2], [3, 1]),
    Read("backwards from beyond", x[0, .range(from: 9, by: -3)], [2], [3, 0]),
    Read("backwards, nothing", x[0, .range(from: 0, to: 3, by: -1)], [0], []),
    Read("a slice of a slice", x[.range(by: 2), .range(by: -1)][1, 1...], [3], [10, 9, 8]),
    Read("new axis", x[.newAxis, 0], [1, 4], [0, 1, 2, 3]),
    Read("new axis inside", x[0..<2, .newAxis, 0], [2, 1], [0, 4]),
    Read("new axis at the end", x[.ellipsis, .newAxis][0, 0..<2], [2, 1], [0, 1]),
    Read("ellipsis", cube[.ellipsis, 0], [2, 3], [0, 4, 8, 12, 16, 20]),
    Read("ellipsis inside", cube[1, .ellipsis, -1], [3], [15, 19, 23]),
    Read("ellipsis of nothing", cube[0, 0, .ellipsis, 0], [], [0]),
    Read("integers", x[Tensor([2, 0])], [2, 4], [8, 9, 10, 11, 0, 1, 2, 3]),
    Read("negative integers", x[Tensor([-1, -3]), 0], [2], [8, 0]),
    Read("int32", x[Tensor([1] as [Int32]), 0], [1], [4]),
    Read("uint8", x[Tensor([1] as [UInt8]), 0], [1], [4]),
    Read("a matrix of integers", x[0, Tensor([[0, 1], [2, 3]])], [2, 2], [0, 1, 2, 3]),
    Read("a scalar of integers", x[Tensor(1), 0], [], [4]),
    Read("no integers", x[Tensor([] as [Int])], [0, 4], []),
    Read("in the second axis", x[.all, Tensor([3, 0])], [3, 2], [3, 0, 7, 4, 11, 8]),
    Read("two together", x[Tensor([0, 2]), Tensor([1, -1])], [2], [1, 11]),
    Read("two that broadcast", x[Tensor([[0], [2]]), Tensor([1, 3])], [2, 2], [1, 3, 9, 11]),
    // As in NumPy: indices with a slice between them go to the front.
    Read("two apart", cube[Tensor([0, 1]), .all, Tensor([0, 3])], [2, 3], [0, 4, 8, 15, 19, 23]),
    Read("two adjacent behind", cube[.all, Tensor([0, 2]), Tensor([1, 3])], [2, 2], [1, 11, 13, 23]),
    Read("a range and integers", cube[1, 1..., Tensor([0, 0])], [2, 2], [16, 16, 20, 20]),
    Read("a mask", x[x .> 8], [3], [9, 10, 11]),
    Read("a mask of rows", x[Tensor([true, false, true]), 1], [2], [1, 9]),
    Read("a mask of columns", x[1, Tensor([false, true, true, false])], [2], [5, 6]),
    Read("a mask of nothing", x[x .> 99], [0], []),
    Read("a mask of two axes", cube[.all, x[.all, 0..<4] .== 5], [2, 1], [5, 17]),
  ]

  @Test(arguments: reads) func read(_ c: Read) { expectValues(c.part, c.shape, c.values) }

  struct Write: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let write: @Sendable (inout Tensor) -> Void
    let values: [Double]
    init(_ name: String, _ values: [Double], _ write: @escaping @Sendable (inout Tensor) -> Void) {
      testDescription = name
      self.write = write
      self.values = values
    }
  }

  private static let writes: [Write] = [
    Write("a row", [9, 9, 9, 3, 4, 5]) { $0[0] = Tensor(9) },
    Write("an element", [0, 1, 2, 3, 4, 9]) { $0[-1, -1] = Tensor(9) },
    Write("a column", [7, 1, 2, 8, 4, 5]) { $0[.all, 0] = [7, 8] },
    Write("a broadcast row", [7, 8, 9, 7, 8, 9]) { $0[.all] = [7, 8, 9] },
    Write("a step", [7, 1, 8, 3, 4, 5]) { $0[0, .range(by: 2)] = [7, 8] },
    Write("backwards", [9, 8, 7, 3, 4, 5]) { $0[0, .range(by: -1)] = [7, 8, 9] },
    Write("rows backwards", [9, 9, 9, 7, 7, 7]) { $0[.range(by: -1)] = [[7], [9]] },
    Write("an empty part", [0, 1, 2, 3, 4, 5]) { $0[1..<1] = Tensor(9) },
    Write("new axis", [7, 8, 9, 3, 4, 5]) { $0[.newAxis, 0] = [[7, 8, 9]] },
    Write("ellipsis", [0, 1, 7, 3, 4, 7]) { $0[.ellipsis, 2] = Tensor(7) },
    Write("itself", [3, 4, 5, 0, 1, 2]) { $0[.all] = $0[.range(by: -1)] },
    Write("adding to a part", [0, 1, 2, 13, 14, 15]) { $0[1] += 10 },
    Write("integers", [0, 1, 2, 7, 8, 9]) { $0[Tensor([1])] = [7, 8, 9] },
    Write("negative integers", [0, 1, 2, 9, 9, 9]) { $0[Tensor([-1])] = Tensor(9) },
    Write("repeated integers: the last counts", [8, 8, 8, 3, 4, 5]) { $0[Tensor([0, 0])] = [[7], [8]] },
    Write("columns by integers", [8, 1, 7, 8, 4, 7]) { $0[.all, Tensor([2, 0])] = [7, 8] },
    Write("one row, columns by integers", [0, 1, 2, 8, 4, 7]) { $0[1, Tensor([2, 0])] = [7, 8] },
    Write("two together", [7, 1, 2, 3, 4, 8]) { $0[Tensor([0, 1]), Tensor([0, 2])] = [7, 8] },
    Write("two together, repeated", [0, 8, 2, 3, 4, 5]) { $0[Tensor([0, 0]), Tensor([1, 1])] = [7, 8] },
    Write("a mask and a number", [0, 1, 2, -1, -1, -1]) { $0[$0 .> 2] = Tensor(-1) },
    Write("a mask and values", [0, 1, 2, 7, 8, 9]) { $0[$0 .> 2] = [7, 8, 9] },
    Write("a mask of rows", [0, 1, 2, 7, 8, 9]) { $0[Tensor([false, true])] = [7, 8, 9] },
    Write("a mask of columns", [0, 7, 2, 3, 8, 5]) { $0[.all, Tensor([false, true, false])] = [[7], [8]] },
    Write("a mask of nothing", [0, 1, 2, 3, 4, 5]) { $0[$0 .> 99] = Tensor(7) },
    Write("another dtype", [0, 1, 2, 7, 7, 7]) { $0[1] = Tensor([7]) },
  ]

  @Test(arguments: writes) func write(_ c: Write) {
    var x = count([2, 3])
    let original = x
    c.write(&x)
    expectValues(x, [2, 3], c.values)
    expectValues(original, [2, 3], [0, 1, 2, 3, 4, 5], "the copy made before")
    #expect(x.dtype == .float32)
  }

  /// A write is an operation: its gradient goes to the value and to what was not overwritten.
  @Test func gradientsOfWrites() {
    let value = Tensor([7, 8, 9] as [Float])
    let gradients = grad { (pair: [Tensor]) -> Tensor in
      var x = pair[0]
      x[0] = pair[1]
      return (x * count([2, 3])).sum()
    }([count([2, 3]), value])
    expectValues(gradients[0], [2, 3], [0, 0, 0, 3, 4, 5])
    expectValues(gradients[1], [3], [0, 1, 2])

    let repeated = grad { (value: Tensor) -> Tensor in
      var x = Tensor.zeros([2])
      x[Tensor([1, 1, 0])] = value
      return (x * [10, 20]).sum()
    }(value)
    expectValues(repeated, [3], [0, 20, 10])

    let reads = grad { (x: Tensor) -> Tensor in x[Tensor([0, 0, -1])].sum() + x[x .> 1].sum() }(count([3]))
    expectValues(reads, [3], [2, 0, 2])
  }

  @Test func writesUnderTransforms() {
    let f = { (x: Tensor) -> Tensor in
      var y = x * 1
      y[1] = x[0] * 10
      y[Tensor([0])] = Tensor(5)
      return y
    }
    expectValues(f([1, 2, 3]), [3], [5, 10, 3])
    expectValues(vmap(f)([[1, 2, 3], [4, 5, 6]]), [2, 3], [5, 10, 3, 5, 40, 6])
    expectValues(compile(f)([1, 2, 3]), [3], [5, 10, 3])
    expectValues(lazy { f([1, 2, 3]) }, [3], [5, 10, 3])
    let (value, tangent) = jvp(f, [1, 2, 3], [1, 1, 1])
    expectValues(value, [3], [5, 10, 3])
    expectValues(tangent, [3], [0, 10, 1])
  }
}
