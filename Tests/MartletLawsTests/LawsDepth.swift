import Martlet
import MartletCore
import MartletOps
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Long chains: nothing recurses, and costs grow with the length and no faster.
@Suite(.serialized) struct LawsDepth {
  static func million() -> (freed: Bool, gradient: Double) {
    let x = Tensor(1.0 as Double).requiringGradient()
    do {
      // Never walked: released as a whole.
      var y = x
      for _ in 0..<1_000_000 { y = y + 1 }
      precondition(y.item() == 1_000_001)
    }
    var z = x
    for _ in 0..<1_000_000 { z = z * 1 }
    z.backward()
    return (true, x.grad!.item())
  }

  @Test func aMillionRecordedOperationsOnTheMainThread() async {
    let result = await MainActor.run { LawsDepth.million() }
    #expect(result.freed && result.gradient == 1)
  }

  @Test func aMillionRecordedOperationsInATask() async {
    let result = await Task.detached { LawsDepth.million() }.value
    #expect(result.freed && result.gradient == 1)
  }

  @Test func aLongLazyChain() {
    let x = Tensor(0.0 as Double)
    let end = lazy {
      var y = x
      for _ in 0..<100_000 { y = y + 1 }
      return y
    }
    #expect(end.item() == 100_000)
    // Never run: released as a whole.
    _ = lazy {
      var y = x
      for _ in 0..<100_000 { y = y + 1 }
      return y
    }
    let gradient = lazy {
      grad { (x: Tensor) in
        var y = x
        for _ in 0..<20_000 { y = y * 1 }
        return y
      }(x)
    }
    #expect(gradient.item() == 1)
  }

  @Test func aLongCapturedChain() {
    let f = compile { (x: Tensor) in
      var y = x
      for _ in 0..<20_000 { y = y + 1 }
      return y
    }
    #expect(f(Tensor(1.0 as Double)).item() == 20_001)
  }

  private func seconds(_ steps: Int) -> Double {
    func once() -> Double {
      let x = Tensor.zeros([steps, 64]).requiringGradient()
      var start = timespec()
      clock_gettime(CLOCK_MONOTONIC, &start)
      var total = Tensor.zeros([64])
      for step in 0..<steps { total = total + x.part(0, step) }
      total.sum().backward()
      precondition(x.grad!.shape == [steps, 64])
      var end = timespec()
      clock_gettime(CLOCK_MONOTONIC, &end)
      return Double(end.tv_sec - start.tv_sec) + Double(end.tv_nsec - start.tv_nsec) * 1e-9
    }
    return (0..<5).map { _ in once() }.min()!
  }

  @Test func backwardOverSlicesIsLinear() {
    _ = seconds(100)
    let (short, long) = (seconds(2000), seconds(8000))
    // 4 when linear, 16 when each slice costs a whole tensor.
    #expect(long < short * 9, "T = 2000: \(short) s, T = 8000: \(long) s")
  }
}
