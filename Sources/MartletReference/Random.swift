import MartletCore
import MartletOps

/// One block of Philox 4×32-10. Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
func philox(_ counter: (UInt32, UInt32, UInt32, UInt32), _ key: (UInt32, UInt32)) -> [UInt32] {
  var c = counter
  var k = key
  for _ in 0..<10 {
    let p = UInt32(0xD251_1F53).multipliedFullWidth(by: c.0)
    let q = UInt32(0xCD9E_8D57).multipliedFullWidth(by: c.2)
    c = (q.high ^ c.1 ^ k.0, q.low, p.high ^ c.3 ^ k.1, p.low)
    k = (k.0 &+ 0x9E37_79B9, k.1 &+ 0xBB67_AE85)
  }
  return [c.0, c.1, c.2, c.3]
}

func installRandom() {
  naive(RandomBits.self) { op, arguments in
    let keys = arguments.integers(0)
    let count = op.shape.elementCount
    var words: [Int64] = []
    for key in stride(from: 0, to: keys.count, by: 3) {
      let seed = UInt64(bitPattern: keys[key])
      let stream = UInt32(truncatingIfNeeded: keys[key + 1])
      let drawn = UInt32(truncatingIfNeeded: keys[key + 2])
      for word in 0..<count {
        let block = UInt64(word / 4)
        let lanes = philox(
          (UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32), drawn, stream),
          (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
        words.append(Int64(lanes[word % 4]))
      }
    }
    arguments.write(words)
  }
}
