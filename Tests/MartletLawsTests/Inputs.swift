import MartletCore
import MartletOps

/// Random numbers that depend only on their seed.
struct Numbers {
  private var state: UInt64
  init(_ name: String) {
    // FNV-1a: Swift's own hashes differ from run to run.
    state = name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }
  mutating func word() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
  /// In 0 ..< 1.
  mutating func unit() -> Double { Double(word() >> 11) * 0x1p-53 }
  mutating func between(_ low: Double, _ high: Double) -> Double { low + (high - low) * unit() }
}

/// What the elements of an input are.
enum Values: Sendable {
  case between(Double, Double)
  /// Of either sign, the magnitude in a range that excludes 0.
  case away(Double, Double)
  /// Multiples of 0.1 from -2 to 2, moved: two inputs moved apart never tie, two moved equally often do.
  case grid(Double)
  /// All different by at least 0.01, in random order.
  case spaced
  /// Integers in 0 ..< count.
  case below(Int)
  /// These, over and over.
  case list([Double])
  /// These, over and over, not by way of `Double`.
  case exact([Int64])

  func numbers(_ count: Int, _ random: inout Numbers) -> [Double] {
    switch self {
    case .between(let low, let high): return (0..<count).map { _ in random.between(low, high) }
    case .away(let low, let high):
      return (0..<count).map { _ in random.between(low, high) * (random.word() & 1 == 0 ? 1 : -1) }
    case .grid(let shift):
      return (0..<count).map { _ in (random.between(-20, 20).rounded()) / 10 + shift }
    case .spaced:
      var order = Array(0..<count)
      for index in order.indices.reversed() where index > 0 {
        order.swapAt(index, Int(random.word() % UInt64(index + 1)))
      }
      return order.map { Double($0) * 0.02 - 1 + random.between(0, 0.01) }
    case .below(let end): return (0..<count).map { _ in Double(random.word() % UInt64(end)) }
    case .list(let list): return (0..<count).map { list[$0 % list.count] }
    case .exact(let list): return (0..<count).map { Double(list[$0 % list.count]) }
    }
  }
}

/// How the elements lie in memory.
enum Layout: String, Sendable, CaseIterable {
  case dense, transposed, strided, reversed, expanded, offset, channelsLast
}

/// One input of a case.
struct Input: Sendable {
  var shape: Shape
  var dtype: DType
  var values: Values
  var layout: Layout

  init(_ shape: Shape, _ dtype: DType = .float64, _ values: Values = .between(-2, 2), _ layout: Layout = .dense) {
    self.shape = shape
    self.dtype = dtype
    self.values = values
    let least = layout == .transposed ? 2 : layout == .channelsLast ? 3 : 1
    self.layout = shape.rank < least ? .dense : layout
  }

  /// The tensor; equal seeds give equal elements on all devices.
  func tensor(_ seed: String, on device: Device, dtype: DType? = nil) -> Tensor {
    let dtype = dtype ?? self.dtype
    var random = Numbers(seed)
    if case .exact(let list) = values, dtype == .int64 {
      return laidOut((0..<shape.elementCount).map { Double($0 % list.count) }, .int64, device) { Int64(list[Int($0)]) }
    }
    guard layout == .expanded else {
      return laidOut(values.numbers(shape.elementCount, &random), dtype, device)
    }
    var small = shape
    small[0] = Swift.min(1, shape[0])
    let one = dense(values.numbers(small.elementCount, &random), small, dtype, device)
    return one.expanded(to: shape)
  }

  private func laidOut(
    _ elements: [Double], _ dtype: DType, _ device: Device, exactly: ((Double) -> Int64)? = nil
  ) -> Tensor {
    let n = shape.rank - 1
    switch layout {
    case .dense, .expanded: return dense(elements, shape, dtype, device, exactly)
    case .transposed:
      var swapped = shape
      swapped.swapAt(n, n - 1)
      let (rows, columns) = (shape[n - 1], shape[n])
      var moved = elements
      for place in elements.indices {
        let (matrix, row, column) = (place / (rows * columns), place / columns % rows, place % columns)
        moved[(matrix * columns + column) * rows + row] = elements[place]
      }
      return dense(moved, swapped, dtype, device, exactly).transposed()
    case .channelsLast:
      let (channels, inner) = (shape[1], shape[2...].reduce(1, *))
      var moved = elements
      for (place, element) in elements.enumerated() {
        let (example, channel, pixel) = (place / (channels * inner), place / inner % channels, place % inner)
        moved[(example * inner + pixel) * channels + channel] = element
      }
      let last = Shape([shape[0]] + Array(shape[2...]) + [channels])
      return dense(moved, last, dtype, device, exactly).permuted([0, n] + Array(1..<n))
    case .strided, .reversed:
      let step = layout == .strided ? 2 : -1
      var wide = shape
      wide[n] = shape[n] * Swift.abs(step)
      var spread = [Double](repeating: elements.first ?? 0, count: wide.elementCount)
      for (place, element) in elements.enumerated() {
        let (row, column) = (place / shape[n], place % shape[n])
        spread[row * wide[n] + (step == 2 ? 2 * column : shape[n] - 1 - column)] = element
      }
      var region = Region(whole: shape)
      region.steps[n] = step
      region.starts[n] = step == 2 ? 0 : Swift.max(0, shape[n] - 1)
      return apply(view: Slice(region: region), dense(spread, wide, dtype, device, exactly))
    case .offset:
      var tall = shape
      tall[0] += 1
      let row = shape[1...].reduce(1, *)
      var region = Region(whole: shape)
      if shape[0] > 0 { region.starts[0] = 1 }
      let padded = [Double](repeating: elements.first ?? 0, count: row) + elements
      return apply(view: Slice(region: region), dense(padded, tall, dtype, device, exactly))
    }
  }

  /// The imaginary part of a complex element: in -1.5 … 1.5, and another one for each element.
  private func imaginary(_ element: Double, _ place: Int) -> Double {
    guard element.isFinite else { return 0 }
    let turns = 0.618_034 * Double(place + 1) + 0.414_214 * element
    return 3 * (turns - turns.rounded(.down)) - 1.5
  }

  private func dense(
    _ elements: [Double], _ shape: Shape, _ dtype: DType, _ device: Device, _ exactly: ((Double) -> Int64)? = nil
  ) -> Tensor {
    if let exactly { return Tensor(elements.map(exactly), shape: shape, device: device) }
    return Tensor.make(TensorSpec(shape, dtype, device: device)) { target in
      for (place, element) in elements.enumerated() {
        if dtype.isComplex {
          target.store(Complex<Double>(element, imaginary(element, place)), place, dtype)
        } else {
          target.store(element, place, dtype)
        }
      }
    }
  }
}
