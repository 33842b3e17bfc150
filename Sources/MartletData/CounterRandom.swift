/// Numbers that are functions of a key and a counter, so that any item can be made without those before it.
///
/// The mixing function is the finaliser of SplitMix64 (Steele, Lea, Flood 2014). It is not the generator of tensors.
struct CounterRandom {
  private let key: UInt64
  private var counter: UInt64 = 0

  init(seed: UInt64, index: Int) {
    // Two rounds, so that neighbouring seeds and indices share nothing.
    key = Self.mixed(Self.mixed(seed &+ 0x9e37_79b9_7f4a_7c15) ^ UInt64(bitPattern: Int64(index)))
  }

  static func mixed(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func next() -> UInt64 {
    counter &+= 1
    return Self.mixed(key &+ counter &* 0x9e37_79b9_7f4a_7c15)
  }

  /// Uniform between -1 and 1.
  mutating func signed() -> Float { Float(Int32(truncatingIfNeeded: next() >> 40)) * (2 / 16_777_216) - 1 }

  /// Nearly normal, deviation 1: the sum of three uniform numbers; it never goes beyond ±3.
  mutating func normal() -> Float {
    let bits = next()
    let sum = Int32(bits & 0x1f_ffff) + Int32(bits >> 21 & 0x1f_ffff) + Int32(bits >> 42 & 0x1f_ffff)
    return Float(sum) * (2 / 2_097_152) - 3
  }

  /// A whole number below `bound`, which must be small against 2³².
  mutating func below(_ bound: Int) -> Int { Int(((next() >> 32) &* UInt64(bound)) >> 32) }
}
