import Martlet
import Testing

@Suite struct CreationTests {
  @Test func fromSwiftValues() {
    expectValues(Tensor([1, 2, 3] as [Float]), [3], [1, 2, 3])
    expectValues(Tensor([1, 2, 3, 4, 5, 6] as [Int], shape: [2, 3]), [2, 3], [1, 2, 3, 4, 5, 6])
    expectValues([[1, 2], [3, 4]], [2, 2], [1, 2, 3, 4])
    expectValues(Tensor([[1.5, 2], [3, 4]] as [[Double]]), [2, 2], [1.5, 2, 3, 4])
    expectValues(Tensor(2.5), [], [2.5])
    expectValues(Tensor(7 as Int32), [], [7])
    expectValues([] as Tensor, [0], [])
    expectValues(.zeros([2, 0, 3]), [2, 0, 3], [])
    expectValues(.ones([2], dtype: .bool), [2], [1, 1])
    expectValues(.range(from: 1, to: 2, by: 0.25), [4], [1, 1.25, 1.5, 1.75])
    expectValues(.range(from: 3, to: 0, by: -1, dtype: .int64), [3], [3, 2, 1])
    expectValues(.range(to: 0), [0], [])
    expectValues(.identity(2, dtype: .int32), [2, 2], [1, 0, 0, 1])
    expectValues(.identity(0), [0, 0], [])
  }

  @Test func dtypesOfSwiftValues() {
    #expect(Tensor([1] as [Int]).dtype == .int64)
    #expect(Tensor([1] as [Int32]).dtype == .int32)
    #expect(Tensor([1] as [Double]).dtype == .float64)
    #expect(Tensor([true]).dtype == .bool)
    #expect(Tensor([BFloat16(1)]).dtype == .bfloat16)
    let literal: Tensor = [1, 2]
    #expect(literal.dtype == .float32)
  }

  /// Every dtype holds small numbers, and passes through a cast to every other one, but complex to real.
  @Test(arguments: DType.allCases, DType.allCases) func casts(from: DType, to: DType) {
    let x = Tensor.range(to: 2, dtype: from)
    #expect(x.dtype == from)
    if from.isComplex, !to.isComplex { return }
    #expect(x.cast(to: to).dtype == to)
    expectValues(x.cast(to: to).real, [2], [0, 1])
  }

  @Test(arguments: [
    (DType.uint8, [0.0, 255, 0, 255, 1]), (.int8, [-128, 127, 0, 127, 1]), (.int32, [-300, 2_147_483_647, 0, 300, 1]),
    (.bool, [1, 1, 1, 1, 1]),
  ])
  func castsClamp(dtype: DType, expected: [Double]) {
    expectValues(Tensor([-300, 1e20, Double.nan, 300.7, 1.9]).cast(to: dtype), [5], expected)
  }

  @Test func wideIntegersStayExact() {
    let big = 9_007_199_254_740_993
    #expect(Tensor([big]).array(as: Int.self) == [big])
    #expect(Tensor([big, -big]).description == "[ 9007199254740993, -9007199254740993]")
    #expect(Tensor([big])[0].item(as: Int.self) == big)
    #expect((Tensor([big]) + 1).array(as: Int.self) == [big + 1])
  }

  @Test func readingConverts() {
    #expect(Tensor([1.9, -1.9, 300]).array(as: Int8.self) == [1, -1, 127])
    #expect(Tensor([1, 0]).array(as: Bool.self) == [true, false])
    #expect(Tensor([[1, 2], [3, 4]] as [[Float]]).transposed().array(as: Float.self) == [1, 3, 2, 4])
    #expect(Tensor([3] as [Int]).item() == 3)
    #expect(Tensor([true]).item(as: Bool.self))
    #expect(Tensor([[2.5]] as [[Float]]).item(as: Float.self) == 2.5)
  }
}

