import Martlet
import MartletCore
import MartletOps
import Testing

@Suite struct LawsDelayed {
  @Test func faultsSurfaceLateAndNameTheOperation() throws {
    try Laws.delayed.holding {
      let x = Tensor([1.0, 2, 3] as [Double], device: .delayed)
      let bad = Tensor([0, 7], device: .delayed)
      do {
        try withErrors {
          let y = x.take(axis: 0, bad)
          #expect(y.isPlain && y.shape == [2])  // no error yet
          _ = (y + 1).sum().item()
        }
        Issue.record("the fault did not surface")
      } catch { #expect("\(error)".contains("take") && "\(error)".contains("7")) }
      // It was reported; what comes after is sound.
      try withErrors { Device.delayed.synchronize() }
      let sum = try withErrors { x.sum().item() }
      #expect(sum == 6)
    }
  }

  /// Temporaries are freed on the host long before they are used; sums are updated in place behind pending reads.
  @Test func memoryIsReusedInTheOrderOfTheOperations() throws {
    func run(_ device: Device) -> [Double] {
      var total = Tensor.zeros([257], dtype: .float64, device: device)
      var kept: [Tensor] = []
      for step in 0..<3000 {
        let x = Tensor(repeating: Double(step), [257], dtype: .float64, device: device)
        total += sin(x * 0.5) * cos(x) + 1
        if step % 500 == 0 { kept.append(total) }
      }
      return kept.flatMap { $0.array(as: Double.self) } + total.array(as: Double.self)
    }
    try Laws.delayed.holding {
      let (late, now) = try withErrors { (run(.delayed), run(.cpu)) }
      #expect(late == now)
    }
  }
}
