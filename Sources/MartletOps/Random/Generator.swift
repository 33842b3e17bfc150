public import MartletCore
internal import CKernels

/// A source of random keys: the only part of random numbers that changes. Its state is a cell, so `compile`, checkpoints
/// and exact resume need nothing special.
///
/// Tasks that draw from one generator at once get different keys, but which of them gets which depends on their timing.
public final class Generator: Cell {
  private let lock = Lock()

  /// A generator for a seed. Generators of different streams are independent.
  public init(seed: Int, stream: Int = 0) {
    super.init(Tensor([seed, stream, 0], device: .current), name: "generator")
    isGenerator = true
  }

  /// A new key: `[3]`, or inside `vmap(randomness: .different)` one for each example.
  public func next() -> Tensor {
    var sizes: [Int] = []
    var scope = MapScope.innermost
    while let current = scope {
      if current.randomness == .different { sizes.insert(current.size, at: 0) }
      scope = current.outer?.takeUnretainedValue()
    }
    let total = sizes.reduce(1, *)
    let key = lock.holding { () -> Tensor in
      let key = read()!
      write(key + Tensor([0, 0, total], device: key.device))
      return key
    }
    guard !sizes.isEmpty else { return key }
    let steps = (0..<total).flatMap { [0, 0, $0] }
    let keys = key + Tensor(steps, shape: Shape(sizes + [3]), device: key.device)
    return MapScope.mapped(keys)
  }

  /// Starts again from a seed; the stream and the device stay.
  public func seed(_ seed: Int) {
    lock.holding {
      let key = read()!
      write(key * Tensor([0, 1, 0], device: key.device) + Tensor([seed, 0, 0], device: key.device))
    }
  }
}

/// The generator that functions and layers use when none is given. Give each task its own where numbers must be the same in
/// every run.
public enum Random {
  /// The process's generator, seeded with 0.
  public nonisolated(unsafe) static let generator = Generator(seed: 0)
  /// Seeds the default generator.
  public static func seed(_ seed: Int) { generator.seed(seed) }
}

extension Tensor {
  /// Uniform numbers in `low ..< high`.
  public static func uniform(
    _ shape: Shape, low: Double = 0, high: Double = 1, dtype: DType = .float32, generator: Generator = Random.generator
  ) -> Tensor { uniform(shape, low: low, high: high, dtype: dtype, key: generator.next()) }

  /// Uniform numbers in `low ..< high`, a pure function of the key.
  public static func uniform(
    _ shape: Shape, low: Double = 0, high: Double = 1, dtype: DType = .float32, key: Tensor
  ) -> Tensor {
    guard dtype.isFloating else { return wrongDType(dtype, op: "uniform") }
    let unit = apply(RandomUniform(shape: shape, dtype: dtype), key)
    return low == 0 && high == 1 ? unit : unit * (high - low) + low
  }

  /// Normal numbers.
  public static func normal(
    _ shape: Shape, mean: Double = 0, deviation: Double = 1, dtype: DType = .float32,
    generator: Generator = Random.generator
  ) -> Tensor { normal(shape, mean: mean, deviation: deviation, dtype: dtype, key: generator.next()) }

  /// Normal numbers, a pure function of the key.
  public static func normal(
    _ shape: Shape, mean: Double = 0, deviation: Double = 1, dtype: DType = .float32, key: Tensor
  ) -> Tensor {
    guard dtype.isFloating else { return wrongDType(dtype, op: "normal") }
    let unit = apply(RandomNormal(shape: shape, dtype: dtype), key)
    return mean == 0 && deviation == 1 ? unit : unit * deviation + mean
  }

  private static func wrongDType(_ dtype: DType, op: String) -> Tensor {
    failure(
      .misuse("dtype is \(dtype)", rule: "random numbers are of a floating dtype", remedy: "cast(to:) on the result"),
      op: op)
  }

  /// True with the given probability.
  public static func bernoulli(_ shape: Shape, probability: Double, generator: Generator = Random.generator) -> Tensor {
    bernoulli(shape, probability: probability, key: generator.next())
  }

  /// True with the given probability, a pure function of the key.
  public static func bernoulli(_ shape: Shape, probability: Double, key: Tensor) -> Tensor {
    guard probability >= 0, probability <= 1 else {
      return failure(.misuse("probability is \(probability)", rule: "0 ≤ probability ≤ 1"), op: "bernoulli")
    }
    return apply(RandomUniform(shape: shape, dtype: .float32), key) .< probability
  }
}