@Suite struct PromotionTests {
  private static let order: [DType] = [
    .bool, .uint8, .int8, .int16, .int32, .int64, .float16, .bfloat16, .float32, .float64,
  ]
  /// PyTorch's `torch.promote_types` for each pair, in `order`.
  private static let table: [[DType]] = [
    [.bool, .uint8, .int8, .int16, .int32, .int64, .float16, .bfloat16, .float32, .float64],
    [.uint8, .uint8, .int16, .int16, .int32, .int64, .float16, .bfloat16, .float32, .float64],
    [.int8, .int16, .int8, .int16, .int32, .int64, .float16, .bfloat16, .float32, .float64],
    [.int16, .int16, .int16, .int16, .int32, .int64, .float16, .bfloat16, .float32, .float64],
    [.int32, .int32, .int32, .int32, .int32, .int64, .float16, .bfloat16, .float32, .float64],
    [.int64, .int64, .int64, .int64, .int64, .int64, .float16, .bfloat16, .float32, .float64],
    [.float16, .float16, .float16, .float16, .float16, .float16, .float16, .float32, .float32, .float64],
    [.bfloat16, .bfloat16, .bfloat16, .bfloat16, .bfloat16, .bfloat16, .float32, .bfloat16, .float32, .float64],
    [.float32, .float32, .float32, .float32, .float32, .float32, .float32, .float32, .float32, .float64],
    [.float64, .float64, .float64, .float64, .float64, .float64, .float64, .float64, .float64, .float64],
  ]

  @Test(arguments: order.indices, order.indices) func asInPyTorch(a: Int, b: Int) {
    let (x, y) = (Self.order[a], Self.order[b])
    #expect(x.promoted(with: y) == Self.table[a][b], "\(x) and \(y)")
    if x != .bool || y != .bool {
      #expect((Tensor.ones([2], dtype: x) * Tensor.ones([2], dtype: y)).dtype == Self.table[a][b], "\(x) * \(y)")
    }
  }

  /// PyTorch has no rule for most of these.
  @Test(arguments: [
    (DType.uint8, DType.uint32), (.int8, .int64), (.int16, .int64), (.int32, .int64), (.int64, .int64),
    (.float16, .float16), (.bool, .uint32),
  ])
  func unsigned32(other: DType, expected: DType) {
    #expect(DType.uint32.promoted(with: other) == expected)
    #expect(other.promoted(with: .uint32) == expected)
  }

  @Test(arguments: [
    (DType.float16, DType.float16, DType.float16), (.bfloat16, .bfloat16, .bfloat16), (.float64, .float64, .float64),
    (.int64, .float32, .int64), (.int8, .float32, .int8), (.uint8, .float32, .uint8), (.bool, .float32, .int64),
  ])
  func numbersAreWeak(dtype: DType, withFraction: DType, withInteger: DType) {
    let x = Tensor.ones([2], dtype: dtype)
    #expect((x * 0.5).dtype == withFraction)
    #expect((0.5 * x).dtype == withFraction)
    #expect((x + 1).dtype == withInteger)
    #expect((1 - x).dtype == withInteger)
    #expect(maximum(x, 1).dtype == withInteger)
    #expect((x / 2).dtype == (dtype.isFloating ? dtype : .float32))
    #expect((x / x).dtype == (dtype.isFloating ? dtype : .float32))
    expectValues(x * 0.5, [2], [0.5, 0.5])
    expectValues(3 - x, [2], [2, 2])
    expectValues(1 / (x + 1), [2], [0.5, 0.5])
  }

  @Test func broadcasting() {
    let column: Tensor = [[10], [20]]
    expectValues(column + Tensor([1, 2, 3] as [Float]), [2, 3], [11, 12, 13, 21, 22, 23])
    expectValues(Tensor([1, 2] as [Float]) + Tensor(5 as Float), [2], [6, 7])
    expectValues(Tensor.zeros([0, 3]) + Tensor.ones([3]), [0, 3], [])
    expectValues(
      Tensor.ones([2, 1, 2]) * Tensor([[1, 2], [3, 4]] as [[Float]]), [2, 2, 2], [1, 2, 3, 4, 1, 2, 3, 4])
    expectValues(Tensor([1] as [Float]).expanded(to: [2, 2]), [2, 2], [1, 1, 1, 1])
  }

