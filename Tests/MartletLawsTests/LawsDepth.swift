import Martlet
import MartletCore
import MartletOps
import Testing

/// Long chains: nothing recurses, and costs grow with the length and no faster.
@Suite(.serialized) struct LawsDepth {
  /// A million; fewer where each operation takes ten times as long, and recursion would show as well.
  private static let length = Device.current == .cpu ? 1_000_000 : 100_000

  static func million() -> (freed: Bool, gradient: Double) {
    let x = Tensor(1.0 as Double).requiringGradient()
    do {
      // Never walked: released as a whole.
      var y = x
      for _ in 0..<length { y = y + 1 }
      precondition(y.item() == Double(length + 1))
    }
    var z = x
    for _ in 0..<length { z = z * 1 }
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
}