  @Test func comparison() {
    let a: Tensor = [1, 2, 3]
    let b: Tensor = [3, 2, 1]
    let table: [(String, Tensor, [Double])] = [
      ("==", a .== b, [0, 1, 0]), ("!=", a .!= b, [1, 0, 1]), ("<", a .< b, [1, 0, 0]), ("<=", a .<= b, [1, 1, 0]),
      (">", a .> b, [0, 0, 1]), (">=", a .>= b, [0, 1, 1]), ("== 2", a .== 2, [0, 1, 0]),
      ("< 2.5", a .< 2.5, [1, 1, 0]),
      ("ints < 1.5", Tensor([1, 2]) .< 1.5, [1, 0]), ("not", .!(a .< b), [0, 1, 1]),
      ("and", (a .>= 2) .& (b .>= 2), [0, 1, 0]), ("or", (a .> 2) .| (b .> 2), [1, 0, 1]),
      ("xor", (a .>= 2) .^ (b .>= 2), [1, 0, 1]), ("int and float", Tensor([1, 2, 3]) .== b, [0, 1, 0]),
    ]
    for (name, found, expected) in table {
      #expect(found.dtype == .bool, "\(name)")
      expectValues(found, found.shape, expected, name)
    }
    expectValues(Tensor([Float.nan]) .== Tensor([Float.nan]), [1], [0])
    expectValues(Tensor([Float.nan]) .!= Tensor([Float.nan]), [1], [1])
  }
}

@Suite struct MemoryTests {
  @Test func viewsShare() {
    let x = count([2, 3, 4])
    let views: [(String, Tensor)] = [
      ("index", x[0]), ("range", x[.all, 0..<2]), ("transposed", x.transposed()), ("reshaped", x.reshaped([6, 4])),
      ("new axis", x[.newAxis]), ("expanded", x.expanded(to: [5, 2, 3, 4])), ("permuted", x.permuted(2, 0, 1)),
      ("detached", x.detached()), ("squeezed", x.expandedDims(axis: 1).squeezed()),
    ]
    for (name, view) in views { #expect(view.node.storage === x.node.storage, "\(name)") }
    #expect(x[1].address == x.address + 12 * 4)
    #expect(x[.all, .range(by: -1)].address == x.address + 8 * 4)
    #expect(x[Tensor([0])].node.storage !== x.node.storage)
  }

  @Test func reshapingWhatCannotBeAView() {
    let x = count([2, 3])
    expectValues(x.transposed().reshaped([6]), [6], [0, 3, 1, 4, 2, 5])
    expectValues(x[.all, 1...].reshaped([4]), [4], [1, 2, 4, 5])
    expectValues(x.transposed().reshaped([3, 1, 2]), [3, 1, 2], [0, 3, 1, 4, 2, 5])
    #expect(x.transposed().reshaped([3, 1, 2]).node.storage === x.node.storage)
    expectValues(Tensor(5 as Float).expanded(to: [2, 2]).reshaped([4]), [4], [5, 5, 5, 5])
    expectValues(x[.range(by: -1)].reshaped([-1]), [6], [3, 4, 5, 0, 1, 2])
    expectValues(.zeros([0, 4]).reshaped([2, 0]), [2, 0], [])
  }

  @Test func copiesAreValues() {
    let original = count([4])
    var copy = original
    copy[0] = Tensor(9)
    expectValues(original, [4], [0, 1, 2, 3])
    expectValues(copy, [4], [9, 1, 2, 3])
    var sum = original
    sum += 1
    expectValues(original, [4], [0, 1, 2, 3])
    expectValues(sum, [4], [1, 2, 3, 4])
  }

  // A device with a queue holds what its operations use, so nobody is the sole owner at once.
  @Test(.enabled(if: Device.current == .cpu, "only the CPU has no queue")) func soleOwnersAreChangedInPlace() {
    var x = count([4, 1]) + 0
    let before = x.address
    x[1] = Tensor(7)
    x[2...] = [[5], [6]]
    x[Tensor([0])] = Tensor(3)
    x += 1
    x *= x + 0
    x[.range(from: 1), Tensor([0])] = [[1], [2], [3]]
    #expect(x.address == before)
    expectValues(x, [4, 1], [16, 1, 2, 3])
  }

  @Test func sharedElementsAreNot() {
    var x = count([4]) + 0
    let view = x[1...]
    x[1] = Tensor(7)
    expectValues(view, [3], [1, 2, 3])
    expectValues(x, [4], [0, 7, 2, 3])
    x -= 1
    expectValues(view, [3], [1, 2, 3])

    // The tape holds what the backward pass will read.
    let leaf = Tensor([2, 3] as [Float]).requiringGradient()
    var y = Tensor([4, 5] as [Float])
    let loss = (leaf * y).sum()
    y[0] = Tensor(100)
    y *= 2
    loss.backward()
    expectValues(leaf.grad!, [2], [4, 5])
    expectValues(y, [2], [200, 10])

    // What was computed before a write does not see it.
    var w = leaf * 1
    let square = (w * w).sum()
    w[0] = Tensor(0)
    square.backward()
    expectValues(leaf.grad!, [2], [4 + 4, 5 + 6])
  }

  private final class Owner: @unchecked Sendable {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 32, alignment: 16)
    let onRelease: () -> Void
    init(_ onRelease: @escaping () -> Void) {
      self.onRelease = onRelease
      for i in 0..<8 { bytes.storeBytes(of: Float(i), toByteOffset: 4 * i, as: Float.self) }
    }
    deinit {
      bytes.deallocate()
      onRelease()
    }
  }

  @Test(.enabled(if: Device.current == .cpu, "only the CPU's memory is borrowed")) func borrowing() {
    var released = false
    do {
      var part: Tensor
      do {
        let owner = Owner { released = true }
        let x = Tensor(borrowing: UnsafeRawBufferPointer(owner.bytes), shape: [2, 4], dtype: .float32, owner: owner)
        #expect(x.address == owner.bytes.baseAddress)
        x.withUnsafeBytes { #expect($0.baseAddress == UnsafeRawPointer(owner.bytes.baseAddress)) }
        part = x[1]
        // A sole owner does not write into memory that is lent.
        var copy = Tensor(borrowing: UnsafeRawBufferPointer(owner.bytes), shape: [8], dtype: .float32, owner: owner)
        copy[0] = Tensor(50)
        copy += 1
        expectValues(x, [2, 4], [0, 1, 2, 3, 4, 5, 6, 7])
        expectValues(copy, [8], [51, 2, 3, 4, 5, 6, 7, 8])
      }
      #expect(!released)
      expectValues(part, [4], [4, 5, 6, 7])
      part = []
      #expect(part.count == 0)
    }
    #expect(released)
  }

  @Test func lendingCopiesOnlyWhatIsStrided() {
    let x = count([2, 3])
    x.withUnsafeBytes { #expect($0.baseAddress == UnsafeRawPointer(x.address) && $0.count == 24) }
    let floats = x.transposed().withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    #expect(floats == [0, 3, 1, 4, 2, 5])
  }

  @Test func poolStatistics() {
    // Other tests run at the same time: only the part of this large tensor is certain.
    let bytes = 64 << 20
    let held = Tensor.zeros([bytes / 4])
    #expect(MemoryStatistics.current.live >= bytes)
    #expect(MemoryStatistics.current.peak >= bytes)
    #expect(MemoryStatistics.current.allocations > 0)
    withExtendedLifetime(held) {}
  }
}
